//! The records of a page, in order.

use embedded_storage_async::nor_flash::NorFlash;

use super::{
    AsyncFlashLog, Damage, Damaged, FlashError, MountError,
    record::{self, Head, Kind, PageKey, is_blank, record_len},
    region::{WORD_MAX, whole_words},
    write::link,
};

/// A place between two records of a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    pub(super) page: u16,
    pub(super) key: PageKey,
    pub(super) place: u32,
    /// Records before it.
    pub(super) count: u32,
    /// The chain behind them.
    pub(super) chain: u32,
}

/// What stands at a cursor.
pub(super) enum Next {
    /// A record, which is in the buffer; the cursor is behind it.
    Record(Head),
    /// Ones, for as long as the longest record; or the page ends.
    Blank,
    /// Something that does not verify.
    Bad,
}

impl Cursor {
    fn advance(&mut self, len: usize, checksum: u32) {
        self.place += len as u32;
        self.count += 1;
        self.chain = link(self.chain, checksum);
    }

    /// Moves behind a record that is good, or was mended.
    pub(super) fn pass(&mut self, record: &[u8]) {
        self.advance(record.len(), record::stored_checksum(record).unwrap_or_default());
    }

    pub(super) fn damaged(&self, what: Damage) -> Damaged {
        Damaged { page: self.page, place: self.place, what }
    }
}

impl<F: NorFlash, const RECORD: usize> AsyncFlashLog<F, RECORD> {
    /// Where ones end, or more begin, that are long enough for [`Next::Blank`].
    pub(super) fn behind_ones(&self, cursor: &Cursor) -> u32 {
        cursor.place.saturating_add(whole_words(RECORD, self.region.word()) as u32)
    }

    /// Reads the record at a cursor into the buffer.
    pub(super) async fn next_record(&mut self, cursor: &mut Cursor) -> Result<Next, MountError> {
        let word = self.region.word();
        let mut start = [0; WORD_MAX];
        let start_len = whole_words(record::HEAD_LEN, word);
        let left = self.region.geometry.page_size.saturating_sub(cursor.place) as usize;
        if left < start_len {
            return Ok(Next::Blank);
        }
        let start = start.get_mut(..start_len).unwrap_or_default();
        self.region.read(cursor.page, cursor.place, start).await?;
        if is_blank(start) {
            // Only one record can be torn, and none is longer than the buffer.
            let from = cursor.place + start_len as u32;
            let blank = self.region.is_blank(cursor.page, from..self.behind_ones(cursor)).await?;
            return Ok(if blank { Next::Blank } else { Next::Bad });
        }
        if let Some(head) = Head::decode(start) {
            let len = record_len(head.len, word);
            if len <= left
                && let Some((first, rest)) = self
                    .record
                    .get_mut(..len)
                    .and_then(|record| record.split_at_mut_checked(start_len))
            {
                first.iter_mut().zip(start.iter()).for_each(|(to, from)| *to = *from);
                if !rest.is_empty() {
                    let place = cursor.place + start_len as u32;
                    self.region.read(cursor.page, place, rest).await?;
                }
                let record = self.record.get(..len).unwrap_or_default();
                if let Some((head, checksum)) = record::verify(record, cursor.key, cursor.place) {
                    cursor.advance(len, checksum);
                    return Ok(Next::Record(head));
                }
            }
        }
        Ok(Next::Bad)
    }

    /// Where a record of one of `kinds`, under one of `keys`, stands in a page, from a
    /// word at `place` on. Every byte is read once, into the record buffer, which no
    /// record is longer than.
    pub(super) async fn find_record(
        &mut self,
        page: u16,
        place: u32,
        keys: &[PageKey],
        kinds: &[Kind],
    ) -> Result<Option<u32>, FlashError> {
        let word = self.region.word();
        let page_size = self.region.geometry.page_size;
        // What the buffer holds: from a place on, so many bytes.
        let (mut from, mut len) = (place, 0);
        for at in (place..page_size).step_by(word.max(1)) {
            let mut needed = Head::LEN;
            loop {
                let start = (at - from) as usize;
                if start + needed > len && from + (len as u32) < page_size {
                    // What is kept moves to the front.
                    for (to, from) in (start..len).enumerate() {
                        let byte = self.record.get(from).copied().unwrap_or_default();
                        if let Some(to) = self.record.get_mut(to) {
                            *to = byte;
                        }
                    }
                    (from, len) = (at, len.saturating_sub(start));
                    let all = self.record_max().min((page_size - from) as usize);
                    let more = self.record.get_mut(len..all).unwrap_or_default();
                    self.region.read(page, from + len as u32, more).await?;
                    len += more.len();
                }
                let bytes = self.record.get((at - from) as usize..len).unwrap_or_default();
                let head = Head::decode(bytes).filter(|head| kinds.contains(&head.kind));
                let record = head.map(|head| record_len(head.len, word));
                match record.map(|record| (record, bytes.get(..record))) {
                    Some((_, Some(record)))
                        if keys.iter().any(|key| record::verify(record, *key, at).is_some()) =>
                    {
                        return Ok(Some(at));
                    }
                    // Once more, with all of it.
                    Some((record, None)) if needed < record && record <= self.record_max() => {
                        needed = record;
                        continue;
                    }
                    _ => {}
                }
                break;
            }
        }
        Ok(None)
    }
}
