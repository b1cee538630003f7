//! One table: rows in key order.

use alloc::{string::String, vec::Vec};
use core::ops::Bound;

use abi::{
    key::{Key, KeyLayout},
    layout::{Kind, Layout},
    schema::{ModuleSchema, SchemaError, TableDef},
};
use interstice_abi as abi;

use crate::{
    hash,
    ids::{ModuleId, TableId},
    limits::ROW_OVERHEAD,
};

mod restore;
mod rows;
mod run;

pub(crate) use restore::Misplaced;

use rows::Rows;

/// The bytes of a row, in row layout, that a transaction holds.
pub(crate) type Row = Vec<u8>;

/// A table of an installed module.
#[derive(Clone, Debug)]
pub struct Table {
    id: TableId,
    module: ModuleId,
    module_name: String,
    def: TableDef,
    layout: Layout,
    key: KeyLayout,
    auto: Option<AutoIncrement>,
    // Rows stay in key order: scan order is visible to guests and must survive replay.
    rows: Rows,
    /// The number that the auto-increment column gets next. Zero: all are used up.
    next_number: u64,
    /// The columns of the primary key: bit n is column n.
    key_mask: u64,
    hash_seed: u64,
    /// Wrapping sum of the row hashes.
    hash: u64,
    bytes: u64,
}

/// The column that the host numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AutoIncrement {
    offset: usize,
    width: usize,
    max: u64,
}

impl AutoIncrement {
    fn new(offset: usize, kind: &Kind) -> Option<Self> {
        let (width, max) = match kind {
            Kind::Unsigned(4) => (4, u64::from(u32::MAX)),
            Kind::Unsigned(8) => (8, u64::MAX),
            Kind::Signed(4) => (4, i32::MAX as u64),
            Kind::Signed(8) => (8, i64::MAX as u64),
            _ => return None,
        };
        Some(Self { offset, width, max })
    }

    /// The number in `row`; 0 for a negative one, which no sequence reaches.
    pub(crate) fn number(&self, row: &[u8]) -> u64 {
        let mut bytes = [0; 8];
        if let Some(column) = row.get(self.offset..self.offset + self.width) {
            bytes[..self.width].copy_from_slice(column);
        }
        let number = u64::from_le_bytes(bytes);
        if number <= self.max { number } else { 0 }
    }

    /// Whether the column is zero: to be numbered.
    pub(crate) fn is_zero(&self, row: &[u8]) -> bool {
        let column = row.get(self.offset..self.offset + self.width);
        column.is_some_and(|column| column.iter().all(|&byte| byte == 0))
    }

    /// Writes `number` into `row`.
    pub(crate) fn set(&self, row: &mut [u8], number: u64) {
        if let Some(column) = row.get_mut(self.offset..self.offset + self.width) {
            column.copy_from_slice(&number.to_le_bytes()[..self.width]);
        }
    }

    /// The next number after `row` was inserted, where it was `next` before.
    pub(crate) fn advance(&self, next: u64, row: &[u8]) -> u64 {
        let number = self.number(row);
        // Past the largest number there is none: zero, and it stays zero.
        if next == 0 || number < next {
            next
        } else if number == self.max {
            0
        } else {
            number + 1
        }
    }
}

impl Table {
    pub(crate) fn new(
        id: TableId,
        module: ModuleId,
        schema: &ModuleSchema,
        def: &TableDef,
    ) -> Result<Self, SchemaError> {
        let layout = Layout::of_fields(schema, schema.columns(def))?;
        let auto = def
            .auto_increment
            .and_then(|column| layout.fields().get(usize::from(column)))
            .and_then(|field| AutoIncrement::new(field.offset as usize, field.layout.kind()));
        Ok(Self {
            id,
            module,
            module_name: schema.module.clone(),
            def: def.clone(),
            key: KeyLayout::of(schema, def)?,
            layout,
            auto,
            rows: Rows::default(),
            next_number: 1,
            key_mask: def.primary_key.iter().fold(0, |mask, &column| mask | 1 << (column & 63)),
            hash_seed: hash::table_seed(&schema.module, &def.name),
            hash: 0,
            bytes: 0,
        })
    }

    /// Its number.
    pub fn id(&self) -> TableId {
        self.id
    }

    /// The module that owns it.
    pub fn module(&self) -> ModuleId {
        self.module
    }

    /// The name of the module that owns it.
    pub fn module_name(&self) -> &str {
        &self.module_name
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.def.name
    }

    /// Its definition.
    pub fn def(&self) -> &TableDef {
        &self.def
    }

    /// How its rows lie in memory.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How its primary keys are encoded.
    pub fn key_layout(&self) -> &KeyLayout {
        &self.key
    }

    /// Rows in it.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has no row.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 0
    }

    /// Bytes of its rows and keys, with [`ROW_OVERHEAD`] for each row.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Wrapping sum of the hashes of its rows: equal for equal rows.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Its rows, in key order, in row layout.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &[u8]> + Clone {
        self.rows.iter()
    }

    /// The row with the primary key `key`.
    #[inline]
    pub fn get(&self, key: &Key) -> Option<&[u8]> {
        self.rows.get(&self.key, key)
    }

    /// Whether there is a row with the primary key `key`.
    #[inline]
    pub(crate) fn contains(&self, key: &Key) -> bool {
        // Keys mostly grow: then the last one tells without a search.
        !self.rows.is_behind(&self.key, key) && self.get(key).is_some()
    }

    /// The rows with keys between two bounds, in key order. Bounds that exclude
    /// each other give no row.
    pub(crate) fn range<'a>(
        &'a self,
        lower: Bound<&'a Key>,
        upper: Bound<&'a Key>,
    ) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let nothing = is_empty_range(lower, upper);
        let range = (!nothing).then(|| self.rows.range(&self.key, lower, upper));
        range.into_iter().flatten()
    }

    pub(crate) fn auto(&self) -> Option<&AutoIncrement> {
        self.auto.as_ref()
    }

    pub(crate) fn key_mask(&self) -> u64 {
        self.key_mask
    }

    pub(crate) fn next_number(&self) -> u64 {
        self.next_number
    }

    pub(crate) fn hash_seed(&self) -> u64 {
        self.hash_seed
    }

    /// What a row counts for in the table's budget.
    pub(crate) fn weight(key: &[u8], row: &[u8]) -> u64 {
        (key.len() + row.len() + ROW_OVERHEAD) as u64
    }

    /// Puts `new`, of which `new_hash` is the hash, in the place of the row with
    /// `key`, or removes that row; the hash is 0 then. Returns the old row, in
    /// `old`, and what the change adds to the state hash.
    pub(crate) fn apply<'a>(
        &mut self,
        key: &Key,
        new: Option<&[u8]>,
        new_hash: u64,
        old: &'a mut Vec<u8>,
    ) -> (Option<&'a [u8]>, u64) {
        let hash = |row: &[u8]| hash::row(self.hash_seed, row);
        debug_assert_eq!(new_hash, new.map_or(0, hash));
        let old = match new {
            Some(row) => self.rows.insert(&self.key, key, row, old),
            None => self.rows.remove(&self.key, key, old),
        };
        let rows_delta = new_hash.wrapping_sub(old.map_or(0, hash));
        let mut sequence_delta = 0u64;
        if let (None, Some(row), Some(auto)) = (old, new, self.auto) {
            let next = auto.advance(self.next_number, row);
            sequence_delta = hash::sequence(self.hash_seed, next)
                .wrapping_sub(hash::sequence(self.hash_seed, self.next_number));
            self.next_number = next;
        }
        self.bytes += new.map_or(0, |row| Self::weight(key, row));
        self.bytes -= old.map_or(0, |row| Self::weight(key, row));
        self.hash = self.hash.wrapping_add(rows_delta);
        (old, rows_delta.wrapping_add(sequence_delta))
    }

    /// Takes the definition that an upgrade gives; rows and keys stay as they are.
    pub(crate) fn redefine(&mut self, def: &TableDef) {
        self.def = def.clone();
    }
}

/// Whether the bounds exclude each other.
fn is_empty_range(lower: Bound<&Key>, upper: Bound<&Key>) -> bool {
    match (lower, upper) {
        (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
        (Bound::Included(lower), Bound::Included(upper)) => lower > upper,
        (
            Bound::Included(lower) | Bound::Excluded(lower),
            Bound::Included(upper) | Bound::Excluded(upper),
        ) => lower >= upper,
    }
}
