//! The log from its beginning to its end, checked.

use alloc::vec::Vec;

use embedded_storage_async::nor_flash::NorFlash;
use interstice_core::TxOffset;

use super::{
    AsyncFlashLog, Damage, Damaged, Mode, MountError, ReplayError,
    mount::Last,
    page::{PageHeader, Purpose},
    record::{self, Head, Kind},
    scan::{Cursor, Next},
};

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
}

impl<F: NorFlash, const RECORD: usize> AsyncFlashLog<F, RECORD> {
    /// Reads the log: the snapshot that it begins with, if there is one, and
    /// the commits behind it. Everything is checked; nothing that does not
    /// verify is handed on.
    ///
    /// # Errors
    ///
    /// When something does not verify, with the place, or when `visit` fails.
    pub async fn replay<E>(
        &mut self,
        visit: &mut impl FnMut(Entry<'_>) -> Result<(), E>,
    ) -> Result<(), ReplayError<E>> {
        let base = Damaged { page: self.base.page, place: 0, what: Damage::Header };
        let header = self.region.header(self.base.page).await?.ok();
        let header = header.filter(|header| header.label.sequence == self.base.sequence);
        let header = header.ok_or(base)?;
        let in_snapshot = header.purpose == Purpose::Snapshot;
        let next = header.first;
        let mut reading = Reading { header, parts: Vec::new(), next, in_snapshot };
        loop {
            let behind = self.page_behind(&reading.header).await?;
            let records = behind.map_or((self.end.count, self.end.chain), |behind| {
                (behind.previous_count, behind.previous_chain)
            });
            self.read_page(&mut reading, records, behind.is_none(), visit).await?;
            let Some(behind) = behind else { break };
            let is_good = behind.log == self.log && behind.first == reading.next;
            if !is_good {
                let what = if behind.log == self.log { Damage::Records } else { Damage::Foreign };
                return Err(Damaged { page: behind.index, place: 0, what }.into());
            }
            if behind.purpose == Purpose::LogAnew {
                reading.parts.clear();
            }
            reading.header = behind;
        }
        self.next = reading.next;
        Ok(())
    }

    /// The page that goes on behind one; `None` behind the last.
    async fn page_behind(&mut self, header: &PageHeader) -> Result<Option<PageHeader>, MountError> {
        let sequence = header.label.sequence;
        if sequence == self.end.sequence {
            return Ok(None);
        }
        let mut found: Option<(u64, u16)> = None;
        let mut page = header.index;
        while page != self.end.page {
            page = self.region.behind(page);
            let Some(label) = self.region.label(page).await? else { continue };
            // What a snapshot left that was not finished may say so too; the
            // page that was opened last is the right one.
            let follows = label.previous() == sequence && label.sequence <= self.end.sequence;
            if follows && found.is_none_or(|(best, _)| label.sequence > best) {
                found = Some((label.sequence, page));
            }
        }
        let missing =
            Damaged { page: self.region.behind(header.index), place: 0, what: Damage::MissingPage };
        let (_, page) = found.ok_or(missing)?;
        let damaged = Damaged { page, place: 0, what: Damage::Header };
        let header = self.region.header(page).await?.ok().ok_or(damaged)?;
        Ok(Some(header))
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
                    let stands = (cursor.count, cursor.chain);
                    if !is_last || self.mode != (Mode::Unsettled { stands }) {
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
        Kind::Block => Entry::Snapshot(payload),
        Kind::End => {
            let position = payload.first_chunk().copied().map(u64::from_le_bytes);
            if position != Some(reading.next.0) {
                return Err(misplaced().into());
            }
            reading.in_snapshot = false;
            Entry::SnapshotEnd(reading.next)
        }
        Kind::Part => {
            if reading.parts.try_reserve(payload.len()).is_err() {
                return Err(MountError::Memory.into());
            }
            reading.parts.extend_from_slice(payload);
            return Ok(());
        }
        Kind::Commit | Kind::Repeat => {
            let offset = reading.next;
            reading.next = offset.next();
            if reading.parts.is_empty() {
                Entry::Commit(offset, payload)
            } else {
                if reading.parts.try_reserve(payload.len()).is_err() {
                    return Err(MountError::Memory.into());
                }
                reading.parts.extend_from_slice(payload);
                let visited = visit(Entry::Commit(offset, &reading.parts));
                reading.parts.clear();
                return visited.map_err(ReplayError::Refused);
            }
        }
    };
    visit(entry).map_err(ReplayError::Refused)
}
