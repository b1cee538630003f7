//! Frames out of a file, one after the other, in constant memory.

use std::{io, ops::Range};

use interstice_core::{
    TxOffset,
    log::frame::{CHECKSUM_LEN, Chain, Frame, FrameKind, Read},
};

use crate::file_system::{StoredFile, extend_with_zeros};

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
    /// Bytes of the file up to `filled`; those from `start` on are the ones at
    /// `at`. What is behind them is of no meaning.
    window: Vec<u8>,
    start: usize,
    filled: usize,
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
        Ok(Self {
            file,
            size,
            kinds,
            chain,
            at,
            window: Vec::new(),
            start: 0,
            filled: 0,
            frame: None,
        })
    }

    /// Moves on to the next frame, which is then [`frame`](Self::frame).
    /// Returns its kind; `None` at the first byte that is no good frame.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn advance(&mut self) -> io::Result<Option<FrameKind>> {
        self.frame = None;
        let mut chain = self.chain;
        loop {
            let window = self.window.get(self.start..self.filled).unwrap_or_default();
            let needed = match chain.read(window) {
                Read::Frame(frame) if (self.kinds)(frame.kind) => {
                    let Frame { kind, first, len, content } = frame;
                    let end = self.start + len - CHECKSUM_LEN;
                    let content = end - content.len()..end;
                    self.frame = Some(Current { kind, first, len, content });
                    self.chain = chain;
                    self.at += len as u64;
                    self.start += len;
                    return Ok(Some(kind));
                }
                Read::Incomplete { len } => len,
                _ => return Ok(None),
            };
            if !self.fill(needed)? {
                return Ok(None);
            }
        }
    }

    /// The frame that was read last.
    pub fn frame(&self) -> Option<Frame<'_>> {
        let Current { kind, first, len, content } = self.frame.clone()?;
        Some(Frame { kind, first, len, content: self.window.get(content)? })
    }

    /// Reads on, so that the window has `needed` bytes from the next frame on.
    /// Returns whether the file has them.
    fn fill(&mut self, needed: u64) -> io::Result<bool> {
        let left = self.size.saturating_sub(self.at);
        let wanted = needed.max(WINDOW_LEN as u64).min(left);
        let Ok(wanted) = usize::try_from(wanted) else { return Ok(false) };
        if needed > left {
            return Ok(false);
        }
        self.window.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
        extend_with_zeros(&mut self.window, wanted as u64)?;
        let into = self.window.get_mut(self.filled..wanted).unwrap_or_default();
        self.filled += self.file.read_at(self.at + self.filled as u64, into)?;
        Ok(self.filled as u64 >= needed)
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

    /// The bytes of the file behind the last good frame, and the checksum before
    /// them.
    pub(super) fn rest(&mut self) -> io::Result<Vec<u8>> {
        let from = self.at.saturating_sub(CHECKSUM_LEN as u64);
        let mut bytes = Vec::new();
        extend_with_zeros(&mut bytes, self.size.saturating_sub(from))?;
        let read = self.file.read_at(from, &mut bytes)?;
        bytes.truncate(read);
        Ok(bytes)
    }

    /// Reads the file anew from the next frame on: it may have changed.
    pub(super) fn read_again(&mut self) {
        (self.start, self.filled) = (0, 0);
    }
}
