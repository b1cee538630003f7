//! Region -> the end of the log, proved.
//!
//! What stands last may not have been programmed to its end, and then its bits
//! may read differently the next time. So a mount does not leave it at that: it
//! opens a page that says where the log ends, and repeats a record that may be
//! unstable there. Only what a mark stands behind is proved already.

use embedded_storage_async::nor_flash::NorFlash;
use interstice_core::{TxOffset, log::frame::LogHeader};

use super::{
    AsyncFlashLog, Base, Damage, End, Mode, MountError, RECORD_LEN_MIN,
    newest::{LastPage, look_at_labels},
    page::{PageHeader, Purpose},
    record::{self, Kind, PageKey, is_blank, record_len},
    region::Region,
    scan::{Cursor, Next},
    write::Opening,
};

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

/// How often is looked again at what reads otherwise than a moment before.
pub(super) const LOOKS_MAX: usize = 64;

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
    /// mark.
    ///
    /// What stands before the last page is read and checked by
    /// [`replay`](Self::replay). Where no page is left to say where the log ends,
    /// it [needs a snapshot](Self::needs_snapshot): until that is finished, the
    /// newest commit may still be gone at the next mount, so tell nobody of it.
    ///
    /// # Errors
    ///
    /// See [`MountError`].
    pub async fn mount(flash: F) -> Result<(Self, Mounted), MountError> {
        let mut log = Self::unmounted(Region::new(flash)?);
        let mounted = log.find_end().await?;
        Ok((log, mounted))
    }

    /// A log of which nothing is known yet, and which takes nothing.
    pub(super) fn unmounted(region: Region<F>) -> Self {
        const { assert!(RECORD >= RECORD_LEN_MIN, "the record buffer needs 64 bytes") };
        Self {
            region,
            log: LogHeader { log_id: [0; 16], seed: 0 },
            end: End { sequence: 0, page: 0, place: 0, count: 0, chain: 0 },
            next: TxOffset(0),
            base: Base { sequence: 0, page: 0, is_newest: false },
            top: 0,
            mode: Mode::Failed,
            record: [0; RECORD],
        }
    }

    /// Finds the end of the log, in place: the log is most of what a mount would
    /// have on the stack.
    pub(super) async fn find_end(&mut self) -> Result<Mounted, MountError> {
        let labels = look_at_labels(&mut self.region).await?;
        self.top = labels.newest.1.sequence;
        for _ in 0..LOOKS_MAX {
            let unfinished_pages = labels.unfinished;
            let mut found = Mounted { unfinished_pages, ..Mounted::default() };
            let last = self.last_page(labels.newest, &mut found).await?;
            let unfinished = found.unfinished_pages > 0;
            let number = last.header.label.sequence;
            self.look_for_damaged_pages(&labels, number, unfinished).await?;
            if self.end_in(last, &mut found).await? {
                return Ok(found);
            }
        }
        Err(self.missing(labels.newest.1.sequence).into())
    }

    /// Refuses a page where a record does not verify although others, of these
    /// kinds, stand behind it. The record buffer is used for it.
    pub(super) async fn refuse_record_behind(
        &mut self,
        cursor: &Cursor,
        kinds: &[Kind],
    ) -> Result<(), MountError> {
        let behind = cursor.place + u32::from(self.region.geometry.word);
        match self.find_record(cursor.page, behind, &[cursor.key], kinds).await? {
            Some(_) => Err(cursor.damaged(Damage::Record).into()),
            None => Ok(()),
        }
    }

    /// Refuses a page where [nothing](Next::Blank) is at a cursor, and records of
    /// these kinds are behind it.
    pub(super) async fn refuse_record_behind_ones(
        &mut self,
        cursor: &Cursor,
        kinds: &[Kind],
    ) -> Result<(), MountError> {
        let behind = self.behind_ones(cursor)..self.region.geometry.page_size;
        if self.region.is_blank(cursor.page, behind).await? {
            return Ok(());
        }
        self.refuse_record_behind(cursor, kinds).await
    }

    /// Refuses a log that this build, or this region, is not for.
    pub(super) fn check_log(&self, header: &PageHeader) -> Result<(), MountError> {
        let (found, expected) = (header.geometry, self.region.geometry);
        if found != expected {
            return Err(MountError::Geometry { found, expected });
        }
        if header.record as usize > RECORD {
            return Err(MountError::RecordBuffer { needed: header.record });
        }
        Ok(())
    }

    /// Ends the log in a page, and proves it. `false`: the page reads otherwise than
    /// a moment ago, when it was taken for the last one.
    async fn end_in(&mut self, last: LastPage, found: &mut Mounted) -> Result<bool, MountError> {
        let LastPage { header, closing } = last;
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
        let is_whole = match header.purpose {
            Purpose::LogRepeats => scanned.cursor.count > 0,
            Purpose::Snapshot => !matches!(scanned.last, None | Some(Kind::Block | Kind::End)),
            Purpose::Log | Purpose::LogAnew => true,
        };
        if !is_whole {
            return Ok(false);
        }
        if scanned.cursor.count == 1 && scanned.last == Some(Kind::Repeat) {
            if !scanned.blank {
                // Commits may stand behind the mark of the repetition.
                let later = [Kind::Commit, Kind::Part];
                self.refuse_record_behind(&scanned.cursor, &later).await?;
            }
            return self.repeat_again(&header).await;
        }
        let sequence = header.label.sequence;
        if scanned.blank {
            let is_closed = scanned.last.is_some()
                && closing.is_some_and(|(count, _)| count == scanned.cursor.count);
            if is_closed && scanned.last == Some(Kind::Part) {
                // The commit that it is a part of is void.
                let stands = (scanned.cursor.count, scanned.cursor.chain);
                return self.settle(sequence, stands, None).await.map(|()| true);
            }
            if scanned.last == Some(Kind::Mark) {
                // The mark itself may be unstable, and does not count.
                self.end_at(&scanned.before);
            }
            if scanned.last == Some(Kind::Mark) || is_closed {
                self.mode = Mode::Settled;
                let is_first = self.base.sequence == sequence;
                self.base.is_newest =
                    scanned.commits == 0 && (is_first || header.purpose == Purpose::Snapshot);
                return Ok(true);
            }
            let before = (scanned.before.count, scanned.before.chain);
            let settled = match scanned.last {
                Some(Kind::Commit | Kind::Repeat) => {
                    // What was looked for behind it has used the buffer.
                    let mut cursor = scanned.before;
                    let again = self.next_record(&mut cursor).await?;
                    if !matches!(again, Next::Record(_)) || cursor.chain != scanned.cursor.chain {
                        return Ok(false);
                    }
                    self.settle(sequence, before, Some(scanned.len)).await
                }
                Some(_) => self.settle(sequence, before, None).await,
                None => self.settle_behind(&header, (0, header.previous_chain)).await,
            };
            return settled.map(|()| true);
        }
        let stands = (scanned.cursor.count, scanned.cursor.chain);
        let place = Torn { page: header.index, place: scanned.cursor.place };
        match self.judge(&scanned.cursor).await? {
            Last::Torn => {
                found.torn = Some(place);
                self.settle_behind(&header, stands).await.map(|()| true)
            }
            Last::Mark => self.settle_behind(&header, stands).await.map(|()| true),
            Last::Corrected { len } => {
                found.corrected = Some(place);
                self.next = self.next.next();
                self.settle(sequence, stands, Some(len)).await?;
                if let Mode::Unsettled { .. } = self.mode {
                    // Replay mends it once more.
                    let mut cursor = scanned.cursor;
                    cursor.pass(self.record.get(..len).unwrap_or_default());
                    self.end_at(&cursor);
                }
                Ok(true)
            }
        }
    }

    /// Repeats what a page repeats that has nothing else. What was programmed behind
    /// it may not be seen at the next mount, which then passes the page over: what is
    /// written names the page before.
    async fn repeat_again(&mut self, header: &PageHeader) -> Result<bool, MountError> {
        let mut cursor = self.start_of(header);
        let Some(previous) = header.label.previous() else {
            return Err(cursor.damaged(Damage::Records).into());
        };
        let Next::Record(head) = self.next_record(&mut cursor).await? else { return Ok(false) };
        if head.kind != Kind::Repeat {
            return Ok(false);
        }
        let len = record_len(head.len, self.region.word());
        let stands = (header.previous_count, header.previous_chain);
        self.settle(previous, stands, Some(len)).await?;
        Ok(true)
    }

    /// Settles what `stands` in a page, with nothing to repeat. Where no record of it
    /// counts, it may be passed over at the next mount: then what is written names the
    /// page before.
    async fn settle_behind(
        &mut self,
        header: &PageHeader,
        stands: (u32, u32),
    ) -> Result<(), MountError> {
        match header.label.previous() {
            Some(previous) if stands.0 == 0 && header.purpose != Purpose::Snapshot => {
                let stands = (header.previous_count, header.previous_chain);
                self.end.sequence = previous;
                (self.end.count, self.end.chain) = stands;
                self.settle(previous, stands, None).await
            }
            _ => self.settle(header.label.sequence, stands, None).await,
        }
    }

    /// Says what stands where nothing verifies. A record that is mended is in the
    /// buffer.
    pub(super) async fn judge(&mut self, cursor: &Cursor) -> Result<Last, MountError> {
        let word = self.region.word();
        self.refuse_record_behind(cursor, &Kind::ALL).await?;
        // What may be torn is not longer than the buffer.
        let page_size = self.region.geometry.page_size;
        let left = page_size.saturating_sub(cursor.place) as usize;
        let record_max = self.record_max();
        let record = self.record.get_mut(..left.min(record_max)).unwrap_or_default();
        self.region.read(cursor.page, cursor.place, record).await?;
        let behind = cursor.place + record.len() as u32..page_size;
        let is_last = self.region.is_blank(cursor.page, behind).await?;
        let may_be_torn = is_last && record::may_be_torn(record, word);
        if is_last
            && let Some(len) = record::correct(record, cursor.key, cursor.place, word)
            && record.get(len..).is_some_and(is_blank)
        {
            match record::Head::decode(record).map(|head| head.kind) {
                Some(kind) if kind.is_commit() => return Ok(Last::Corrected { len }),
                Some(Kind::Mark) => return Ok(Last::Mark),
                _ => {}
            }
        }
        if may_be_torn { Ok(Last::Torn) } else { Err(cursor.damaged(Damage::Record).into()) }
    }

    /// Opens a page that says where the log ends. `stands`: the records that count of
    /// the page with the number `page`, and the chain behind them; `repeat`: the
    /// length of the record in the buffer, which follows them.
    async fn settle(
        &mut self,
        page: u64,
        stands: (u32, u32),
        repeat: Option<usize>,
    ) -> Result<(), MountError> {
        if self.free_pages() <= self.snapshot_pages() {
            self.mode = Mode::Unsettled { stands, page };
            return Ok(());
        }
        let end = self.end.sequence;
        self.end.sequence = page;
        let Some(len) = repeat else {
            let mark = self.encode(Kind::Mark, &[]);
            let opening = Opening::log(Purpose::LogAnew, stands);
            self.mode = match self.put_in_new_page(mark, opening).await? {
                true => Mode::Open { marked: true },
                false => {
                    self.end.sequence = end;
                    Mode::Unsettled { stands, page }
                }
            };
            return Ok(());
        };
        record::repeat(self.record.get_mut(..len).unwrap_or_default());
        let next = self.next;
        // The new page begins with the commit that it repeats.
        self.next = TxOffset(next.0.saturating_sub(1));
        let opening = Opening::log(Purpose::LogRepeats, stands);
        let is_there = self.put_in_new_page(len, opening).await?;
        self.next = next;
        self.mode = Mode::Unsettled { stands, page };
        if !is_there {
            self.end.sequence = end;
            return Ok(());
        }
        self.write_mark().await?;
        Ok(())
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
                Next::Blank => {
                    self.refuse_record_behind_ones(&cursor, &Kind::ALL).await?;
                    break;
                }
                Next::Bad => {
                    scanned.blank = false;
                    break;
                }
            };
            if scanned.last == Some(Kind::Mark) && matches!(kind, Kind::Block | Kind::End) {
                return Err(scanned.cursor.damaged(Damage::Records).into());
            }
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
        self.region.find(sequence).await?.ok_or_else(|| self.missing(sequence))?;
        self.base = Base { sequence, page: self.region.page_of(sequence), is_newest: false };
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
}
