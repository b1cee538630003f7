//! A log in memory.

use alloc::vec::Vec;
use core::convert::Infallible;

use super::{
    Log,
    frame::{Chain, Frames, HeaderError, LogHeader},
};
use crate::ids::TxOffset;

/// A log in memory, in the same bytes as a log in a file that has one segment.
#[derive(Clone, Debug)]
pub struct MemoryLog {
    bytes: Vec<u8>,
    chain: Chain,
}

impl MemoryLog {
    /// An empty log.
    pub fn new(header: LogHeader) -> Self {
        let segment = header.first_segment();
        Self { bytes: segment.encode().to_vec(), chain: segment.chain() }
    }

    /// Continues a log behind its last good frame; what follows it is cut.
    ///
    /// # Errors
    ///
    /// When the header is refused.
    pub fn from_bytes(mut bytes: Vec<u8>) -> Result<Self, HeaderError> {
        let mut frames = Frames::new(&bytes)?;
        frames.by_ref().for_each(drop);
        let (end, chain) = (frames.position(), frames.end());
        bytes.truncate(end);
        Ok(Self { bytes, chain })
    }

    /// The log's bytes: header and frames.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its commits.
    ///
    /// # Errors
    ///
    /// Never for a log that this type made.
    pub fn frames(&self) -> Result<Frames<'_>, HeaderError> {
        Frames::new(&self.bytes)
    }

    /// Makes room for `bytes` more, so that appending them allocates nothing.
    pub fn reserve(&mut self, bytes: usize) {
        self.bytes.reserve(bytes);
    }
}

impl Log for MemoryLog {
    type Error = Infallible;

    fn append(&mut self, offset: TxOffset, commit: &[u8]) -> Result<(), Infallible> {
        debug_assert_eq!(offset, self.chain.next_offset());
        // Memory forgets nothing: what is there is as durable as it gets.
        self.chain.append(commit, true, &mut self.bytes);
        Ok(())
    }

    fn sync(&mut self) -> Result<(), Infallible> {
        Ok(())
    }
}
