//! Order-preserving bytes of primary keys.
//!
//! ```text
//!  (device: string, at: timestamp)      ("n1", 5)
//!
//!   6e 31      00 00      80 00 00 00 00 00 00 05
//! +----------+----------+-------------------------+
//! | "n1"     | its end  | 5, sign bit flipped     |
//! +----------+----------+-------------------------+
//! ```
//!
//! Keys are compared as bytes and are then in the order of their values,
//! column by column. Such encodings are known as *memcomparable* (MyRocks and
//! TiDB call theirs so; this one escapes zeros as FoundationDB's tuple layer
//! does).
//!
//! | column | key bytes |
//! |---|---|
//! | `bool`, enum without payload | 1 byte |
//! | unsigned integer | big-endian |
//! | signed integer, `timestamp` | big-endian, the sign bit flipped |
//! | `string`, `bytes` | the content with `00` written as `00 ff`, then `00 00` |
//!
//! No column's bytes are a prefix of those of another value of the same
//! column. So keys whose first columns are equal are those that begin with the
//! same bytes, and a [prefix](KeyLayout::prefix) is a range.

use alloc::{boxed::Box, format};
use core::cmp::Ordering;

use smallvec::SmallVec;

use crate::{
    layout::{Layout, LayoutError, Leaf, Node, array, content},
    schema::{ModuleSchema, SchemaError, TableDef},
};

pub use crate::key_bytes::Key;

/// How the keys of a table are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLayout {
    row: Layout,
    columns: Box<[u16]>,
    parts: Box<[Part]>,
    /// Whether all parts are numbers that together fit into a [`Key`] without
    /// an allocation.
    short: bool,
}

/// A column of the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    leaf: Leaf,
    /// Where its slot is in the table's row.
    in_row: u32,
    /// Where its slot is in a key row.
    in_key_row: u32,
}

impl KeyLayout {
    /// The key of `table`, a table of `schema`.
    ///
    /// # Errors
    ///
    /// When the table's row has no layout, and when a table that was not
    /// checked has a key of columns that do not exist or have no order.
    pub fn of(schema: &ModuleSchema, table: &TableDef) -> Result<Self, SchemaError> {
        let invalid = |why| Err(SchemaError::Invalid { at: format!("table {}", table.name), why });
        let full = Layout::of_fields(schema, schema.columns(table))?;
        let row = Layout::of_fields(schema, &schema.key_columns(table))?;
        if table.primary_key.is_empty() || row.fields().len() != table.primary_key.len() {
            return invalid("its key is not a list of its columns".into());
        }
        let mut parts = alloc::vec::Vec::with_capacity(table.primary_key.len());
        for (&index, column) in table.primary_key.iter().zip(row.fields()) {
            let in_row = full.fields().get(usize::from(index)).map_or(0, |field| field.offset);
            match column.layout.node() {
                Node::Leaf(leaf) if !matches!(leaf, Leaf::F32 | Leaf::F64) => {
                    parts.push(Part { leaf, in_row, in_key_row: column.offset });
                }
                _ => {
                    let (name, layout) = (&column.name, &column.layout);
                    let why = format!("its column {name} of type `{layout}` cannot be in a key");
                    return invalid(why);
                }
            }
        }
        let short = row.is_fixed() && row.size() <= SHORT;
        Ok(Self { row, columns: table.primary_key.as_slice().into(), parts: parts.into(), short })
    }

    /// The layout of the key columns as a row of their own, in key order.
    /// That is how guests pass a key.
    #[inline]
    pub fn row(&self) -> &Layout {
        &self.row
    }

    /// The key columns, in key order: indexes into the table's columns.
    #[inline]
    pub fn columns(&self) -> &[u16] {
        &self.columns
    }

    /// Makes the key of a row that was [checked](Layout::check). What `out`
    /// holds is replaced.
    #[inline]
    pub fn from_row(&self, row: &[u8], out: &mut Key) {
        self.write(row, |part| part.in_row, out);
    }

    /// Makes the key of a key row: a value of [`KeyLayout::row`] that was
    /// [checked](Layout::check). What `out` holds is replaced.
    #[inline]
    pub fn from_key_row(&self, key_row: &[u8], out: &mut Key) {
        self.write(key_row, |part| part.in_key_row, out);
    }

    /// How the key of a row, which was [checked](Layout::check), compares with
    /// `key`. No key is made for that, and no more of the row is looked at than
    /// `key` is long.
    #[inline]
    pub fn compare(&self, row: &[u8], key: &Key) -> Ordering {
        let mut against = Against { rest: key, order: Ordering::Equal };
        for part in &self.parts {
            write(part.leaf, row, part.in_row as usize, &mut against);
            if against.order != Ordering::Equal {
                return against.order;
            }
        }
        if against.rest.is_empty() { Ordering::Equal } else { Ordering::Less }
    }

    #[inline]
    fn write(&self, row: &[u8], place: impl Fn(&Part) -> u32, out: &mut Key) {
        if self.short {
            let mut short = Short { number: 0, len: 0 };
            for part in &self.parts {
                write(part.leaf, row, place(part) as usize, &mut short);
            }
            *out = short.key();
            return;
        }
        let mut long = Long::new();
        for part in &self.parts {
            write(part.leaf, row, place(part) as usize, &mut long);
        }
        *out = Key::from_slice(&long);
    }

    /// The first `columns` columns of the key; all, if it does not have as many.
    #[inline]
    pub fn prefix(&self, columns: usize) -> KeyPrefix<'_> {
        KeyPrefix { key: self, columns: columns.min(self.parts.len()) }
    }
}

/// The first columns of a key.
#[derive(Clone, Copy, Debug)]
pub struct KeyPrefix<'a> {
    key: &'a KeyLayout,
    columns: usize,
}

impl KeyPrefix<'_> {
    /// How many columns it has.
    #[inline]
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Whether it is the whole key.
    #[inline]
    pub fn is_whole(&self) -> bool {
        self.columns == self.key.parts.len()
    }

    /// Checks that `key_row` is a row of these columns, as [`Layout::check`] does.
    ///
    /// # Errors
    ///
    /// When it is not; the error names the place.
    pub fn check(&self, key_row: &mut [u8]) -> Result<(), LayoutError> {
        self.key.row.check_columns(self.columns, key_row)
    }

    /// Makes the bytes with which every key begins whose first columns are
    /// those of `key_row`, which was [checked](KeyPrefix::check). What `out`
    /// holds is replaced.
    pub fn from_key_row(&self, key_row: &[u8], out: &mut Key) {
        let mut long = Long::new();
        for part in self.key.parts.iter().take(self.columns) {
            write(part.leaf, key_row, part.in_key_row as usize, &mut long);
        }
        *out = Key::from_slice(&long);
    }
}

/// Bytes of a key that is put together in registers.
const SHORT: usize = 16;

/// A key with content of any length.
type Long = SmallVec<[u8; 64]>;

/// What key bytes are appended to.
trait Append {
    fn append<const N: usize>(&mut self, bytes: [u8; N]);
    fn append_content(&mut self, content: &[u8]);

    /// How many more bytes matter.
    #[inline]
    fn room(&self) -> usize {
        usize::MAX
    }
}

impl Append for Long {
    #[inline]
    fn append<const N: usize>(&mut self, bytes: [u8; N]) {
        self.extend_from_slice(&bytes);
    }

    #[inline]
    fn append_content(&mut self, content: &[u8]) {
        self.extend_from_slice(content);
    }
}

/// A key of numbers, put together in registers: growing a buffer number by
/// number takes several times as long.
struct Short {
    /// The key so far, as one number. At most `SHORT` bytes.
    number: u128,
    len: usize,
}

impl Short {
    #[inline]
    fn key(&self) -> Key {
        let unused = 128 - 8 * self.len as u32;
        Key::from_padded(self.number.checked_shl(unused).unwrap_or(0), self.len)
    }
}

impl Append for Short {
    #[inline]
    fn append<const N: usize>(&mut self, bytes: [u8; N]) {
        let mut number = [0; SHORT];
        number[SHORT - N..].copy_from_slice(&bytes);
        let before = self.number.checked_shl(8 * N as u32).unwrap_or(0);
        self.number = before | u128::from_be_bytes(number);
        self.len += N;
    }

    /// A short key has no content: see [`KeyLayout::of`].
    fn append_content(&mut self, _: &[u8]) {}
}

/// A key that is compared with the bytes that are appended, as they come.
struct Against<'a> {
    /// What they were not compared with yet.
    rest: &'a [u8],
    /// How those so far compare.
    order: Ordering,
}

impl Append for Against<'_> {
    #[inline]
    fn append<const N: usize>(&mut self, bytes: [u8; N]) {
        match self.rest.split_first_chunk::<N>() {
            Some((first, rest)) if self.order == Ordering::Equal => {
                self.order = bytes.cmp(first);
                self.rest = rest;
            }
            _ => self.append_content(&bytes),
        }
    }

    #[inline]
    fn append_content(&mut self, content: &[u8]) {
        if self.order == Ordering::Equal {
            let (first, rest) = self.rest.split_at(content.len().min(self.rest.len()));
            self.order = content.cmp(first);
            self.rest = rest;
        }
    }

    /// A byte more than there is to compare with decides.
    #[inline]
    fn room(&self) -> usize {
        if self.order == Ordering::Equal { self.rest.len() + 1 } else { 0 }
    }
}

/// Appends the key bytes of the column at `at`. A row that is too short for it
/// adds what a zero adds, to keep this free of panics.
#[inline]
fn write(leaf: Leaf, row: &[u8], at: usize, out: &mut impl Append) {
    match leaf {
        Leaf::Bool | Leaf::U8 | Leaf::Tag(_) => number::<1>(row, at, 0, out),
        Leaf::U16 => number::<2>(row, at, 0, out),
        Leaf::U32 => number::<4>(row, at, 0, out),
        Leaf::U64 => number::<8>(row, at, 0, out),
        Leaf::U128 => number::<16>(row, at, 0, out),
        Leaf::I8 => number::<1>(row, at, SIGN, out),
        Leaf::I16 => number::<2>(row, at, SIGN, out),
        Leaf::I32 => number::<4>(row, at, SIGN, out),
        Leaf::I64 => number::<8>(row, at, SIGN, out),
        Leaf::I128 => number::<16>(row, at, SIGN, out),
        Leaf::String | Leaf::Bytes => text(content(row, at).unwrap_or_default(), out),
        // Not in keys: see `KeyLayout::of`.
        Leaf::F32 | Leaf::F64 => {}
    }
}

/// The sign bit in the first byte of a big-endian integer.
const SIGN: u8 = 0x80;

#[inline]
fn number<const N: usize>(row: &[u8], at: usize, flip: u8, out: &mut impl Append) {
    let mut bytes = array::<N>(row, at).unwrap_or([0; N]);
    bytes.reverse();
    bytes[0] ^= flip;
    out.append(bytes);
}

#[inline]
fn text(content: &[u8], out: &mut impl Append) {
    // Every byte of it is one of the key, or two.
    let content = content.get(..out.room()).unwrap_or(content);
    if content.contains(&0) {
        for (index, chunk) in content.split(|&byte| byte == 0).enumerate() {
            if index > 0 {
                out.append([0x00, 0xff]);
            }
            out.append_content(chunk);
        }
    } else {
        out.append_content(content);
    }
    out.append([0x00, 0x00]);
}
