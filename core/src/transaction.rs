//! The uncommitted overlay of one call.
//!
//! Invariants:
//! - the committed state does not change while a transaction runs; reads see
//!   the overlay first, then the state;
//! - writes stand in the order in which rows were first touched, which is the
//!   order of the changes in the log;
//! - everything that can fail fails here, or in [`seal`](crate::state::seal), before
//!   anything is appended;
//! - cleared buffers keep their capacity: a steady stream of calls allocates
//!   nothing but what tables store rows in.

use alloc::vec::Vec;
use core::{cmp::Ordering, iter::Peekable, ops::Bound};

use abi::key::{Key, KeyLayout};
use interstice_abi as abi;

use crate::{
    ids::{FunctionRef, TableId, Timestamp},
    state::{Row, Table},
};

/// What a transaction leaves of one row.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) table: TableId,
    pub(crate) key: Key,
    /// Whether the committed state has the row.
    pub(crate) existed: bool,
    /// The row, unless it is deleted.
    pub(crate) new: Option<Row>,
    /// The hash of `new`, 0 where it is deleted. Known once the write is sealed.
    pub(crate) hash: u64,
}

/// A call that the transaction schedules.
#[derive(Debug)]
pub(crate) struct NewSchedule {
    pub(crate) target: FunctionRef,
    pub(crate) at: Timestamp,
    /// In row layout.
    pub(crate) args: Vec<u8>,
}

#[derive(Debug)]
enum Undo {
    /// The last write was added.
    Added,
    /// A write had this row before.
    Replaced { index: u32, new: Option<Row> },
    /// A table's next number was this one.
    Numbered { table: TableId, next: Option<u64> },
}

/// Where to go back to when a called module fails.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Savepoint {
    undo: usize,
    schedules: usize,
    bytes: usize,
}

/// Why a write did not happen, as far as the guest may know and go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WriteError {
    DuplicateKey,
    NotFound,
    /// The transaction is full: it is rolled back.
    Full,
    /// The key is too long: it is rolled back.
    KeyTooLong,
    /// The auto-increment column is used up: it is rolled back.
    SequenceExhausted,
}

#[derive(Debug, Default)]
pub(crate) struct Transaction {
    writes: Vec<Write>,
    /// Positions in `writes`, in the order of table and key.
    by_key: Vec<u32>,
    /// Next numbers of tables in which this transaction numbered rows.
    numbers: Vec<(TableId, u64)>,
    schedules: Vec<NewSchedule>,
    undo: Vec<Undo>,
    savepoints: usize,
    /// Bytes of the keys and rows that are held, and of scheduled arguments.
    bytes: usize,
    /// Buffers of rows that were applied, to be used again.
    spare: Vec<Row>,
}

/// Buffers that are kept, and the bytes of the largest: what a small transaction
/// needs.
const SPARE: usize = 4;
const SPARE_BYTES: usize = 1024;

impl Transaction {
    pub(crate) fn clear(&mut self) {
        for write in self.writes.drain(..) {
            keep_buffer(&mut self.spare, write.new);
        }
        self.by_key.clear();
        self.numbers.clear();
        self.schedules.clear();
        self.undo.clear();
        self.savepoints = 0;
        self.bytes = 0;
    }

    /// Keeps only some of the writes, in their order. Nothing is read or
    /// written through the transaction after that.
    pub(crate) fn retain_writes(&mut self, mut keep: impl FnMut(&mut Write) -> bool) {
        self.by_key.clear();
        self.writes.retain_mut(|write| {
            let is_kept = keep(write);
            if !is_kept {
                keep_buffer(&mut self.spare, write.new.take());
            }
            is_kept
        });
    }

    /// The writes, in the order in which rows were first touched.
    pub(crate) fn writes(&self) -> &[Write] {
        &self.writes
    }

    pub(crate) fn schedules(&self) -> &[NewSchedule] {
        &self.schedules
    }

    /// The writes and schedules, to be applied.
    pub(crate) fn parts(&mut self) -> (&[Write], impl Iterator<Item = NewSchedule>) {
        (&self.writes, self.schedules.drain(..))
    }

    /// An empty buffer for a row.
    pub(crate) fn buffer(&mut self) -> Row {
        self.spare.pop().unwrap_or_default()
    }

    /// The row with `key` as this transaction sees it.
    pub(crate) fn get<'a>(&'a self, table: &'a Table, key: &Key) -> Option<&'a [u8]> {
        match self.find(table.id(), key) {
            Ok(slot) => self.write_at(slot)?.new.as_deref(),
            Err(_) => table.get(key),
        }
    }

    /// Inserts `row`, numbering it first where the table says so. Returns the
    /// number, if it gave one.
    pub(crate) fn insert(
        &mut self,
        table: &Table,
        limits: &crate::Limits,
        mut row: Row,
    ) -> Result<Option<u64>, WriteError> {
        let mut number = None;
        let mut given = None;
        if let Some(auto) = table.auto() {
            let next = self.next_number(table);
            if auto.is_zero(&row) {
                if next == 0 {
                    return Err(WriteError::SequenceExhausted);
                }
                auto.set(&mut row, next);
                given = Some(next);
            }
            number = Some(auto.advance(next, &row));
        }
        let mut key = Key::new();
        table.key_layout().from_row(&row, &mut key);
        if key.len() > limits.key_bytes {
            return Err(WriteError::KeyTooLong);
        }
        match self.find(table.id(), &key) {
            Ok(slot) => {
                if self.write_at(slot).is_some_and(|write| write.new.is_some()) {
                    return Err(WriteError::DuplicateKey);
                }
                self.replace(slot, Some(row), limits)?;
            }
            Err(slot) => {
                if table.contains(&key) {
                    return Err(WriteError::DuplicateKey);
                }
                let write =
                    Write { table: table.id(), key, existed: false, new: Some(row), hash: 0 };
                self.add(slot, write, limits)?;
            }
        }
        if let Some(number) = number {
            self.set_number(table.id(), number);
        }
        Ok(given)
    }

    /// Replaces the row that has the key of `row`.
    pub(crate) fn update(
        &mut self,
        table: &Table,
        limits: &crate::Limits,
        row: Row,
    ) -> Result<(), WriteError> {
        let mut key = Key::new();
        table.key_layout().from_row(&row, &mut key);
        self.put(table, limits, key, Some(row))
    }

    /// Deletes the row with `key`.
    pub(crate) fn delete(
        &mut self,
        table: &Table,
        limits: &crate::Limits,
        key: Key,
    ) -> Result<(), WriteError> {
        self.put(table, limits, key, None)
    }

    /// Gives an existing row another content, or none.
    fn put(
        &mut self,
        table: &Table,
        limits: &crate::Limits,
        key: Key,
        new: Option<Row>,
    ) -> Result<(), WriteError> {
        match self.find(table.id(), &key) {
            Ok(slot) => {
                if self.write_at(slot).is_none_or(|write| write.new.is_none()) {
                    return Err(WriteError::NotFound);
                }
                self.replace(slot, new, limits)
            }
            Err(slot) => {
                if !table.contains(&key) {
                    return Err(WriteError::NotFound);
                }
                let write = Write { table: table.id(), key, existed: true, new, hash: 0 };
                self.add(slot, write, limits)
            }
        }
    }

    pub(crate) fn schedule(
        &mut self,
        limits: &crate::Limits,
        schedule: NewSchedule,
    ) -> Result<(), WriteError> {
        let bytes = self.bytes + schedule.args.len();
        if bytes > limits.transaction_bytes {
            return Err(WriteError::Full);
        }
        self.bytes = bytes;
        self.schedules.push(schedule);
        Ok(())
    }

    pub(crate) fn savepoint(&mut self) -> Savepoint {
        self.savepoints += 1;
        Savepoint { undo: self.undo.len(), schedules: self.schedules.len(), bytes: self.bytes }
    }

    /// Keeps what was done since `savepoint`.
    pub(crate) fn release(&mut self, _savepoint: Savepoint) {
        self.savepoints -= 1;
        if self.savepoints > 0 {
            return;
        }
        for undo in self.undo.drain(..) {
            if let Undo::Replaced { new: Some(row), .. } = undo {
                self.bytes -= row.len();
            }
        }
    }

    /// Takes back everything done since `savepoint`.
    pub(crate) fn rollback_to(&mut self, savepoint: Savepoint) {
        while self.undo.len() > savepoint.undo {
            match self.undo.pop() {
                Some(Undo::Added) => self.remove_last(),
                Some(Undo::Replaced { index, new }) => {
                    if let Some(write) = self.writes.get_mut(index as usize) {
                        write.new = new;
                    }
                }
                Some(Undo::Numbered { table, next }) => self.restore_number(table, next),
                None => break,
            }
        }
        self.schedules.truncate(savepoint.schedules);
        self.bytes = savepoint.bytes;
        self.release(savepoint);
    }

    /// The table's next number as this transaction sees it.
    fn next_number(&self, table: &Table) -> u64 {
        let own = self.numbers.iter().find(|(id, _)| *id == table.id());
        own.map_or(table.next_number(), |(_, next)| *next)
    }

    fn set_number(&mut self, table: TableId, number: u64) {
        let slot = self.numbers.iter_mut().find(|(id, _)| *id == table);
        let before = match slot {
            Some((_, next)) => Some(core::mem::replace(next, number)),
            None => {
                self.numbers.push((table, number));
                None
            }
        };
        if self.savepoints > 0 {
            self.undo.push(Undo::Numbered { table, next: before });
        }
    }

    fn restore_number(&mut self, table: TableId, next: Option<u64>) {
        match next {
            Some(next) => {
                if let Some(slot) = self.numbers.iter_mut().find(|(id, _)| *id == table) {
                    slot.1 = next;
                }
            }
            None => self.numbers.retain(|(id, _)| *id != table),
        }
    }

    /// The slot of (table, key) in `by_key`, or where it belongs.
    fn find(&self, table: TableId, key: &Key) -> Result<usize, usize> {
        let order = |&index: &u32| match self.writes.get(index as usize) {
            Some(write) => (write.table, &write.key).cmp(&(table, key)),
            None => Ordering::Less,
        };
        // Keys often come in order: look at the end first.
        match self.by_key.last().map(order) {
            None | Some(Ordering::Less) => Err(self.by_key.len()),
            _ => self.by_key.binary_search_by(order),
        }
    }

    fn write_at(&self, slot: usize) -> Option<&Write> {
        self.writes.get(*self.by_key.get(slot)? as usize)
    }

    fn add(&mut self, slot: usize, write: Write, limits: &crate::Limits) -> Result<(), WriteError> {
        let bytes = self.bytes + write.key.len() + write.new.as_ref().map_or(0, |row| row.len());
        if self.writes.len() >= limits.transaction_rows || bytes > limits.transaction_bytes {
            return Err(WriteError::Full);
        }
        self.bytes = bytes;
        self.by_key.insert(slot, self.writes.len() as u32);
        self.writes.push(write);
        if self.savepoints > 0 {
            self.undo.push(Undo::Added);
        }
        Ok(())
    }

    fn replace(
        &mut self,
        slot: usize,
        new: Option<Row>,
        limits: &crate::Limits,
    ) -> Result<(), WriteError> {
        // Rows that a savepoint keeps count until the transaction ends.
        let bytes = self.bytes + new.as_ref().map_or(0, |row| row.len());
        if bytes > limits.transaction_bytes
            || self.undo.len() >= limits.transaction_rows.saturating_mul(4)
        {
            return Err(WriteError::Full);
        }
        let Some(&index) = self.by_key.get(slot) else { return Err(WriteError::NotFound) };
        let Some(write) = self.writes.get_mut(index as usize) else {
            return Err(WriteError::NotFound);
        };
        let before = core::mem::replace(&mut write.new, new);
        if self.savepoints > 0 {
            self.bytes = bytes;
            self.undo.push(Undo::Replaced { index, new: before });
        } else {
            self.bytes = bytes - before.map_or(0, |row| row.len());
        }
        Ok(())
    }

    fn remove_last(&mut self) {
        let Some(last) = self.writes.last() else { return };
        if let Ok(slot) = self.find(last.table, &last.key) {
            self.by_key.remove(slot);
        }
        self.writes.pop();
    }

    /// The rows of `table` between two key bounds as this transaction sees
    /// them, in key order, or in reverse.
    pub(crate) fn range<'a>(
        &'a self,
        table: &'a Table,
        lower: Bound<&'a Key>,
        upper: Bound<&'a Key>,
        reverse: bool,
    ) -> Merged<'a, impl Iterator<Item = &'a [u8]>, impl Iterator<Item = &'a Write>> {
        let start = match lower {
            Bound::Unbounded => self.partition(table.id(), |_| false),
            Bound::Included(lower) => self.partition(table.id(), |key| key < lower),
            Bound::Excluded(lower) => self.partition(table.id(), |key| key <= lower),
        };
        let end = match upper {
            Bound::Unbounded => self.partition(table.id(), |_| true),
            Bound::Included(upper) => self.partition(table.id(), |key| key <= upper),
            Bound::Excluded(upper) => self.partition(table.id(), |key| key < upper),
        };
        let own = self.by_key.get(start..end).unwrap_or_default();
        let own = own.iter().filter_map(|&index| self.writes.get(index as usize));
        Merged {
            keys: table.key_layout(),
            committed: Directed::new(table.range(lower, upper), reverse).peekable(),
            own: Directed::new(own, reverse).peekable(),
            reverse,
        }
    }

    /// The first slot of `table` whose key is not `before`.
    fn partition(&self, table: TableId, before: impl Fn(&Key) -> bool) -> usize {
        self.by_key.partition_point(|&index| match self.writes.get(index as usize) {
            Some(write) => write.table < table || (write.table == table && before(&write.key)),
            None => false,
        })
    }
}

/// Keeps the buffer of a row that is done with.
fn keep_buffer(spare: &mut Vec<Row>, row: Option<Row>) {
    if let Some(mut row) = row
        && spare.len() < SPARE
        && row.capacity() <= SPARE_BYTES
    {
        row.clear();
        spare.push(row);
    }
}

/// An iterator in one of two directions.
pub(crate) struct Directed<I> {
    inner: I,
    reverse: bool,
}

impl<I> Directed<I> {
    fn new(inner: I, reverse: bool) -> Self {
        Self { inner, reverse }
    }
}

impl<I: DoubleEndedIterator> Iterator for Directed<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        if self.reverse { self.inner.next_back() } else { self.inner.next() }
    }
}

/// Committed rows and a transaction's writes, merged in key order. Where both
/// have a key, the write counts. A row that the transaction has deleted comes
/// as `None`: passing it is work that the guest pays for.
pub(crate) struct Merged<'a, C, W>
where
    C: Iterator<Item = &'a [u8]>,
    W: Iterator<Item = &'a Write>,
{
    keys: &'a KeyLayout,
    committed: Peekable<C>,
    own: Peekable<W>,
    reverse: bool,
}

/// Where a row of [`Merged`] stands. Its key is made when it is asked for.
#[derive(Clone, Copy)]
pub(crate) enum Place<'a> {
    Committed { keys: &'a KeyLayout, row: &'a [u8] },
    Own(&'a Key),
}

impl Place<'_> {
    pub(crate) fn key(&self) -> Key {
        match self {
            Self::Committed { keys, row } => {
                let mut key = Key::new();
                keys.from_row(row, &mut key);
                key
            }
            Self::Own(key) => (*key).clone(),
        }
    }
}

impl<'a, C, W> Iterator for Merged<'a, C, W>
where
    C: Iterator<Item = &'a [u8]>,
    W: Iterator<Item = &'a Write>,
{
    type Item = (Place<'a>, Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let order = match (self.committed.peek(), self.own.peek()) {
            (None, None) => return None,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(row), Some(write)) => {
                let order = self.keys.compare(row, &write.key);
                if self.reverse { order.reverse() } else { order }
            }
        };
        if order == Ordering::Less {
            let row = self.committed.next()?;
            return Some((Place::Committed { keys: self.keys, row }, Some(row)));
        }
        if order == Ordering::Equal {
            self.committed.next();
        }
        self.own.next().map(|write| (Place::Own(&write.key), write.new.as_deref()))
    }
}
