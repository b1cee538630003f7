//! Frames: commits, and one chained checksum for those written together. See
//! the [format](super).
//!
//! Invariants: a frame verifies only at its position behind the frame it was
//! written behind. This module does not know about files, and a commit is
//! just bytes to it.

use alloc::vec::Vec;

use abi::bytes::Reader;
use interstice_abi as abi;

use crate::ids::TxOffset;

mod buffer;
mod crc;
mod frames;
mod header;
mod snapshot;
mod tail;

pub use buffer::FrameBuffer;
pub use frames::Frames;
pub use header::{FORMAT_VERSION, HEADER_LEN, HeaderError, LogHeader, SegmentHeader};
pub use snapshot::{SNAPSHOT_HEADER_LEN, SnapshotHeader};
pub use tail::{Tail, next_good};

/// CRC-32C (CRC-32/ISCSI) of what `before` is the checksum of, followed by
/// `bytes`. For hosts that frame commits in their own way: one implementation
/// for all of them.
#[inline]
pub fn crc32c(before: u32, bytes: &[u8]) -> u32 {
    crc::append(before, bytes)
}

/// Bytes of a checksum.
pub const CHECKSUM_LEN: usize = 4;

/// Bytes of the smallest frame: kind, length, checksum.
pub const FRAME_LEN_MIN: usize = 1 + 1 + CHECKSUM_LEN;

/// Bytes of a frame with one commit, which has so many.
pub fn frame_len(commit_len: u64) -> u64 {
    let content = commit_len.saturating_add(varint_len(commit_len));
    content.saturating_add(1 + varint_len(content) + CHECKSUM_LEN as u64)
}

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Commits. What stands before them may not have been durable when they
    /// were written.
    Commits = b'c',
    /// Commits, written when everything before them was durable.
    CommitsAfterSync = b'C',
    /// Nothing, written when everything before it was durable.
    Mark = b'M',
    /// The end of a segment or snapshot, written when everything before it was
    /// durable.
    Seal = b'S',
    /// A part of a snapshot. Not in a log.
    Block = b'B',
}

impl FrameKind {
    fn of(byte: u8) -> Option<Self> {
        [Self::Commits, Self::CommitsAfterSync, Self::Mark, Self::Seal, Self::Block]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }

    /// Whether it holds commits.
    pub fn has_commits(self) -> bool {
        matches!(self, Self::Commits | Self::CommitsAfterSync)
    }

    /// Whether it says that what stands before it was durable.
    pub fn is_after_sync(self) -> bool {
        matches!(self, Self::CommitsAfterSync | Self::Mark | Self::Seal)
    }
}

/// The end of a chain of frames: what the next frame is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The checksum of the log's id, which all those of its frames go on from.
    log: u32,
    checksum: u32,
    next: TxOffset,
}

/// A frame that verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: FrameKind,
    /// Position of its first commit, or of the one that comes behind it.
    pub first: TxOffset,
    /// Its bytes, from kind to checksum.
    pub len: usize,
    /// What is between its length and its checksum.
    pub content: &'a [u8],
}

/// What some bytes begin with, as a [chain](Chain::read) goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read<'a> {
    /// The next frame.
    Frame(Frame<'a>),
    /// Something that may become the next frame when there are more bytes: as
    /// many as this in all, as far as can be told.
    Incomplete {
        /// Bytes to go on with.
        len: u64,
    },
    /// Not the next frame.
    Bad,
}

/// What a frame begins with: its kind and length; with one commit, that one's
/// length too.
#[derive(Clone, Copy, Debug)]
pub struct FrameHead {
    bytes: [u8; 1 + 2 * VARINT_LEN_MAX],
    len: usize,
}

impl FrameHead {
    #[inline]
    fn new(kind: FrameKind, content_len: u64) -> Self {
        let mut head = Self { bytes: [kind as u8; _], len: 1 };
        head.varint(content_len);
        head
    }

    #[inline]
    fn varint(&mut self, value: u64) {
        put_varint(value, self.bytes.get_mut(self.len..).unwrap_or_default());
        self.len += varint_len(value) as usize;
    }

    /// Its bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl<'a> Frame<'a> {
    /// Its commits, with their positions.
    pub fn commits(&self) -> impl Iterator<Item = (TxOffset, &'a [u8])> + use<'a> {
        let mut content = self.content;
        let mut next = self.first;
        core::iter::from_fn(move || {
            let commit = split_commit(&mut content)?;
            let offset = next;
            next = next.next();
            Some((offset, commit))
        })
    }
}

impl Chain {
    /// The chain of a log that goes on at `next`, behind a frame with this checksum.
    pub fn behind(log: &LogHeader, checksum: u32, next: TxOffset) -> Self {
        Self { log: crc::append(0, &log.log_id), checksum, next }
    }

    /// The position of the next commit.
    pub fn next_offset(&self) -> TxOffset {
        self.next
    }

    /// The checksum of the last frame.
    pub fn checksum(&self) -> u32 {
        self.checksum
    }

    /// Appends a frame with one commit to `out` and moves on behind it.
    pub fn append(&mut self, commit: &[u8], after_sync: bool, out: &mut Vec<u8>) {
        let (head, checksum) = self.frame(commit, after_sync);
        for part in [head.bytes(), commit, &checksum] {
            out.extend_from_slice(part);
        }
    }

    /// Moves on behind a frame with one commit. Returns what stands in it before
    /// the commit, and what behind it. For hosts that put it together themselves.
    #[inline]
    pub fn frame(&mut self, commit: &[u8], after_sync: bool) -> (FrameHead, [u8; CHECKSUM_LEN]) {
        let len = commit.len() as u64;
        let mut head = FrameHead::new(commits_kind(after_sync), varint_len(len) + len);
        head.varint(len);
        let checksum = self.pass(&head, commit, 1);
        (head, checksum)
    }

    /// Appends a mark to `out`.
    pub fn append_mark(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.mark());
    }

    /// Moves on behind a mark. Returns its bytes.
    pub fn mark(&mut self) -> [u8; FRAME_LEN_MIN] {
        let head = FrameHead::new(FrameKind::Mark, 0);
        let [a, b, c, d] = self.pass(&head, &[], 0);
        [FrameKind::Mark as u8, 0, a, b, c, d]
    }

    /// Appends a seal to `out`.
    pub fn append_seal(&mut self, out: &mut Vec<u8>) {
        self.write(FrameKind::Seal, &[], 0, out);
    }

    /// Appends a part of a snapshot, which has at least one byte, to `out`.
    /// Blocks are counted as commits are.
    pub fn append_block(&mut self, content: &[u8], out: &mut Vec<u8>) {
        self.write(FrameKind::Block, content, 1, out);
    }

    fn write(&mut self, kind: FrameKind, content: &[u8], commits: u64, out: &mut Vec<u8>) {
        let head = FrameHead::new(kind, content.len() as u64);
        let checksum = self.pass(&head, content, commits);
        for part in [head.bytes(), content, &checksum] {
            out.extend_from_slice(part);
        }
    }

    /// Moves on behind a frame. Returns its checksum.
    #[inline]
    fn pass(&mut self, head: &FrameHead, rest: &[u8], commits: u64) -> [u8; CHECKSUM_LEN] {
        let body = crc::append(crc::append(self.before_next(), head.bytes()), rest);
        self.checksum = crc::append(body, &self.next.0.to_le_bytes());
        self.next = TxOffset(self.next.0 + commits);
        self.checksum.to_le_bytes()
    }

    /// Reads the next frame from the beginning of `bytes`, and moves on behind
    /// it if it verifies.
    pub fn read<'a>(&mut self, bytes: &'a [u8]) -> Read<'a> {
        let parts = match split_frame(bytes) {
            Split::Frame(parts) => parts,
            Split::Incomplete { len } => return Read::Incomplete { len },
            Split::None => return Read::Bad,
        };
        let first = self.next;
        if self.expects(parts.body) != parts.checksum {
            return Read::Bad;
        }
        let Some(commits) = count_commits(&parts) else { return Read::Bad };
        let Some(next) = first.0.checked_add(commits) else { return Read::Bad };
        (self.checksum, self.next) = (parts.checksum, TxOffset(next));
        let Parts { kind, content, body, .. } = parts;
        Read::Frame(Frame { kind, first, len: body.len() + CHECKSUM_LEN, content })
    }

    /// The checksum of what that of the next frame begins with: the log's id, and the
    /// checksum of the last frame. Followed by kind, length and content, and by the
    /// position of the [next commit](Self::next_offset), it is that of the frame. For
    /// hosts that read a frame in pieces.
    #[inline]
    pub fn before_next(&self) -> u32 {
        crc::append(self.log, &self.checksum.to_le_bytes())
    }

    /// The checksum of the next frame, if that has this kind, length and content.
    fn expects(&self, body: &[u8]) -> u32 {
        crc::append(crc::append(self.before_next(), body), &self.next.0.to_le_bytes())
    }
}

fn commits_kind(after_sync: bool) -> FrameKind {
    if after_sync { FrameKind::CommitsAfterSync } else { FrameKind::Commits }
}

/// What looks like a frame.
#[derive(Clone, Copy, Debug)]
struct Parts<'a> {
    kind: FrameKind,
    content: &'a [u8],
    /// Everything before the checksum.
    body: &'a [u8],
    checksum: u32,
}

enum Split<'a> {
    Frame(Parts<'a>),
    Incomplete { len: u64 },
    None,
}

/// What `bytes` begin with, by its kind and length alone.
fn split_frame(bytes: &[u8]) -> Split<'_> {
    let Some((&kind, rest)) = bytes.split_first() else {
        return Split::Incomplete { len: FRAME_LEN_MIN as u64 };
    };
    let Some(kind) = FrameKind::of(kind) else { return Split::None };
    let mut reader = Reader::new(rest);
    let Ok(len) = reader.varint_u64() else {
        // A length that goes on may be cut short, or be none.
        let goes_on = rest.len() < VARINT_LEN_MAX && rest.iter().all(|byte| byte & 0x80 != 0);
        let len = (bytes.len() + FRAME_LEN_MIN) as u64;
        return if goes_on { Split::Incomplete { len } } else { Split::None };
    };
    if (kind.has_commits() || kind == FrameKind::Block) == (len == 0) {
        return Split::None;
    }
    let head_len = 1 + reader.position();
    let Some(frame_len) = len.checked_add((head_len + CHECKSUM_LEN) as u64) else {
        return Split::None;
    };
    let incomplete = Split::Incomplete { len: frame_len };
    let Ok(frame_len) = usize::try_from(frame_len) else { return incomplete };
    let Some(frame) = bytes.get(..frame_len) else { return incomplete };
    let Some((body, stored)) = frame.split_last_chunk::<CHECKSUM_LEN>() else { return incomplete };
    let content = body.get(head_len..).unwrap_or_default();
    Split::Frame(Parts { kind, content, body, checksum: u32::from_le_bytes(*stored) })
}

/// Bytes of a varint.
fn varint_len(value: u64) -> u64 {
    u64::from((u64::BITS - (value | 1).leading_zeros()).div_ceil(7))
}

/// Writes a varint over the first of `bytes`.
fn put_varint(mut value: u64, bytes: &mut [u8]) {
    for byte in bytes {
        *byte = value as u8 & 0x7f;
        value >>= 7;
        if value == 0 {
            return;
        }
        *byte |= 0x80;
    }
}

/// Bytes of the longest varint.
const VARINT_LEN_MAX: usize = 10;

/// How many positions a frame takes; `None` if its content is not what its
/// kind says.
fn count_commits(parts: &Parts<'_>) -> Option<u64> {
    if parts.kind == FrameKind::Block {
        return Some(1);
    }
    let mut content = parts.content;
    let mut commits = 0;
    while !content.is_empty() {
        split_commit(&mut content)?;
        commits += 1;
    }
    Some(commits)
}

/// Takes the next commit off a frame's content.
#[inline]
fn split_commit<'a>(content: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut reader = Reader::new(content);
    let len = reader.varint_u64().ok()?;
    if len == 0 {
        return None;
    }
    let commit = reader.take(usize::try_from(len).ok()?).ok()?;
    *content = content.get(reader.position()..)?;
    Some(commit)
}
