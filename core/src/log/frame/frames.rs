//! Reading a segment that is in memory.

use super::{
    Chain, Frame, FrameKind, HEADER_LEN, HeaderError, LogHeader, Read, SegmentHeader, Tail,
    split_commit,
};
use crate::ids::TxOffset;

/// Reads the commits of a segment, one after the other, out of its bytes.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    header: SegmentHeader,
    /// Where the next frame would begin.
    at: usize,
    chain: Chain,
    /// The commits of the last frame that are still to come, and the position
    /// of the first of them.
    content: &'a [u8],
    next: TxOffset,
    sealed: bool,
}

impl<'a> Frames<'a> {
    /// Starts behind the header of the segment `bytes`.
    ///
    /// # Errors
    ///
    /// When the header is refused.
    pub fn new(bytes: &'a [u8]) -> Result<Self, HeaderError> {
        let header = SegmentHeader::decode(bytes)?;
        let chain = header.chain();
        let next = header.first;
        Ok(Self { bytes, header, at: HEADER_LEN, chain, content: &[], next, sealed: false })
    }

    /// The segment's header.
    pub fn header(&self) -> &SegmentHeader {
        &self.header
    }

    /// The log's header.
    pub fn log(&self) -> LogHeader {
        self.header.log
    }

    /// Where the frame behind those read begins.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The chain up to there: what to append with.
    pub fn end(&self) -> Chain {
        self.chain
    }

    /// Whether the segment's seal was read.
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    fn next_frame(&mut self) -> Option<Frame<'a>> {
        if self.sealed {
            return None;
        }
        let mut chain = self.chain;
        let Read::Frame(frame) = chain.read(self.bytes.get(self.at..)?) else { return None };
        if frame.kind == FrameKind::Block {
            return None;
        }
        self.chain = chain;
        self.at += frame.len;
        self.sealed = frame.kind == FrameKind::Seal;
        Some(frame)
    }

    /// How the segment ends, once the frames are read.
    pub fn tail(&self) -> Tail {
        match self.sealed {
            true => Tail::behind_seal(self.bytes, self.at),
            false => Tail::of(self.bytes, self.at, self.chain),
        }
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = (TxOffset, &'a [u8]);

    /// The next commit; `None` behind the seal, and at the first byte that is no
    /// good frame. Ask [`tail`](Frames::tail) what it is.
    fn next(&mut self) -> Option<Self::Item> {
        while self.content.is_empty() {
            let frame = self.next_frame()?;
            self.content = frame.content;
        }
        let commit = split_commit(&mut self.content)?;
        let offset = self.next;
        self.next = offset.next();
        Some((offset, commit))
    }
}
