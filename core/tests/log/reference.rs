//! The format written down a second time: slow, and as plain as `FORMAT.md`.

use interstice_core::{
    TxOffset,
    log::frame::{Chain, LogHeader, SegmentHeader},
};
use proptest::test_runner::{Config, RngSeed};

/// The log of these tests.
pub(crate) const LOG: LogHeader =
    LogHeader { log_id: *b"0123456789abcdef", seed: 0x1122_3344_5566_7788 };

/// So many cases, the same in every run.
pub(crate) fn cases(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..Config::default() }
}

/// Lengths at which varints become a byte longer, and their neighbours.
pub(crate) const BORDERS: [u64; 20] = [
    0,
    1,
    127,
    128,
    129,
    16_383,
    16_384,
    2_097_151,
    2_097_152,
    268_435_455,
    268_435_456,
    0xffff_ffff,
    0x7_ffff_ffff,
    0x8_0000_0000,
    0x3ff_ffff_ffff,
    0x400_0000_0000,
    0xff_ffff_ffff_ffff,
    0x100_0000_0000_0000,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_ffff,
];

/// CRC-32C, bit by bit: polynomial 0x1EDC6F41 reflected, all ones before and
/// flipped behind.
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    let mut register = u32::MAX;
    for byte in bytes {
        register ^= u32::from(*byte);
        for _ in 0..8 {
            let out = register & 1;
            register >>= 1;
            if out == 1 {
                register ^= 0x1edc_6f41_u32.reverse_bits();
            }
        }
    }
    !register
}

/// Unsigned LEB128, in its shortest form.
pub(crate) fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 128 {
        bytes.push((value % 128) as u8 + 128);
        value /= 128;
    }
    bytes.push(value as u8);
    bytes
}

/// Bytes behind their length.
pub(crate) fn with_len(bytes: &[u8]) -> Vec<u8> {
    [&varint(bytes.len() as u64), bytes].concat()
}

/// The content of a frame of commits.
pub(crate) fn content(commits: &[&[u8]]) -> Vec<u8> {
    commits.iter().flat_map(|commit| with_len(commit)).collect()
}

/// A header: its fields, and their checksum.
pub(crate) fn header(fields: &[&[u8]]) -> Vec<u8> {
    let mut bytes = fields.concat();
    let checksum = crc(&bytes);
    bytes.extend(checksum.to_le_bytes());
    bytes
}

/// Writes frames one behind the other.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) bytes: Vec<u8>,
    /// The checksum before the next frame.
    pub(crate) checksum: u32,
    /// The position of the next commit.
    pub(crate) next: u64,
    /// The id of the log.
    log_id: [u8; 16],
}

impl Writer {
    /// Goes on behind a frame with this checksum, without any bytes.
    pub(crate) fn behind(checksum: u32, next: u64) -> Self {
        Self { bytes: Vec::new(), checksum, next, log_id: LOG.log_id }
    }

    /// A segment that begins with commit `first`.
    pub(crate) fn segment(first: u64) -> Self {
        let header = SegmentHeader { log: LOG, number: 3, first: TxOffset(first), previous: 9 };
        let bytes = header.encode().to_vec();
        let checksum = u32::from_le_bytes(*bytes.last_chunk().unwrap());
        Self { bytes, checksum, next: first, log_id: LOG.log_id }
    }

    /// As a part of another log.
    pub(crate) fn of_log(self, log_id: [u8; 16]) -> Self {
        Self { log_id, ..self }
    }

    /// Adds a frame with any kind, length and content, which takes so many
    /// positions.
    pub(crate) fn raw(&mut self, kind: u8, len: &[u8], content: &[u8], commits: u64) -> &mut Self {
        let body = [&[kind], len, content].concat();
        let before = self.checksum.to_le_bytes();
        let next = self.next.to_le_bytes();
        self.checksum = crc(&[&self.log_id[..], &before, &body, &next].concat());
        self.next = self.next.wrapping_add(commits);
        self.bytes.extend(body);
        self.bytes.extend(self.checksum.to_le_bytes());
        self
    }

    /// Adds a frame of commits: `c` or `C`.
    pub(crate) fn commits(&mut self, kind: u8, commits: &[&[u8]]) -> &mut Self {
        let content = content(commits);
        self.raw(kind, &varint(content.len() as u64), &content, commits.len() as u64)
    }

    /// Adds a mark or seal: `M` or `S`.
    pub(crate) fn empty(&mut self, kind: u8) -> &mut Self {
        self.raw(kind, &[0], &[], 0)
    }

    /// Adds a block of a snapshot.
    pub(crate) fn block(&mut self, content: &[u8]) -> &mut Self {
        self.raw(b'B', &varint(content.len() as u64), content, 1)
    }

    /// Adds bytes that are no frame.
    pub(crate) fn garbage(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        // A frame behind them is chained to the four bytes before it.
        self.checksum = u32::from_le_bytes(*self.bytes.last_chunk().unwrap());
        self
    }

    /// Leaves out so many positions.
    pub(crate) fn skip(&mut self, commits: u64) -> &mut Self {
        self.next += commits;
        self
    }

    /// Where the next frame begins.
    pub(crate) fn at(&self) -> usize {
        self.bytes.len()
    }

    /// The chain up to here.
    pub(crate) fn chain(&self) -> Chain {
        Chain::behind(&LOG, self.checksum, TxOffset(self.next))
    }
}
