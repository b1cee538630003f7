//! A run: rows in key order, one behind the other.
//!
//! ```text
//!  rows of one length                     rows of any length
//! +------+------+------+                 +------+----+--------+
//! |  r0  |  r1  |  r2  |  bytes          |  r0  | r1 |   r2   |  bytes
//! +------+------+------+                 +------+----+--------+
//!                                         ends:  6    10       18
//! ```
//! Keys are not kept beside the rows: they are made of them. A row behind the
//! last one then takes its own bytes, and no allocation.
//!
//! An index that is not below the length stands for an empty row at the end:
//! there is no panic in it.

use alloc::vec::Vec;
use core::{
    cmp::Ordering,
    ops::{Bound, Range},
};

use interstice_abi::key::{Key, KeyLayout};

/// Rows in the longest run. Putting a row into the middle moves half of them.
pub(super) const RUN_LEN: usize = 32;

/// Bytes of the rows of a run, of which each is shorter: before it would have more,
/// it is split. A longer row comes into a half.
pub(super) const RUN_BYTES: usize = 8192;

#[derive(Clone, Debug, Default)]
pub(super) struct Run {
    bytes: Vec<u8>,
    len: usize,
    /// The length of every row, as long as `ends` is empty.
    stride: usize,
    /// Where each row ends; empty while all rows have one length.
    ends: Vec<u32>,
}

impl From<&[u8]> for Run {
    fn from(row: &[u8]) -> Self {
        let mut run = Self::default();
        run.push(row);
        run
    }
}

impl Run {
    /// An empty run with room for as many rows of this length as it may have.
    pub(super) fn with_capacity(row: usize) -> Self {
        let bytes = row.saturating_mul(RUN_LEN).min(RUN_BYTES.max(row));
        Self { bytes: Vec::with_capacity(bytes), ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The bytes of its rows.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it may take another row.
    pub(super) fn has_room(&self, row: &[u8]) -> bool {
        self.len == 0 || self.len < RUN_LEN && self.bytes.len() + row.len() <= RUN_BYTES
    }

    /// Gives memory back that was kept for rows to come.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    /// Bytes that it has and does not need.
    #[cfg(test)]
    pub(super) fn spare(&self) -> usize {
        self.bytes.capacity() - self.bytes.len()
    }

    #[inline]
    pub(super) fn row(&self, index: usize) -> &[u8] {
        self.bytes.get(self.place(index)).unwrap_or_default()
    }

    /// The rows, in key order.
    pub(super) fn rows(&self) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
        (0..self.len).map(|index| self.row(index))
    }

    /// The row with `key`, or where it would be.
    #[inline]
    pub(super) fn find(&self, keys: &KeyLayout, key: &Key) -> Result<usize, usize> {
        let (mut from, mut to) = (0, self.len);
        while from < to {
            let middle = from.midpoint(to);
            match keys.compare(self.row(middle), key) {
                Ordering::Less => from = middle + 1,
                Ordering::Equal => return Ok(middle),
                Ordering::Greater => to = middle,
            }
        }
        Err(from)
    }

    /// The rows between two bounds, in key order.
    pub(super) fn between(
        &self,
        keys: &KeyLayout,
        lower: Bound<&Key>,
        upper: Bound<&Key>,
    ) -> impl DoubleEndedIterator<Item = &[u8]> + use<'_> {
        // Behind the row with the key, or before it.
        let behind = |key| self.find(keys, key).map_or_else(|index| index, |index| index + 1);
        let before = |key| self.find(keys, key).unwrap_or_else(|index| index);
        let start = match lower {
            Bound::Unbounded => 0,
            Bound::Included(lower) => before(lower),
            Bound::Excluded(lower) => behind(lower),
        };
        let end = match upper {
            Bound::Unbounded => self.len,
            Bound::Included(upper) => behind(upper),
            Bound::Excluded(upper) => before(upper),
        };
        (start..end).map(|index| self.row(index))
    }

    /// Adds a row behind the last.
    pub(super) fn push(&mut self, row: &[u8]) {
        self.admit(row.len());
        self.bytes.extend_from_slice(row);
        self.len += 1;
        if !self.ends.is_empty() {
            self.ends.push(self.bytes.len() as u32);
        }
    }

    /// Adds a row before the one at `index`.
    pub(super) fn insert(&mut self, index: usize, row: &[u8]) {
        self.admit(row.len());
        let at = self.place(index).start;
        self.bytes.extend_from_slice(row);
        if let Some(behind) = self.bytes.get_mut(at..) {
            behind.rotate_right(row.len());
        }
        if !self.ends.is_empty() {
            self.ends.insert(index, at as u32);
            self.move_ends(index, row.len() as isize);
        }
        self.len += 1;
    }

    /// Writes a row over the one at `index`, if it has its length. Returns
    /// whether it has.
    pub(super) fn overwrite(&mut self, index: usize, row: &[u8]) -> bool {
        let place = self.place(index);
        match self.bytes.get_mut(place) {
            Some(old) if old.len() == row.len() => {
                old.copy_from_slice(row);
                true
            }
            _ => false,
        }
    }

    /// Takes the row at `index` out.
    pub(super) fn remove(&mut self, index: usize) {
        let place = self.place(index);
        if index >= self.len || place.end > self.bytes.len() {
            return;
        }
        self.len -= 1;
        if !self.ends.is_empty() {
            self.ends.remove(index);
            self.move_ends(index, -(place.len() as isize));
        }
        self.bytes.drain(place);
        self.give_back();
    }

    /// Takes the rows from `index` on out.
    pub(super) fn split_off(&mut self, index: usize) -> Self {
        let mut upper = Self::default();
        (index..self.len).for_each(|index| upper.push(self.row(index)));
        self.bytes.truncate(self.place(index).start);
        self.ends.truncate(index);
        self.len = self.len.min(index);
        self.give_back();
        upper
    }

    /// Gives memory back that is much more than what the rows need: those that are
    /// gone may have been long.
    fn give_back(&mut self) {
        if self.bytes.capacity() / 4 > self.bytes.len() {
            self.bytes.shrink_to(self.bytes.len() * 2);
        }
    }

    /// Where the row at `index` lies.
    #[inline]
    fn place(&self, index: usize) -> Range<usize> {
        if self.ends.is_empty() {
            let start = index * self.stride;
            return start..start + self.stride;
        }
        let end = |index: usize| self.ends.get(index).map_or(self.bytes.len(), |&end| end as usize);
        index.checked_sub(1).map_or(0, end)..end(index)
    }

    /// Makes ready for a row of another length than those that are there.
    fn admit(&mut self, row: usize) {
        if self.len == 0 {
            self.ends.clear();
            self.stride = row;
        } else if self.ends.is_empty() && row != self.stride {
            self.ends = (1..=self.len).map(|count| (count * self.stride) as u32).collect();
        }
    }

    fn move_ends(&mut self, from: usize, by: isize) {
        for end in self.ends.iter_mut().skip(from) {
            *end = end.wrapping_add_signed(by as i32);
        }
    }
}
