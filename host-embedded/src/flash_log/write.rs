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

/// What a page is opened for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opening {
    purpose: Purpose,
    /// How many records of the page before count, and the chain behind them.
    behind: (u32, u32),
    /// The snapshot that it is a part of.
    snapshot: Option<Writing>,
}

impl Opening {
    pub(super) fn log(purpose: Purpose, behind: (u32, u32)) -> Self {
        Self { purpose, behind, snapshot: None }
    }
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
    /// from a power cut. A program of one small record, now and then in a new
    /// page. To be done when the device comes to rest.
    ///
    /// # Errors
    ///
    /// [`FlashLogError::NeedsSnapshot`] when the pages that are left are for a
    /// snapshot, which ends with a mark; [`FlashLogError::Snapshotting`] while one
    /// is written. When the flash fails, or an earlier operation has.
    pub async fn mark(&mut self) -> Result<(), FlashLogError> {
        match self.mode {
            Mode::Failed => Err(FlashLogError::Failed),
            Mode::Snapshot(_) => Err(FlashLogError::Snapshotting),
            Mode::Unsettled { .. } => Err(FlashLogError::NeedsSnapshot),
            Mode::Settled | Mode::Open { marked: true } => Ok(()),
            Mode::Open { marked: false } => match self.write_mark().await? {
                true => Ok(()),
                false => Err(FlashLogError::NeedsSnapshot),
            },
        }
    }

    /// Writes a mark, in a new page if this one has no room for it or does not
    /// hold it. `false`: the pages that are left are for a snapshot.
    pub(super) async fn write_mark(&mut self) -> Result<bool, FlashError> {
        let mode = self.mode;
        // Until it is known to be there: this future may be dropped.
        self.mode = Mode::Failed;
        let may_turn = self.free_pages() > self.snapshot_pages();
        let opening = may_turn.then(|| Opening::log(Purpose::Log, self.stands()));
        let len = self.encode(Kind::Mark, &[]);
        let is_there = self.put(len, true, opening).await?;
        self.mode = if is_there { Mode::Open { marked: true } } else { mode };
        Ok(is_there)
    }

    /// The records of the last page, and the chain behind them.
    pub(super) fn stands(&self) -> (u32, u32) {
        (self.end.count, self.end.chain)
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
        let left = if is_open { self.region.geometry.page_size - self.end.place } else { 0 };
        let pages = self.pages_for(len, left as usize)?;
        let spare = self.free_pages().saturating_sub(self.snapshot_pages());
        if pages <= spare.into() {
            return Ok(());
        }
        let is_new = is_open && self.base.is_newest;
        Err(if is_new { FlashLogError::Full } else { FlashLogError::NeedsSnapshot })
    }

    /// Whether a snapshot of so many bytes can be written now, and a commit of `len` bytes
    /// behind it; 0: none is to be. To be asked before a snapshot is begun: one that
    /// does not fit wears the flash for nothing.
    ///
    /// # Errors
    ///
    /// [`FlashLogError::Full`] when there is no room, and
    /// [`TooLarge`](FlashLogError::TooLarge) for a commit that never has any.
    pub fn check_room_behind(&self, snapshot: usize, len: usize) -> Result<(), FlashLogError> {
        let (pages, left) = self.snapshot_extent(snapshot);
        let spare = self.region.geometry.pages.saturating_sub(self.snapshot_pages());
        let new = if len == 0 { 0 } else { self.pages_for(len, left)? };
        let fits = pages <= self.free_pages().into() && (new == 0 || pages + new <= spare.into());
        if fits { Ok(()) } else { Err(FlashLogError::Full) }
    }

    /// New pages that a commit of `len` bytes takes where so many are left of the last
    /// one.
    fn pages_for(&self, len: usize, left: usize) -> Result<usize, FlashLogError> {
        // No divisor is zero; to the optimizer it is news.
        let (max, word) = (self.payload_max(), self.region.word());
        let piece = record_len(max, word).max(1);
        let page = self.region.geometry.page_size as usize - self.region.header_len();
        let (whole, rest) = (len / max, len % max);
        let last = if rest == 0 && whole > 0 { 0 } else { record_len(rest, word) };
        let per_page = (page / piece).max(1);
        let most = usize::from(self.snapshot_pages().saturating_sub(1).max(1)) * per_page * max;
        if len > most {
            let (len, max) = (len as u32, most as u32);
            return Err(FlashLogError::TooLarge { len, max });
        }
        match whole * piece + last <= left {
            true => Ok(0),
            // As if all pieces went into new pages.
            false => Ok(len.div_ceil(max).max(1).div_ceil(per_page)),
        }
    }

    /// Writes a record, in a new page if it does not fit this one or the flash
    /// does not hold it there.
    pub(super) async fn write(
        &mut self,
        kind: Kind,
        payload: &[u8],
        purpose: Purpose,
    ) -> Result<(), FlashLogError> {
        let mode = core::mem::replace(&mut self.mode, Mode::Failed);
        let (is_open, opening) = match mode {
            Mode::Snapshot(writing) => {
                let behind = if writing.is_begun { self.stands() } else { writing.closing };
                (writing.is_begun, Opening { purpose, behind, snapshot: Some(writing) })
            }
            _ => (matches!(mode, Mode::Open { .. }), Opening::log(purpose, self.stands())),
        };
        let len = self.encode(kind, payload);
        if !self.put(len, is_open, Some(opening)).await? {
            return Err(FlashLogError::Full);
        }
        self.mode = match mode {
            Mode::Snapshot(writing) if !writing.is_begun => {
                let (first, page) = (self.end.sequence, self.end.page);
                Mode::Snapshot(Writing { is_begun: true, first, page, ..writing })
            }
            Mode::Snapshot(_) => mode,
            _ => Mode::Open { marked: false },
        };
        Ok(())
    }

    /// Programs the record in the buffer behind the last one, if the page is open
    /// and has room, and else in a new page. `false`: no page is left.
    async fn put(
        &mut self,
        len: usize,
        is_open: bool,
        opening: Option<Opening>,
    ) -> Result<bool, FlashError> {
        let mut failed = None;
        if is_open && self.has_room(len) {
            match self.program(len).await {
                Ok(()) => return Ok(true),
                // What is there now does not count: the next page says so.
                Err(error) => failed = Some(error),
            }
        }
        let put = match opening {
            Some(opening) => self.put_in_new_page(len, opening).await,
            None => Ok(false),
        };
        match (put, failed) {
            (Ok(true), _) => Ok(true),
            (_, Some(failed)) => Err(failed),
            (put, None) => put,
        }
    }

    /// Programs the record in the buffer as the first one of a new page. A page
    /// that does not hold it is left out, as one that cannot be erased. `false`: no
    /// page is left.
    pub(super) async fn put_in_new_page(
        &mut self,
        len: usize,
        opening: Opening,
    ) -> Result<bool, FlashError> {
        let before = self.end;
        let mut failed = None;
        for _ in 0..self.region.geometry.pages {
            if !self.open_page(opening).await? {
                break;
            }
            match self.program(len).await {
                Ok(()) => return Ok(true),
                Err(error) => failed = Some(error),
            }
            self.end = End { page: self.end.page, ..before };
        }
        failed.map_or(Ok(false), Err)
    }

    /// Opens the next page. Pages that cannot be erased, or do not hold a header,
    /// are left out. `false`: no page is left.
    async fn open_page(&mut self, opening: Opening) -> Result<bool, FlashError> {
        let mut page = self.end.page;
        let mut failed = None;
        for _ in 0..self.region.geometry.pages {
            page = self.region.behind(page);
            if page == self.base.page && self.end.sequence > 0 {
                break;
            }
            let erases = self.region.header(page).await?.ok().map(|header| header.erases);
            let Some(header) = self.header_of(page, erases, opening) else { return Ok(false) };
            // A number is not used again.
            self.top = header.label.sequence;
            match self.begin_page(&header).await {
                Ok(()) => return Ok(true),
                Err(error) if error.operation == Operation::Read => return Err(error),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(false), Err)
    }

    /// The header of the next page, if `page` is to be that one. `None` when the
    /// numbers are used up. `erases`: of the page so far, if it says; else they are as
    /// many as rounds of the ring.
    fn header_of(&self, page: u16, erases: Option<u32>, opening: Opening) -> Option<PageHeader> {
        let sequence = self.region.number_above(self.top, page)?;
        let rounds = sequence.checked_div(self.region.geometry.pages.into()).unwrap_or_default();
        let rounds = rounds.try_into().unwrap_or(u32::MAX);
        let is_first = self.end.sequence == 0;
        let back = if is_first { 0 } else { sequence.checked_sub(self.end.sequence)? };
        let (first, log_end) = match opening.snapshot {
            Some(Writing { is_begun, first, log_end, .. }) => {
                let ago = (sequence as u32).wrapping_sub(log_end);
                (if is_begun { first } else { sequence }, sequence.checked_sub(ago.into())?)
            }
            None => (sequence, sequence),
        };
        let (previous_count, previous_chain) = opening.behind;
        Some(PageHeader {
            label: Label { sequence, back: back.try_into().ok()? },
            index: page,
            log: self.log,
            geometry: self.region.geometry,
            purpose: opening.purpose,
            erases: erases.map_or(rounds, |erases| erases.saturating_add(1)),
            record: record_len(self.payload_max(), self.region.word()) as u32,
            first: self.next,
            previous_count,
            previous_chain,
            // The first page of all is where reading begins.
            base: if is_first { sequence } else { self.base.sequence },
            snapshot: first,
            log_end,
        })
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

    /// Puts a record into the buffer. Returns its length.
    pub(super) fn encode(&mut self, kind: Kind, payload: &[u8]) -> usize {
        let len = record_len(payload.len(), self.region.word());
        if let Some(out) = self.record.get_mut(..len) {
            let _ = record::encode(kind, payload, out);
        }
        len
    }

    /// Programs the record in the buffer behind the last one.
    pub(super) async fn program(&mut self, len: usize) -> Result<(), FlashError> {
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
