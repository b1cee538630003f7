//! Records: what a page holds behind its header. See the
//! [format](super).
//!
//! Invariant: a record verifies only in the page and at the place that it was
//! written for.

use interstice_core::log::frame::crc32c;

use super::region::whole_words;

/// Bytes of a record before its payload.
pub const HEAD_LEN: usize = 8;

/// Bytes of the longest payload: the zero bits of a record fit 16 bits.
pub const PAYLOAD_MAX: usize = 8_000;

/// Bits of a head's first field that hold the length.
const LEN_BITS: u32 = 13;

/// CRC-32C's polynomial, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// A commit, or the end of one in parts.
    Commit = 1,
    /// A part of a commit that goes on in the next record.
    Part = 2,
    /// A part of a snapshot.
    Block = 3,
    /// The end of a snapshot.
    End = 4,
    /// Nothing. Everything before it was programmed whole.
    Mark = 5,
    /// A commit, or the end of one in parts, that stood last in the page before.
    Repeat = 6,
}

impl Kind {
    pub(super) const ALL: [Self; 6] =
        [Self::Commit, Self::Part, Self::Block, Self::End, Self::Mark, Self::Repeat];

    /// Whether a commit ends with it.
    pub(super) fn is_commit(self) -> bool {
        matches!(self, Self::Commit | Self::Repeat)
    }

    fn of(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u16 == number)
    }
}

/// What a record's checksum begins with: its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageKey(u32);

impl PageKey {
    pub(super) fn new(log_id: &[u8; 16], sequence: u64) -> Self {
        Self(crc32c(crc32c(0, log_id), &sequence.to_le_bytes()))
    }

    /// The checksum of a record at `place`: of everything but the checksum.
    fn checksum(self, place: u32, head: &[u8; 4], rest: &[u8]) -> u32 {
        let mut start = [0; 8];
        start[..4].copy_from_slice(&place.to_le_bytes());
        start[4..].copy_from_slice(head);
        crc32c(crc32c(self.0, &start), rest)
    }
}

/// The first four bytes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    /// Bytes of the payload.
    pub(super) len: usize,
    /// Zero bits in the first field and the payload.
    zeros: u16,
}

impl Head {
    /// Bytes that it is read from.
    pub(super) const LEN: usize = 4;

    /// What a record begins with, if it looks like one.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, d, ..] = *bytes else { return None };
        let first = u16::from_le_bytes([a, b]);
        let kind = Kind::of(first >> LEN_BITS)?;
        let len = usize::from(first & ((1 << LEN_BITS) - 1));
        let len_max = if kind == Kind::Mark { 0 } else { PAYLOAD_MAX };
        (len <= len_max).then_some(Self { kind, len, zeros: u16::from_le_bytes([c, d]) })
    }

    fn new(kind: Kind, payload: &[u8]) -> Self {
        let len = payload.len().min(PAYLOAD_MAX);
        let mut head = Self { kind, len, zeros: 0 };
        head.zeros = (zero_bits(&head.first()) + zero_bits(payload)) as u16;
        head
    }

    fn first(&self) -> [u8; 2] {
        ((self.kind as u16) << LEN_BITS | self.len as u16).to_le_bytes()
    }

    fn encode(&self) -> [u8; 4] {
        let ([a, b], [c, d]) = (self.first(), self.zeros.to_le_bytes());
        [a, b, c, d]
    }
}

/// Bytes of a record with a payload of `len` bytes, in words of `word` bytes.
pub(super) fn record_len(len: usize, word: usize) -> usize {
    whole_words(HEAD_LEN + len, word)
}

/// Writes a record to `out`, which has [`record_len`] bytes; [`seal`] completes
/// it.
pub(super) fn encode(kind: Kind, payload: &[u8], out: &mut [u8]) -> Option<()> {
    let (start, rest) = out.split_at_mut_checked(HEAD_LEN)?;
    let (body, padding) = rest.split_at_mut_checked(payload.len())?;
    start[..4].copy_from_slice(&Head::new(kind, payload).encode());
    body.copy_from_slice(payload);
    padding.fill(0xff);
    Some(())
}

/// Makes a record one for `place` of a page, and returns its checksum.
pub(super) fn seal(record: &mut [u8], key: PageKey, place: u32) -> Option<u32> {
    let checksum = key.checksum(place, record.first_chunk()?, record.get(HEAD_LEN..)?);
    record.get_mut(4..HEAD_LEN)?.copy_from_slice(&checksum.to_le_bytes());
    Some(checksum)
}

/// Makes a record one that repeats a commit.
pub(super) fn repeat(record: &mut [u8]) {
    let Some(head) = Head::decode(record) else { return };
    let payload = payload(&head, record);
    let head = Head::new(Kind::Repeat, payload).encode();
    if let Some(start) = record.get_mut(..4) {
        start.copy_from_slice(&head);
    }
}

/// The checksum that a record has in it.
pub(super) fn stored_checksum(bytes: &[u8]) -> Option<u32> {
    bytes.get(4..HEAD_LEN)?.try_into().ok().map(u32::from_le_bytes)
}

/// The head and the checksum of a whole record, if it verifies.
pub(super) fn verify(bytes: &[u8], key: PageKey, place: u32) -> Option<(Head, u32)> {
    let head = Head::decode(bytes)?;
    let stored = stored_checksum(bytes)?;
    let (first, rest) = (bytes.first_chunk()?, bytes.get(HEAD_LEN..)?);
    (key.checksum(place, first, rest) == stored).then_some((head, stored))
}

/// The payload of a record.
pub(super) fn payload<'a>(head: &Head, bytes: &'a [u8]) -> &'a [u8] {
    bytes.get(HEAD_LEN..HEAD_LEN + head.len).unwrap_or_default()
}

/// Mends a record of which one bit has changed, at the start of `bytes`, the
/// rest of a page. Returns its length.
///
/// The difference of two checksums of one length depends on the changed bits
/// alone, and a single bit has a difference of its own. The count of zero bits
/// tells it from a record that was not programmed to its end: where more than
/// one bit has stayed a one, no change of one bit makes the count come right.
pub(super) fn correct(bytes: &mut [u8], key: PageKey, place: u32, word: usize) -> Option<usize> {
    let len = Head::decode(bytes).map(|head| record_len(head.len, word));
    if let Some(record) = len.and_then(|len| bytes.get_mut(..len))
        && correct_same_length(record, key, place)
    {
        return len;
    }
    for bit in 0..u16::BITS as usize {
        let byte = bytes.get_mut(bit / 8)?;
        *byte ^= 1 << (bit % 8);
        let len = Head::decode(bytes).map(|head| record_len(head.len, word));
        let record = len.and_then(|len| bytes.get(..len)).unwrap_or_default();
        if verify(record, key, place).is_some() && counts(record) {
            return len;
        }
        *bytes.get_mut(bit / 8)? ^= 1 << (bit % 8);
    }
    None
}

/// Mends one bit that is not in the field with the length.
fn correct_same_length(record: &mut [u8], key: PageKey, place: u32) -> bool {
    let Some(stored) = stored_checksum(record) else { return false };
    let (Some(first), Some(rest)) = (record.first_chunk(), record.get(HEAD_LEN..)) else {
        return false;
    };
    let difference = key.checksum(place, first, rest) ^ stored;
    if difference.count_ones() == 1 {
        let mended = (stored ^ difference).to_le_bytes();
        if counts(record)
            && let Some(field) = record.get_mut(4..HEAD_LEN)
        {
            field.copy_from_slice(&mended);
            return true;
        }
        return false;
    }
    // From the last bit that is covered back to the first.
    let mut of_bit = 1u32;
    for at in (2..4).chain(HEAD_LEN..record.len()).rev() {
        for bit in (0..8).rev() {
            of_bit = if of_bit & 1 == 0 { of_bit >> 1 } else { of_bit >> 1 ^ POLYNOMIAL };
            if of_bit == difference
                && let Some(byte) = record.get_mut(at)
            {
                *byte ^= 1 << bit;
                if counts(record) {
                    return true;
                }
                if let Some(byte) = record.get_mut(at) {
                    *byte ^= 1 << bit;
                }
                return false;
            }
        }
    }
    false
}

/// Whether a record has as many zero bits as it says.
fn counts(bytes: &[u8]) -> bool {
    Head::decode(bytes).is_some_and(|head| {
        zero_bits(&head.first()) + zero_bits(payload(&head, bytes)) == u32::from(head.zeros)
    })
}

/// Whether what begins like a record at the start of `bytes`, the rest of a
/// page, can be a record that was not programmed to its end. It cannot where
/// bits are zero that no program made so.
pub(super) fn may_be_torn(bytes: &[u8], word: usize) -> bool {
    let Some(&[a, b, c, d]) = bytes.first_chunk() else { return true };
    // A missing bit is a one: length and count can only have grown.
    let len = usize::from(u16::from_le_bytes([a, b]) & ((1 << LEN_BITS) - 1));
    let count = u32::from(u16::from_le_bytes([c, d]));
    let end = record_len(len, word).min(bytes.len());
    let (record, behind) = bytes.split_at(end);
    let body = record.get(HEAD_LEN..).unwrap_or_default();
    zero_bits(&[a, b]) + zero_bits(body) <= count && is_blank(behind)
}

/// Whether all bits are as an erase leaves them.
pub(super) fn is_blank(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0xff)
}

fn zero_bits(bytes: &[u8]) -> u32 {
    let mut words = bytes.chunks_exact(8);
    let whole: u32 = words
        .by_ref()
        .filter_map(|word| word.try_into().ok())
        .map(|word| u64::from_le_bytes(word).count_zeros())
        .sum();
    whole + words.remainder().iter().map(|byte| byte.count_zeros()).sum::<u32>()
}

#[cfg(test)]
mod tests {
    use alloc::{vec, vec::Vec};

    use super::*;

    const WORD: usize = 4;

    fn sample(len: usize) -> (PageKey, Vec<u8>) {
        let key = PageKey::new(&[7; 16], 9);
        let payload: Vec<u8> = (0..len).map(|at| (at * 37) as u8).collect();
        let mut out = vec![0; record_len(len, WORD)];
        encode(Kind::Commit, &payload, &mut out).unwrap();
        seal(&mut out, key, 96).unwrap();
        (key, out)
    }

    #[test]
    fn every_single_bit_is_corrected() {
        for len in [1, 3, 32, 40] {
            let (key, good) = sample(len);
            assert!(verify(&good, key, 96).is_some());
            assert!(verify(&good, key, 100).is_none(), "another place");
            for bit in 0..good.len() * 8 {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(verify(&bad, key, 96).is_none());
                bad.resize(200, 0xff);
                let mended = correct(&mut bad, key, 96, WORD);
                assert_eq!(mended, Some(good.len()), "bit {bit} of {len}");
                assert_eq!(bad[..good.len()], good);
            }
        }
    }

    #[test]
    fn what_misses_two_bits_is_torn_and_not_corrected() {
        let (key, good) = sample(12);
        let zeros: Vec<usize> =
            (0..good.len() * 8).filter(|bit| good[bit / 8] >> (bit % 8) & 1 == 0).collect();
        for first in &zeros {
            for second in zeros.iter().filter(|second| *second > first) {
                let mut torn = good.clone();
                for bit in [first, second] {
                    torn[bit / 8] |= 1 << (bit % 8);
                }
                assert!(may_be_torn(&torn, WORD));
                torn.resize(200, 0xff);
                let mended = correct(&mut torn, key, 96, WORD);
                assert_eq!(mended, None, "bits {first} and {second}");
            }
        }
    }

    #[test]
    fn a_bit_that_no_program_clears_is_not_torn() {
        let (_, good) = sample(32);
        let mut bad = good.clone();
        let bit =
            (HEAD_LEN * 8..good.len() * 8).find(|bit| good[bit / 8] >> (bit % 8) & 1 == 1).unwrap();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(!may_be_torn(&bad, WORD));
    }

    #[test]
    fn a_mark_with_a_payload_is_none() {
        assert!(Head::decode(&Head::new(Kind::Mark, &[]).encode()).is_some());
        assert_eq!(Head::decode(&Head::new(Kind::Mark, &[7]).encode()), None);
    }
}
