//! Filling a table with rows that come in key order, as a snapshot has them.
//!
//! Rows are inserted one by one: each goes behind the last, which takes no
//! search, and no list of them is made.

use abi::key::Key;
use interstice_abi as abi;

use super::Table;
use crate::hash;

/// Why a row does not go on with a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misplaced {
    /// Its key is not behind the last.
    Key,
    /// Its number is none, or one that the table has not given yet.
    Number,
}

impl Table {
    /// Gives an empty table its next number. Returns whether it can have it.
    pub(crate) fn restore_number(&mut self, next_number: u64) -> bool {
        self.next_number = next_number;
        match self.auto {
            Some(auto) => next_number <= auto.max,
            None => next_number == 1,
        }
    }

    /// Adds a row that was checked against the layout, behind those that are
    /// there.
    #[inline]
    pub(crate) fn restore_row(&mut self, row: &[u8]) -> Result<(), Misplaced> {
        let mut key = Key::new();
        self.key.from_row(row, &mut key);
        if !self.rows.is_behind(&self.key, &key) {
            return Err(Misplaced::Key);
        }
        let next = self.next_number;
        if self.auto.is_some_and(|auto| auto.is_zero(row) || auto.advance(next, row) != next) {
            return Err(Misplaced::Number);
        }
        self.hash = self.hash.wrapping_add(hash::row(self.hash_seed, row));
        self.bytes += Self::weight(&key, row);
        self.rows.push(&key, row);
        Ok(())
    }

    /// What the table adds to the state hash.
    pub(crate) fn state_hash(&self) -> u64 {
        self.hash.wrapping_add(hash::sequence(self.hash_seed, self.next_number))
    }
}
