//! The records of a page, in order.

use alloc::vec::Vec;

use embedded_storage_async::nor_flash::NorFlash;

use super::{
    AsyncFlashLog, Damage, Damaged, MountError,
    record::{self, Head, Kind, PageKey, is_blank, record_len},
    region::{WORD_MAX, whole_words},
    write::link,
};
use crate::memory::extend_zeros;

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
    /// Nothing, to the end of the page.
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
            let to = from + left.min(RECORD) as u32;
            let blank = self.region.is_blank(cursor.page, from..to).await?;
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

    /// The rest of a page. It needs as much memory.
    pub(super) async fn rest(&mut self, page: u16, place: u32) -> Result<Vec<u8>, MountError> {
        let len = self.region.geometry.page_size.saturating_sub(place) as usize;
        let mut bytes = Vec::new();
        extend_zeros(&mut bytes, len).ok_or(MountError::Memory)?;
        self.region.read(page, place, &mut bytes).await?;
        Ok(bytes)
    }

    /// Whether a record of one of `kinds` stands anywhere in `bytes`, which are
    /// those of a page from `place` on.
    pub(super) fn has_record(
        &self,
        bytes: &[u8],
        place: u32,
        key: PageKey,
        kinds: &[Kind],
    ) -> bool {
        let word = self.region.word();
        // A word has bytes; to the optimizer it is news.
        (0..bytes.len()).step_by(word.max(1)).any(|at| {
            let bytes = bytes.get(at..).unwrap_or_default();
            let head = Head::decode(bytes).filter(|head| kinds.contains(&head.kind));
            head.and_then(|head| bytes.get(..record_len(head.len, word)))
                .is_some_and(|record| record::verify(record, key, place + at as u32).is_some())
        })
    }
}
