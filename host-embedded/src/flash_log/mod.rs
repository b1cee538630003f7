#![doc = include_str!("FORMAT.md")]

use core::future::Future;

use embedded_storage_async::nor_flash::NorFlash;
use interstice_core::{
    TxOffset,
    log::frame::{LogHeader, crc32c},
};

mod blocking;
mod error;
pub mod image;
mod mount;
mod newest;
mod page;
mod record;
mod region;
mod replay;
mod scan;
mod snapshot;
mod write;

pub use blocking::{Blocking, FlashLog};
pub use error::{Damage, Damaged, FlashError, FlashLogError, MountError, Operation, ReplayError};
pub use mount::{Mounted, Torn};
pub use page::{FLASH_FORMAT_VERSION, Geometry, HEADER_LEN};
pub use record::{HEAD_LEN, PAYLOAD_MAX};
pub use region::{PAGE_SIZE_MIN, WORD_MAX};
pub use replay::Entry;
pub use snapshot::{BLOCK_LEN_MIN, SNAPSHOT_END_LEN};

use page::Purpose;
use record::Kind;
use region::Region;
use write::Opening;

/// Bytes of the record buffer, where nothing else is said. A commit that is
/// larger goes into several records.
pub const RECORD_LEN: usize = 512;

/// Bytes of the smallest record buffer.
pub const RECORD_LEN_MIN: usize = 64;

/// The log in a ring of flash pages.
///
/// This is the one implementation, on `embedded-storage-async`; [`FlashLog`] is
/// its blocking front.
///
/// `RECORD` is the size of the record buffer in bytes. It must be at least 64
/// and may differ from mount to mount, as long as it holds the records that are
/// there; the largest useful one is 8,032 bytes. A log that was written with a larger buffer
/// never mounts with a smaller one.
///
/// A future of [`append`](Self::append), [`mark`](Self::mark) or a part of a snapshot
/// that is dropped before it is ready, as by a timeout, leaves the log
/// [failed](Self::has_failed) until it is mounted again: nobody knows what is in the flash.
/// The commit may be in the log then, or not.
#[derive(Clone)]
pub struct AsyncFlashLog<F, const RECORD: usize = RECORD_LEN> {
    region: Region<F>,
    log: LogHeader,
    end: End,
    /// The position of the next commit.
    next: TxOffset,
    /// Where reading begins.
    base: Base,
    /// The highest sequence number of a page.
    top: u64,
    mode: Mode,
    record: [u8; RECORD],
}

/// Where the next record goes.
#[derive(Clone, Copy, Debug)]
struct End {
    sequence: u64,
    page: u16,
    place: u32,
    /// Records in the page.
    count: u32,
    /// The chain behind them.
    chain: u32,
}

/// The page that reading begins with.
#[derive(Clone, Copy, Debug)]
struct Base {
    sequence: u64,
    page: u16,
    /// It is a snapshot, or the beginning, that no commit follows yet.
    is_newest: bool,
}

/// What may be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Records go behind the last one, which we have programmed. `marked`: it
    /// is a mark.
    Open { marked: bool },
    /// What the log holds is proved, but the page was opened before the mount:
    /// the next record goes into a new page.
    Settled,
    /// What the log holds is not proved, and no page is left for it but those
    /// for a snapshot. `stands`: records that are proved of the page with the
    /// number `page`, and the chain behind them. It is the last one, unless that
    /// may be passed over at the next mount.
    Unsettled { page: u64, stands: (u32, u32) },
    /// A snapshot is being written.
    Snapshot(Writing),
    /// Something went wrong.
    Failed,
}

/// A snapshot that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Writing {
    /// Whether it has a page yet: `first`, by number, at `page`.
    is_begun: bool,
    first: u64,
    page: u16,
    /// The lower half of the number of the page that the log ends in.
    log_end: u32,
    /// Bytes so far; a region has fewer than 2^32.
    len: u32,
    /// Records of that page that count, and the chain behind them.
    closing: (u32, u32),
}

impl<F: NorFlash, const RECORD: usize> AsyncFlashLog<F, RECORD> {
    /// The log's id and seed.
    pub fn header(&self) -> LogHeader {
        self.log
    }

    /// The position of the next commit.
    pub fn next_offset(&self) -> TxOffset {
        self.next
    }

    /// The shape of the region.
    pub fn geometry(&self) -> Geometry {
        self.region.geometry
    }

    /// The flash. Writing to it behind the log's back breaks the log.
    pub fn flash(&mut self) -> &mut F {
        self.region.flash()
    }

    /// Gives the flash back.
    pub fn into_flash(self) -> F {
        self.region.into_flash()
    }

    /// Pages that hold nothing that is needed. Some of them are kept for the
    /// next snapshot.
    pub fn free_pages(&self) -> u16 {
        let used = self.region.distance(self.base.page, self.end.page) + 1;
        self.region.geometry.pages - used
    }

    /// Pages that are kept for a snapshot: half of the ring.
    pub fn snapshot_pages(&self) -> u16 {
        self.region.geometry.pages / 2
    }

    /// Whether a snapshot is due: the log may take no further page, and little is
    /// left of the one it has.
    pub fn wants_snapshot(&self) -> bool {
        let is_last = self.free_pages() <= self.snapshot_pages();
        match self.mode {
            Mode::Unsettled { .. } => true,
            Mode::Settled => is_last && !self.base.is_newest,
            Mode::Open { .. } => {
                let late = self.region.geometry.page_size / 4 * 3;
                is_last && !self.base.is_newest && self.end.place > late
            }
            Mode::Snapshot(_) | Mode::Failed => false,
        }
    }

    /// Whether something went wrong, so that the log takes nothing any more.
    pub fn has_failed(&self) -> bool {
        self.mode == Mode::Failed
    }

    /// Whether the log takes nothing before a snapshot is written.
    pub fn needs_snapshot(&self) -> bool {
        matches!(self.mode, Mode::Unsettled { .. })
    }

    /// Makes a log in a region. Everything that is in it is erased: its newest page
    /// last, so that where power goes meanwhile, the old log is there whole, or none
    /// mounts. Then it is to be done again.
    ///
    /// # Errors
    ///
    /// When the flash fails, or cannot hold a log.
    pub async fn format(flash: F, log: LogHeader) -> Result<Self, MountError> {
        const { assert!(RECORD >= RECORD_LEN_MIN, "the record buffer needs 64 bytes") };
        let mut region = Region::new(flash)?;
        let top = region.erase_all().await?;
        let last = region.geometry.pages - 1;
        let end = End { sequence: 0, page: last, place: 0, count: 0, chain: 0 };
        let base = Base { sequence: 1, page: 0, is_newest: true };
        let mut made = Self {
            region,
            log,
            end,
            next: TxOffset(0),
            base,
            top,
            mode: Mode::Open { marked: true },
            record: [0; RECORD],
        };
        let mark = made.encode(Kind::Mark, &[]);
        let opening = Opening::log(Purpose::Log, (0, made.chain_start()));
        if !made.put_in_new_page(mark, opening).await? {
            return Err(MountError::NoGoodPage);
        }
        made.base = Base { sequence: made.end.sequence, page: made.end.page, is_newest: true };
        Ok(made)
    }

    /// The chain before the first record of the log.
    fn chain_start(&self) -> u32 {
        crc32c(crc32c(0, &self.log.log_id), &self.log.seed.to_le_bytes())
    }

    /// Bytes of the longest record that the buffer holds.
    fn record_max(&self) -> usize {
        RECORD & !(self.region.word() - 1)
    }

    /// Bytes of the largest payload of a record.
    fn payload_max(&self) -> usize {
        let page = self.region.geometry.page_size as usize - self.region.header_len();
        let record = RECORD.min(page) & !(self.region.word() - 1);
        // There is room for one; to the optimizer it is news.
        (record - record::HEAD_LEN).clamp(1, record::PAYLOAD_MAX)
    }
}

/// Runs a future that never waits, as those on a blocking flash.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut context = core::task::Context::from_waker(core::task::Waker::noop());
    let mut future = core::pin::pin!(future);
    loop {
        if let core::task::Poll::Ready(done) = future.as_mut().poll(&mut context) {
            return done;
        }
    }
}
