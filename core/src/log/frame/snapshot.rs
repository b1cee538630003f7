//! The beginning of a snapshot.

use abi::bytes::{DecodeError, Reader};
use interstice_abi as abi;

use super::{CHECKSUM_LEN, Chain, HeaderError, LogHeader, crc, header::POSITION_MAX};
use crate::ids::TxOffset;

/// Bytes of a [`SnapshotHeader`].
pub const SNAPSHOT_HEADER_LEN: usize = 52;

const MAGIC: [u8; 8] = *b"INTRSNAP";

/// Bytes of a header before its checksum.
const COVERED: usize = SNAPSHOT_HEADER_LEN - CHECKSUM_LEN;

/// The beginning of a snapshot: which state of which log it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The log.
    pub log: LogHeader,
    /// The end of the log up to which the state goes: the snapshot holds what
    /// the commits before [`Chain::next_offset`] have made.
    pub end: Chain,
}

impl SnapshotHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; SNAPSHOT_HEADER_LEN] {
        let mut bytes = [0; SNAPSHOT_HEADER_LEN];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&super::FORMAT_VERSION.to_le_bytes());
        bytes[12..28].copy_from_slice(&self.log.log_id);
        bytes[28..36].copy_from_slice(&self.log.seed.to_le_bytes());
        bytes[36..44].copy_from_slice(&self.end.next.0.to_le_bytes());
        bytes[44..48].copy_from_slice(&self.end.checksum.to_le_bytes());
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
        let too_short = HeaderError::TooShort { len: bytes.len(), needed: SNAPSHOT_HEADER_LEN };
        let header = bytes.first_chunk::<SNAPSHOT_HEADER_LEN>().ok_or(too_short)?;
        // The fields cover the array exactly, so none of them runs short.
        let (header, version, checksum) = Self::fields(header).map_err(|_| too_short)??;
        if crc::append(0, &bytes[..COVERED]) != checksum {
            return Err(HeaderError::Checksum);
        }
        match version {
            super::FORMAT_VERSION if header.end.next.0 > POSITION_MAX => Err(HeaderError::Range),
            super::FORMAT_VERSION => Ok(header),
            found => Err(HeaderError::Version { found }),
        }
    }

    fn fields(bytes: &[u8]) -> Result<Result<(Self, u32, u32), HeaderError>, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.array()? != MAGIC {
            return Ok(Err(HeaderError::NotSnapshot));
        }
        let version = u32::from_le_bytes(reader.array()?);
        let log = LogHeader { log_id: reader.array()?, seed: u64::from_le_bytes(reader.array()?) };
        let next = TxOffset(u64::from_le_bytes(reader.array()?));
        let end = Chain::behind(&log, u32::from_le_bytes(reader.array()?), next);
        Ok(Ok((Self { log, end }, version, u32::from_le_bytes(reader.array()?))))
    }

    /// What the first block of the snapshot is checked against. Blocks are
    /// counted from zero.
    pub fn chain(&self) -> Chain {
        let bytes = self.encode();
        let mut checksum = [0; CHECKSUM_LEN];
        checksum.copy_from_slice(&bytes[COVERED..]);
        Chain::behind(&self.log, u32::from_le_bytes(checksum), TxOffset(0))
    }
}
