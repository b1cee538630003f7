//! The simulated flash that all of them write to: 1 MiB, pages of 4 KiB, words
//! of 4 bytes. Words that are programmed twice are counted, not refused.

use embedded_storage::nor_flash::{self as blocking, NorFlash, ReadNorFlash};
use embedded_storage_async::nor_flash as asynchronous;
use interstice_embedded::mock_flash::{MockError, MockFlash};

pub const WORD: usize = 4;
pub const PAGE: usize = 4096;
pub const PAGES: usize = 256;

/// The flash, with what is measured beside its own counters.
#[derive(Clone)]
pub struct Simulated {
    pub flash: MockFlash<WORD, PAGE>,
    /// Bytes that were read when something was programmed or erased first.
    read_before_writing: Option<u64>,
    /// Bytes that may still be read, so that what reads for ever ends.
    reads_left: u64,
}

impl Simulated {
    pub fn new() -> Self {
        let mut flash = MockFlash::new(PAGES);
        flash.allow_programming_twice();
        Self { flash, read_before_writing: None, reads_left: u64::MAX }
    }

    /// Fails reads behind so many bytes.
    pub fn limit_reads(&mut self, bytes: u64) {
        self.reads_left = bytes;
    }

    /// Whether it has failed a read for the limit.
    pub fn is_exhausted(&self) -> bool {
        self.reads_left == 0
    }

    /// Counts from here what is read until something is written.
    pub fn await_writing(&mut self) {
        self.read_before_writing = None;
        self.flash.counters.bytes_read = 0;
    }

    /// What was read since, until something was written, or until now.
    pub fn read_before_writing(&self) -> u64 {
        self.read_before_writing.unwrap_or(self.flash.counters.bytes_read)
    }

    /// Erases of all pages.
    pub fn erases(&self) -> u64 {
        self.flash.counters.erases.iter().sum()
    }

    fn writes(&mut self) {
        self.read_before_writing.get_or_insert(self.flash.counters.bytes_read);
    }
}

impl blocking::ErrorType for Simulated {
    type Error = MockError;
}

impl ReadNorFlash for Simulated {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), MockError> {
        self.reads_left = self.reads_left.saturating_sub(bytes.len() as u64);
        if self.is_exhausted() {
            return Err(MockError::Injected);
        }
        self.flash.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.flash.capacity()
    }
}

impl NorFlash for Simulated {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), MockError> {
        self.writes();
        self.flash.erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), MockError> {
        self.writes();
        self.flash.write(offset, bytes)
    }
}

// `sequential-storage`.

impl asynchronous::ReadNorFlash for Simulated {
    const READ_SIZE: usize = 1;

    async fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), MockError> {
        ReadNorFlash::read(self, offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.flash.capacity()
    }
}

impl asynchronous::NorFlash for Simulated {
    const WRITE_SIZE: usize = WORD;
    const ERASE_SIZE: usize = PAGE;

    async fn erase(&mut self, from: u32, to: u32) -> Result<(), MockError> {
        NorFlash::erase(self, from, to)
    }

    async fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), MockError> {
        NorFlash::write(self, offset, bytes)
    }
}

// `ekv`.

fn place(page: ekv::flash::PageID, offset: usize) -> u32 {
    (page.index() * PAGE + offset) as u32
}

impl ekv::flash::Flash for Simulated {
    type Error = MockError;

    fn page_count(&self) -> usize {
        PAGES
    }

    async fn erase(&mut self, page: ekv::flash::PageID) -> Result<(), MockError> {
        NorFlash::erase(self, place(page, 0), place(page, PAGE))
    }

    async fn read(
        &mut self,
        page: ekv::flash::PageID,
        offset: usize,
        bytes: &mut [u8],
    ) -> Result<(), MockError> {
        ReadNorFlash::read(self, place(page, offset), bytes)
    }

    async fn write(
        &mut self,
        page: ekv::flash::PageID,
        offset: usize,
        bytes: &[u8],
    ) -> Result<(), MockError> {
        NorFlash::write(self, place(page, offset), bytes)
    }
}

// `littlefs2`.

#[cfg(feature = "littlefs")]
impl littlefs2::driver::Storage for Simulated {
    const READ_SIZE: usize = WORD;
    const WRITE_SIZE: usize = WORD;
    const BLOCK_SIZE: usize = PAGE;
    const BLOCK_COUNT: usize = PAGES;
    // In the middle of what its documentation suggests.
    const BLOCK_CYCLES: isize = 500;
    type CACHE_SIZE = littlefs2::consts::U256;
    // As many bits as there are blocks.
    type LOOKAHEAD_SIZE = littlefs2::consts::U4;

    fn read(&mut self, at: usize, bytes: &mut [u8]) -> littlefs2::io::Result<usize> {
        let done = ReadNorFlash::read(self, at as u32, bytes);
        done.map(|()| bytes.len()).map_err(|_| littlefs2::io::Error::IO)
    }

    fn write(&mut self, at: usize, bytes: &[u8]) -> littlefs2::io::Result<usize> {
        let done = NorFlash::write(self, at as u32, bytes);
        done.map(|()| bytes.len()).map_err(|_| littlefs2::io::Error::IO)
    }

    fn erase(&mut self, at: usize, len: usize) -> littlefs2::io::Result<usize> {
        let done = NorFlash::erase(self, at as u32, (at + len) as u32);
        done.map(|()| len).map_err(|_| littlefs2::io::Error::IO)
    }
}
