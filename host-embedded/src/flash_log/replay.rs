//! The log from its beginning to its end, checked.

use alloc::vec::Vec;

use embedded_storage_async::nor_flash::NorFlash;
use interstice_core::TxOffset;

use super::{
    AsyncFlashLog, Damage, Damaged, Mode, MountError, ReplayError,
    mount::{LOOKS_MAX, Last},
    page::{Label, PageHeader, Purpose},
    record::{self, Head, Kind, is_blank},
    scan::{Cursor, Next},
    snapshot::snapshot_end,
};
use crate::memory::extend;

/// What a log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// The next part of the snapshot that the log begins with.
    Snapshot(&'a [u8]),
    /// That was all of the snapshot. The next commit has this position.
    SnapshotEnd(TxOffset),
    /// A commit.
    Commit(TxOffset, &'a [u8]),
}

/// Where reading is.
struct Reading {
    header: PageHeader,
    /// The beginning of a commit in parts.
    parts: Vec<u8>,
    next: TxOffset,
    in_snapshot: bool,
    /// Bytes of the snapshot so far.
    snapshot_len: u64,
}

impl<F: NorFlash, const RECORD: usize> AsyncFlashLog<F, RECORD> {
    /// Reads the log: the snapshot that it begins with, if there is one, and
    /// the commits behind it. Everything is checked; nothing that does not
    /// verify is handed on.
    ///
    /// # Errors
    ///
    /// When something does not verify, with the place, or when `visit` fails.
    /// [`MountError::Snapshotting`] while a snapshot is written: the log ends in another
    /// page then.
    pub async fn replay<E>(
        &mut self,
        visit: &mut impl FnMut(Entry<'_>) -> Result<(), E>,
    ) -> Result<(), ReplayError<E>> {
        if let Mode::Snapshot(_) = self.mode {
            return Err(MountError::Snapshotting.into());
        }
        let mut pages = self.pages_from_end().await?;
        let header = self.page_in_use(pages.pop().unwrap_or(self.base.page)).await?;
        let in_snapshot = header.purpose == Purpose::Snapshot;
        let next = header.first;
        let mut reading = Reading { header, parts: Vec::new(), next, in_snapshot, snapshot_len: 0 };
        while let Some(page) = pages.pop() {
            let behind = self.page_in_use(page).await?;
            let records = (behind.previous_count, behind.previous_chain);
            self.read_page(&mut reading, records, false, visit).await?;
            if behind.log != self.log {
                return Err(Damaged { page, place: 0, what: Damage::Foreign }.into());
            }
            if behind.first != reading.next {
                return Err(Damaged { page, place: 0, what: Damage::Records }.into());
            }
            if behind.purpose == Purpose::LogAnew {
                reading.parts.clear();
            }
            reading.header = behind;
        }
        self.read_page(&mut reading, (self.end.count, self.end.chain), true, visit).await?;
        if reading.in_snapshot {
            // Its end is missing.
            let (page, place) = (self.end.page, self.end.place);
            return Err(Damaged { page, place, what: Damage::Records }.into());
        }
        self.next = reading.next;
        Ok(())
    }

    /// The pages of the log, the last one first.
    async fn pages_from_end(&mut self) -> Result<Vec<u16>, MountError> {
        let mut pages = Vec::new();
        let mut sequence = self.end.sequence;
        loop {
            let page = self.region.page_of(sequence);
            let bytes = self.region.label_bytes(page).await?;
            let label = Label::decode(&bytes, page).filter(|label| label.sequence == sequence);
            let Some(label) = label else {
                let what = if is_blank(&bytes) { Damage::MissingPage } else { Damage::Header };
                return Err(Damaged { page, place: 0, what }.into());
            };
            extend(&mut pages, &[page]).ok_or(MountError::Memory)?;
            if sequence == self.base.sequence {
                return Ok(pages);
            }
            sequence = match label.previous() {
                Some(previous) if previous >= self.base.sequence => previous,
                _ => return Err(Damaged { page, place: 0, what: Damage::MissingPage }.into()),
            };
        }
    }

    /// The header of a page that is needed. That of the last one was read by the
    /// mount; where no page was left to open another, the erase of it may have been
    /// cut short, and it reads well now and then.
    async fn page_in_use(&mut self, page: u16) -> Result<PageHeader, MountError> {
        let may_differ = matches!(self.mode, Mode::Unsettled { .. }) && page == self.end.page;
        for _ in 0..if may_differ { LOOKS_MAX } else { 1 } {
            if let Ok(header) = self.region.header(page).await? {
                return Ok(header);
            }
        }
        Err(Damaged { page, place: 0, what: Damage::Header }.into())
    }

    /// Reads the records of a page that count.
    async fn read_page<E>(
        &mut self,
        reading: &mut Reading,
        (count, chain): (u32, u32),
        is_last: bool,
        visit: &mut impl FnMut(Entry<'_>) -> Result<(), E>,
    ) -> Result<(), ReplayError<E>> {
        let mut cursor = self.start_of(&reading.header);
        while cursor.count < count {
            let at = cursor;
            match self.next_record(&mut cursor).await? {
                Next::Record(head) => {
                    let payload = record::payload(&head, &self.record);
                    take(reading, &at, head.kind, payload, visit)?;
                }
                Next::Blank | Next::Bad => {
                    let (page, stands) = (self.end.sequence, (cursor.count, cursor.chain));
                    if !is_last || self.mode != (Mode::Unsettled { page, stands }) {
                        return Err(cursor.damaged(Damage::Record).into());
                    }
                    // The last record is not proved: it may have one wrong bit,
                    // or may not be read any more.
                    let Last::Corrected { len } = self.judge(&cursor).await? else {
                        self.end_at(&cursor);
                        return Ok(());
                    };
                    let record = self.record.get(..len).unwrap_or_default();
                    cursor.pass(record);
                    if let Some(head) = Head::decode(record) {
                        take(reading, &at, head.kind, record::payload(&head, record), visit)?;
                    }
                }
            }
        }
        match cursor.chain == chain {
            true => Ok(()),
            false => Err(cursor.damaged(Damage::Records).into()),
        }
    }
}

/// Hands a record on.
fn take<E>(
    reading: &mut Reading,
    at: &Cursor,
    kind: Kind,
    payload: &[u8],
    visit: &mut impl FnMut(Entry<'_>) -> Result<(), E>,
) -> Result<(), ReplayError<E>> {
    let misplaced = || at.damaged(Damage::Records);
    let entry = match kind {
        Kind::Mark => return Ok(()),
        Kind::Block | Kind::End if !reading.in_snapshot => return Err(misplaced().into()),
        Kind::Commit | Kind::Repeat | Kind::Part if reading.in_snapshot => {
            return Err(misplaced().into());
        }
        Kind::Block => {
            reading.snapshot_len += payload.len() as u64;
            Entry::Snapshot(payload)
        }
        Kind::End => {
            if *payload != snapshot_end(reading.next, reading.snapshot_len) {
                return Err(misplaced().into());
            }
            reading.in_snapshot = false;
            Entry::SnapshotEnd(reading.next)
        }
        Kind::Part => {
            extend(&mut reading.parts, payload).ok_or(MountError::Memory)?;
            return Ok(());
        }
        Kind::Commit | Kind::Repeat => {
            let offset = reading.next;
            reading.next = offset.next();
            if reading.parts.is_empty() {
                Entry::Commit(offset, payload)
            } else {
                extend(&mut reading.parts, payload).ok_or(MountError::Memory)?;
                let visited = visit(Entry::Commit(offset, &reading.parts));
                reading.parts.clear();
                return visited.map_err(ReplayError::Refused);
            }
        }
    };
    visit(entry).map_err(ReplayError::Refused)
}
