//! The log in an image of a flash, in memory: what a programmer, a debugger or a
//! serial line has read out of a device.

use alloc::vec::Vec;
use core::{error::Error, fmt};

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashErrorKind, ReadNorFlash, check_read,
};

use super::{
    FLASH_FORMAT_VERSION, FlashLog, Geometry, MountError, Mounted, PAGE_SIZE_MIN, WORD_MAX,
    page::{HEADER_LEN, LABEL_LEN, Label, PageHeader},
    record::{HEAD_LEN, PAYLOAD_MAX},
};
use crate::memory::extend;

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
    /// A page of a log is there, but not the whole region.
    Cut {
        /// The region's shape.
        geometry: Geometry,
        /// The byte at which the page was found, and its number.
        page: (usize, u16),
    },
    /// The region cannot be mounted.
    Mount(MountError),
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLog { blank: true } => f.write_str("it is blank: nothing but 0xFF"),
            Self::NoLog { blank: false } => f.write_str("no page of a log begins in it"),
            Self::Cut { geometry: Geometry { page_size, pages, .. }, page: (at, number) } => {
                write!(
                    f,
                    "it holds page {number} of a region of {pages} pages of {page_size} bytes at byte \
                 {at}, but not the whole region"
                )
            }
            Self::Mount(error) => error.fmt(f),
        }
    }
}

impl Error for ImageError {}

/// Finds the region of a log in an image, whatever its shape, and mounts a copy
/// of it. The image may be longer: that of a whole chip.
///
/// # Errors
///
/// When there is none, or it cannot be mounted.
pub fn open_image(image: &[u8]) -> Result<FoundLog, ImageError> {
    let Some((at, geometry)) = find_region(image)? else {
        return Err(ImageError::NoLog { blank: image.iter().all(|byte| *byte == 0xff) });
    };
    let len = region_len(geometry);
    let mut region = Vec::new();
    let found = image.get(at..at.saturating_add(len)).unwrap_or_default();
    extend(&mut region, found).ok_or(ImageError::Mount(MountError::Memory))?;
    let (log, mounted) = FlashLog::mount_as(Image(region), geometry).map_err(ImageError::Mount)?;
    Ok(FoundLog { log, mounted, at })
}

/// Bytes of a region; more than there can be where that is too much to count.
fn region_len(geometry: Geometry) -> usize {
    (geometry.page_size as usize).saturating_mul(geometry.pages.into())
}

/// Where a region begins, and its shape, as the first page says that is good.
fn find_region(image: &[u8]) -> Result<Option<(usize, Geometry)>, ImageError> {
    let mut cut = None;
    for at in (0..image.len()).step_by(PAGE_SIZE_MIN as usize) {
        let Some(header) = image.get(at..).and_then(header) else { continue };
        let before = usize::from(header.index).saturating_mul(header.geometry.page_size as usize);
        let len = region_len(header.geometry);
        let start = at.checked_sub(before);
        match start.filter(|start| image.len() - start >= len) {
            Some(start) => return Ok(Some((start, header.geometry))),
            None => {
                let page = (at, header.index);
                cut.get_or_insert(ImageError::Cut { geometry: header.geometry, page });
            }
        }
    }
    cut.map_or(Ok(None), Err)
}

/// The header at the start of some bytes.
fn header(bytes: &[u8]) -> Option<PageHeader> {
    let bytes = bytes.first_chunk::<HEADER_LEN>()?;
    let version = u16::from_le_bytes(bytes.get(LABEL_LEN..)?.first_chunk().copied()?);
    let pages = u16::from_le_bytes(bytes.get(24..)?.first_chunk().copied()?);
    if version != FLASH_FORMAT_VERSION {
        return None;
    }
    let index = Label::belongs_to(bytes.first_chunk()?, pages)?;
    let header = PageHeader::decode(bytes, index).ok()?;
    let Geometry { page_size, pages, word } = header.geometry;
    let is_possible = page_size >= PAGE_SIZE_MIN
        && pages >= 2
        && (1..=WORD_MAX).contains(&usize::from(word))
        && index < pages;
    is_possible.then_some(header)
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
