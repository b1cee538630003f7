//! How a value lies in the log.
//!
//! The format is postcard's wire format, written and read by [`Layout`]
//! instead of by serde. Source: the postcard specification, "Wire Format",
//! version 1.0.
//!
//! | type | packed |
//! |---|---|
//! | `bool` | 1 byte: 0 or 1 |
//! | `u8`, `i8` | 1 byte |
//! | `u16` to `u128` | varint |
//! | `i16` to `i128`, `timestamp` | zigzag, then varint |
//! | `f32`, `f64` | 4, 8 bytes, little-endian |
//! | `string`, `bytes` | length as varint, content |
//! | `list<T>` | count as varint, the elements |
//! | `option<T>` | 0, or 1 and the value |
//! | struct | its fields, in order |
//! | enum | the variant's index as varint, the fields of its payload |
//!
//! Reading accepts the shortest varints only, so that a value has one packed
//! form too (but for NaNs, which become the canonical one).
//!
//! A row can also be packed by columns: only those that a bit mask names, in
//! order. That is how an update is logged: see [`changed_columns`].

use alloc::vec::Vec;

use crate::{
    bytes::{DecodeError, Reader},
    layout::{Layout, LayoutError},
};

mod columns;
mod pack;
mod unpack;

pub use columns::{changed_columns, merge_columns, pack_columns};

/// Appends the packed form of `value`, which was [checked](Layout::check).
///
/// # Errors
///
/// When it turns out not to be a value of `layout`; then `out` is as before.
/// Not every such value is noticed.
#[inline]
pub fn pack(layout: &Layout, value: &[u8], out: &mut Vec<u8>) -> Result<(), LayoutError> {
    pack::pack(layout, value, out)
}

/// Reads a packed value and appends it in layout form, with offsets that count
/// from where it starts in `out`. The value is canonical.
///
/// Nothing is allocated by a length that the input claims, but only for what
/// it holds, and never more than `limit` bytes.
///
/// # Errors
///
/// When the input is not a packed value or the value is longer than `limit`;
/// then `out` is as before, and the reader somewhere in the value.
#[inline]
pub fn unpack(
    layout: &Layout,
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<(), DecodeError> {
    unpack::unpack(layout, reader, out, limit)
}
