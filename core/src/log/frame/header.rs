//! The beginning of a segment.

use core::fmt;

use abi::bytes::{DecodeError, Reader};
use interstice_abi as abi;

use super::{CHECKSUM_LEN, Chain, crc};
use crate::ids::TxOffset;

/// Bytes of a [`SegmentHeader`].
pub const HEADER_LEN: usize = 60;

/// Version of the format.
pub const FORMAT_VERSION: u32 = 3;

/// The largest position, and number of a segment, in a header: what comes behind
/// can be counted.
pub(super) const POSITION_MAX: u64 = u64::MAX >> 1;

const MAGIC: [u8; 8] = *b"INTRSTCE";

/// Bytes of a header before its checksum.
const COVERED: usize = HEADER_LEN - CHECKSUM_LEN;

/// What all segments of a log have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHeader {
    /// Tells this log from every other.
    pub log_id: [u8; 16],
    /// Where the seeds of calls derive from.
    pub seed: u64,
}

/// The beginning of a segment: which log it belongs to, and where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The log.
    pub log: LogHeader,
    /// Number of the segment, counted from zero.
    pub number: u64,
    /// Position of its first commit.
    pub first: TxOffset,
    /// Checksum of the last frame of the segment before; zero in the first.
    pub previous: u32,
}

/// Why the header of a segment or snapshot is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// Fewer bytes than a header has.
    TooShort {
        /// The bytes there are.
        len: usize,
        /// The bytes of a header.
        needed: usize,
    },
    /// The first eight bytes are not `INTRSTCE`: not an Interstice log.
    Magic,
    /// The first eight bytes are not `INTRSNAP`: not an Interstice snapshot.
    NotSnapshot,
    /// Another version of the format.
    Version {
        /// The version found; this build reads [`FORMAT_VERSION`].
        found: u32,
    },
    /// The checksum does not match.
    Checksum,
    /// A position or a number is larger than 2^63 - 1.
    Range,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { len, needed } => {
                write!(f, "its header has {len} bytes of {needed}")
            }
            Self::Magic => f.write_str("not an Interstice log (it does not begin with `INTRSTCE`)"),
            Self::NotSnapshot => {
                f.write_str("not an Interstice snapshot (it does not begin with `INTRSNAP`)")
            }
            Self::Version { found } => write!(
                f,
                "it has format version {found}; this build reads version {FORMAT_VERSION}"
            ),
            Self::Checksum => f.write_str("its header does not match its checksum"),
            Self::Range => f.write_str("its position is larger than 2^63 - 1"),
        }
    }
}

impl core::error::Error for HeaderError {}

impl LogHeader {
    /// The header of the log's first segment.
    pub fn first_segment(self) -> SegmentHeader {
        SegmentHeader { log: self, number: 0, first: TxOffset(0), previous: 0 }
    }
}

impl SegmentHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[12..28].copy_from_slice(&self.log.log_id);
        bytes[28..36].copy_from_slice(&self.log.seed.to_le_bytes());
        bytes[36..44].copy_from_slice(&self.number.to_le_bytes());
        bytes[44..52].copy_from_slice(&self.first.0.to_le_bytes());
        bytes[52..56].copy_from_slice(&self.previous.to_le_bytes());
        let checksum = crc::append(0, &bytes[..COVERED]);
        bytes[COVERED..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads a header from the beginning of `bytes`.
    ///
    /// # Errors
    ///
    /// See [`HeaderError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        let too_short = HeaderError::TooShort { len: bytes.len(), needed: HEADER_LEN };
        let header = bytes.first_chunk::<HEADER_LEN>().ok_or(too_short)?;
        // The fields cover the array exactly, so none of them runs short.
        let (header, version, checksum) = Self::fields(header).map_err(|_| too_short)??;
        if crc::append(0, &bytes[..COVERED]) != checksum {
            return Err(HeaderError::Checksum);
        }
        match version {
            FORMAT_VERSION if header.number.max(header.first.0) > POSITION_MAX => {
                Err(HeaderError::Range)
            }
            FORMAT_VERSION => Ok(header),
            found => Err(HeaderError::Version { found }),
        }
    }

    /// The fields, the format version and the checksum.
    fn fields(bytes: &[u8]) -> Result<Result<(Self, u32, u32), HeaderError>, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.array()? != MAGIC {
            return Ok(Err(HeaderError::Magic));
        }
        let version = u32::from_le_bytes(reader.array()?);
        let log = LogHeader { log_id: reader.array()?, seed: u64::from_le_bytes(reader.array()?) };
        let header = Self {
            log,
            number: u64::from_le_bytes(reader.array()?),
            first: TxOffset(u64::from_le_bytes(reader.array()?)),
            previous: u32::from_le_bytes(reader.array()?),
        };
        Ok(Ok((header, version, u32::from_le_bytes(reader.array()?))))
    }

    /// What the first frame of the segment is checked against.
    pub fn chain(&self) -> Chain {
        let bytes = self.encode();
        let mut checksum = [0; CHECKSUM_LEN];
        checksum.copy_from_slice(&bytes[COVERED..]);
        Chain::behind(&self.log, u32::from_le_bytes(checksum), self.first)
    }

    /// Whether this segment is the one behind a segment with header `before`
    /// that ends with `end`.
    pub fn follows(&self, before: &Self, end: Chain) -> bool {
        self.log == before.log
            && Some(self.number) == before.number.checked_add(1)
            && self.first == end.next
            && self.previous == end.checksum
    }
}
