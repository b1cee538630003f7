//! The guest's side: descriptions of scans, written.

use alloc::vec::Vec;
use core::ops::Not;

use super::{Comparison, flag, node};

/// A condition on rows, in bytes.
///
/// ```
/// use interstice_abi::filter::{Comparison, Filter};
///
/// // level >= 3 and message contains "disk"
/// let filter = Filter::compare(1, Comparison::Ge, &3u32.to_le_bytes())
///     .and(Filter::contains(2, b"disk"));
/// assert_eq!(
///     filter.as_bytes(),
///     b"\x00\x02\x08\x01\x00\x04\x00\x00\x00\x03\x00\x00\x00\x0c\x02\x00\x04\x00\x00\x00disk",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter(Vec<u8>);

impl Filter {
    /// Compares a column with a value: a value of the column's type in
    /// [layout](crate::layout) form.
    pub fn compare(column: u16, comparison: Comparison, value: &[u8]) -> Self {
        Self::operand(comparison as u8, column, value)
    }

    /// Whether an option has no value.
    pub fn is_none(column: u16) -> Self {
        Self::column(node::IS_NONE, column)
    }

    /// Whether an option has a value.
    pub fn is_some(column: u16) -> Self {
        Self::column(node::IS_SOME, column)
    }

    /// Whether a string or bytes begin with `content`.
    pub fn starts_with(column: u16, content: &[u8]) -> Self {
        Self::operand(node::STARTS_WITH, column, content)
    }

    /// Whether a string or bytes contain `content`.
    pub fn contains(column: u16, content: &[u8]) -> Self {
        Self::operand(node::CONTAINS, column, content)
    }

    /// Whether both hold.
    pub fn and(self, other: Self) -> Self {
        self.join(node::AND, other)
    }

    /// Whether at least one holds.
    pub fn or(self, other: Self) -> Self {
        self.join(node::OR, other)
    }

    /// The filter's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    // Here and below nothing is reserved: what a guest allocated last grows in
    // place, and it does without the code.

    fn column(node: u8, column: u16) -> Self {
        let mut bytes = Vec::new();
        bytes.push(node);
        bytes.extend_from_slice(&column.to_le_bytes());
        Self(bytes)
    }

    fn operand(node: u8, column: u16, content: &[u8]) -> Self {
        let mut filter = Self::column(node, column);
        filter.0.extend_from_slice(&(content.len() as u32).to_le_bytes());
        filter.0.extend_from_slice(content);
        filter
    }

    /// Joins two filters by `node`. A chain of the same node becomes one node
    /// with many children: chains may be longer than filters may be deep.
    fn join(self, node: u8, other: Self) -> Self {
        let (left, right) = (parts(node, &self.0), parts(node, &other.0));
        let (count, left, right) = match left.0.checked_add(right.0) {
            Some(sum) => (sum, left.1, right.1),
            None => (2, self.as_bytes(), other.as_bytes()),
        };
        // Built anew: inserting in front would be more code.
        let mut bytes = Vec::new();
        bytes.push(node);
        bytes.push(count);
        bytes.extend_from_slice(left);
        bytes.extend_from_slice(right);
        Self(bytes)
    }
}

/// What a filter is as the child of a `node`: its own children, if it is one.
fn parts(node: u8, filter: &[u8]) -> (u8, &[u8]) {
    match filter {
        [found, count, children @ ..] if *found == node => (*count, children),
        whole => (1, whole),
    }
}

/// Whether the filter does not hold.
impl Not for Filter {
    type Output = Self;

    fn not(mut self) -> Self {
        self.0.insert(0, node::NOT);
        self
    }
}

/// The description of a scan, being written.
///
/// ```
/// use interstice_abi::filter::ScanWriter;
///
/// // The last 10 rows whose first key column, a `u8`, is 7.
/// let scan = ScanWriter::new().prefix(1, &[7]).reverse().limit(10).finish();
/// assert_eq!(scan, b"\x2b\x0a\0\0\0\x01\x01\0\0\0\x07\x01\x01\0\0\0\x07");
/// ```
#[derive(Clone, Debug, Default)]
pub struct ScanWriter {
    flags: u8,
    limit: u32,
    lower: Vec<u8>,
    upper: Vec<u8>,
    /// Filters one behind the other, and how many.
    filters: Vec<u8>,
    filter_count: u8,
}

impl ScanWriter {
    /// A scan of all rows, in key order.
    pub fn new() -> Self {
        Self::default()
    }

    /// From the largest key to the smallest.
    pub fn reverse(mut self) -> Self {
        self.flags |= flag::REVERSE;
        self
    }

    /// At most `rows` rows.
    pub fn limit(mut self, rows: u32) -> Self {
        self.flags |= flag::LIMIT;
        self.limit = rows;
        self
    }

    /// Only keys from this one on, itself included. `key_row` is a row of the
    /// first `columns` key columns, in [layout](crate::layout) form.
    pub fn from(self, columns: u8, key_row: &[u8]) -> Self {
        self.lower(flag::LOWER, columns, key_row)
    }

    /// Only keys behind this one: see [`ScanWriter::from`].
    pub fn after(self, columns: u8, key_row: &[u8]) -> Self {
        self.lower(flag::LOWER | flag::LOWER_EXCLUSIVE, columns, key_row)
    }

    /// Only keys up to this one, itself included: see [`ScanWriter::from`].
    pub fn to(self, columns: u8, key_row: &[u8]) -> Self {
        self.upper(flag::UPPER, columns, key_row)
    }

    /// Only keys before this one: see [`ScanWriter::from`].
    pub fn before(self, columns: u8, key_row: &[u8]) -> Self {
        self.upper(flag::UPPER | flag::UPPER_EXCLUSIVE, columns, key_row)
    }

    /// Only keys that begin with these columns: see [`ScanWriter::from`].
    pub fn prefix(self, columns: u8, key_row: &[u8]) -> Self {
        self.from(columns, key_row).to(columns, key_row)
    }

    /// Only rows for which `filter` holds, and every filter given before.
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filters.extend_from_slice(filter.as_bytes());
        // More than fit here are more than `NODES`: the host refuses them.
        self.filter_count = self.filter_count.saturating_add(1);
        self
    }

    /// The description's bytes.
    pub fn finish(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.push(self.flags);
        if self.flags & flag::LIMIT != 0 {
            bytes.extend_from_slice(&self.limit.to_le_bytes());
        }
        bytes.extend_from_slice(&self.lower);
        bytes.extend_from_slice(&self.upper);
        if self.filter_count > 1 {
            bytes.extend_from_slice(&[node::AND, self.filter_count]);
        }
        bytes.extend_from_slice(&self.filters);
        bytes
    }

    fn lower(mut self, flags: u8, columns: u8, key_row: &[u8]) -> Self {
        self.flags = self.flags & !(flag::LOWER | flag::LOWER_EXCLUSIVE) | flags;
        self.lower = bound(columns, key_row);
        self
    }

    fn upper(mut self, flags: u8, columns: u8, key_row: &[u8]) -> Self {
        self.flags = self.flags & !(flag::UPPER | flag::UPPER_EXCLUSIVE) | flags;
        self.upper = bound(columns, key_row);
        self
    }
}

fn bound(columns: u8, key_row: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.push(columns);
    bytes.extend_from_slice(&(key_row.len() as u32).to_le_bytes());
    bytes.extend_from_slice(key_row);
    bytes
}
