//! The log in an image of a flash, in memory: what a programmer, a debugger or a
//! serial line has read out of a device.

use alloc::vec::Vec;
use core::{error::Error, fmt};

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_read,
};
use interstice_core::TxOffset;

use super::{
    FlashLog, Geometry, MountError, Mounted, WORD_MAX,
    record::{HEAD_LEN, PAYLOAD_MAX},
};
use crate::memory::extend;

mod search;

pub use search::FoundRegion;

use search::{find_regions, region_len};

/// Bytes of the largest record that there can be.
pub const RECORD_LEN_MAX: usize = (HEAD_LEN + PAYLOAD_MAX).next_multiple_of(WORD_MAX);

/// The log in an image.
pub type ImageLog = FlashLog<Image, RECORD_LEN_MAX>;

/// A copy of a region, which takes what a mount writes.
#[derive(Clone, Debug)]
pub struct Image(Vec<u8>);

/// A log that was found in an image.
pub struct FoundLog {
    /// The log, mounted.
    pub log: ImageLog,
    /// What the mount has found.
    pub mounted: Mounted,
    /// Byte of the image at which the region begins.
    pub at: usize,
    /// Regions that have a page of a log and cannot be mounted: where they begin,
    /// and why.
    pub left_aside: Vec<(usize, MountError)>,
}

/// A log in an image that has several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneOfSeveral {
    /// Its region.
    pub region: FoundRegion,
    /// Its identity.
    pub log_id: [u8; 16],
    /// The position of its next commit.
    pub next: TxOffset,
}

/// Why there is no log to be read in an image.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageError {
    /// No page of a log begins anywhere in it, at a multiple of 256 bytes.
    NoLog {
        /// Whether it is as an erase leaves it.
        blank: bool,
    },
    /// A page of a log is there, in another version of the format.
    Version {
        /// The byte at which it was found.
        at: usize,
        /// The version; this build reads [`FLASH_FORMAT_VERSION`](super::FLASH_FORMAT_VERSION).
        found: u16,
    },
    /// A page of a log is there, but not the whole region.
    Cut {
        /// The region's shape.
        geometry: Geometry,
        /// The byte at which the page was found, and its number.
        page: (usize, u16),
    },
    /// The region cannot be mounted.
    Mount {
        /// Where it begins.
        at: usize,
        /// Why.
        error: MountError,
    },
    /// There are several logs, and it was not said which one.
    Several(Vec<OneOfSeveral>),
    /// No region begins where it was said.
    NotThere {
        /// The place.
        at: usize,
        /// Those that there are.
        regions: Vec<FoundRegion>,
    },
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLog { blank: true } => f.write_str("it is blank: nothing but 0xFF"),
            Self::NoLog { blank: false } => f.write_str("no page of a log begins in it"),
            Self::Version { at, found } => {
                write!(f, "from byte {at} on: {}", MountError::Version { found: *found })
            }
            Self::Cut { geometry: Geometry { page_size, pages, .. }, page: (at, number) } => {
                write!(
                    f,
                    "it holds page {number} of a region of {pages} pages of {page_size} bytes at byte \
                 {at}, but not the whole region"
                )
            }
            Self::Mount { at: 0, error } => error.fmt(f),
            Self::Mount { at, error } => write!(f, "from byte {at} on: {error}"),
            Self::Several(logs) => {
                f.write_str("there are several logs in it")?;
                for OneOfSeveral { region, log_id, next } in logs {
                    write!(f, "; {region}: ")?;
                    log_id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                    write!(f, ", up to commit {next}")?;
                }
                Ok(())
            }
            Self::NotThere { at, regions } => {
                write!(f, "no region begins at byte {at}")?;
                regions.iter().try_for_each(|region| write!(f, "; {region}"))
            }
        }
    }
}

impl fmt::Display for FoundRegion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Geometry { page_size, pages, .. } = self.geometry;
        write!(f, "from byte {} on, {pages} pages of {page_size} bytes", self.at)
    }
}

impl Error for ImageError {}

/// Whether a page of a log begins anywhere in an image.
pub fn has_page(image: &[u8]) -> bool {
    !matches!(find_regions(image), Err(ImageError::NoLog { .. }))
}

/// Finds the region of a log in an image, whatever its shape, and mounts a copy
/// of it. The image may be longer: that of a whole chip. Where there are several,
/// it is the one that mounts; `at` says where it has to begin.
///
/// What the copy mounts is not written back. So where the device was not closed, the
/// newest commit in it may be one that was being written when the image was read out:
/// it is there, and not proved, and the device may still drop it at its next mount.
///
/// # Errors
///
/// When there is none, when none can be mounted, or more than one.
pub fn open_image(image: &[u8], at: Option<usize>) -> Result<FoundLog, ImageError> {
    let regions = find_regions(image)?;
    let is_asked = |region: &&FoundRegion| at.is_none_or(|at| region.at == at);
    if let Some(at) = at
        && !regions.iter().any(|region| region.at == at)
    {
        return Err(ImageError::NotThere { at, regions });
    }
    let mut opened: Option<FoundLog> = None;
    let mut logs = Vec::new();
    let mut left_aside = Vec::new();
    for region in regions.iter().filter(is_asked) {
        let memory = || ImageError::Mount { at: region.at, error: MountError::Memory };
        match mount(image, *region) {
            Ok(found) => {
                let (log_id, next) = (found.log.header().log_id, found.log.next_offset());
                let log = OneOfSeveral { region: *region, log_id, next };
                extend(&mut logs, &[log]).ok_or_else(memory)?;
                opened.get_or_insert(found);
            }
            Err(error) => {
                extend(&mut left_aside, &[(region.at, error)]).ok_or_else(memory)?;
            }
        }
    }
    match (opened, left_aside.first()) {
        (Some(_), _) if logs.len() > 1 => Err(ImageError::Several(logs)),
        (Some(opened), _) => Ok(FoundLog { left_aside, ..opened }),
        (None, Some((at, error))) => Err(ImageError::Mount { at: *at, error: *error }),
        (None, None) => Err(ImageError::NoLog { blank: false }),
    }
}

fn mount(image: &[u8], region: FoundRegion) -> Result<FoundLog, MountError> {
    let FoundRegion { at, geometry } = region;
    let found = image.get(at..at.saturating_add(region_len(geometry))).unwrap_or_default();
    let mut copy = Vec::new();
    extend(&mut copy, found).ok_or(MountError::Memory)?;
    let (log, mounted) = FlashLog::mount_as(Image(copy), geometry)?;
    Ok(FoundLog { log, mounted, at, left_aside: Vec::new() })
}

impl ErrorType for Image {
    type Error = NorFlashErrorKind;
}

impl ReadNorFlash for Image {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFlashErrorKind> {
        check_read(self, offset, bytes.len())?;
        let stored = self.0.get(offset as usize..).and_then(|rest| rest.get(..bytes.len()));
        for (byte, stored) in bytes.iter_mut().zip(stored.ok_or(NorFlashErrorKind::OutOfBounds)?) {
            *byte = *stored;
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.0.len()
    }
}

impl NorFlash for Image {
    const WRITE_SIZE: usize = 1;
    const ERASE_SIZE: usize = 1;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFlashErrorKind> {
        let bytes = self.0.get_mut(from as usize..to as usize);
        bytes.ok_or(NorFlashErrorKind::OutOfBounds)?.fill(0xff);
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFlashErrorKind> {
        let stored = self.0.get_mut(offset as usize..).and_then(|rest| rest.get_mut(..bytes.len()));
        for (stored, byte) in stored.ok_or(NorFlashErrorKind::OutOfBounds)?.iter_mut().zip(bytes) {
            *stored &= byte;
        }
        Ok(())
    }
}
