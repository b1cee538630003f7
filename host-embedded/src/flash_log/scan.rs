//! The records of a page, in order.

use embedded_storage_async::nor_flash::NorFlash;

use super::{
    AsyncFlashLog, Damage, Damaged, FlashError, MountError,
    record::{self, Head, Kind, PageKey, is_blank, record_len},
    region::{CHUNK, WORD_MAX, whole_words},
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

    /// Whether a record of one of `kinds`, under one of `keys`, stands anywhere in a
    /// page, from a word at `place` on. It is read into the buffer.
    pub(super) async fn has_record(
        &mut self,
        page: u16,
        place: u32,
        keys: &[PageKey],
        kinds: &[Kind],
    ) -> Result<bool, FlashError> {
        let word = self.region.word() as u32;
        let page_size = self.region.geometry.page_size;
        // The last bytes of the chunk before, where a head may begin, and a chunk.
        let mut bytes = [0xff; Head::LEN + CHUNK];
        // Words are shorter than heads, or begin where chunks do.
        let overlap = (Head::LEN as u32).saturating_sub(word);
        let mut chunk = place;
        while chunk < page_size {
            let len = CHUNK.min((page_size - chunk) as usize);
            let read = bytes.get_mut(Head::LEN..Head::LEN + len).unwrap_or_default();
            self.region.read(page, chunk, read).await?;
            let from = if chunk == place { chunk } else { chunk - overlap };
            for at in (from..chunk + len as u32).step_by(word.max(1) as usize) {
                let head = bytes.get((at + Head::LEN as u32 - chunk) as usize..);
                let head = head.and_then(Head::decode).filter(|head| kinds.contains(&head.kind));
                let Some(head) = head else { continue };
                if self.is_record(page, at, keys, &head).await? {
                    return Ok(true);
                }
            }
            bytes.copy_within(CHUNK.., 0);
            chunk += len as u32;
        }
        Ok(false)
    }

    /// Whether the record that begins like this verifies. It is read into the buffer,
    /// which no record is longer than.
    async fn is_record(
        &mut self,
        page: u16,
        place: u32,
        keys: &[PageKey],
        head: &Head,
    ) -> Result<bool, FlashError> {
        let len = record_len(head.len, self.region.word());
        let left = self.region.geometry.page_size.saturating_sub(place) as usize;
        let Some(record) = self.record.get_mut(..len).filter(|_| len <= left) else {
            return Ok(false);
        };
        self.region.read(page, place, record).await?;
        Ok(keys.iter().any(|key| record::verify(record, *key, place).is_some()))
    }
}
