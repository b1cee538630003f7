//! Which rows a scan visits, as data.
//!
//! A guest describes a scan in bytes ([`ScanWriter`], [`Filter`]); the host
//! checks the description once ([`Scan::check`]) and then evaluates it on rows
//! where they lie, without decoding them.
//!
//! ```text
//!  0       1        [4 bytes]                             to the end
//! +-------+--------+-----------------+-------------------+---------+
//! | flags | limit? | lower bound?    | upper bound?      | filter? |
//! +-------+--------+-----------------+-------------------+---------+
//!                  | columns u8, length u32, key row     |
//! ```
//!
//! - **flags**: 1 reverse order, 2 there is a lower bound, 4 the lower bound is
//!   exclusive, 8 there is an upper bound, 16 the upper bound is exclusive, 32
//!   there is a limit. 4 comes with 2 only, 16 with 8.
//! - **limit** u32: the most rows that the scan yields.
//! - **bounds**: the first key columns (all or fewer), as a row of their own.
//!   A bound of fewer columns means all keys that begin with it: inclusive, it
//!   takes all of them in, exclusive, it leaves all of them out.
//! - **filter**: one node in preorder, to the end of the description. At most
//!   [`NODES`] nodes, nested at most [`DEPTH`] deep.
//!
//! | node | bytes | holds |
//! |---|---|---|
//! | 0 and | count u8, nodes | if all nodes hold |
//! | 1 or | count u8, nodes | if any node holds |
//! | 2 not | node | if the node does not |
//! | 3 eq, 4 ne, 5 lt, 6 le, 7 gt, 8 ge | column u16, length u32, value | see below |
//! | 9 is none, 10 is some | column u16 | an option has none, has a value |
//! | 11 starts with, 12 contains | column u16, length u32, content | of strings and bytes |
//!
//! All numbers are little-endian. Columns are indexes into the table's row.
//!
//! **Comparisons.** The value is in [layout](crate::layout) form, of the
//! column's type. Numbers and timestamps compare by value, strings and bytes
//! bytewise, `false` before `true`, enums without payload by their order.
//! With a NaN on either side only `ne` holds. Structs, lists and enums with
//! payload do not compare.
//!
//! **Options.** With a value, a column that has none compares neither equal,
//! nor unequal, nor ordered: no comparison, `starts with` or `contains` holds.
//! (Still `not` negates what it is given.) A value of none equals a column of
//! none and is unequal to any other.

use alloc::string::String;
use core::fmt;

use crate::{bytes::DecodeError, layout::LayoutError};

mod check;
mod evaluate;
mod write;

pub use evaluate::Scan;
pub use write::{Filter, ScanWriter};

/// The most nodes of a filter.
pub const NODES: usize = 128;
/// How deep the nodes of a filter nest at most.
pub const DEPTH: usize = 16;

/// A comparison of a column with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Comparison {
    /// Equal.
    Eq = 3,
    /// Not equal.
    Ne = 4,
    /// Less.
    Lt = 5,
    /// Less or equal.
    Le = 6,
    /// Greater.
    Gt = 7,
    /// Greater or equal.
    Ge = 8,
}

impl Comparison {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Eq, Self::Ne, Self::Lt, Self::Le, Self::Gt, Self::Ge];
}

mod flag {
    pub(super) const REVERSE: u8 = 1;
    pub(super) const LOWER: u8 = 2;
    pub(super) const LOWER_EXCLUSIVE: u8 = 4;
    pub(super) const UPPER: u8 = 8;
    pub(super) const UPPER_EXCLUSIVE: u8 = 16;
    pub(super) const LIMIT: u8 = 32;
}

/// The first byte of nodes that are not comparisons.
mod node {
    pub(super) const AND: u8 = 0;
    pub(super) const OR: u8 = 1;
    pub(super) const NOT: u8 = 2;
    pub(super) const IS_NONE: u8 = 9;
    pub(super) const IS_SOME: u8 = 10;
    pub(super) const STARTS_WITH: u8 = 11;
    pub(super) const CONTAINS: u8 = 12;
}

/// Why the description of a scan is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FilterError {
    /// The bytes do not decode.
    Decode(DecodeError),
    /// The first byte has flags that do not exist, or not without another.
    Flags(u8),
    /// A bound has more columns than the key.
    BoundColumns {
        /// How many it has.
        found: u8,
        /// How many the key has.
        key: usize,
    },
    /// A bound is not a row of key columns.
    Bound(LayoutError),
    /// A node starts with a byte that means nothing.
    Node {
        /// Its position.
        at: usize,
        /// The byte.
        found: u8,
    },
    /// Nodes are nested deeper than [`DEPTH`].
    TooDeep,
    /// There are more than [`NODES`] nodes.
    TooManyNodes,
    /// A node names a column that the row does not have.
    Column {
        /// The index it names.
        found: u16,
        /// How many columns the row has.
        columns: usize,
    },
    /// The column's type does not allow what the node asks of it.
    Type {
        /// The column's name.
        column: String,
        /// Its type.
        ty: String,
        /// What cannot be done with it.
        what: &'static str,
    },
    /// The value that a column is compared with is not one of its type.
    Value {
        /// The column's name.
        column: String,
        /// What is wrong with the value.
        error: LayoutError,
    },
}

impl From<DecodeError> for FilterError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => write!(f, "the scan does not decode: {error}"),
            Self::Flags(flags) => write!(f, "the scan has unknown flags: {flags:#04x}"),
            Self::BoundColumns { found, key } => {
                write!(f, "a bound of the scan has {found} columns, the key has {key}")
            }
            Self::Bound(error) => write!(f, "a bound of the scan is no key: {error}"),
            Self::Node { at, found } => {
                write!(f, "the filter has an unknown node {found} at byte {at}")
            }
            Self::TooDeep => write!(f, "the filter is nested deeper than {DEPTH}"),
            Self::TooManyNodes => write!(f, "the filter has more than {NODES} nodes"),
            Self::Column { found, columns } => {
                write!(f, "the filter names column {found}, the row has {columns}")
            }
            Self::Type { column, ty, what } => {
                write!(f, "the column {column} of type `{ty}` {what}")
            }
            Self::Value { column, error } => {
                write!(f, "the value compared with the column {column} is not of its type: {error}")
            }
        }
    }
}

impl core::error::Error for FilterError {}
