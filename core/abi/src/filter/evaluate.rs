//! The host's side: a checked scan, and rows put to its filter.

use alloc::vec::Vec;
use core::{cmp::Ordering, ops::Bound};

use memchr::memmem::Finder;

use super::Comparison;
use crate::{
    key::Key,
    layout::{array, content},
};

/// A scan whose description was [checked](Scan::check).
#[derive(Clone, Debug)]
pub struct Scan {
    pub(super) reverse: bool,
    pub(super) limit: Option<u32>,
    pub(super) lower: Bound<Key>,
    pub(super) upper: Bound<Key>,
    pub(super) filter: Program,
}

impl Scan {
    /// Whether rows come from the largest key to the smallest.
    #[inline]
    pub fn reverse(&self) -> bool {
        self.reverse
    }

    /// The most rows that it yields, if that is limited.
    #[inline]
    pub fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// Where its keys start. Together with [`Scan::upper`] this is a range in
    /// the sense of `BTreeMap::range`, which panics at others: never inverted.
    #[inline]
    pub fn lower(&self) -> Bound<&Key> {
        self.lower.as_ref()
    }

    /// Where its keys end.
    #[inline]
    pub fn upper(&self) -> Bound<&Key> {
        self.upper.as_ref()
    }

    /// Whether it has a filter. Without, every row matches.
    #[inline]
    pub fn has_filter(&self) -> bool {
        !self.filter.tests.is_empty()
    }

    /// How many tests a row may be put to.
    #[inline]
    pub fn tests(&self) -> u64 {
        self.filter.tests.len() as u64
    }

    /// How many of them look at a string or bytes, and take time by its length.
    pub fn content_tests(&self) -> u64 {
        let content = |test: &&Test| {
            matches!(test.what, What::Content(..) | What::StartsWith(..) | What::Contains(_))
        };
        self.filter.tests.iter().filter(content).count() as u64
    }

    /// Whether the filter holds for `row`, a row that was
    /// [checked](crate::layout::Layout::check).
    #[inline]
    pub fn matches(&self, row: &[u8]) -> bool {
        self.filter.tests.is_empty() || self.filter.holds(row)
    }
}

/// A filter as a list of tests on columns. Each knows where to go on when it
/// holds and where when not; nothing is nested any more.
///
/// Invariant: it goes on behind the test, so that every row comes to an end.
#[derive(Clone, Debug, Default)]
pub(super) struct Program {
    /// Empty, if there is no filter.
    pub(super) tests: Vec<Test>,
    /// What columns are compared with, where it is not in the test itself.
    pub(super) constants: Vec<u8>,
    pub(super) finders: Vec<Finder<'static>>,
}

/// A place to go on at: the index of a test, [`HOLDS`] or [`FAILS`].
pub(super) type Next = u16;
/// The filter holds.
pub(super) const HOLDS: Next = Next::MAX;
/// The filter does not hold.
pub(super) const FAILS: Next = Next::MAX - 1;

#[derive(Clone, Debug)]
pub(super) struct Test {
    /// Where the column's slot is.
    pub(super) at: u32,
    /// How many options are around what is compared. If one of them has no
    /// value, the test fails.
    pub(super) options: u8,
    pub(super) what: What,
    pub(super) holds: Next,
    pub(super) fails: Next,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    /// Holds for every row.
    Always,
    /// Compares an option with none.
    None(Outcomes),
    /// Compares an unsigned integer of this many bytes, up to 8, a boolean or
    /// an enum's tag.
    Unsigned(Outcomes, u8, u64),
    /// Compares a signed integer of this many bytes, up to 8.
    Signed(Outcomes, u8, i64),
    /// Compares an integer of 16 bytes with one that starts here in the
    /// constants. Both are compared unsigned, after their sign bits are
    /// flipped if they are signed.
    Wide(Outcomes, bool, u32),
    F32(Outcomes, f32),
    F64(Outcomes, f64),
    /// Compares a string or bytes with constants: start and length.
    Content(Outcomes, u32, u32),
    /// Whether a string or bytes start with constants: start and length.
    StartsWith(u32, u32),
    /// Whether a string or bytes contain what this finder looks for.
    Contains(u32),
}

/// The set of outcomes of a comparison at which it holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcomes(u8);

impl Outcomes {
    const LESS: u8 = 1;
    const EQUAL: u8 = 2;
    const GREATER: u8 = 4;
    const UNORDERED: u8 = 8;

    pub(super) const fn of(comparison: Comparison) -> Self {
        Self(match comparison {
            Comparison::Eq => Self::EQUAL,
            Comparison::Ne => Self::LESS | Self::GREATER | Self::UNORDERED,
            Comparison::Lt => Self::LESS,
            Comparison::Le => Self::LESS | Self::EQUAL,
            Comparison::Gt => Self::GREATER,
            Comparison::Ge => Self::GREATER | Self::EQUAL,
        })
    }

    #[inline]
    fn take(self, outcome: Option<Ordering>) -> bool {
        let outcome = match outcome {
            Some(Ordering::Less) => Self::LESS,
            Some(Ordering::Equal) => Self::EQUAL,
            Some(Ordering::Greater) => Self::GREATER,
            None => Self::UNORDERED,
        };
        self.0 & outcome != 0
    }
}

impl Program {
    fn holds(&self, row: &[u8]) -> bool {
        let mut next = 0;
        while let Some(test) = self.tests.get(usize::from(next)) {
            // A row that is too short for the test is none that was checked.
            next = if self.test(test, row).unwrap_or(false) { test.holds } else { test.fails };
        }
        next == HOLDS
    }

    #[inline]
    fn test(&self, test: &Test, row: &[u8]) -> Option<bool> {
        let mut at = test.at as usize;
        for _ in 0..test.options {
            if *row.get(at)? == 0 {
                return Some(false);
            }
            at += 1;
        }
        Some(match &test.what {
            What::Always => true,
            What::None(outcomes) => {
                let none = *row.get(at)? == 0;
                outcomes.take(none.then_some(Ordering::Equal))
            }
            What::Unsigned(outcomes, size, value) => {
                outcomes.take(Some(unsigned(row, at, *size)?.cmp(value)))
            }
            What::Signed(outcomes, size, value) => {
                let unused = 64 - u32::from(*size) * 8;
                let column = (unsigned(row, at, *size)? as i64) << unused >> unused;
                outcomes.take(Some(column.cmp(value)))
            }
            What::Wide(outcomes, signed, value) => {
                let flip = if *signed { 1 << 127 } else { 0 };
                let column = u128::from_le_bytes(array(row, at)?) ^ flip;
                let value = u128::from_le_bytes(array(&self.constants, *value as usize)?) ^ flip;
                outcomes.take(Some(column.cmp(&value)))
            }
            What::F32(outcomes, value) => {
                outcomes.take(f32::from_le_bytes(array(row, at)?).partial_cmp(value))
            }
            What::F64(outcomes, value) => {
                outcomes.take(f64::from_le_bytes(array(row, at)?).partial_cmp(value))
            }
            What::Content(outcomes, start, len) => {
                outcomes.take(Some(content(row, at)?.cmp(self.constant(*start, *len)?)))
            }
            What::StartsWith(start, len) => {
                content(row, at)?.starts_with(self.constant(*start, *len)?)
            }
            What::Contains(finder) => {
                self.finders.get(*finder as usize)?.find(content(row, at)?).is_some()
            }
        })
    }

    #[inline]
    fn constant(&self, start: u32, len: u32) -> Option<&[u8]> {
        self.constants.get(start as usize..)?.get(..len as usize)
    }
}

#[inline]
pub(super) fn unsigned(row: &[u8], at: usize, size: u8) -> Option<u64> {
    Some(match size {
        1 => u64::from(*row.get(at)?),
        2 => u64::from(u16::from_le_bytes(array(row, at)?)),
        4 => u64::from(u32::from_le_bytes(array(row, at)?)),
        _ => u64::from_le_bytes(array(row, at)?),
    })
}
