//! Frames out of a file, one after the other, in constant memory.

use std::{io, ops::Range};

use interstice_core::{
    TxOffset,
    log::frame::{CHECKSUM_LEN, Chain, Frame, FrameKind, Read, bytes_needed},
};

use crate::file_system::StoredFile;

/// Bytes that are read at once.
const WINDOW_LEN: usize = 256 * 1024;

/// Reads frames from a file: those of a segment or of a snapshot.
///
/// Holds one window of the file, or one frame if that is longer.
#[derive(Debug)]
pub struct FrameReader {
    file: Box<dyn StoredFile>,
    size: u64,
    kinds: fn(FrameKind) -> bool,
    chain: Chain,
    /// Where the next frame begins in the file.
    at: u64,
    /// Bytes of the file; those from `start` on are the ones at `at`.
    window: Vec<u8>,
    start: usize,
    frame: Option<Current>,
}

/// The frame that was read last.
#[derive(Clone, Debug)]
struct Current {
    kind: FrameKind,
    first: TxOffset,
    len: usize,
    content: Range<usize>,
}

impl FrameReader {
    /// Reads the frames from `at` on, which follow `chain`. Those that are not
    /// of these kinds are no good frames.
    ///
    /// # Errors
    ///
    /// When the file's size cannot be had.
    pub fn new(
        mut file: Box<dyn StoredFile>,
        at: u64,
        chain: Chain,
        kinds: fn(FrameKind) -> bool,
    ) -> io::Result<Self> {
        let size = file.size()?;
        Ok(Self { file, size, kinds, chain, at, window: Vec::new(), start: 0, frame: None })
    }

    /// Moves on to the next frame, which is then [`frame`](Self::frame).
    /// Returns its kind; `None` at the first byte that is no good frame.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn advance(&mut self) -> io::Result<Option<FrameKind>> {
        self.frame = None;
        if !self.fill_frame()? {
            return Ok(None);
        }
        let mut chain = self.chain;
        let window = self.window.get(self.start..).unwrap_or_default();
        let frame = match chain.read(window) {
            Read::Frame(frame) if (self.kinds)(frame.kind) => frame,
            _ => return Ok(None),
        };
        let Frame { kind, first, len, content } = frame;
        let end = self.start + len - CHECKSUM_LEN;
        self.frame = Some(Current { kind, first, len, content: end - content.len()..end });
        self.chain = chain;
        self.at += len as u64;
        self.start += len;
        Ok(Some(kind))
    }

    /// The frame that was read last.
    pub fn frame(&self) -> Option<Frame<'_>> {
        let Current { kind, first, len, content } = self.frame.clone()?;
        Some(Frame { kind, first, len, content: self.window.get(content)? })
    }

    /// Reads on until the window has the whole next frame, or cannot have it.
    fn fill_frame(&mut self) -> io::Result<bool> {
        loop {
            let window = self.window.get(self.start..).unwrap_or_default();
            let Some(needed) = bytes_needed(window) else { return Ok(false) };
            if needed <= window.len() as u64 {
                return Ok(true);
            }
            if needed > self.size.saturating_sub(self.at) || !self.fill(needed)? {
                return Ok(false);
            }
        }
    }

    /// Reads on, so that the window has `needed` bytes, which the file has.
    /// Returns whether the file still had them.
    fn fill(&mut self, needed: u64) -> io::Result<bool> {
        self.window.drain(..self.start);
        self.start = 0;
        let have = self.window.len();
        let left = self.size - self.at;
        let wanted = needed.max(WINDOW_LEN as u64).min(left);
        let Ok(wanted) = usize::try_from(wanted) else { return Ok(false) };
        self.window.resize(wanted, 0);
        let into = self.window.get_mut(have..).unwrap_or_default();
        let read = self.file.read_at(self.at + have as u64, into)?;
        self.window.truncate(have + read);
        Ok(self.window.len() as u64 >= needed)
    }

    /// Where the next frame begins, in bytes.
    pub fn position(&self) -> u64 {
        self.at
    }

    /// Bytes of the file when reading began.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The chain up to there.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// All bytes of the file, for a look at what follows the last good frame.
    pub(super) fn whole(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(self.size).unwrap_or(usize::MAX)];
        let read = self.file.read_at(0, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }
}
