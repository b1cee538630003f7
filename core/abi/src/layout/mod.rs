//! How a value lies in memory, in the guest and in the host.
//!
//! ```text
//!  slots                                     tail
//!  0              8          16         24   24            41
//! +--------------+----------+----------+----+--------------+
//! | id: u64      | name     | readings | .. | "Ada" 7 f32s |
//! +--------------+----------+----------+----+--------------+
//!                  |    |     |     |         ^     ^
//!                  |    len   |     count     |     |
//!                  +- offset -|---------------+     |
//!                             +- offset ------------+
//! ```
//!
//! A value is its **slot** (of a size that its type fixes, at offset 0) and,
//! behind it, its **tail**. Everything is little-endian; there is no alignment
//! and no padding.
//!
//! | type | slot |
//! |---|---|
//! | `bool` | 1 byte: 0 or 1 |
//! | `u8` to `u128`, `i8` to `i128` | 1 to 16 bytes |
//! | `f32`, `f64` | 4, 8 bytes; every NaN is the canonical one, `7fc00000` or `7ff8000000000000` |
//! | `timestamp` | as `i64` |
//! | `string`, `bytes` | offset u32, length u32; the content is in the tail |
//! | `list<T>` | offset u32, count u32; in the tail the slots of all elements, behind them the elements' tails |
//! | `option<T>` | tag 0 or 1, then the slot of T; all zero for none |
//! | struct | the slots of its fields, in order |
//! | enum without payload | the variant's index, 1 byte |
//! | enum with payload in any variant | the variant's index, 1 byte; offset u32 of the payload in the tail, a struct of the variant's fields |
//!
//! A row is a struct of its table's columns; arguments are a struct of the
//! parameters (possibly of none: zero bytes).
//!
//! Offsets count from the start of the whole value. They are redundant: a
//! cursor starts at the end of the slot, and walking the fields in order,
//! depth first, each offset equals the cursor (also of empty content), which
//! then moves over the content: over a text, over the element slots of a list,
//! over the payload slots of an enum (none for a variant without payload).
//! At the end the cursor is the value's length. Hence a value has **one**
//! encoding: equal values are equal bytes, and what lies where can be trusted
//! after one [`Layout::check`].
//!
//! The offsets are there so that any column is read without decoding those
//! before it.

use alloc::{boxed::Box, string::String};
use core::fmt;

mod build;
mod check;
pub(crate) mod error;

pub use build::Layouts;
pub use error::{LayoutError, LayoutFault};

#[cfg(not(target_has_atomic = "ptr"))]
pub use alloc::rc::Rc as Shared;
/// What several layouts have in common is there once. Targets without atomics
/// have no threads to share it with.
#[cfg(target_has_atomic = "ptr")]
pub use alloc::sync::Arc as Shared;

/// How values of one type lie in memory.
///
/// ```
/// use interstice_abi::{layout::Layout, schema::{Field, ModuleSchema, Type}};
///
/// let schema = ModuleSchema {
///     module: "hello".into(), types: vec![], tables: vec![], reducers: vec![], queries: vec![],
/// };
/// let fields = [
///     Field { name: "id".into(), ty: Type::U16 },
///     Field { name: "name".into(), ty: Type::String },
/// ];
/// let layout = Layout::of_fields(&schema, &fields).unwrap();
/// let mut row = *b"\x07\x00\x0a\x00\x00\x00\x03\x00\x00\x00Ada";
/// assert!(layout.check(&mut row).is_ok());
///
/// row[2] = 11;
/// let error = layout.check(&mut row).unwrap_err();
/// assert_eq!(error.to_string(), "name, byte 2: its content is at offset 11 where 10 is due");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    kind: Kind,
    /// What structs and enums have besides. Most layouts are of neither: they
    /// are the columns.
    composite: Option<Shared<Composite>>,
    /// Bytes of the slot: see [`FIXED_SIZE`](crate::schema::limits::FIXED_SIZE).
    size: u16,
    /// The fewest bytes that a value takes in packed form; no more than `size`.
    packed_min: u16,
    fixed: bool,
    plain: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Composite {
    /// Empty for the structs that have none.
    name: Box<str>,
    /// A struct's leaves, also those of the structs inside it, in order.
    steps: Box<[Step]>,
    /// The steps at which not every byte pattern is canonical.
    checks: Box<[Step]>,
    /// The fields of a struct that have a tail, by bits.
    tails: u64,
}

/// What a [`Layout`] lays out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `bool`.
    Bool,
    /// An unsigned integer of 1, 2, 4, 8 or 16 bytes.
    Unsigned(u8),
    /// A signed integer of 1, 2, 4, 8 or 16 bytes.
    Signed(u8),
    /// `f32`.
    F32,
    /// `f64`.
    F64,
    /// Microseconds since 1970-01-01T00:00:00Z, signed, 8 bytes.
    Timestamp,
    /// `string`.
    String,
    /// `bytes`.
    Bytes,
    /// `option`, of this type.
    Option(Shared<Layout>),
    /// `list`, of this type.
    List(Shared<Layout>),
    /// A struct: its fields, in order.
    Struct(Shared<[FieldLayout]>),
    /// An enum: its variants, in tag order.
    Enum(Shared<[VariantLayout]>),
}

/// A field of a struct, a column of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldLayout {
    /// Its name.
    pub name: String,
    /// Where its slot starts in the struct's slot.
    pub offset: u32,
    /// How it lies there.
    pub layout: Layout,
}

/// A variant of an enum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariantLayout {
    /// Its name.
    pub name: String,
    /// Its payload: a struct, possibly without fields. Offsets count from the
    /// payload's start.
    pub fields: Layout,
}

impl Layout {
    /// What it lays out.
    #[inline]
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The name of the struct or enum. Other types have none, nor have the
    /// structs of [`Layout::of_fields`] and of an enum's payloads.
    pub fn name(&self) -> Option<&str> {
        self.composite.as_ref().map(|composite| &*composite.name).filter(|name| !name.is_empty())
    }

    /// Bytes of the slot.
    #[inline]
    pub fn size(&self) -> usize {
        usize::from(self.size)
    }

    /// Whether no value has a tail: each is exactly [`Layout::size`] bytes long.
    #[inline]
    pub fn is_fixed(&self) -> bool {
        self.fixed
    }

    /// Whether it is fixed and every byte pattern is a canonical value. That
    /// is so for integers, timestamps and structs of them.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// The fields of a struct, the columns of a row. Other types have none.
    #[inline]
    pub fn fields(&self) -> &[FieldLayout] {
        match &self.kind {
            Kind::Struct(fields) => fields,
            _ => &[],
        }
    }

    /// Whether two layouts are the same but for the names of their types: a
    /// module knows another module's types by other names than that module itself.
    pub fn same_shape(&self, other: &Self) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::Option(a), Kind::Option(b)) | (Kind::List(a), Kind::List(b)) => a.same_shape(b),
            (Kind::Struct(a), Kind::Struct(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .zip(&**b)
                        .all(|(a, b)| a.name == b.name && a.layout.same_shape(&b.layout))
            }
            (Kind::Enum(a), Kind::Enum(b)) => {
                a.len() == b.len()
                    && a.iter()
                        .zip(&**b)
                        .all(|(a, b)| a.name == b.name && a.fields.same_shape(&b.fields))
            }
            (a, b) => a == b,
        }
    }

    /// The layout as those see it that walk values.
    #[inline]
    pub(crate) fn node(&self) -> Node<'_> {
        Node::Leaf(match &self.kind {
            Kind::Bool => Leaf::Bool,
            Kind::Unsigned(1) => Leaf::U8,
            Kind::Unsigned(2) => Leaf::U16,
            Kind::Unsigned(4) => Leaf::U32,
            Kind::Unsigned(8) => Leaf::U64,
            Kind::Unsigned(_) => Leaf::U128,
            Kind::Signed(1) => Leaf::I8,
            Kind::Signed(2) => Leaf::I16,
            Kind::Signed(4) => Leaf::I32,
            Kind::Signed(8) | Kind::Timestamp => Leaf::I64,
            Kind::Signed(_) => Leaf::I128,
            Kind::F32 => Leaf::F32,
            Kind::F64 => Leaf::F64,
            Kind::String => Leaf::String,
            Kind::Bytes => Leaf::Bytes,
            // Only an enum with payload has room for an offset.
            Kind::Enum(variants) if self.size == 1 => Leaf::Tag(variants.len() as u8),
            Kind::Enum(variants) => return Node::Enum(variants),
            Kind::Option(inner) => return Node::Option(inner),
            Kind::List(inner) => return Node::List(inner),
            Kind::Struct(fields) => return Node::Struct(self.steps(), fields),
        })
    }

    #[inline]
    pub(crate) fn steps(&self) -> &[Step] {
        self.composite.as_ref().map_or(&[], |composite| &composite.steps)
    }

    /// The steps at which not every byte pattern is canonical.
    #[inline]
    fn checks(&self) -> &[Step] {
        self.composite.as_ref().map_or(&[], |composite| &composite.checks)
    }

    /// The fields of a struct that have a tail, by bits.
    #[inline]
    pub(crate) fn tails(&self) -> u64 {
        self.composite.as_ref().map_or(0, |composite| composite.tails)
    }

    #[inline]
    pub(crate) fn packed_min(&self) -> usize {
        usize::from(self.packed_min)
    }

    /// The names of the leaf at `offset` of a struct's slot: `position.x`.
    fn path_at(&self, offset: u32) -> String {
        let mut path = String::new();
        let (mut layout, mut offset) = (self, offset);
        while let Some(field) = layout.fields().iter().rfind(|field| field.offset <= offset) {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(&field.name);
            offset -= field.offset;
            layout = &field.layout;
        }
        path
    }
}

/// The type's text form: `u64`, `option<string>`, `Greeting`; a struct without
/// a name is spelled out, `(id: u64, name: string)`.
impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Bool => f.write_str("bool"),
            Kind::Unsigned(size) => write!(f, "u{}", u32::from(*size) * 8),
            Kind::Signed(size) => write!(f, "i{}", u32::from(*size) * 8),
            Kind::F32 => f.write_str("f32"),
            Kind::F64 => f.write_str("f64"),
            Kind::Timestamp => f.write_str("timestamp"),
            Kind::String => f.write_str("string"),
            Kind::Bytes => f.write_str("bytes"),
            Kind::Option(inner) => write!(f, "option<{inner}>"),
            Kind::List(inner) => write!(f, "list<{inner}>"),
            Kind::Struct(fields) if self.name().is_none() => {
                f.write_str("(")?;
                for (index, field) in fields.iter().enumerate() {
                    let separator = if index == 0 { "" } else { ", " };
                    write!(f, "{separator}{}: {}", field.name, field.layout)?;
                }
                f.write_str(")")
            }
            Kind::Struct(_) | Kind::Enum(_) => f.write_str(self.name().unwrap_or_default()),
        }
    }
}

/// A type without parts that have a place of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leaf {
    Bool,
    U8,
    U16,
    U32,
    U64,
    U128,
    I8,
    I16,
    I32,
    I64,
    I128,
    F32,
    F64,
    String,
    Bytes,
    /// An enum without payload, and how many variants it has.
    Tag(u8),
}

impl Leaf {
    /// Whether its content is in the tail.
    #[inline]
    pub(crate) const fn has_tail(self) -> bool {
        matches!(self, Self::String | Self::Bytes)
    }
}

/// A layout as those see it that walk values.
pub(crate) enum Node<'a> {
    Leaf(Leaf),
    Option(&'a Layout),
    List(&'a Layout),
    Struct(&'a [Step], &'a [FieldLayout]),
    /// An enum with payload.
    Enum(&'a [VariantLayout]),
}

/// A step of a walk over a struct. Most rows are made of leaves, and are
/// walked in one loop over few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Offset in the struct's slot: see [`FIXED_SIZE`](crate::schema::limits::FIXED_SIZE).
    pub(crate) at: u16,
    /// The index of the field that it belongs to.
    pub(crate) field: u16,
    pub(crate) what: What,
}

/// What lies at a [`Step`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A leaf of this struct or of one inside it.
    Leaf(Leaf),
    /// The whole field, which has to be walked on its own.
    Field,
}

/// The canonical NaN of `f32`.
pub(crate) const NAN_32: u32 = 0x7fc0_0000;
/// The canonical NaN of `f64`.
pub(crate) const NAN_64: u64 = 0x7ff8_0000_0000_0000;

/// `bits`, or the canonical NaN if they are a NaN.
#[inline]
pub(crate) const fn canonical_32(bits: u32) -> u32 {
    if bits & 0x7fff_ffff > 0x7f80_0000 { NAN_32 } else { bits }
}

/// `bits`, or the canonical NaN if they are a NaN.
#[inline]
pub(crate) const fn canonical_64(bits: u64) -> u64 {
    if bits & 0x7fff_ffff_ffff_ffff > 0x7ff0_0000_0000_0000 { NAN_64 } else { bits }
}

/// Whether `text` is UTF-8. Most text is short and ASCII, which is seen faster.
#[inline]
pub(crate) fn is_utf8(text: &[u8]) -> bool {
    text.is_ascii() || core::str::from_utf8(text).is_ok()
}

/// The `N` bytes at `at`, a place in a slot that starts in `bytes`.
#[inline]
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.first_chunk().copied()
}

/// The offset and the length or count in a slot at `at`.
#[inline]
pub(crate) fn span(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let span = u64::from_le_bytes(array(bytes, at)?);
    Some((span as u32 as usize, (span >> 32) as usize))
}

/// The text or bytes of a slot at `at` of a value that was checked.
#[inline]
pub(crate) fn content(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let (start, len) = span(bytes, at)?;
    bytes.get(start..)?.get(..len)
}

/// Start and count of the elements of `size` bytes of a list's slot at `at`,
/// if they lie inside the value.
#[inline]
pub(crate) fn elements(bytes: &[u8], at: usize, size: usize) -> Option<(usize, usize)> {
    let (start, count) = span(bytes, at)?;
    let room = bytes.len().checked_sub(start)?;
    (count.checked_mul(size)? <= room).then_some((start, count))
}

/// The tag of an enum's slot at `at`, and the start of its payload, if it lies
/// inside the value.
#[inline]
pub(crate) fn payload(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let start = u32::from_le_bytes(array(bytes, at + 1)?) as usize;
    (start <= bytes.len()).then_some((*bytes.get(at)?, start))
}
