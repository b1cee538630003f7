//! Frames: length, commit, chained checksum. See the [format](super).
//!
//! Invariants: a frame verifies only at its position behind the frame it was
//! written behind. This module does not know about files, and a commit is
//! just bytes to it.

use alloc::vec::Vec;
use core::fmt;

use abi::bytes::{Reader, write_varint_u64};
use interstice_abi as abi;

use crate::ids::TxOffset;

/// CRC-32C by sixteen table lookups at a time, or by one where 16 KiB of
/// table are too much. The checksum is the same.
#[cfg(not(target_os = "none"))]
type Tables = crc::Table<16>;
#[cfg(target_os = "none")]
type Tables = crc::Table<1>;

static CRC: crc::Crc<u32, Tables> = crc::Crc::<u32, Tables>::new(&crc::CRC_32_ISCSI);

/// Bytes of a [`LogHeader`].
pub const HEADER_LEN: usize = 40;

/// Version of the format.
pub const FORMAT_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"INTRSTCE";
const CHECKSUM_LEN: usize = 4;

/// Bytes of the smallest frame: length, one byte, checksum.
const FRAME_LEN_MIN: usize = 1 + 1 + CHECKSUM_LEN;

/// The beginning of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHeader {
    /// Tells this log from every other.
    pub log_id: [u8; 16],
    /// Where the seeds of calls derive from.
    pub seed: u64,
}

/// Why a log's header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// Fewer than [`HEADER_LEN`] bytes.
    TooShort {
        /// The bytes there are.
        len: usize,
    },
    /// The first eight bytes are not `INTRSTCE`: not an Interstice log.
    Magic,
    /// Another version of the format.
    Version {
        /// The version found; this build reads [`FORMAT_VERSION`].
        found: u32,
    },
    /// The checksum does not match.
    Checksum,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { len } => {
                write!(f, "the log's header has {len} bytes of {HEADER_LEN}")
            }
            Self::Magic => f.write_str("not an Interstice log (it does not begin with `INTRSTCE`)"),
            Self::Version { found } => write!(
                f,
                "the log has format version {found}; this build reads version {FORMAT_VERSION}"
            ),
            Self::Checksum => f.write_str("the log's header does not match its checksum"),
        }
    }
}

impl core::error::Error for HeaderError {}

impl LogHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..28].copy_from_slice(&self.log_id);
        bytes[28..36].copy_from_slice(&self.seed.to_le_bytes());
        let checksum = CRC.checksum(&bytes[..36]);
        bytes[36..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a header from the beginning of `bytes`.
    ///
    /// # Errors
    ///
    /// See [`HeaderError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let too_short = HeaderError::TooShort { len: bytes.len() };
        let header = bytes.first_chunk::<HEADER_LEN>().ok_or(too_short)?;
        let mut reader = Reader::new(header);
        // The fields cover the array exactly, so none of these can run short.
        let mut fields = || -> Result<_, abi::bytes::DecodeError> {
            Ok((
                reader.array()?,
                reader.array()?,
                reader.array()?,
                reader.array()?,
                reader.array()?,
            ))
        };
        let (magic, version, log_id, seed, checksum) = fields().map_err(|_| too_short)?;
        let version = u32::from_le_bytes(version);
        if magic != MAGIC {
            return Err(HeaderError::Magic);
        }
        if version != FORMAT_VERSION {
            return Err(HeaderError::Version { found: version });
        }
        if CRC.checksum(&header[..36]) != u32::from_le_bytes(checksum) {
            return Err(HeaderError::Checksum);
        }
        Ok(Self { log_id, seed: u64::from_le_bytes(seed) })
    }

    /// The chain value of a log with this header and no frame.
    pub fn chain(&self) -> Chain {
        let bytes = self.encode();
        let mut checksum = [0; CHECKSUM_LEN];
        checksum.copy_from_slice(&bytes[36..]);
        Chain { checksum: u32::from_le_bytes(checksum), next: TxOffset(0) }
    }
}

/// The end of a chain of frames: what the next frame is checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain {
    checksum: u32,
    next: TxOffset,
}

impl Chain {
    /// The position of the next frame's commit.
    pub fn next_offset(&self) -> TxOffset {
        self.next
    }

    /// Appends the frame of `commit` to `out` and moves on behind it.
    pub fn append(&mut self, commit: &[u8], out: &mut Vec<u8>) {
        debug_assert!(!commit.is_empty());
        let start = out.len();
        write_varint_u64(out, commit.len() as u64);
        out.extend_from_slice(commit);
        let body = out.get(start..).unwrap_or_default();
        self.checksum = checksum(self.checksum, body, self.next);
        out.extend_from_slice(&self.checksum.to_le_bytes());
        self.next = self.next.next();
    }
}

fn checksum(previous: u32, length_and_commit: &[u8], offset: TxOffset) -> u32 {
    let mut digest = CRC.digest();
    digest.update(&previous.to_le_bytes());
    digest.update(length_and_commit);
    digest.update(&offset.0.to_le_bytes());
    digest.finalize()
}

/// How the bytes of a log end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Behind the last frame there is nothing.
    Clean,
    /// Behind the last good frame there are bytes that are no frame, and no
    /// good frame behind those: the last append did not make it.
    Torn {
        /// Where the torn bytes begin.
        at: usize,
        /// How many there are.
        bytes: usize,
    },
    /// Behind the last good frame there are bytes that are no frame, but a
    /// good frame follows: something that was written is damaged.
    Damaged {
        /// Where the damage begins.
        at: usize,
        /// The commit that should be there.
        offset: TxOffset,
        /// Where the next good frame begins.
        next_good: usize,
    },
}

/// Reads the frames of a log, one after the other, out of its bytes.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
    chain: Chain,
}

impl<'a> Frames<'a> {
    /// Starts behind the header of the log `bytes`.
    ///
    /// # Errors
    ///
    /// When the header is refused.
    pub fn new(bytes: &'a [u8]) -> Result<Self, HeaderError> {
        let header = LogHeader::decode(bytes)?;
        Ok(Self { bytes, at: HEADER_LEN, chain: header.chain() })
    }

    /// Where the next frame would begin.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The chain up to here: what to append with.
    pub fn end(&self) -> Chain {
        self.chain
    }

    /// How the log ends, once the frames are read.
    ///
    /// Looking for a good frame behind bad bytes takes time in the order of
    /// the bytes that are left, times the length of what looks like a frame.
    pub fn tail(&self) -> Tail {
        if self.at == self.bytes.len() {
            return Tail::Clean;
        }
        let torn = Tail::Torn { at: self.at, bytes: self.bytes.len() - self.at };
        match self.next_good_frame() {
            Some(next_good) => Tail::Damaged { at: self.at, offset: self.chain.next, next_good },
            None => torn,
        }
    }

    /// Where only the checksum of a frame is damaged, the frame behind it is
    /// chained to the checksum that the damaged one should have.
    fn good_behind_bad_checksum(&self) -> Option<usize> {
        let (len, _) = split_frame(self.bytes.get(self.at..)?)?;
        let body = self.bytes.get(self.at..self.at + len - CHECKSUM_LEN)?;
        let checksum = checksum(self.chain.checksum, body, self.chain.next);
        let chain = Chain { checksum, next: self.chain.next.next() };
        let behind = Self { at: self.at + len, chain, ..self.clone() };
        behind.clone().next().map(|_| behind.at)
    }

    /// Looks behind the current position for a frame that was written there.
    ///
    /// Its chain value stands in the four bytes before it, and from its
    /// checksum follows its position. One frame in 2^32 verifies by chance, so
    /// a position that merely is possible is not enough among many bytes: it
    /// is the one behind the bad frame's, or what follows the frame confirms it.
    fn next_good_frame(&self) -> Option<usize> {
        if let Some(behind) = self.good_behind_bad_checksum() {
            return Some(behind);
        }
        let first = self.chain.next.next();
        (self.at + FRAME_LEN_MIN..self.bytes.len()).find(|&at| {
            let Some(frame) = self.frame_at(at) else { return false };
            let skipped = ((at - self.at) / FRAME_LEN_MIN) as u64;
            let possible = first.0..first.0.saturating_add(skipped);
            let offset = frame.position(first);
            offset == first
                || possible.contains(&offset.0)
                    && (frame.end == self.bytes.len() || self.is_followed(&frame, offset))
        })
    }

    fn frame_at(&self, at: usize) -> Option<FoundFrame> {
        let (len, stored) = split_frame(self.bytes.get(at..)?)?;
        let end = at + len;
        let previous = self.bytes.get(..at)?.last_chunk::<CHECKSUM_LEN>()?;
        let mut digest = CRC.digest();
        digest.update(previous);
        digest.update(self.bytes.get(at..end - CHECKSUM_LEN)?);
        Some(FoundFrame { end, content: digest.finalize(), stored })
    }

    /// Whether a good frame stands behind this one.
    fn is_followed(&self, frame: &FoundFrame, offset: TxOffset) -> bool {
        let chain = Chain { checksum: frame.stored, next: offset.next() };
        Self { at: frame.end, chain, ..self.clone() }.next().is_some()
    }
}

/// What looks like a frame, in the middle of bad bytes.
struct FoundFrame {
    end: usize,
    /// The checksum of everything before the position.
    content: u32,
    stored: u32,
}

impl FoundFrame {
    /// The position with which the frame verifies, with the upper half of `near`.
    ///
    /// A CRC can be run backwards: the register before the position and the
    /// one behind it leave one value for each half of the position when the
    /// other is known.
    fn position(&self, near: TxOffset) -> TxOffset {
        let high = (near.0 >> 32) as u32;
        let low = !self.content ^ unshift(unshift(!self.stored) ^ high);
        TxOffset(u64::from(high) << 32 | u64::from(low))
    }
}

/// CRC-32C's polynomial, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The register of a CRC-32C before 32 zero bits.
fn unshift(mut register: u32) -> u32 {
    for _ in 0..u32::BITS {
        register = match register & 1 << 31 {
            0 => register << 1,
            _ => (register ^ POLYNOMIAL) << 1 | 1,
        };
    }
    register
}

/// The whole length of the frame that `bytes` begin with, and its checksum.
fn split_frame(bytes: &[u8]) -> Option<(usize, u32)> {
    let mut reader = Reader::new(bytes);
    let len = reader.varint_u64().ok()?;
    if len == 0 {
        return None;
    }
    reader.take(usize::try_from(len).ok()?).ok()?;
    let checksum = u32::from_le_bytes(reader.array().ok()?);
    Some((reader.position(), checksum))
}

impl<'a> Iterator for Frames<'a> {
    type Item = (TxOffset, &'a [u8]);

    /// The next commit; `None` at the first byte that is no good frame. Ask
    /// [`tail`](Frames::tail) what it is.
    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.bytes[self.at..];
        let (len, stored) = split_frame(rest)?;
        let body = &rest[..len - CHECKSUM_LEN];
        let offset = self.chain.next;
        if checksum(self.chain.checksum, body, offset) != stored {
            return None;
        }
        self.chain = Chain { checksum: stored, next: offset.next() };
        self.at += len;
        let mut reader = Reader::new(body);
        reader.varint_u64().ok()?;
        let commit = reader.take(reader.remaining()).ok()?;
        Some((offset, commit))
    }
}
