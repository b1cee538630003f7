//! What there is behind the last good frame of a segment.
//!
//! A crash may leave anything of what was written since the last sync: all of
//! it, nothing, parts in any order. So bytes that are no frame are *torn*,
//! whatever stands behind them, as long as nothing behind them proves that
//! they had been durable. A frame of a kind that is written
//! [after a sync](super::FrameKind::is_after_sync) proves it: then they are *damaged*.
//!
//! Zeros at the end are no part of it: a host may make a file longer than what
//! it holds, and no frame begins with a zero.

use super::{
    CHECKSUM_LEN, Chain, FRAME_LEN_MIN, FrameKind, Read, Split, count_commits, crc, split_frame,
};
use crate::ids::TxOffset;

/// How the bytes of a segment end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Behind the last frame there is nothing, or nothing but zeros.
    Clean,
    /// Behind the last good frame there are bytes that are no frame, and
    /// nothing behind those was written after a sync: what was appended last
    /// did not make it.
    Torn {
        /// Where the torn bytes begin.
        at: usize,
        /// How many there are, up to the last that is not zero.
        bytes: usize,
    },
    /// Behind the last good frame there are bytes that are no frame, but what
    /// follows was written when they were durable: something is damaged.
    Damaged {
        /// Where the damage begins.
        at: usize,
        /// The first commit that should be there.
        offset: TxOffset,
        /// Where the good frame begins that proves it.
        next_good: usize,
    },
    /// Bytes behind the seal, where nothing is ever written.
    BehindSeal {
        /// Where they begin.
        at: usize,
        /// How many there are.
        bytes: usize,
    },
}

impl Tail {
    /// What the bytes of a segment are that stand behind its last good frame.
    /// They begin at `at`, where the chain is `chain`; the four bytes before, and
    /// everything behind, are in `bytes` too. For hosts that read frames one by
    /// one.
    ///
    /// Takes time and memory in the order of the bytes behind `at`.
    pub fn of(bytes: &[u8], at: usize, chain: Chain) -> Self {
        Self::of_shortened(bytes, at, 0, chain)
    }

    /// As [`of`](Self::of), where the bytes at `at` are zeros, and so many more of
    /// them were left out of `bytes`. Four at the least are in it, unless none was
    /// left out. For hosts that have no memory for them. The places and numbers of
    /// the answer are those in `bytes`.
    pub fn of_shortened(bytes: &[u8], at: usize, left_out: u64, chain: Chain) -> Self {
        let rest = len_without_zeros(bytes).saturating_sub(at);
        if rest == 0 {
            return Self::Clean;
        }
        // The four bytes before a frame are the chain value it needs.
        let start = at.saturating_sub(CHECKSUM_LEN);
        let bytes = bytes.get(start..).unwrap_or_default();
        let search = Search::new(bytes, at - start, chain, FrameKind::is_after_sync);
        match (Search { left_out, ..search }).proof() {
            Some(found) => {
                Self::Damaged { at, offset: chain.next_offset(), next_good: start + found }
            }
            None => Self::Torn { at, bytes: rest },
        }
    }

    /// As [`of`](Self::of), where the last good frame is the seal.
    pub fn behind_seal(bytes: &[u8], at: usize) -> Self {
        match len_without_zeros(bytes).saturating_sub(at) {
            0 => Self::Clean,
            bytes => Self::BehindSeal { at, bytes },
        }
    }
}

/// The first good frame of a log behind bad bytes, which begin at `at` where
/// the chain is `chain`: where it begins, and the chain that it needs.
///
/// Takes time and memory in the order of the bytes behind `at`.
pub fn next_good(bytes: &[u8], at: usize, chain: Chain) -> Option<(usize, Chain)> {
    let start = at.checked_sub(CHECKSUM_LEN)?;
    let wanted = |kind| kind != FrameKind::Block;
    let search = Search::new(bytes.get(start..)?, at - start, chain, wanted);
    if let Some((found, chain)) = search.behind_bad_checksum() {
        return Some((start + found, chain));
    }
    let (found, first) = search.behind_bad_bytes()?;
    let before = bytes.get(..start + found)?.last_chunk::<CHECKSUM_LEN>()?;
    let checksum = u32::from_le_bytes(*before);
    Some((start + found, Chain { checksum, next: first, ..chain }))
}

/// Bytes up to the last that is not zero.
fn len_without_zeros(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1)
}

/// A search for a good frame behind a bad one.
struct Search<'a> {
    /// The bad bytes and what follows, and the checksum before them.
    bytes: &'a [u8],
    /// Where zeros begin that nothing follows.
    zeros: usize,
    /// Where the bad bytes begin.
    bad: usize,
    /// How many zeros at their beginning are not in `bytes`.
    left_out: u64,
    /// The chain before the bad bytes.
    chain: Chain,
    /// Whether a frame of this kind is looked for.
    wanted: fn(FrameKind) -> bool,
}

/// A frame found in the middle of bad bytes.
struct Found {
    /// The position with which it verifies.
    first: TxOffset,
    end: usize,
    /// The chain behind it.
    chain: Chain,
}

impl<'a> Search<'a> {
    fn new(bytes: &'a [u8], bad: usize, chain: Chain, wanted: fn(FrameKind) -> bool) -> Self {
        Self { bytes, zeros: len_without_zeros(bytes), bad, left_out: 0, chain, wanted }
    }

    /// Where a good frame begins that was written after a sync.
    fn proof(&self) -> Option<usize> {
        let behind = self.behind_bad_checksum().map(|(at, _)| at);
        behind.or_else(|| self.behind_bad_bytes().map(|(at, _)| at))
    }

    /// Where a good frame begins, and the position with which it verifies.
    fn behind_bad_bytes(&self) -> Option<(usize, TxOffset)> {
        let ranges = crc::Ranges::new(self.bytes);
        (self.bad + 1..self.bytes.len()).find_map(|at| {
            let found = self.frame_at(at, &ranges)?;
            self.is_good(at, &found).then_some((at, found.first))
        })
    }

    /// Where only the checksum of a frame is damaged, the frame behind it is
    /// chained to the checksum that the damaged one should have.
    fn behind_bad_checksum(&self) -> Option<(usize, Chain)> {
        let Split::Frame(parts) = split_frame(self.bytes.get(self.bad..)?) else { return None };
        let checksum = self.chain.expects(parts.body);
        let next = TxOffset(self.chain.next.0.checked_add(count_commits(&parts)?)?);
        let behind = self.bad + parts.body.len() + CHECKSUM_LEN;
        let before = Chain { checksum, next, ..self.chain };
        let mut chain = before;
        match chain.read(self.bytes.get(behind..)?) {
            Read::Frame(frame) if (self.wanted)(frame.kind) => Some((behind, before)),
            _ => None,
        }
    }

    /// What looks like a frame at `at` that was written after a sync, and
    /// verifies at a position that is possible there.
    fn frame_at(&self, at: usize, ranges: &crc::Ranges<'_>) -> Option<Found> {
        let Split::Frame(parts) = split_frame(self.bytes.get(at..)?) else { return None };
        if !(self.wanted)(parts.kind) {
            return None;
        }
        let body_end = at + parts.body.len();
        let content = ranges.append(self.chain.log, at.checked_sub(CHECKSUM_LEN)?, body_end);
        let first = position(content, parts.checksum, self.chain.next);
        // The least that a lost commit takes is its length and one byte. Asked
        // first, because counting the commits takes time.
        let expected = self.chain.next.0;
        let bad_len = ((at - self.bad) as u64).saturating_add(self.left_out);
        let lost_max = bad_len / 2;
        // Where no commit is lost, all that can be bad is a mark. Behind it is the
        // seal that a snapshot has put there, or the commits with which a log goes on.
        let is_behind_mark = bad_len == FRAME_LEN_MIN as u64 && parts.kind != FrameKind::Mark;
        let lost_min = u64::from(!is_behind_mark);
        let lost = first.0.checked_sub(expected)?;
        if !(lost_min..=lost_max).contains(&lost) {
            return None;
        }
        let next = TxOffset(first.0.checked_add(count_commits(&parts)?)?);
        let chain = Chain { checksum: parts.checksum, next, ..self.chain };
        Some(Found { first, end: body_end + CHECKSUM_LEN, chain })
    }

    /// Whether a frame that verifies at a possible position is one.
    ///
    /// One in 2^32 verifies by chance at any position, so one that merely is
    /// possible is not enough among many bytes: it misses one commit at most,
    /// it stands where the bad frame says that it ends, it ends where
    /// everything but zeros ends, or what follows it confirms it.
    fn is_good(&self, at: usize, found: &Found) -> bool {
        found.first.0 <= self.chain.next.0.saturating_add(1)
            || self.bad_end() == Some(at)
            || found.end >= self.zeros
            || self.is_followed(found)
    }

    /// Where the bad frame ends, if its kind and length are not what is bad.
    fn bad_end(&self) -> Option<usize> {
        match split_frame(self.bytes.get(self.bad..)?) {
            Split::Frame(parts) => Some(self.bad + parts.body.len() + CHECKSUM_LEN),
            _ => None,
        }
    }

    /// Whether a frame stands behind this one that verifies behind it.
    fn is_followed(&self, found: &Found) -> bool {
        let mut chain = found.chain;
        let behind = self.bytes.get(found.end..).unwrap_or_default();
        matches!(chain.read(behind), Read::Frame(_))
    }
}

/// The position with which a frame verifies, with the upper half of `near`.
///
/// `content` is the checksum of everything before the position. A CRC can be
/// run backwards: the register before the position and the one behind it leave
/// one value for each half of the position when the other is known.
fn position(content: u32, stored: u32, near: TxOffset) -> TxOffset {
    let high = (near.0 >> 32) as u32;
    let low = !content ^ crc::unshift(crc::unshift(!stored) ^ high);
    TxOffset(u64::from(high) << 32 | u64::from(low))
}
