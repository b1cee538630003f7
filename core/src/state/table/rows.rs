//! The rows of a table: short sorted runs, in a tree.
//!
//! ```text
//!  bound:   (empty)            k32                k64
//!          +------------------+------------------+-----------+
//!   run:   | r0 r1 ...  r31   | r32 ...     r63  | r64 r65   |
//!          +------------------+------------------+-----------+
//! ```
//! Keys mostly grow. A tree of single rows is then searched from its root for
//! every row, and keeps its nodes half full. Here a row behind the last one is
//! pushed, and runs that grow that way are full. The rows of a run are one
//! piece of memory, and their keys are in them: see [`Run`].
//!
//! Invariants:
//! - the keys of a run's rows are not below its bound and below the bound of
//!   the next run;
//! - no run is empty or longer than [`RUN_LEN`].

use alloc::{collections::BTreeMap, vec::Vec};
use core::ops::Bound;

use interstice_abi::key::{Key, KeyLayout};

use super::run::{RUN_BYTES, RUN_LEN, Run};

/// Rows in the order of their keys. Which those are is the caller's to say, and
/// always the same.
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

    /// Whether `key` is behind those of all rows.
    #[inline]
    pub(super) fn is_behind(&self, keys: &KeyLayout, key: &Key) -> bool {
        let last = self.runs.last_key_value().and_then(|(_, run)| run.rows().next_back());
        last.is_none_or(|last| keys.compare(last, key).is_lt())
    }

    #[inline]
    pub(super) fn get(&self, keys: &KeyLayout, key: &Key) -> Option<&[u8]> {
        let (_, run) = self.runs.range(..=key).next_back()?;
        let index = run.find(keys, key).ok()?;
        Some(run.row(index))
    }

    /// The rows, in key order.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
        self.runs.values().flat_map(Run::rows)
    }

    /// The rows between two bounds that do not exclude each other.
    pub(super) fn range<'a>(
        &'a self,
        keys: &'a KeyLayout,
        lower: Bound<&'a Key>,
        upper: Bound<&'a Key>,
    ) -> impl DoubleEndedIterator<Item = &'a [u8]> {
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
        runs.flat_map(move |(_, run)| run.between(keys, lower, upper))
    }

    /// Puts a row in its place. Returns the one that had its key, in `old`.
    pub(super) fn insert<'a>(
        &mut self,
        keys: &KeyLayout,
        key: &Key,
        row: &[u8],
        old: &'a mut Vec<u8>,
    ) -> Option<&'a [u8]> {
        if self.is_behind(keys, key) {
            self.push(key, row);
            return None;
        }
        let Some((_, run)) = self.runs.range_mut(..=key).next_back() else {
            // Before the first bound, whose run lost the rows it began with.
            self.len += 1;
            self.runs.insert(Key::new(), Run::from(row));
            return None;
        };
        let found = run.find(keys, key);
        let index = match found {
            Ok(index) => {
                old.clear();
                old.extend_from_slice(run.row(index));
                if run.overwrite(index, row) {
                    return Some(old);
                }
                run.remove(index);
                index
            }
            Err(index) => {
                self.len += 1;
                index
            }
        };
        let old = found.is_ok().then_some(old.as_slice());
        if run.has_room(row) {
            run.insert(index, row);
            return old;
        }
        let at = if run.len() == 1 { index } else { run.len() / 2 };
        let mut upper = run.split_off(at);
        if index > at || (index == at && upper.bytes() < run.bytes()) {
            upper.insert(index - at, row);
        } else {
            run.insert(index, row);
        }
        let mut bound = Key::new();
        keys.from_row(upper.row(0), &mut bound);
        self.runs.insert(bound, upper);
        old
    }

    /// Adds a row behind the last.
    pub(super) fn push(&mut self, key: &Key, row: &[u8]) {
        self.len += 1;
        let Some(mut entry) = self.runs.last_entry() else {
            // Every key has its place at or behind the empty one.
            self.runs.insert(Key::new(), Run::from(row));
            return;
        };
        let last = entry.get_mut();
        if last.has_room(row) {
            last.push(row);
            return;
        }
        last.shrink();
        let mut run = Run::with_capacity(row.len());
        run.push(row);
        self.runs.insert(key.clone(), run);
    }

    /// Takes the row with `key` out. Returns it, in `old`.
    pub(super) fn remove<'a>(
        &mut self,
        keys: &KeyLayout,
        key: &Key,
        old: &'a mut Vec<u8>,
    ) -> Option<&'a [u8]> {
        let (bound, run) = self.runs.range_mut(..=key).next_back()?;
        let index = run.find(keys, key).ok()?;
        old.clear();
        old.extend_from_slice(run.row(index));
        run.remove(index);
        self.len -= 1;
        if run.len() <= RUN_LEN / 4 {
            let (bound, left, bytes) = (bound.clone(), run.len(), run.bytes());
            self.join(&bound, left, bytes);
        }
        Some(old)
    }

    /// Moves the rows that are left of a run to the end of the run before it,
    /// if that has room: a table that shrinks gives memory back.
    fn join(&mut self, bound: &Key, left: usize, bytes: usize) {
        let before = self.runs.range(..bound).next_back();
        let has_room = before.is_some_and(|(_, run)| {
            run.len() + left <= RUN_LEN * 3 / 4 && run.bytes() + bytes <= RUN_BYTES * 3 / 4
        });
        if left > 0 && !has_room {
            return;
        }
        if let Some(rest) = self.runs.remove(bound)
            && let Some((_, before)) = self.runs.range_mut(..bound).next_back()
        {
            rest.rows().for_each(|row| before.push(row));
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use interstice_abi::schema::{Field, ModuleSchema, TableDef, Type, TypeDef, TypeKind};
    use proptest::{collection::vec as list, prelude::*};

    use super::*;

    /// Keys of rows that begin with a u16.
    fn keys() -> KeyLayout {
        let columns = vec![
            Field { name: "number".into(), ty: Type::U16 },
            Field { name: "content".into(), ty: Type::Bytes },
        ];
        let table = TableDef {
            name: "item".into(),
            version: 1,
            row: "Item".into(),
            primary_key: vec![0],
            auto_increment: None,
        };
        let schema = ModuleSchema {
            module: "test".into(),
            types: vec![TypeDef { name: "Item".into(), kind: TypeKind::Struct(columns) }],
            tables: vec![table.clone()],
            reducers: Vec::new(),
            queries: Vec::new(),
        };
        KeyLayout::of(&schema, &table).unwrap()
    }

    fn key(number: u16) -> Key {
        Key::from_slice(&number.to_be_bytes())
    }

    /// A row of `len` bytes behind its key.
    fn row(number: u16, len: usize, content: usize) -> Vec<u8> {
        let mut row = number.to_le_bytes().to_vec();
        row.resize(2 + len, content as u8);
        row
    }

    /// Rows of one length.
    fn filled(count: u16, len: usize) -> Rows {
        let mut rows = Rows::default();
        (0..count).for_each(|number| rows.push(&key(number), &row(number, len, 0)));
        rows
    }

    fn check(rows: &Rows, keys: &KeyLayout) {
        let mut bounds = rows.runs.keys().skip(1);
        for (bound, run) in &rows.runs {
            assert!((1..=RUN_LEN).contains(&run.len()));
            let mut behind: Option<Key> = None;
            for row in run.rows() {
                let mut key = Key::new();
                keys.from_row(row, &mut key);
                assert!(key >= *bound && behind.is_none_or(|before| before < key));
                behind = Some(key);
            }
            assert!(bounds.next().is_none_or(|next| behind.is_some_and(|last| last < *next)));
        }
        assert_eq!(rows.len(), rows.runs.values().map(Run::len).sum::<usize>());
    }

    #[derive(Clone, Copy, Debug)]
    struct Step {
        insert: bool,
        number: u16,
        len: usize,
    }

    /// Inserts and removes rows, and compares with the library's tree.
    fn compare(steps: &[Step], bounds: (Bound<u16>, Bound<u16>)) {
        let keys = keys();
        let mut rows = Rows::default();
        let mut model = BTreeMap::new();
        let mut old = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            let (key, row) = (key(step.number), row(step.number, step.len, index));
            assert_eq!(rows.get(&keys, &key), model.get(&key).map(Vec::as_slice));
            if step.insert {
                let before = rows.insert(&keys, &key, &row, &mut old);
                assert_eq!(before, model.insert(key, row).as_deref());
            } else {
                assert_eq!(rows.remove(&keys, &key, &mut old), model.remove(&key).as_deref());
            }
            let last = model.last_key_value().map(|(key, _)| key);
            assert_eq!(last.map(|last| rows.is_behind(&keys, last)), last.map(|_| false));
            assert!(rows.is_behind(&keys, &Key::from_slice(b"\xff\xff\xff")));
        }
        check(&rows, &keys);
        assert!(rows.iter().eq(model.values()));
        assert!(rows.iter().rev().eq(model.values().rev()));
        let (lower, upper) = (bounds.0.map(key), bounds.1.map(key));
        let (lower, upper) = (lower.as_ref(), upper.as_ref());
        let within = || model.range::<Key, _>((lower, upper)).map(|(_, row)| row);
        assert!(rows.range(&keys, lower, upper).eq(within()));
        assert!(rows.range(&keys, lower, upper).rev().eq(within().rev()));
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

    /// Lengths of rows: of one, of some, and of more than a run takes.
    fn any_len() -> impl Strategy<Value = usize> {
        prop_oneof![20 => Just(6), 4 => 0..40usize, 1 => RUN_BYTES / 4..RUN_BYTES * 2]
    }

    proptest! {
        #[test]
        fn rows_are_those_of_a_tree(
            steps in list((prop::bool::weighted(0.6), 0..400u16, any_len()), 0..1500),
            of_one_length: bool,
            bounds in any_bounds(400),
        ) {
            let steps = steps.into_iter().map(|(insert, number, len)| {
                Step { insert, number, len: if of_one_length { 6 } else { len } }
            });
            compare(&steps.collect::<Vec<_>>(), bounds);
        }

        #[test]
        fn a_table_that_grows_and_shrinks_keeps_its_order(
            last in 1..600u16,
            removed in list(0..600u16, 0..1200),
            len in any_len(),
            bounds in any_bounds(600),
        ) {
            let grow = (0..last).map(|number| (true, number));
            let shrink = removed.into_iter().map(|number| (false, number));
            let again = (0..last).rev().step_by(3).map(|number| (true, number));
            let steps = grow.chain(shrink).chain(again);
            let steps = steps.map(|(insert, number)| Step { insert, number, len });
            compare(&steps.collect::<Vec<_>>(), bounds);
        }
    }

    #[test]
    fn runs_that_grow_at_the_end_are_full_and_no_larger_than_their_rows() {
        for len in [6, RUN_BYTES / 10] {
            let mut rows = filled(RUN_LEN as u16 * 4, len);
            let full = RUN_LEN.min(RUN_BYTES / (len + 2));
            assert_eq!(rows.runs.len(), (RUN_LEN * 4).div_ceil(full));
            let (_, last) = rows.runs.pop_last().unwrap();
            assert!(last.len() <= full);
            assert!(rows.runs.values().all(|run| run.spare() == 0));
        }
    }

    #[test]
    fn a_table_that_loses_most_rows_joins_its_runs() {
        let (keys, mut old) = (keys(), Vec::new());
        let count = RUN_LEN as u16 * 64;
        let mut rows = filled(count, 6);
        for number in (0..count).filter(|number| number % 32 != 0) {
            rows.remove(&keys, &key(number), &mut old);
        }
        check(&rows, &keys);
        assert_eq!(rows.len(), 64);
        assert!(rows.runs.len() <= 8, "{} runs", rows.runs.len());
    }

    #[test]
    fn rows_that_grow_do_not_make_runs_grow() {
        let (keys, mut old) = (keys(), Vec::new());
        let mut rows = filled(RUN_LEN as u16 * 4, 6);
        for number in 0..RUN_LEN as u16 * 4 {
            rows.insert(&keys, &key(number), &row(number, RUN_BYTES, 0), &mut old);
        }
        check(&rows, &keys);
        // Each of them halves the run it comes into.
        assert!(rows.runs.values().all(|run| run.len() <= 3));
    }

    #[test]
    fn rows_that_were_long_once_keep_no_memory() {
        let (keys, mut old) = (keys(), Vec::new());
        let mut rows = filled(RUN_LEN as u16 * 4, 6);
        for len in [1 << 16, 6, 1 << 14, 7, 1 << 12, 6] {
            for number in (0..RUN_LEN as u16 * 4).step_by(3) {
                rows.insert(&keys, &key(number), &row(number, len, 0), &mut old);
            }
        }
        let bytes: usize = rows.runs.values().map(Run::bytes).sum();
        let spare: usize = rows.runs.values().map(Run::spare).sum();
        assert!(spare <= 3 * bytes, "{spare} bytes are kept for {bytes}");
    }

    #[test]
    fn runs_are_joined_up_to_the_bytes_of_one() {
        let (keys, mut old) = (keys(), Vec::new());
        let mut rows = filled(64, RUN_BYTES / 4);
        for number in (0..64).filter(|number| number % 3 != 0) {
            rows.remove(&keys, &key(number), &mut old);
        }
        check(&rows, &keys);
        assert!(rows.runs.values().all(|run| run.bytes() <= RUN_BYTES));
        assert!(rows.runs.len() <= 13, "{} runs", rows.runs.len());
    }

    #[test]
    fn a_long_row_comes_into_the_half_with_less() {
        let keys = keys();
        let mut rows = Rows::default();
        let mut old = Vec::new();
        for number in 0..8u16 {
            let len = if number < 4 { 1_900 } else { 20 };
            rows.push(&key(2 * number), &row(2 * number, len, 0));
        }
        rows.insert(&keys, &key(7), &row(7, 3_000, 0), &mut old);
        check(&rows, &keys);
        let bytes: Vec<usize> = rows.runs.values().map(Run::bytes).collect();
        assert_eq!(bytes, [4 * 1_902, 3_002 + 4 * 22]);
    }
}
