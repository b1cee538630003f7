//! Flash in a file of the emulator's host, by semihosting.
//!
//! The board has no flash that QEMU keeps. Everything else is as with NOR
//! flash: pages that are erased to 0xFF, and words that are programmed once.

use core::ffi::CStr;

use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash, check_erase, check_read,
    check_write,
};
use semihosting::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
};

/// Bytes of a page.
const PAGE: usize = 4096;
/// Bytes of a word.
const WORD: usize = 4;
/// Bytes that are compared or filled at once.
const CHUNK: usize = 256;

/// A file that behaves as flash.
pub(crate) struct FileFlash {
    /// `None` when it cannot be opened; every operation says so.
    file: Option<File>,
    size: u32,
}

/// Why an operation failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FlashError {
    /// The place is not aligned or not inside.
    Place(NorFlashErrorKind),
    /// The word at this offset is not erased.
    NotErased(u32),
    /// The host could not read or write the file.
    Host,
}

impl NorFlashError for FlashError {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::Place(kind) => *kind,
            Self::NotErased(_) | Self::Host => NorFlashErrorKind::Other,
        }
    }
}

impl From<NorFlashErrorKind> for FlashError {
    fn from(kind: NorFlashErrorKind) -> Self {
        Self::Place(kind)
    }
}

impl From<io::Error> for FlashError {
    fn from(_: io::Error) -> Self {
        Self::Host
    }
}

impl FileFlash {
    /// Opens the file, or makes it: erased flash of `size` bytes.
    pub(crate) fn open(path: &CStr, size: u32) -> Self {
        let open = || File::options().read(true).write(true).open(path);
        let file = open().or_else(|_| {
            let mut file = File::create(path)?;
            fill_erased(&mut file, size)?;
            drop(file);
            open()
        });
        Self { file: file.ok(), size }
    }

    /// The file, at an offset.
    fn at(&mut self, offset: u32) -> Result<&mut File, FlashError> {
        let file = self.file.as_mut().ok_or(FlashError::Host)?;
        file.seek(SeekFrom::Start(offset.into()))?;
        Ok(file)
    }

    fn check_erased(&mut self, offset: u32, len: usize) -> Result<(), FlashError> {
        let file = self.at(offset)?;
        let mut chunk = [0; CHUNK];
        for start in (0..len).step_by(CHUNK) {
            let chunk = &mut chunk[..CHUNK.min(len - start)];
            file.read_exact(chunk)?;
            if let Some(used) = chunk.iter().position(|byte| *byte != 0xFF) {
                let word = (start + used) / WORD * WORD;
                return Err(FlashError::NotErased(offset + word as u32));
            }
        }
        Ok(())
    }
}

fn fill_erased(file: &mut File, size: u32) -> io::Result<()> {
    for _ in 0..size as usize / CHUNK {
        file.write_all(&[0xFF; CHUNK])?;
    }
    Ok(())
}

impl ErrorType for FileFlash {
    type Error = FlashError;
}

impl ReadNorFlash for FileFlash {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), FlashError> {
        check_read(self, offset, bytes.len())?;
        Ok(self.at(offset)?.read_exact(bytes)?)
    }

    fn capacity(&self) -> usize {
        self.size as usize
    }
}

impl NorFlash for FileFlash {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), FlashError> {
        check_erase(self, from, to)?;
        Ok(fill_erased(self.at(from)?, to - from)?)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        check_write(self, offset, bytes.len())?;
        self.check_erased(offset, bytes.len())?;
        Ok(self.at(offset)?.write_all(bytes)?)
    }
}
