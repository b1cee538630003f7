//! Commits -> records -> pages.
//!
//! Invariants: a word is programmed once between two erases; nothing is
//! programmed behind a record that may be torn; what an operation has said to
//! be written was read back.

use embedded_storage_async::nor_flash::NorFlash;
use interstice_core::TxOffset;

use super::{
    AsyncFlashLog, End, FlashError, FlashLogError, Mode, Operation, Writing,
    page::{Label, PageHeader, Purpose},
    record::{self, Kind, PageKey, record_len},
};

/// Folds the checksum of a record into the chain.
pub(super) fn link(chain: u32, checksum: u32) -> u32 {
    interstice_core::log::frame::crc32c(chain, &checksum.to_le_bytes())
}

impl<F: NorFlash, const RECORD: usize> AsyncFlashLog<F, RECORD> {
    /// Appends the commit at `offset`, which is the next one. When this
    /// returns, it survives.
    ///
    /// A commit that fits a record takes one program, and at most one erase and
    /// one program more where a page begins.
    ///
    /// # Errors
    ///
    /// See [`FlashLogError`]. After [`NeedsSnapshot`](FlashLogError::NeedsSnapshot)
    /// nothing has happened.
    pub async fn append(&mut self, offset: TxOffset, commit: &[u8]) -> Result<(), FlashLogError> {
        self.check_room(commit.len())?;
        if offset != self.next {
            return Err(FlashLogError::Position { next: self.next });
        }
        let mut rest = commit;
        loop {
            let len = rest.len().min(self.payload_max());
            let (piece, behind) = rest.split_at_checked(len).unwrap_or((rest, &[]));
            let kind = if behind.is_empty() { Kind::Commit } else { Kind::Part };
            self.write(kind, piece, Purpose::Log).await?;
            rest = behind;
            if kind == Kind::Commit {
                self.next = self.next.next();
                self.base.is_newest = false;
                return Ok(());
            }
        }
    }

    /// Says that everything before was programmed whole, if nothing says so
    /// yet: a mount then writes nothing, and damage to the newest record is told
    /// from a power cut. A program of one small record. To be done when the
    /// device comes to rest.
    ///
    /// # Errors
    ///
    /// When the flash fails, or an earlier operation has.
    pub async fn mark(&mut self) -> Result<(), FlashLogError> {
        match self.mode {
            Mode::Failed => Err(FlashLogError::Failed),
            Mode::Open { marked: false } => Ok(self.write_mark().await?),
            _ => Ok(()),
        }
    }

    pub(super) async fn write_mark(&mut self) -> Result<(), FlashError> {
        if !self.has_room(record_len(0, self.region.word())) {
            return Ok(());
        }
        // Until it is known to be there: this future may be dropped.
        self.mode = Mode::Failed;
        let written = self.program_record(Kind::Mark, &[]).await;
        if written.is_ok() {
            self.mode = Mode::Open { marked: true };
        }
        written
    }

    /// Bytes of the largest payload that still fits the page.
    pub(super) fn payload_left(&self) -> usize {
        let left = self.region.geometry.page_size.saturating_sub(self.end.place) as usize;
        left.saturating_sub(record::HEAD_LEN)
    }

    /// Whether a record of this length fits the page.
    pub(super) fn has_room(&self, len: usize) -> bool {
        let left = self.region.geometry.page_size.saturating_sub(self.end.place);
        len <= left as usize
    }

    /// Whether a commit of `len` bytes can be appended now.
    ///
    /// # Errors
    ///
    /// As [`append`](Self::append).
    pub fn check_room(&self, len: usize) -> Result<(), FlashLogError> {
        let is_open = match self.mode {
            Mode::Failed => return Err(FlashLogError::Failed),
            Mode::Snapshot(_) => return Err(FlashLogError::Snapshotting),
            Mode::Unsettled { .. } => return Err(FlashLogError::NeedsSnapshot),
            Mode::Open { .. } => true,
            Mode::Settled => false,
        };
        let (max, word) = (self.payload_max(), self.region.word());
        let piece = record_len(max, word);
        let page = self.region.geometry.page_size as usize - self.region.header_len();
        let (whole, last) = (len / max, record_len(len % max, word));
        let per_page = page / piece;
        let most = usize::from(self.snapshot_pages().saturating_sub(1).max(1)) * per_page * max;
        if len > most {
            let (len, max) = (len as u32, most as u32);
            return Err(FlashLogError::TooLarge { len, max });
        }
        let left = if is_open { self.region.geometry.page_size - self.end.place } else { 0 };
        let pages = if whole * piece + last <= left as usize {
            0
        } else {
            // As if all pieces went into new pages.
            (whole + 1).div_ceil(per_page)
        };
        let spare = self.free_pages().saturating_sub(self.snapshot_pages());
        if pages <= spare.into() {
            return Ok(());
        }
        let is_new = is_open && self.base.is_newest;
        Err(if is_new { FlashLogError::Full } else { FlashLogError::NeedsSnapshot })
    }

    /// Writes a record, in a new page if it does not fit this one, and once
    /// more in another if the flash does not hold it.
    pub(super) async fn write(
        &mut self,
        kind: Kind,
        payload: &[u8],
        purpose: Purpose,
    ) -> Result<(), FlashLogError> {
        let mode = core::mem::replace(&mut self.mode, Mode::Failed);
        let is_open = match mode {
            Mode::Open { .. } => true,
            Mode::Snapshot(writing) => writing.is_begun,
            _ => false,
        };
        let len = record_len(payload.len(), self.region.word());
        if !(is_open && self.has_room(len)) {
            self.turn_page(purpose, mode).await?;
        }
        if let Err(failed) = self.program_record(kind, payload).await {
            // What is there now does not count: the next page says so.
            self.turn_page(purpose, mode).await.map_err(|_| failed)?;
            self.program_record(kind, payload).await?;
        }
        self.mode = match mode {
            Mode::Snapshot(writing) => {
                let (first, page) = match writing.is_begun {
                    true => (writing.first, writing.page),
                    false => (self.end.sequence, self.end.page),
                };
                Mode::Snapshot(Writing { is_begun: true, first, page, ..writing })
            }
            _ => Mode::Open { marked: false },
        };
        Ok(())
    }

    /// Opens the next page, for what `mode` is about.
    async fn turn_page(&mut self, purpose: Purpose, mode: Mode) -> Result<(), FlashLogError> {
        let behind = match mode {
            Mode::Snapshot(Writing { is_begun: false, closing, .. }) => closing,
            _ => (self.end.count, self.end.chain),
        };
        let snapshot = match mode {
            Mode::Snapshot(writing) => Some(writing),
            _ => None,
        };
        self.open_page_of(purpose, behind, snapshot).await?.then_some(()).ok_or(FlashLogError::Full)
    }

    /// Opens the next page for the log. `behind`: how many records of the page
    /// before count, and the chain behind them.
    pub(super) async fn open_page(
        &mut self,
        purpose: Purpose,
        behind: (u32, u32),
    ) -> Result<bool, FlashError> {
        self.open_page_of(purpose, behind, None).await
    }

    /// Opens the next page. Pages that cannot be erased, or do not hold what is
    /// programmed, are left out. `false`: no page is left.
    async fn open_page_of(
        &mut self,
        purpose: Purpose,
        (previous_count, previous_chain): (u32, u32),
        snapshot: Option<Writing>,
    ) -> Result<bool, FlashError> {
        let mut page = self.end.page;
        let mut failed = None;
        for _ in 1..=self.region.geometry.pages {
            page = self.region.behind(page);
            if page == self.base.page && self.end.sequence > 0 {
                break;
            }
            // A page that was used is not used again under the same number.
            let Some(sequence) = self.top.checked_add(1) else { return Ok(false) };
            let erases = match self.region.header(page).await? {
                Ok(header) => header.erases,
                Err(_) => {
                    self.region.header(self.end.page).await?.map_or(0, |header| header.erases)
                }
            };
            self.top = sequence;
            let (first, log_end) = match snapshot {
                Some(Writing { is_begun, first, log_end, .. }) => {
                    let ago = (sequence as u32).wrapping_sub(log_end);
                    (if is_begun { first } else { sequence }, sequence - u64::from(ago))
                }
                None => (sequence, sequence),
            };
            let back = sequence - self.end.sequence;
            let header = PageHeader {
                label: Label { sequence, back: back.try_into().unwrap_or(u32::MAX) },
                index: page,
                log: self.log,
                geometry: self.region.geometry,
                purpose,
                erases: erases.saturating_add(1),
                record: record_len(self.payload_max(), self.region.word()) as u32,
                first: self.next,
                previous_count,
                previous_chain,
                // The first page of all is where reading begins.
                base: if self.end.sequence == 0 { sequence } else { self.base.sequence },
                snapshot: first,
                log_end,
            };
            match self.begin_page(&header).await {
                Ok(()) => return Ok(true),
                Err(error) if error.operation == Operation::Read => return Err(error),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(false), Err)
    }

    async fn begin_page(&mut self, header: &PageHeader) -> Result<(), FlashError> {
        self.region.erase(header.index).await?;
        self.region.program_header(header).await?;
        self.end = End {
            sequence: header.label.sequence,
            page: header.index,
            place: self.region.header_len() as u32,
            count: 0,
            chain: header.previous_chain,
        };
        Ok(())
    }

    /// Programs a record behind the last one.
    pub(super) async fn program_record(
        &mut self,
        kind: Kind,
        payload: &[u8],
    ) -> Result<(), FlashError> {
        let len = record_len(payload.len(), self.region.word());
        if let Some(out) = self.record.get_mut(..len) {
            let _ = record::encode(kind, payload, out);
        }
        self.program_buffer(len).await
    }

    /// Programs the record in the buffer behind the last one.
    pub(super) async fn program_buffer(&mut self, len: usize) -> Result<(), FlashError> {
        let End { sequence, page, place, .. } = self.end;
        let key = PageKey::new(&self.log.log_id, sequence);
        let record = self.record.get_mut(..len).unwrap_or_default();
        let checksum = record::seal(record, key, place).unwrap_or_default();
        self.region.program(page, place, record).await?;
        self.end.place += len as u32;
        self.end.count += 1;
        self.end.chain = link(self.end.chain, checksum);
        Ok(())
    }
}
