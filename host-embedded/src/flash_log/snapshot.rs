//! Snapshots: a state in pages, so that the pages before can go.
//!
//! Content first, then its end, then a mark: the snapshot counts when the mark
//! does. The old pages are erased when they are needed, never before.

use embedded_storage_async::nor_flash::NorFlash;
use interstice_core::TxOffset;

use super::{
    AsyncFlashLog, Base, End, FlashLogError, Mode, Writing,
    page::Purpose,
    record::{HEAD_LEN, Kind, record_len},
};

/// Bytes that are worth a record of their own at the end of a page.
pub const BLOCK_LEN_MIN: usize = 32;

/// Bytes of the record that a snapshot ends with, besides its head: its position,
/// and its length.
pub const SNAPSHOT_END_LEN: usize = 16;

/// What a snapshot ends with.
pub(super) fn snapshot_end(position: TxOffset, len: u64) -> [u8; SNAPSHOT_END_LEN] {
    let mut bytes = [0; SNAPSHOT_END_LEN];
    bytes[..8].copy_from_slice(&position.0.to_le_bytes());
    bytes[8..].copy_from_slice(&len.to_le_bytes());
    bytes
}

/// Bytes of the next block, where a payload of `left` bytes still fits the page.
fn block_max(left: usize, payload_max: usize) -> usize {
    if left >= BLOCK_LEN_MIN { left.min(payload_max) } else { payload_max }
}

/// Bytes of what a snapshot ends with: its end, and a mark.
fn end_len(word: usize) -> usize {
    record_len(SNAPSHOT_END_LEN, word) + record_len(0, word)
}

impl<F: NorFlash, const RECORD: usize> AsyncFlashLog<F, RECORD> {
    /// Pages that a snapshot of so many bytes takes, and the bytes that are left of the
    /// last one.
    pub(super) fn snapshot_extent(&self, mut bytes: usize) -> (usize, usize) {
        let (max, word) = (self.payload_max(), self.region.word());
        let page = self.region.geometry.page_size as usize - self.region.header_len();
        let put = |(pages, left): (usize, usize), len| match left.checked_sub(len) {
            Some(left) => (pages, left),
            None => (pages + 1, page.saturating_sub(len)),
        };
        let mut extent = (0, 0usize);
        while bytes > 0 {
            let len = bytes.min(block_max(extent.1.saturating_sub(HEAD_LEN), max));
            extent = put(extent, record_len(len, word));
            bytes -= len;
        }
        put(extent, end_len(word))
    }

    /// Begins a snapshot of the state that the log leads to. Until it is
    /// finished no commit can be appended; if it never is, the log is as it was
    /// when it is mounted again.
    ///
    /// [`FlashLog::snapshot_of`](super::FlashLog::snapshot_of) does all that a snapshot of
    /// a state takes. An async device does it by hand: it counts the bytes that
    /// [`encode_snapshot`](interstice_core::CommittedState::encode_snapshot) makes, asks
    /// [`check_room_behind`](Self::check_room_behind), begins, and writes them in pieces of
    /// [`next_block_len`](Self::next_block_len).
    ///
    /// # Errors
    ///
    /// When one is begun already, or an operation failed.
    pub fn begin_snapshot(&mut self) -> Result<(), FlashLogError> {
        match self.mode {
            Mode::Failed => return Err(FlashLogError::Failed),
            Mode::Snapshot(_) => return Err(FlashLogError::Snapshotting),
            Mode::Open { .. } | Mode::Settled | Mode::Unsettled { .. } => {}
        }
        let (end, closing) = match self.mode {
            Mode::Unsettled { page, stands } => (page, stands),
            _ => (self.end.sequence, (self.end.count, self.end.chain)),
        };
        self.end.sequence = end;
        let log_end = end as u32;
        let (is_begun, first, page, len) = (false, 0, 0, 0);
        self.mode = Mode::Snapshot(Writing { is_begun, first, page, log_end, len, closing });
        Ok(())
    }

    /// Writes the next part of the snapshot: a record for every
    /// [`block_len`](Self::block_len) bytes, and what is left of a page.
    ///
    /// # Errors
    ///
    /// [`FlashLogError::Full`] when the snapshot does not fit; the log is to be
    /// mounted again then, and is as it was. When the flash fails.
    pub async fn write_snapshot(&mut self, piece: &[u8]) -> Result<(), FlashLogError> {
        let mut rest = piece;
        while !rest.is_empty() {
            let len = self.next_block_len()?;
            let (block, behind) = rest.split_at_checked(len).unwrap_or((rest, &[]));
            self.write(Kind::Block, block, Purpose::Snapshot).await?;
            if let Mode::Snapshot(writing) = &mut self.mode {
                writing.len += block.len() as u32;
            }
            rest = behind;
        }
        self.writing().map(drop)
    }

    /// Bytes that were written of the snapshot that is being written, if one is.
    pub fn snapshot_len(&self) -> Option<u64> {
        self.writing().ok().map(|writing| writing.len.into())
    }

    /// Bytes of a snapshot that go into the next record: what is left of a page is
    /// used too. Who gathers so many for each [`write_snapshot`](Self::write_snapshot)
    /// writes full records, and takes the pages that
    /// [`check_room_behind`](Self::check_room_behind) counts.
    ///
    /// # Errors
    ///
    /// When none is being written, or an operation failed.
    pub fn next_block_len(&self) -> Result<usize, FlashLogError> {
        let left = if self.writing()?.is_begun { self.payload_left() } else { 0 };
        Ok(block_max(left, self.payload_max()))
    }

    /// Bytes of a snapshot that go into one record.
    pub fn block_len(&self) -> usize {
        self.payload_max()
    }

    /// Ends the snapshot. When this returns, the log begins with it.
    ///
    /// # Errors
    ///
    /// As [`write_snapshot`](Self::write_snapshot).
    pub async fn finish_snapshot(&mut self) -> Result<(), FlashLogError> {
        let end = snapshot_end(self.next, self.writing()?.len.into());
        let needed = end_len(self.region.word());
        let mut failed = None;
        loop {
            if self.writing()?.is_begun && !self.has_room(needed) {
                // It goes into the next page.
                self.end.place = self.region.geometry.page_size;
            }
            let before = (self.end, self.mode);
            let written = self.write(Kind::End, &end, Purpose::Snapshot).await;
            written.map_err(|error| failed.map_or(error, FlashLogError::Flash))?;
            let Writing { first, page, .. } = self.writing()?;
            self.mode = Mode::Failed;
            let mark = self.encode(Kind::Mark, &[]);
            failed = self.program(mark).await.err();
            if failed.is_none() {
                self.mode = Mode::Open { marked: true };
                self.base = Base { sequence: first, page, is_newest: true };
                return Ok(());
            }
            // The flash does not hold it: both go into the next page.
            let (page, place) = (self.end.page, self.region.geometry.page_size);
            self.end = End { page, place, ..before.0 };
            self.mode = before.1;
        }
    }

    fn writing(&self) -> Result<Writing, FlashLogError> {
        match self.mode {
            Mode::Failed => Err(FlashLogError::Failed),
            Mode::Snapshot(writing) => Ok(writing),
            _ => Err(FlashLogError::NotSnapshotting),
        }
    }
}
