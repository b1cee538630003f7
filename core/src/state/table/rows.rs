//! The rows of a table: short sorted runs, in a tree.
//!
//! ```text
//!  bound:   (empty)            k32                k64
//!          +------------------+------------------+-----------+
//!   run:   | k0 k1 ...  k31   | k32 ...     k63  | k64 k65   |
//!          +------------------+------------------+-----------+
//! ```
//! Keys mostly grow. A tree of single rows is then searched from its root for
//! every row, and keeps its nodes half full. Here a row behind the last one is
//! pushed, and runs that grow that way are full.
//!
//! Invariants:
//! - a run's keys are not below its bound and below the bound of the next run;
//! - no run is empty or longer than [`RUN_LEN`].

use alloc::{collections::BTreeMap, vec::Vec};
use core::ops::Bound;

use interstice_abi::key::Key;

use super::Row;

/// Rows in the longest run. Putting a row into the middle moves half of them.
const RUN_LEN: usize = 32;

type Run = Vec<(Key, Row)>;

/// Rows by key, in key order.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    /// By their bounds.
    runs: BTreeMap<Key, Run>,
    len: usize,
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(super) fn last_key(&self) -> Option<&Key> {
        let (_, run) = self.runs.last_key_value()?;
        run.last().map(|(key, _)| key)
    }

    #[inline]
    pub(super) fn get(&self, key: &Key) -> Option<&Row> {
        let (_, run) = self.runs.range(..=key).next_back()?;
        let index = find(run, key).ok()?;
        run.get(index).map(|(_, row)| row)
    }

    /// The rows, in key order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Row> + Clone {
        self.runs.values().flatten().map(|(_, row)| row)
    }

    /// The rows between two bounds that do not exclude each other.
    pub(super) fn range<'a>(
        &'a self,
        lower: Bound<&'a Key>,
        upper: Bound<&'a Key>,
    ) -> impl DoubleEndedIterator<Item = (&'a Key, &'a Row)> {
        // The first run may begin before the lower bound.
        let first = match lower {
            Bound::Unbounded => None,
            Bound::Included(key) | Bound::Excluded(key) => self.runs.range(..=key).next_back(),
        };
        let from = first.map_or(Bound::Unbounded, |(bound, _)| Bound::Included(bound));
        let to = match upper {
            Bound::Unbounded => Bound::Unbounded,
            Bound::Included(key) | Bound::Excluded(key) => Bound::Included(key),
        };
        let runs = self.runs.range::<Key, _>((from, to));
        runs.flat_map(move |(_, run)| between(run, lower, upper)).map(|(key, row)| (key, row))
    }

    /// Puts a row in its place. Returns the one that had its key.
    pub(super) fn insert(&mut self, key: Key, row: Row) -> Option<Row> {
        if self.last_key().is_none_or(|last| *last < key) {
            self.push(key, row);
            return None;
        }
        let Some((_, run)) = self.runs.range_mut(..=&key).next_back() else {
            // Before the first bound, whose run lost the rows it began with.
            self.len += 1;
            self.runs.insert(Key::new(), Run::from([(key, row)]));
            return None;
        };
        let index = match find(run, &key) {
            Ok(index) => {
                let (_, old) = run.get_mut(index)?;
                return Some(core::mem::replace(old, row));
            }
            Err(index) => index,
        };
        self.len += 1;
        if run.len() < RUN_LEN {
            run.insert(index, (key, row));
            return None;
        }
        let mut upper = run.split_off(RUN_LEN / 2);
        match index.checked_sub(RUN_LEN / 2) {
            Some(index) if index > 0 => upper.insert(index, (key, row)),
            _ => run.insert(index, (key, row)),
        }
        if let Some((bound, _)) = upper.first() {
            self.runs.insert(bound.clone(), upper);
        }
        None
    }

    /// Adds a row behind the last.
    fn push(&mut self, key: Key, row: Row) {
        self.len += 1;
        if let Some(mut last) = self.runs.last_entry() {
            if last.get().len() < RUN_LEN {
                last.get_mut().push((key, row));
                return;
            }
            let bound = key.clone();
            let mut run = Run::with_capacity(RUN_LEN);
            run.push((key, row));
            self.runs.insert(bound, run);
        } else {
            // Every key has its place at or behind the empty one.
            self.runs.insert(Key::new(), Run::from([(key, row)]));
        }
    }

    /// Takes the row with `key` out.
    pub(super) fn remove(&mut self, key: &Key) -> Option<Row> {
        let (bound, run) = self.runs.range_mut(..=key).next_back()?;
        let index = find(run, key).ok()?;
        let (_, row) = run.remove(index);
        self.len -= 1;
        let left = run.len();
        if left <= RUN_LEN / 4 {
            let bound = bound.clone();
            self.join(&bound, left);
        }
        Some(row)
    }

    /// Moves the rows that are left of a run to the end of the run before it,
    /// if that has room: a table that shrinks gives memory back.
    fn join(&mut self, bound: &Key, left: usize) {
        let before = self.runs.range(..bound).next_back();
        let has_room = before.is_some_and(|(_, run)| run.len() + left <= RUN_LEN * 3 / 4);
        if left > 0 && !has_room {
            return;
        }
        if let Some(mut rest) = self.runs.remove(bound)
            && let Some((_, before)) = self.runs.range_mut(..bound).next_back()
        {
            before.append(&mut rest);
        }
    }
}

fn find(run: &Run, key: &Key) -> Result<usize, usize> {
    run.binary_search_by(|(other, _)| other.cmp(key))
}

/// The part of a run that is between two bounds.
fn between<'a>(run: &'a Run, lower: Bound<&Key>, upper: Bound<&Key>) -> &'a [(Key, Row)] {
    let start = match lower {
        Bound::Unbounded => 0,
        Bound::Included(lower) => run.partition_point(|(key, _)| key < lower),
        Bound::Excluded(lower) => run.partition_point(|(key, _)| key <= lower),
    };
    let end = match upper {
        Bound::Unbounded => run.len(),
        Bound::Included(upper) => run.partition_point(|(key, _)| key <= upper),
        Bound::Excluded(upper) => run.partition_point(|(key, _)| key < upper),
    };
    run.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn key(number: u16) -> Key {
        Key::from_slice(&number.to_be_bytes())
    }

    fn check(rows: &Rows) {
        let mut bounds = rows.runs.keys().skip(1);
        for (bound, run) in &rows.runs {
            assert!((1..=RUN_LEN).contains(&run.len()));
            assert!(run.is_sorted_by(|(a, _), (b, _)| a < b));
            assert!(run.first().is_some_and(|(key, _)| key >= bound));
            let next = bounds.next();
            assert!(next.is_none_or(|next| run.last().is_some_and(|(key, _)| key < next)));
        }
        assert_eq!(rows.len(), rows.runs.values().map(Run::len).sum::<usize>());
    }

    /// Inserts and removes keys, and compares with the library's tree.
    fn compare(steps: &[(bool, u16)], bounds: (Bound<u16>, Bound<u16>)) {
        let mut rows = Rows::default();
        let mut model = BTreeMap::new();
        for (index, &(insert, number)) in steps.iter().enumerate() {
            let (key, row) = (key(number), Row::from(index.to_le_bytes()));
            assert_eq!(rows.get(&key), model.get(&key));
            if insert {
                assert_eq!(rows.insert(key.clone(), row.clone()), model.insert(key, row));
            } else {
                assert_eq!(rows.remove(&key), model.remove(&key));
            }
            assert_eq!(rows.last_key(), model.last_key_value().map(|(key, _)| key));
        }
        check(&rows);
        assert!(rows.iter().eq(model.values()));
        assert!(rows.iter().rev().eq(model.values().rev()));
        let (lower, upper) = (bounds.0.map(key), bounds.1.map(key));
        let bounds = (lower.as_ref(), upper.as_ref());
        assert!(rows.range(bounds.0, bounds.1).eq(model.range::<Key, _>(bounds)));
        assert!(rows.range(bounds.0, bounds.1).rev().eq(model.range::<Key, _>(bounds).rev()));
    }

    /// Two bounds that do not exclude each other.
    fn any_bounds(keys: u16) -> impl Strategy<Value = (Bound<u16>, Bound<u16>)> {
        (0..keys, 1..keys, 0..3u8, 0..3u8).prop_map(|(lower, span, a, b)| {
            let bound = |kind, at| match kind {
                0 => Bound::Unbounded,
                1 => Bound::Included(at),
                _ => Bound::Excluded(at),
            };
            (bound(a, lower), bound(b, lower + span))
        })
    }

    proptest! {
        #[test]
        fn rows_are_those_of_a_tree(
            steps in vec((prop::bool::weighted(0.6), 0..400u16), 0..1500),
            bounds in any_bounds(400),
        ) {
            compare(&steps, bounds);
        }

        #[test]
        fn a_table_that_grows_and_shrinks_keeps_its_order(
            last in 1..600u16,
            removed in vec(0..600u16, 0..1200),
            bounds in any_bounds(600),
        ) {
            let grow = (0..last).map(|number| (true, number));
            let shrink = removed.into_iter().map(|number| (false, number));
            let again = (0..last).rev().step_by(3).map(|number| (true, number));
            let steps: Vec<_> = grow.chain(shrink).chain(again).collect();
            compare(&steps, bounds);
        }
    }

    #[test]
    fn runs_that_grow_at_the_end_are_full() {
        let mut rows = Rows::default();
        for number in 0..RUN_LEN as u16 * 4 {
            rows.insert(key(number), Row::default());
        }
        assert_eq!(rows.runs.len(), 4);
    }

    #[test]
    fn a_table_that_loses_most_rows_joins_its_runs() {
        let mut rows = Rows::default();
        let all = 0..RUN_LEN as u16 * 64;
        for number in all.clone() {
            rows.insert(key(number), Row::default());
        }
        for number in all.filter(|number| number % 32 != 0) {
            rows.remove(&key(number));
        }
        check(&rows);
        assert_eq!(rows.len(), 64);
        assert!(rows.runs.len() <= 8, "{} runs", rows.runs.len());
    }
}
