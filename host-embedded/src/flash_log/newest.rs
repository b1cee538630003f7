//! All labels -> the page that the log ends in.
//!
//! A page with nothing behind its header is passed over: its header may not have
//! been programmed to its end, and may read well now and not at another time. So
//! nothing may depend on whether it does, and the one that was opened before it
//! is looked at.

use embedded_storage_async::nor_flash::NorFlash;

use super::{
    AsyncFlashLog, Damage, Damaged, MountError, Mounted,
    page::{BadHeader, LABEL_LEN, Label, PageHeader, Purpose},
    record::{HEAD_LEN, Kind, PageKey, is_blank, record_len},
    region::Region,
    scan::{Cursor, Next},
};

/// How often the mark behind a snapshot is read, where nothing is behind it: bits
/// that read differently each time are noticed, unless they hardly ever do.
const STABLE_READS: usize = 64;

/// What the labels of all pages say.
pub(super) struct Labels {
    /// The page with the highest number.
    pub(super) newest: (u16, Label),
    /// Pages that begin with neither a label nor ones.
    pub(super) unfinished: u16,
    /// What the page behind the newest begins with.
    pub(super) behind: [u8; LABEL_LEN],
}

/// The page that the log ends in.
pub(super) struct LastPage {
    pub(super) header: PageHeader,
    /// Records that it has at least, and the chain behind them: what a page says
    /// that was opened behind it.
    pub(super) closing: Option<(u32, u32)>,
}

/// Where the log is looked for if it does not end in a page.
struct Before {
    /// The number of a page that the log ends in or behind, if there is one; 0
    /// where that is not known.
    page: Option<u64>,
    /// It ends in no page with a higher number than this.
    most: Option<u64>,
    closing: Option<Closing>,
}

/// What a page says of the one before it.
struct Closing {
    sequence: u64,
    records: (u32, u32),
}

impl Closing {
    fn of(header: &PageHeader) -> Option<Self> {
        let records = (header.previous_count, header.previous_chain);
        header.label.previous().map(|sequence| Self { sequence, records })
    }
}

pub(super) async fn look_at_labels<F: NorFlash>(
    region: &mut Region<F>,
) -> Result<Labels, MountError> {
    let mut newest: Option<(u16, Label)> = None;
    let mut unfinished = 0;
    let mut moved = None;
    // Of the first page, which is behind the last one, and of the one behind the newest.
    let mut first = [0; LABEL_LEN];
    let mut behind = first;
    for page in 0..region.geometry.pages {
        let bytes = region.label_bytes(page).await?;
        if page == 0 {
            first = bytes;
        }
        if newest.is_some_and(|(newest, _)| page == region.behind(newest)) {
            behind = bytes;
        }
        if let Some(label) = Label::decode(&bytes, page) {
            if newest.is_none_or(|(_, newest)| label.sequence > newest.sequence) {
                newest = Some((page, label));
            }
        } else if !is_blank(&bytes) {
            unfinished += 1;
            if let Some(belongs) = Label::belongs_to(&bytes, region.geometry.pages) {
                moved.get_or_insert((page, belongs));
            }
        }
    }
    match (moved, newest) {
        (Some((page, belongs)), _) => Err(MountError::Moved { page, belongs }),
        (None, Some(newest)) => {
            let behind = if region.behind(newest.0) == 0 { first } else { behind };
            Ok(Labels { newest, unfinished, behind })
        }
        (None, None) => Err(no_log(region).await?),
    }
}

/// Says that there is no log, and whether there was anything else than a format
/// that power has cut short.
async fn no_log<F: NorFlash>(region: &mut Region<F>) -> Result<MountError, MountError> {
    let place = region.header_len() as u32;
    for page in 0..region.geometry.pages {
        if !region.is_blank(page, place..region.geometry.page_size).await? {
            return Ok(MountError::NoLog { not_blank: Some(page) });
        }
    }
    Ok(MountError::NoLog { not_blank: None })
}

impl<F: NorFlash, const RECORD: usize> AsyncFlashLog<F, RECORD> {
    /// The page that the log ends in. `newest`: the one with the highest number.
    pub(super) async fn last_page(
        &mut self,
        newest: (u16, Label),
        found: &mut Mounted,
    ) -> Result<LastPage, MountError> {
        let (mut page, mut label) = newest;
        let mut closing: Option<Closing> = None;
        let mut is_first = true;
        // The number of a page that is needed, if that is known.
        let mut least = 0;
        loop {
            let before = match self.region.header(page).await? {
                Err(BadHeader::Version(found)) => return Err(MountError::Version { found }),
                Err(BadHeader::Checksum) if least > 0 && label.sequence <= least => {
                    return Err(Damaged { page, place: 0, what: Damage::Header }.into());
                }
                Err(BadHeader::Checksum) => {
                    found.unfinished_pages += 1;
                    // The page before it may be one of a snapshot that was dropped.
                    Before { page: Some(least), most: None, closing: None }
                }
                Ok(header) => {
                    if core::mem::take(&mut is_first) {
                        self.log = header.log;
                        self.check_log(&header)?;
                    } else if header.log != self.log {
                        return Err(Damaged { page, place: 0, what: Damage::Foreign }.into());
                    }
                    let closing = closing.as_ref();
                    let closing = closing.filter(|it| it.sequence == header.label.sequence);
                    let closing = closing.map(|it| it.records);
                    let Some(before) = self.look_before(&header, closing, found).await? else {
                        return Ok(LastPage { header, closing });
                    };
                    before
                }
            };
            let Some(named) = before.page else {
                // It was being formatted when power went.
                return Err(no_log(&mut self.region).await?);
            };
            least = if label.sequence > least { named.max(least) } else { named };
            if let Some(new) = before.closing
                && closing.as_ref().is_none_or(|it| it.sequence != new.sequence)
            {
                closing = Some(new);
            }
            let Some(below) = label.sequence.checked_sub(1) else {
                return Err(no_log(&mut self.region).await?);
            };
            let most = before.most.map_or(below, |most| most.min(below));
            let next = self.highest_at_most(most).await?;
            (page, label) = match next {
                Some(next) if next.1.sequence >= least => next,
                None if least == 0 => return Err(no_log(&mut self.region).await?),
                _ => return Err(self.missing(least).into()),
            };
        }
    }

    pub(super) fn missing(&self, sequence: u64) -> Damaged {
        let page = self.region.page_of(sequence);
        Damaged { page, place: 0, what: Damage::MissingPage }
    }

    /// Where to look for the log if it does not end in this page: one that nothing
    /// was written to, or that holds a snapshot or the repetition of a record that
    /// is not whole. `closing`: what a page behind it says.
    async fn look_before(
        &mut self,
        header: &PageHeader,
        closing: Option<(u32, u32)>,
        found: &mut Mounted,
    ) -> Result<Option<Before>, MountError> {
        let is_snapshot = header.purpose == Purpose::Snapshot;
        if !is_snapshot && closing.is_some_and(|(count, _)| count > 0) {
            // An earlier mount has seen that they are whole, whatever can be seen now.
            return Ok(None);
        }
        let closing = Closing::of(header);
        let page = header.label.previous();
        if !self.has_records(header).await? {
            found.dropped_snapshot |= is_snapshot;
            // The other pages of a snapshot that was dropped may be erased.
            let page = if is_snapshot { Some(header.log_end) } else { page };
            return Ok(Some(Before { page, most: None, closing }));
        }
        match header.purpose {
            Purpose::Log | Purpose::LogAnew => Ok(None),
            Purpose::LogRepeats if self.begins_with_repeat(header).await? => Ok(None),
            // What the page before has behind what it names may be whole after all.
            Purpose::LogRepeats => Ok(Some(Before { page, most: None, closing })),
            Purpose::Snapshot if self.ends_snapshot(header).await? => Ok(None),
            Purpose::Snapshot => {
                found.dropped_snapshot = true;
                let first = self.region.find_header(header.snapshot).await?;
                let closing = first.as_ref().and_then(Closing::of);
                let most = header.snapshot.checked_sub(1);
                Ok(Some(Before { page: Some(header.log_end), most, closing }))
            }
        }
    }

    /// The page with the highest number that is at most `most`.
    async fn highest_at_most(&mut self, most: u64) -> Result<Option<(u16, Label)>, MountError> {
        let mut highest: Option<(u16, Label)> = None;
        for ago in 0..u64::from(self.region.geometry.pages) {
            // All numbers were looked for.
            let Some(sequence) = most.checked_sub(ago) else { break };
            let page = self.region.page_of(sequence);
            let Some(label) = self.region.label(page).await? else { continue };
            if label.sequence == sequence {
                // Those that were not looked at have lower ones.
                return Ok(Some((page, label)));
            }
            let is_higher = highest.is_none_or(|(_, best)| label.sequence > best.sequence);
            if label.sequence <= most && is_higher {
                highest = Some((page, label));
            }
        }
        Ok(highest)
    }

    /// Refuses pages that commits were written to behind the `last` one, and whose
    /// headers are damaged. They are looked for where there is a sign of them: among
    /// all pages if some are `unfinished`, and else right behind the newest.
    pub(super) async fn look_for_damaged_pages(
        &mut self,
        labels: &Labels,
        last: u64,
        unfinished: bool,
    ) -> Result<(), MountError> {
        if !unfinished {
            let page = self.region.behind(labels.newest.0);
            return self.look_for_damaged_page(page, labels.behind, last).await;
        }
        for page in 0..self.region.geometry.pages {
            let bytes = self.region.label_bytes(page).await?;
            self.look_for_damaged_page(page, bytes, last).await?;
        }
        Ok(())
    }

    /// `bytes`: what the page begins with.
    async fn look_for_damaged_page(
        &mut self,
        page: u16,
        bytes: [u8; LABEL_LEN],
        last: u64,
    ) -> Result<(), MountError> {
        let place = self.region.header_len() as u32;
        let label = Label::decode(&bytes, page);
        let is_wrong = label.is_none() && !is_blank(&bytes);
        let mended = if is_wrong { Label::mended(&bytes, page) } else { None };
        let numbers = match label.or(mended) {
            Some(label) if label.sequence <= last => return Ok(()),
            Some(_) if label.is_some() && self.region.header(page).await?.is_ok() => return Ok(()),
            Some(label) => [label.sequence; 4],
            None if self.region.is_blank(page, place..place + HEAD_LEN as u32).await? => {
                return Ok(());
            }
            None => self.numbers_above(last, page),
        };
        let keys = numbers.map(|number| PageKey::new(&self.log.log_id, number));
        let kinds = [Kind::Commit, Kind::Part];
        if self.find_record(page, place, &keys, &kinds).await?.is_some()
            || self.is_settled(page, keys[0]).await?
        {
            return Err(Damaged { page, place: 0, what: Damage::Header }.into());
        }
        Ok(())
    }

    /// Whether a page has a mark of which somebody was told: of what a mount has settled,
    /// or of a snapshot.
    async fn is_settled(&mut self, page: u16, key: PageKey) -> Result<bool, MountError> {
        let place = self.region.header_len() as u32;
        let mut cursor = Cursor { page, key, place, count: 0, chain: 0 };
        let mut before = None;
        loop {
            let at = cursor;
            let Next::Record(head) = self.next_record(&mut cursor).await? else {
                return Ok(false);
            };
            if head.kind == Kind::Mark {
                let ends = matches!(before, None | Some(Kind::Repeat | Kind::End));
                return Ok(ends && self.is_stable(at, cursor).await?);
            }
            before = Some(head.kind);
        }
    }

    /// The numbers that a page behind the last one may have: pages that were left out,
    /// and mounts that were cut short, have used up some. More than these are not tried.
    fn numbers_above(&self, last: u64, page: u16) -> [u64; 4] {
        let mut top = last;
        [(); 4].map(|()| {
            top = self.region.number_above(top, page).unwrap_or(top);
            top
        })
    }

    /// Whether anything was programmed behind a header.
    async fn has_records(&mut self, header: &PageHeader) -> Result<bool, MountError> {
        let place = self.region.header_len() as u32;
        let rest = place + u32::from(self.region.geometry.word);
        Ok(!self.region.is_blank(header.index, place..rest).await?
            || !self.region.is_blank(header.index, rest..self.region.geometry.page_size).await?)
    }

    /// Whether the snapshot that a page belongs to ends in it, and a mark says
    /// that it was programmed whole.
    async fn ends_snapshot(&mut self, header: &PageHeader) -> Result<bool, MountError> {
        // Without a commit the log is where it was, and the page may be the rest of a
        // snapshot that was dropped.
        let later = [Kind::Commit, Kind::Part];
        let mut cursor = self.start_of(header);
        let mut has_end = false;
        loop {
            let at = cursor;
            match self.next_record(&mut cursor).await? {
                Next::Record(head) if has_end && head.kind == Kind::Mark => {
                    if !self.is_stable(at, cursor).await? {
                        self.refuse_record_behind(&at, &later).await?;
                        return Ok(false);
                    }
                    return match self.region.find(header.snapshot).await? {
                        Some(_) => Ok(true),
                        None => Err(self.missing(header.snapshot).into()),
                    };
                }
                Next::Record(head) => has_end |= head.kind == Kind::End,
                Next::Blank => {
                    self.refuse_record_behind_ones(&cursor, &later).await?;
                    return Ok(false);
                }
                Next::Bad => {
                    self.refuse_record_behind(&cursor, &later).await?;
                    self.refuse_mark_behind(&cursor).await?;
                    return Ok(false);
                }
            }
        }
    }

    /// Refuses a snapshot in which a record does not verify although its mark is whole.
    async fn refuse_mark_behind(&mut self, cursor: &Cursor) -> Result<(), MountError> {
        let (page, word) = (cursor.page, self.region.word());
        let from = cursor.place + word as u32;
        let Some(place) = self.find_record(page, from, &[cursor.key], &[Kind::Mark]).await? else {
            return Ok(());
        };
        let at = Cursor { place, ..*cursor };
        let behind = Cursor { place: place + record_len(0, word) as u32, ..*cursor };
        match self.is_stable(at, behind).await? {
            true => Err(cursor.damaged(Damage::Record).into()),
            false => Ok(()),
        }
    }

    /// Whether the mark between two cursors was programmed whole: something is behind
    /// it, or it reads the same every time. Pages are erased on its word, and there may
    /// be no page to repeat it in.
    async fn is_stable(&mut self, at: Cursor, behind: Cursor) -> Result<bool, MountError> {
        let next = behind.place..behind.place + HEAD_LEN as u32;
        if !self.region.is_blank(behind.page, next).await? {
            return Ok(true);
        }
        for _ in 0..STABLE_READS {
            let mut cursor = at;
            if !matches!(self.next_record(&mut cursor).await?, Next::Record(_)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether the repetition of a record is there, and whole: something was
    /// programmed behind it. Nobody was told of it before.
    async fn begins_with_repeat(&mut self, header: &PageHeader) -> Result<bool, MountError> {
        const LATER: [Kind; 3] = [Kind::Commit, Kind::Part, Kind::Mark];
        let mut cursor = self.start_of(header);
        match self.next_record(&mut cursor).await? {
            Next::Record(head) => {
                let behind = cursor.place..self.region.geometry.page_size;
                let is_whole = !self.region.is_blank(cursor.page, behind).await?;
                Ok(is_whole && head.kind == Kind::Repeat)
            }
            Next::Blank => {
                self.refuse_record_behind_ones(&cursor, &LATER).await?;
                Ok(false)
            }
            Next::Bad => {
                self.refuse_record_behind(&cursor, &LATER).await?;
                Ok(false)
            }
        }
    }
}
