//! One table of a test host.

use alloc::{collections::BTreeMap, string::String, vec::Vec};

use interstice_abi::{
    filter::Scan,
    key::{Key, KeyLayout},
    layout::{Kind, Layout},
    schema::{ModuleSchema, SchemaError, TableDef},
};

/// Rows in key order, and the sequence that numbers them.
pub(crate) struct TestTable {
    pub(crate) name: String,
    pub(crate) row: Layout,
    key: KeyLayout,
    number: Option<Number>,
    rows: BTreeMap<Key, Vec<u8>>,
}

/// The auto-increment column.
#[derive(Clone, Copy)]
struct Number {
    at: usize,
    len: usize,
    max: u64,
    /// Zero: all are used up.
    next: u64,
}

impl TestTable {
    pub(crate) fn of(schema: &ModuleSchema, table: &TableDef) -> Result<Self, SchemaError> {
        let row = Layout::of_fields(schema, schema.columns(table))?;
        let column = table.auto_increment.and_then(|index| row.fields().get(usize::from(index)));
        let number = column.map(|column| {
            let len = column.layout.size();
            let bits = 8 * len as u32 - u32::from(matches!(column.layout.kind(), Kind::Signed(_)));
            Number { at: column.offset as usize, len, max: u64::MAX >> (64 - bits), next: 1 }
        });
        let key = KeyLayout::of(schema, table)?;
        Ok(Self { name: table.name.clone(), row, key, number, rows: BTreeMap::new() })
    }

    pub(crate) fn rows(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.rows.values()
    }

    /// Puts the next number into a row that has a zero there. A row that comes
    /// with a greater number moves the sequence on.
    pub(crate) fn number(&mut self, row: &mut [u8]) {
        let Some(Number { at, len, max, next }) = self.number.as_mut() else { return };
        let column = &mut row[*at..*at + *len];
        if column.iter().all(|&byte| byte == 0) {
            if *next == 0 {
                panic!("the auto-increment column of table `{}` has no number left", self.name);
            }
            column.copy_from_slice(&next.to_le_bytes()[..*len]);
        }
        let mut number = [0; 8];
        number[..*len].copy_from_slice(column);
        let number = u64::from_le_bytes(number);
        // A negative number is above `max`: it moves nothing. Past the largest
        // there is none: zero, and it stays zero.
        if *next != 0 && (*next..=*max).contains(&number) {
            *next = if number == *max { 0 } else { number + 1 };
        }
    }

    /// The sequence's next number, to be put back by a rollback.
    pub(crate) fn sequence(&self) -> u64 {
        self.number.map_or(0, |number| number.next)
    }

    pub(crate) fn set_sequence(&mut self, next: u64) {
        if let Some(number) = self.number.as_mut() {
            number.next = next;
        }
    }

    /// Checks a row that a module passed, as the host does.
    pub(crate) fn check(&self, row: &[u8]) -> Vec<u8> {
        let mut row = row.to_vec();
        if let Err(error) = self.row.check(&mut row) {
            panic!("a row for the table `{}` is malformed: {error}", self.name);
        }
        row
    }

    pub(crate) fn key_of_row(&self, row: &[u8]) -> Key {
        let mut key = Key::new();
        self.key.from_row(row, &mut key);
        key
    }

    pub(crate) fn key_of_key_row(&self, key_row: &[u8]) -> Key {
        let mut key_row = key_row.to_vec();
        if let Err(error) = self.key.row().check(&mut key_row) {
            panic!("a key for the table `{}` is malformed: {error}", self.name);
        }
        let mut key = Key::new();
        self.key.from_key_row(&key_row, &mut key);
        key
    }

    pub(crate) fn get(&self, key: &Key) -> Option<&Vec<u8>> {
        self.rows.get(key)
    }

    /// Stores a row, or removes it.
    pub(crate) fn set(&mut self, key: Key, row: Option<Vec<u8>>) -> Option<Vec<u8>> {
        match row {
            Some(row) => self.rows.insert(key, row),
            None => self.rows.remove(&key),
        }
    }

    /// The rows that a scan visits, in its order.
    pub(crate) fn matching(&self, scan: &[u8]) -> Vec<Vec<u8>> {
        let scan = match Scan::check(scan, &self.row, &self.key) {
            Ok(scan) => scan,
            Err(error) => panic!("a scan of the table `{}` is malformed: {error}", self.name),
        };
        let rows = self.rows.range::<Key, _>((scan.lower(), scan.upper()));
        let matches = |row: &&Vec<u8>| scan.matches(row);
        let limit = scan.limit().map_or(usize::MAX, |limit| limit as usize);
        if scan.reverse() {
            rows.rev().map(|(_, row)| row).filter(matches).take(limit).cloned().collect()
        } else {
            rows.map(|(_, row)| row).filter(matches).take(limit).cloned().collect()
        }
    }
}
