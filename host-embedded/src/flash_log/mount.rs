//! Region -> the end of the log, proved.
//!
//! What stands last may not have been programmed to its end, and then its bits
//! may read differently the next time. So a mount does not leave it at that: it
//! opens a page that says where the log ends, and repeats a record that may be
//! unstable there. Only what a mark stands behind is proved already.

use alloc::vec::Vec;

use embedded_storage_async::nor_flash::NorFlash;
use interstice_core::{TxOffset, log::frame::LogHeader};

use super::{
    AsyncFlashLog, Base, Damage, Damaged, End, Mode, MountError,
    page::{BadHeader, Label, PageHeader, Purpose},
    record::{self, Kind, PageKey, is_blank, record_len},
    region::Region,
    scan::{Cursor, Next},
};

/// How often the mark behind a snapshot is read, where nothing is behind it: bits
/// that read differently each time are noticed but for one time in 2^64.
const STABLE_READS: usize = 64;

/// What a mount has found and done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Mounted {
    /// A record that was not programmed to its end, and is not in the log: the
    /// one that was being written when power went.
    pub torn: Option<Torn>,
    /// The newest record had one bit wrong, and was mended.
    pub corrected: Option<Torn>,
    /// Pages that are neither blank nor in the log: being erased or opened when
    /// power went.
    pub unfinished_pages: u16,
    /// A snapshot that was not finished was dropped.
    pub dropped_snapshot: bool,
}

/// Where something was that is not in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Torn {
    /// The page, counted in the region.
    pub page: u16,
    /// The byte in the page.
    pub place: u32,
}

/// A page that the log may end in.
struct Candidate {
    header: PageHeader,
    /// Records that it has at least, and the chain behind them: what a page says
    /// that was opened behind it.
    closing: Option<(u32, u32)>,
}

/// What stands where nothing verifies.
pub(super) enum Last {
    /// Something that was not programmed to its end.
    Torn,
    /// A mark with one wrong bit.
    Mark,
    /// A commit with one wrong bit, which is mended, in the buffer.
    Corrected {
        /// Its length.
        len: usize,
    },
}

/// A page that was scanned to where it ends.
struct Scanned {
    cursor: Cursor,
    /// The cursor before the last record.
    before: Cursor,
    last: Option<Kind>,
    /// Bytes of the last record.
    len: usize,
    commits: u64,
    /// Nothing is behind the last record.
    blank: bool,
}

impl<F: NorFlash, const RECORD: usize> AsyncFlashLog<F, RECORD> {
    /// Finds the end of the log in a region. Reads the beginning of every page,
    /// and one or two pages whole; writes one page, unless the log ends with a
    /// mark. After a power cut it needs memory for one page for a moment.
    ///
    /// What stands before the last page is read and checked by
    /// [`replay`](Self::replay).
    ///
    /// # Errors
    ///
    /// See [`MountError`].
    pub async fn mount(flash: F) -> Result<(Self, Mounted), MountError> {
        Self::mount_region(Region::new(flash)?).await
    }

    pub(super) async fn mount_region(mut region: Region<F>) -> Result<(Self, Mounted), MountError> {
        const { assert!(RECORD >= 64, "the record buffer needs 64 bytes") };
        let mut found = Mounted::default();
        let labels = look_at_labels(&mut region).await?;
        found.unfinished_pages = labels.unfinished;
        let log = LogHeader { log_id: [0; 16], seed: 0 };
        let end = End { sequence: 0, page: 0, place: 0, count: 0, chain: 0 };
        let base = Base { sequence: 0, page: 0, is_newest: false };
        let mut mounted = Self {
            region,
            log,
            end,
            next: TxOffset(0),
            base,
            top: labels.top,
            mode: Mode::Failed,
            record: [0; RECORD],
        };
        let candidate = mounted.newest_page(labels.newest, &mut found).await?;
        mounted.check_log(&candidate.header)?;
        if found.unfinished_pages > 0 {
            mounted.look_for_damaged_page().await?;
        }
        mounted.end_in(candidate, &mut found).await?;
        Ok((mounted, found))
    }

    /// The newest page that the log may end in. Its header is good. `page`: the
    /// one with the highest number.
    async fn newest_page(
        &mut self,
        mut page: u16,
        found: &mut Mounted,
    ) -> Result<Candidate, MountError> {
        let first = page;
        let mut below = self.top;
        loop {
            match self.region.header(page).await? {
                Ok(header) => {
                    self.log = header.log;
                    return self.log_page(header, found).await;
                }
                Err(BadHeader::Version(found)) => return Err(MountError::Version { found }),
                // It is being opened, or erased: nothing stands in it that counts.
                Err(BadHeader::Checksum) => found.unfinished_pages += 1,
            }
            let Some((next, label)) = self.highest_below(below).await? else {
                return Err(MountError::NoLog { not_blank: Some(first) });
            };
            (page, below) = (next, label.sequence);
        }
    }

    /// The page that the log ends in, if `header` is that of the newest page:
    /// that one, unless it holds a snapshot, or the repetition of a record, that
    /// is not there.
    async fn log_page(
        &mut self,
        mut header: PageHeader,
        found: &mut Mounted,
    ) -> Result<Candidate, MountError> {
        let mut closing = None;
        loop {
            let (back_to, first) = match header.purpose {
                Purpose::Log | Purpose::LogAnew if self.has_records(&header).await? => {
                    return Ok(Candidate { header, closing });
                }
                // Its header may be unstable. Nothing is lost without it.
                Purpose::Log | Purpose::LogAnew => (header.label.previous(), header.label.sequence),
                Purpose::Snapshot if self.ends_snapshot(&header).await? => {
                    return Ok(Candidate { header, closing });
                }
                Purpose::Snapshot => {
                    found.dropped_snapshot = true;
                    (header.log_end, header.snapshot)
                }
                Purpose::LogRepeats if self.begins_with_repeat(&header).await? => {
                    return Ok(Candidate { header, closing });
                }
                Purpose::LogRepeats => (header.label.previous(), header.label.sequence),
            };
            closing = match self.find(first, &header).await? {
                Some(first) if first.label.previous() == back_to => {
                    Some((first.previous_count, first.previous_chain))
                }
                _ => None,
            };
            if back_to == 0 {
                // It was being formatted when power went.
                return Err(MountError::NoLog { not_blank: Some(header.index) });
            }
            let missing = Damaged { page: header.index, place: 0, what: Damage::MissingPage };
            if back_to >= header.label.sequence {
                return Err(missing.into());
            }
            header = self.find(back_to, &header).await?.ok_or(missing)?;
            if header.log != self.log {
                let what = Damage::Foreign;
                return Err(Damaged { page: header.index, place: 0, what }.into());
            }
        }
    }

    /// Whether anything was programmed behind a header.
    async fn has_records(&mut self, header: &PageHeader) -> Result<bool, MountError> {
        let place = self.region.header_len() as u32;
        let end = place.saturating_add(RECORD as u32);
        Ok(!self.region.is_blank(header.index, place..end).await?)
    }

    /// Whether the snapshot that a page belongs to ends in it, and a mark says
    /// that it was programmed whole.
    async fn ends_snapshot(&mut self, header: &PageHeader) -> Result<bool, MountError> {
        let mut cursor = self.start_of(header);
        let mut has_end = false;
        loop {
            let at = cursor;
            match self.next_record(&mut cursor).await? {
                Next::Record(head) if has_end && head.kind == Kind::Mark => {
                    let is_whole = self.find_page(header.snapshot, header).await?.is_some();
                    return Ok(is_whole && self.is_stable(at).await?);
                }
                Next::Record(head) => has_end |= head.kind == Kind::End,
                Next::Blank => return Ok(false),
                Next::Bad => {
                    let later = [Kind::Commit, Kind::Part, Kind::Mark];
                    self.refuse_record_behind(&cursor, &later).await?;
                    return Ok(false);
                }
            }
        }
    }

    /// Whether the mark at a cursor reads the same every time. Pages are erased
    /// on its word, and there may be no page to repeat it in.
    async fn is_stable(&mut self, at: Cursor) -> Result<bool, MountError> {
        for _ in 0..STABLE_READS {
            let mut cursor = at;
            if !matches!(self.next_record(&mut cursor).await?, Next::Record(_)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn begins_with_repeat(&mut self, header: &PageHeader) -> Result<bool, MountError> {
        let mut cursor = self.start_of(header);
        match self.next_record(&mut cursor).await? {
            Next::Record(head) => Ok(head.kind == Kind::Repeat),
            Next::Blank => Ok(false),
            Next::Bad => {
                let later = [Kind::Commit, Kind::Part, Kind::Mark];
                self.refuse_record_behind(&cursor, &later).await?;
                Ok(false)
            }
        }
    }

    /// Refuses a page where a record does not verify although others, of these
    /// kinds, stand behind it. Returns the rest of the page.
    async fn refuse_record_behind(
        &mut self,
        cursor: &Cursor,
        kinds: &[Kind],
    ) -> Result<Vec<u8>, MountError> {
        let word = self.region.word();
        let rest = self.rest(cursor.page, cursor.place).await?;
        let behind = rest.get(word..).unwrap_or_default();
        if self.has_record(behind, cursor.place + word as u32, cursor.key, kinds) {
            return Err(cursor.damaged(Damage::Record).into());
        }
        Ok(rest)
    }

    /// Refuses a log that this build, or this region, is not for.
    fn check_log(&self, header: &PageHeader) -> Result<(), MountError> {
        let (found, expected) = (header.geometry, self.region.geometry);
        if found != expected {
            return Err(MountError::Geometry { found, expected });
        }
        if header.record as usize > RECORD {
            return Err(MountError::RecordBuffer { needed: header.record });
        }
        Ok(())
    }

    /// Refuses a page that commits were written to behind the newest one, and
    /// whose header is damaged.
    async fn look_for_damaged_page(&mut self) -> Result<(), MountError> {
        let newest = self.top;
        for page in 0..self.region.geometry.pages {
            let bytes = self.region.label_bytes(page).await?;
            let label = Label::decode(&bytes, page);
            let may_be = match label {
                Some(label) => label.sequence >= newest && self.region.header(page).await?.is_err(),
                None => !is_blank(&bytes),
            };
            if !may_be {
                continue;
            }
            let rest = self.rest(page, self.region.header_len() as u32).await?;
            let place = self.region.header_len() as u32;
            let pages = u64::from(self.region.geometry.pages);
            for sequence in newest..newest.saturating_add(pages) {
                let key = PageKey::new(&self.log.log_id, sequence);
                if self.has_record(&rest, place, key, &[Kind::Commit, Kind::Part]) {
                    let what = Damage::Header;
                    return Err(Damaged { page, place: 0, what }.into());
                }
            }
        }
        Ok(())
    }

    /// Ends the log in a page, and proves it.
    async fn end_in(
        &mut self,
        candidate: Candidate,
        found: &mut Mounted,
    ) -> Result<(), MountError> {
        let Candidate { header, closing } = candidate;
        self.find_base(&header).await?;
        let scanned = self.scan_to_end(&header, closing).await?;
        self.next = TxOffset(header.first.0.saturating_add(scanned.commits));
        self.end = End {
            sequence: header.label.sequence,
            page: header.index,
            place: scanned.cursor.place,
            count: scanned.cursor.count,
            chain: scanned.cursor.chain,
        };
        if scanned.blank {
            let is_closed = closing.is_some_and(|(count, _)| count == scanned.cursor.count);
            if is_closed && scanned.last == Some(Kind::Part) {
                // The commit that it is a part of is void.
                return self.settle((scanned.cursor.count, scanned.cursor.chain), None).await;
            }
            if scanned.last == Some(Kind::Mark) {
                // The mark itself may be unstable, and does not count.
                self.end_at(&scanned.before);
            }
            if scanned.last == Some(Kind::Mark) || is_closed {
                self.mode = Mode::Settled;
                return Ok(());
            }
            let before = (scanned.before.count, scanned.before.chain);
            return match scanned.last {
                Some(Kind::Commit | Kind::Repeat) => self.settle(before, Some(scanned.len)).await,
                Some(_) => self.settle(before, None).await,
                None => self.settle((0, header.previous_chain), None).await,
            };
        }
        let stands = (scanned.cursor.count, scanned.cursor.chain);
        let place = Torn { page: header.index, place: scanned.cursor.place };
        match self.judge(&scanned.cursor).await? {
            Last::Torn => {
                found.torn = Some(place);
                self.settle(stands, None).await
            }
            Last::Mark => self.settle(stands, None).await,
            Last::Corrected { len } => {
                found.corrected = Some(place);
                self.next = self.next.next();
                self.settle(stands, Some(len)).await?;
                if let Mode::Unsettled { .. } = self.mode {
                    // Replay mends it once more.
                    let mut cursor = scanned.cursor;
                    cursor.pass(self.record.get(..len).unwrap_or_default());
                    self.end_at(&cursor);
                }
                Ok(())
            }
        }
    }

    /// Says what stands where nothing verifies.
    pub(super) async fn judge(&mut self, cursor: &Cursor) -> Result<Last, MountError> {
        let word = self.region.word();
        let later = [Kind::Commit, Kind::Part, Kind::Block, Kind::End, Kind::Mark, Kind::Repeat];
        let mut rest = self.refuse_record_behind(cursor, &later).await?;
        let may_be_torn = record::may_be_torn(&rest, word);
        if let Some(len) = record::correct(&mut rest, cursor.key, cursor.place, word)
            && rest.get(len..).is_some_and(is_blank)
            && let (Some(record), Some(mended)) = (self.record.get_mut(..len), rest.get(..len))
        {
            record.copy_from_slice(mended);
            match record::Head::decode(mended).map(|head| head.kind) {
                Some(kind) if kind.is_commit() => return Ok(Last::Corrected { len }),
                Some(Kind::Mark) => return Ok(Last::Mark),
                _ => {}
            }
        }
        if may_be_torn { Ok(Last::Torn) } else { Err(cursor.damaged(Damage::Record).into()) }
    }

    /// Opens a page that says where the log ends. `stands`: the records of the
    /// last page that count, and the chain behind them; `repeat`: the length of
    /// the record in the buffer, which follows them.
    async fn settle(
        &mut self,
        stands: (u32, u32),
        repeat: Option<usize>,
    ) -> Result<(), MountError> {
        if self.free_pages() <= self.snapshot_pages() {
            self.mode = Mode::Unsettled { stands };
            return Ok(());
        }
        let Some(len) = repeat else {
            match self.open_page(Purpose::LogAnew, stands).await? {
                true => self.mark_opened().await?,
                false => self.mode = Mode::Unsettled { stands },
            }
            return Ok(());
        };
        let (next, end) = (self.next, self.end);
        self.next = TxOffset(next.0.saturating_sub(1));
        let mut opened = self.open_page(Purpose::LogRepeats, stands).await?;
        record::repeat(self.record.get_mut(..len).unwrap_or_default());
        if opened && self.program_buffer(len).await.is_err() {
            // As if that page could not be erased.
            self.end = End { page: self.end.page, ..end };
            opened = self.open_page(Purpose::LogRepeats, stands).await?;
            if opened {
                self.program_buffer(len).await?;
            }
        }
        self.next = next;
        match opened {
            true => self.mark_opened().await?,
            false => self.mode = Mode::Unsettled { stands },
        }
        Ok(())
    }

    /// Marks the page that was opened, if there is room.
    async fn mark_opened(&mut self) -> Result<(), MountError> {
        self.mode = Mode::Open { marked: false };
        Ok(self.write_mark().await?)
    }

    async fn scan_to_end(
        &mut self,
        header: &PageHeader,
        closing: Option<(u32, u32)>,
    ) -> Result<Scanned, MountError> {
        let mut cursor = self.start_of(header);
        let mut scanned =
            Scanned { cursor, before: cursor, last: None, len: 0, commits: 0, blank: true };
        loop {
            if let Some((count, chain)) = closing
                && count == cursor.count
                && chain != cursor.chain
            {
                return Err(cursor.damaged(Damage::Records).into());
            }
            scanned.cursor = cursor;
            let kind = match self.next_record(&mut cursor).await? {
                Next::Record(head) => {
                    scanned.len = record_len(head.len, self.region.word());
                    head.kind
                }
                Next::Blank => break,
                Next::Bad => {
                    scanned.blank = false;
                    break;
                }
            };
            scanned.before = scanned.cursor;
            scanned.last = Some(kind);
            scanned.commits += u64::from(kind.is_commit());
        }
        if closing.is_some_and(|(count, _)| count > cursor.count) {
            return Err(cursor.damaged(Damage::Records).into());
        }
        Ok(scanned)
    }

    /// Finds the page that reading begins with.
    async fn find_base(&mut self, end: &PageHeader) -> Result<(), MountError> {
        let sequence = match end.purpose {
            // A snapshot that is there, as its end is.
            Purpose::Snapshot => end.snapshot,
            _ => end.base,
        };
        let missing = Damaged { page: end.index, place: 0, what: Damage::MissingPage };
        let page = self.find_page(sequence, end).await?.ok_or(missing)?;
        self.base = Base { sequence, page, is_newest: false };
        Ok(())
    }

    /// Ends the log at a cursor in its last page.
    pub(super) fn end_at(&mut self, cursor: &Cursor) {
        self.end.place = cursor.place;
        self.end.count = cursor.count;
        self.end.chain = cursor.chain;
    }

    pub(super) fn start_of(&self, header: &PageHeader) -> Cursor {
        Cursor {
            page: header.index,
            key: PageKey::new(&self.log.log_id, header.label.sequence),
            place: self.region.header_len() as u32,
            count: 0,
            chain: header.previous_chain,
        }
    }

    /// The header of the page with this number, if it is good.
    async fn find(
        &mut self,
        sequence: u64,
        newer: &PageHeader,
    ) -> Result<Option<PageHeader>, MountError> {
        match self.find_page(sequence, newer).await? {
            Some(page) => Ok(self.region.header(page).await?.ok()),
            None => Ok(None),
        }
    }

    /// The page with this number. It is looked for where it is if no page was left
    /// out since, and then everywhere.
    async fn find_page(
        &mut self,
        sequence: u64,
        newer: &PageHeader,
    ) -> Result<Option<u16>, MountError> {
        let ago = newer.label.sequence.wrapping_sub(sequence);
        let guess = u16::try_from(ago).ok().filter(|ago| *ago < self.region.geometry.pages);
        let guess = guess.map(|ago| self.region.before(newer.index, ago));
        for page in guess.into_iter().chain(0..self.region.geometry.pages) {
            let label = self.region.label(page).await?;
            if label.is_some_and(|label| label.sequence == sequence) {
                return Ok(Some(page));
            }
        }
        Ok(None)
    }

    /// The page with the highest number below `below`.
    async fn highest_below(&mut self, below: u64) -> Result<Option<(u16, Label)>, MountError> {
        let mut highest: Option<(u16, Label)> = None;
        for page in 0..self.region.geometry.pages {
            let Some(label) = self.region.label(page).await? else { continue };
            let is_higher = highest.is_none_or(|(_, best)| label.sequence > best.sequence);
            if label.sequence < below && is_higher {
                highest = Some((page, label));
            }
        }
        Ok(highest)
    }
}

/// What the labels of all pages say.
struct Labels {
    /// The page with the highest number.
    newest: u16,
    top: u64,
    /// Pages that begin with neither a label nor ones.
    unfinished: u16,
}

async fn look_at_labels<F: NorFlash>(region: &mut Region<F>) -> Result<Labels, MountError> {
    let mut labels = Labels { newest: 0, top: 0, unfinished: 0 };
    let (mut moved, mut not_blank) = (None, None);
    let pages = region.geometry.pages;
    for page in 0..pages {
        let bytes = region.label_bytes(page).await?;
        match Label::decode(&bytes, page) {
            Some(label) if label.sequence > labels.top => {
                (labels.newest, labels.top) = (page, label.sequence);
            }
            Some(_) => {}
            None if is_blank(&bytes) => {}
            None => {
                labels.unfinished += 1;
                not_blank.get_or_insert(page);
                if let Some(belongs) = Label::belongs_to(&bytes, pages) {
                    moved.get_or_insert((page, belongs));
                }
            }
        }
    }
    match moved {
        Some((page, belongs)) => Err(MountError::Moved { page, belongs }),
        None if labels.top == 0 => Err(MountError::NoLog { not_blank }),
        None => Ok(labels),
    }
}
