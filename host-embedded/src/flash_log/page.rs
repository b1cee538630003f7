//! The beginning of a page. See the [format](super).

use interstice_core::{
    TxOffset,
    log::frame::{LogHeader, crc32c},
};

use super::region::page_of;

/// Version of the format.
pub const FLASH_FORMAT_VERSION: u16 = 1;

/// Bytes of a label, which a header begins with.
pub(super) const LABEL_LEN: usize = 16;

/// Bytes of a page's header, before it is rounded up to words.
pub const HEADER_LEN: usize = 96;

const MAGIC: [u8; 4] = *b"IFLG";

/// The shape of the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Geometry {
    /// Bytes that are erased at once.
    pub page_size: u32,
    /// Pages of the region.
    pub pages: u16,
    /// Bytes that are programmed and read at once, at least.
    pub word: u16,
}

/// What identifies a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label {
    /// Rises with every page that is opened; modulo the number of pages it is the
    /// page's place.
    pub(super) sequence: u64,
    /// How many numbers before this one the page before has; 0 for the first.
    pub(super) back: u32,
}

impl Label {
    /// The number of the page before, if there is one.
    pub(super) fn previous(&self) -> Option<u64> {
        match self.back {
            0 => None,
            back => self.sequence.checked_sub(back.into()),
        }
    }

    /// The label of the page at `index` of the region.
    pub(super) fn encode(&self, index: u16) -> [u8; LABEL_LEN] {
        let mut bytes = [0; LABEL_LEN];
        bytes[..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.back.to_le_bytes());
        let start = crc32c(crc32c(0, &MAGIC), &index.to_le_bytes());
        let checksum = crc32c(start, &bytes[..12]);
        bytes[12..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8; LABEL_LEN], index: u16) -> Option<Self> {
        let mut fields = Fields(bytes);
        let sequence = u64::from_le_bytes(fields.next()?);
        let label = Self { sequence, back: u32::from_le_bytes(fields.next()?) };
        (label.encode(index) == *bytes).then_some(label)
    }

    /// A label of which one bit is wrong.
    pub(super) fn mended(bytes: &[u8; LABEL_LEN], index: u16) -> Option<Self> {
        let mut bytes = *bytes;
        for bit in 0..LABEL_LEN * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Some(label) = Self::decode(&bytes, index) {
                return Some(label);
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        None
    }

    /// Which page of a region of `pages` pages this is the label of.
    pub(super) fn belongs_to(bytes: &[u8; LABEL_LEN], pages: u16) -> Option<u16> {
        let index = page_of(u64::from_le_bytes(*bytes.first_chunk()?), pages);
        Self::decode(bytes, index).map(|_| index)
    }
}

/// What a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The log goes on in it.
    Log,
    /// The log goes on in it, and a commit in parts that was begun before is
    /// void.
    LogAnew,
    /// The log goes on in it with its first record, which takes the place of
    /// the one behind those that count in the page before.
    LogRepeats,
    /// A snapshot.
    Snapshot,
}

impl Purpose {
    fn of(number: u16) -> Option<Self> {
        match number {
            0 => Some(Self::Log),
            1 => Some(Self::LogAnew),
            2 => Some(Self::LogRepeats),
            3 => Some(Self::Snapshot),
            _ => None,
        }
    }
}

/// The beginning of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageHeader {
    pub(super) label: Label,
    /// Where in the region the page is.
    pub(super) index: u16,
    pub(super) log: LogHeader,
    pub(super) geometry: Geometry,
    pub(super) purpose: Purpose,
    /// How often the page was erased.
    pub(super) erases: u32,
    /// Bytes of the largest record that may be in the log.
    pub(super) record: u32,
    /// Position of the first commit that is in it or behind it.
    pub(super) first: TxOffset,
    /// Records of the page before that count.
    pub(super) previous_count: u32,
    /// The chain behind them.
    pub(super) previous_chain: u32,
    /// The page that reading begins with.
    pub(super) base: u64,
    /// For a page of a snapshot: where that begins.
    pub(super) snapshot: u64,
    /// For a page of a snapshot: the page that the log ends in.
    pub(super) log_end: u64,
}

/// Why a header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadHeader {
    /// It does not match its checksum.
    Checksum,
    /// Another version.
    Version(u16),
}

impl PageHeader {
    pub(super) fn encode(&self) -> [u8; HEADER_LEN] {
        let mut out = Out { bytes: [0xff; HEADER_LEN], at: 0 };
        out.put(&self.label.encode(self.index));
        out.put(&FLASH_FORMAT_VERSION.to_le_bytes());
        out.put(&(self.purpose as u16).to_le_bytes());
        out.put(&self.geometry.page_size.to_le_bytes());
        out.put(&self.geometry.pages.to_le_bytes());
        out.put(&self.geometry.word.to_le_bytes());
        out.put(&self.log.log_id);
        out.put(&self.log.seed.to_le_bytes());
        out.put(&self.first.0.to_le_bytes());
        out.put(&self.base.to_le_bytes());
        out.put(&distance(self.label.sequence, self.snapshot).to_le_bytes());
        out.put(&distance(self.label.sequence, self.log_end).to_le_bytes());
        out.put(&self.previous_count.to_le_bytes());
        out.put(&self.previous_chain.to_le_bytes());
        out.put(&self.erases.to_le_bytes());
        out.put(&self.record.to_le_bytes());
        let checksum = crc32c(0, &out.bytes[..HEADER_LEN - 4]);
        out.bytes[HEADER_LEN - 4..].copy_from_slice(&checksum.to_le_bytes());
        out.bytes
    }

    pub(super) fn decode(bytes: &[u8; HEADER_LEN], index: u16) -> Result<Self, BadHeader> {
        let stored = bytes.last_chunk().copied().map(u32::from_le_bytes);
        if stored != Some(crc32c(0, &bytes[..HEADER_LEN - 4])) {
            return Err(BadHeader::Checksum);
        }
        Self::fields(bytes, index).ok_or(BadHeader::Checksum)?
    }

    fn fields(bytes: &[u8; HEADER_LEN], index: u16) -> Option<Result<Self, BadHeader>> {
        let mut fields = Fields(bytes);
        let label = Label::decode(&fields.next()?, index)?;
        let version = u16::from_le_bytes(fields.next()?);
        if version != FLASH_FORMAT_VERSION {
            return Some(Err(BadHeader::Version(version)));
        }
        let purpose = Purpose::of(u16::from_le_bytes(fields.next()?))?;
        let geometry = Geometry {
            page_size: u32::from_le_bytes(fields.next()?),
            pages: u16::from_le_bytes(fields.next()?),
            word: u16::from_le_bytes(fields.next()?),
        };
        let log = LogHeader { log_id: fields.next()?, seed: u64::from_le_bytes(fields.next()?) };
        let first = TxOffset(u64::from_le_bytes(fields.next()?));
        let base = u64::from_le_bytes(fields.next()?);
        let ago = |back: [u8; 4]| label.sequence.checked_sub(u32::from_le_bytes(back).into());
        let snapshot = ago(fields.next()?)?;
        let log_end = ago(fields.next()?)?;
        let previous_count = u32::from_le_bytes(fields.next()?);
        let previous_chain = u32::from_le_bytes(fields.next()?);
        let erases = u32::from_le_bytes(fields.next()?);
        let record = u32::from_le_bytes(fields.next()?);
        Some(Ok(Self {
            label,
            index,
            log,
            geometry,
            purpose,
            erases,
            record,
            first,
            previous_count,
            previous_chain,
            base,
            snapshot,
            log_end,
        }))
    }
}

/// How far back a page is.
fn distance(from: u64, to: u64) -> u32 {
    u32::try_from(from.wrapping_sub(to)).unwrap_or_default()
}

/// Bytes that are taken apart.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn next<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }
}

/// Bytes that are put together.
struct Out {
    bytes: [u8; HEADER_LEN],
    at: usize,
}

impl Out {
    fn put(&mut self, field: &[u8]) {
        for (place, byte) in self.bytes.iter_mut().skip(self.at).zip(field) {
            *place = *byte;
        }
        self.at += field.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_read_as_it_was_written_and_any_flipped_bit_is_noticed() {
        let header = PageHeader {
            label: Label { sequence: 77, back: 2 },
            index: 3,
            log: LogHeader { log_id: [9; 16], seed: 5 },
            geometry: Geometry { page_size: 4096, pages: 16, word: 4 },
            purpose: Purpose::Snapshot,
            erases: 12,
            record: 512,
            first: TxOffset(99),
            previous_count: 40,
            previous_chain: 0x1234_5678,
            base: 70,
            snapshot: 76,
            log_end: 75,
        };
        let good = header.encode();
        assert_eq!(PageHeader::decode(&good, 3), Ok(header));
        for bit in 0..HEADER_LEN * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(PageHeader::decode(&bad, 3), Err(BadHeader::Checksum));
        }
    }
}
