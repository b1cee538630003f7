//! What surrounds a log: flash, a medium, an allocator, a caller. None of it is
//! defined anywhere, so the optimizer must take it to do anything at all.
#![no_std]

use core::{
    alloc::{GlobalAlloc, Layout},
    panic::PanicInfo,
};

use embedded_io::{ErrorKind, Read, Seek, SeekFrom, Write};
use embedded_storage::nor_flash::{
    ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash,
};

/// What nobody defines. The images are linked without, and never run.
mod unknown {
    use super::*;

    unsafe extern "Rust" {
        /// What a panic comes down to: the images are looked at for calls of it.
        pub(crate) safe fn a_panic(info: &PanicInfo<'_>) -> !;

        pub(crate) safe fn flash_read(at: u32, bytes: &mut [u8]) -> Result<(), UnknownError>;
        pub(crate) safe fn flash_write(at: u32, bytes: &[u8]) -> Result<(), UnknownError>;
        pub(crate) safe fn flash_erase(from: u32, to: u32) -> Result<(), UnknownError>;
        pub(crate) safe fn flash_capacity() -> usize;
        pub(crate) safe fn flash_error(error: &UnknownError) -> NorFlashErrorKind;

        pub(crate) safe fn medium_read(bytes: &mut [u8]) -> Result<usize, UnknownError>;
        pub(crate) safe fn medium_write(bytes: &[u8]) -> Result<usize, UnknownError>;
        pub(crate) safe fn medium_seek(to: SeekFrom) -> Result<u64, UnknownError>;
        pub(crate) safe fn medium_flush() -> Result<(), UnknownError>;
        pub(crate) safe fn medium_error(error: &UnknownError) -> ErrorKind;

        pub(crate) fn allocate(layout: Layout) -> *mut u8;
        pub(crate) fn free(at: *mut u8, layout: Layout);
    }
}

/// A flash of words of `WORD` bytes and pages of `PAGE` bytes.
pub struct UnknownFlash<const WORD: usize, const PAGE: usize>;

/// A medium.
pub struct UnknownMedium;

/// What goes wrong with them.
#[derive(Debug)]
pub struct UnknownError(#[expect(dead_code, reason = "it is unknown")] u32);

impl NorFlashError for UnknownError {
    fn kind(&self) -> NorFlashErrorKind {
        unknown::flash_error(self)
    }
}

impl<const WORD: usize, const PAGE: usize> ErrorType for UnknownFlash<WORD, PAGE> {
    type Error = UnknownError;
}

impl<const WORD: usize, const PAGE: usize> ReadNorFlash for UnknownFlash<WORD, PAGE> {
    const READ_SIZE: usize = WORD;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), UnknownError> {
        unknown::flash_read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        unknown::flash_capacity()
    }
}

impl<const WORD: usize, const PAGE: usize> NorFlash for UnknownFlash<WORD, PAGE> {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), UnknownError> {
        unknown::flash_erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), UnknownError> {
        unknown::flash_write(offset, bytes)
    }
}

impl core::fmt::Display for UnknownError {
    fn fmt(&self, _: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        Ok(())
    }
}

impl core::error::Error for UnknownError {}

impl embedded_io::Error for UnknownError {
    fn kind(&self) -> ErrorKind {
        unknown::medium_error(self)
    }
}

impl embedded_io::ErrorType for UnknownMedium {
    type Error = UnknownError;
}

impl Read for UnknownMedium {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, UnknownError> {
        unknown::medium_read(bytes)
    }
}

impl Write for UnknownMedium {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, UnknownError> {
        unknown::medium_write(bytes)
    }

    fn flush(&mut self) -> Result<(), UnknownError> {
        unknown::medium_flush()
    }
}

impl Seek for UnknownMedium {
    fn seek(&mut self, to: SeekFrom) -> Result<u64, UnknownError> {
        unknown::medium_seek(to)
    }
}

struct UnknownAllocator;

// SAFETY: it is not, where nobody defines what it calls; the images never run.
unsafe impl GlobalAlloc for UnknownAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        unsafe { unknown::allocate(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { unknown::free(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: UnknownAllocator = UnknownAllocator;

#[panic_handler]
#[inline(never)]
fn panic(info: &PanicInfo<'_>) -> ! {
    unknown::a_panic(info)
}
