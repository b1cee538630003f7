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
    bytes::{DecodeError, Reader, write_varint_u64, write_varint_u128, zigzag, zigzag_i128},
    layout::{Layout, LayoutError, Leaf, Node, What, array, content, elements},
};

mod columns;
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
    let start = out.len();
    match (Pack { value, out }).node(layout, 0) {
        Some(()) => Ok(()),
        None => {
            out.truncate(start);
            Err(layout.refuse(value))
        }
    }
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
/// then `out` is as before.
#[inline]
pub fn unpack(
    layout: &Layout,
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<(), DecodeError> {
    unpack::unpack(layout, reader, out, limit)
}

/// Appends packed values. `None` where the value is not one of the layout.
struct Pack<'a> {
    value: &'a [u8],
    out: &'a mut Vec<u8>,
}

impl Pack<'_> {
    fn node(&mut self, layout: &Layout, at: usize) -> Option<()> {
        match layout.node() {
            Node::Leaf(leaf) => self.leaf(leaf, at),
            Node::Struct(steps, fields) => {
                for step in steps {
                    let at = at + step.at as usize;
                    match step.what {
                        What::Leaf(leaf) => self.leaf(leaf, at)?,
                        What::Field(index) => {
                            self.node(&fields.get(usize::from(index))?.layout, at)?;
                        }
                    }
                }
                Some(())
            }
            Node::Option(inner) => match self.byte(at)? {
                0 => Some(()),
                _ => self.node(inner, at + 1),
            },
            Node::List(inner) => self.list(inner, at),
            Node::Enum(variants) => {
                let tag = self.byte(at)?;
                let start = u32::from_le_bytes(self.array(at + 1)?);
                self.node(&variants.get(usize::from(tag))?.fields, start as usize)
            }
        }
    }

    #[inline]
    fn leaf(&mut self, leaf: Leaf, at: usize) -> Option<()> {
        match leaf {
            Leaf::Bool | Leaf::U8 | Leaf::I8 | Leaf::Tag(_) => {
                self.byte(at)?;
            }
            Leaf::U16 => self.varint(u16::from_le_bytes(self.array(at)?)),
            Leaf::U32 => self.varint(u32::from_le_bytes(self.array(at)?)),
            Leaf::U64 => self.varint(u64::from_le_bytes(self.array(at)?)),
            Leaf::U128 => write_varint_u128(self.out, u128::from_le_bytes(self.array(at)?)),
            Leaf::I16 => self.varint(zigzag(i16::from_le_bytes(self.array(at)?).into())),
            Leaf::I32 => self.varint(zigzag(i32::from_le_bytes(self.array(at)?).into())),
            Leaf::I64 => self.varint(zigzag(i64::from_le_bytes(self.array(at)?))),
            Leaf::I128 => {
                let value = i128::from_le_bytes(self.array(at)?);
                write_varint_u128(self.out, zigzag_i128(value));
            }
            Leaf::F32 => self.out.extend_from_slice(&self.array::<4>(at)?),
            Leaf::F64 => self.out.extend_from_slice(&self.array::<8>(at)?),
            Leaf::String | Leaf::Bytes => {
                let content = content(self.value, at)?;
                self.varint(content.len() as u64);
                self.out.extend_from_slice(content);
            }
        }
        Some(())
    }

    fn list(&mut self, inner: &Layout, at: usize) -> Option<()> {
        let (start, count) = elements(self.value, at, inner.size())?;
        self.varint(count as u64);
        match inner.node() {
            Node::Leaf(Leaf::U8 | Leaf::I8 | Leaf::Bool | Leaf::Tag(_)) => {
                self.out.extend_from_slice(self.value.get(start..start + count)?);
            }
            Node::Leaf(leaf) => {
                for index in 0..count {
                    self.leaf(leaf, start + index * inner.size())?;
                }
            }
            _ => {
                for index in 0..count {
                    self.node(inner, start + index * inner.size())?;
                }
            }
        }
        Some(())
    }

    #[inline]
    fn byte(&mut self, at: usize) -> Option<u8> {
        let byte = *self.value.get(at)?;
        self.out.push(byte);
        Some(byte)
    }

    #[inline]
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        array(self.value, at)
    }

    #[inline]
    fn varint(&mut self, value: impl Into<u64>) {
        write_varint_u64(self.out, value.into());
    }
}
