//! A value as a tree, for tools.
//!
//! What runs in the hot path reads columns where they lie; a [`Value`] is for
//! those who meet types at run time: command lines, inspectors, tests. It does
//! not know its type: a [`Layout`] decodes, encodes and displays it.

use alloc::{boxed::Box, string::String, vec::Vec};

use crate::layout::{Kind, Layout, LayoutError, array, content, elements, payload};

mod encode;
mod text;

pub use encode::ValueError;
pub use text::{Rfc3339, Text};

/// A value of any type.
///
/// ```
/// use interstice_abi::{layout::Layout, schema::{ModuleSchema, Type}, value::Value};
///
/// let schema = ModuleSchema {
///     module: "hello".into(), types: vec![], tables: vec![], reducers: vec![], queries: vec![],
/// };
/// let layout = Layout::of_type(&schema, &"list<option<u8>>".parse().unwrap()).unwrap();
/// let value = Value::List(vec![
///     Value::Option(None),
///     Value::Option(Some(Box::new(Value::Unsigned(7)))),
/// ]);
/// let mut bytes = Vec::new();
/// layout.encode(&value, &mut bytes).unwrap();
/// assert_eq!(bytes, [8, 0, 0, 0, 2, 0, 0, 0, /* tail */ 0, 0, 1, 7]);
/// assert_eq!(layout.decode(&bytes).unwrap(), value);
/// assert_eq!(layout.display(&bytes).to_string(), "[None, Some(7)]");
/// ```
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A boolean.
    Bool(bool),
    /// An unsigned integer of any size.
    Unsigned(u128),
    /// A signed integer of any size.
    Signed(i128),
    /// An `f32`.
    F32(f32),
    /// An `f64`.
    F64(f64),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// A string.
    String(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// An option.
    Option(Option<Box<Value>>),
    /// A list.
    List(Vec<Value>),
    /// A struct: its fields, in order.
    Struct(Vec<Value>),
    /// An enum.
    Enum {
        /// The variant's index.
        variant: u16,
        /// The fields of its payload, in order.
        fields: Vec<Value>,
    },
}

impl Layout {
    /// Reads a value, which need not have been checked.
    ///
    /// # Errors
    ///
    /// When [`Layout::check`] refuses it.
    pub fn decode(&self, bytes: &[u8]) -> Result<Value, LayoutError> {
        // One set of rules: what `check` lets pass is read without any.
        let mut checked = bytes.to_vec();
        self.check(&mut checked)?;
        decode(self, &checked, 0).ok_or_else(|| self.refuse(bytes))
    }
}

/// The value whose slot is at `at`. `None` where the bytes are no value.
fn decode(layout: &Layout, bytes: &[u8], at: usize) -> Option<Value> {
    Some(match layout.kind() {
        Kind::Bool => Value::Bool(*bytes.get(at)? != 0),
        Kind::Unsigned(size) => Value::Unsigned(unsigned(bytes, at, *size)?),
        Kind::Signed(size) => {
            // The sign bit moves to the top and back.
            let unused = 128 - u32::from(*size) * 8;
            Value::Signed((unsigned(bytes, at, *size)? as i128) << unused >> unused)
        }
        Kind::F32 => Value::F32(f32::from_le_bytes(array(bytes, at)?)),
        Kind::F64 => Value::F64(f64::from_le_bytes(array(bytes, at)?)),
        Kind::Timestamp => Value::Timestamp(i64::from_le_bytes(array(bytes, at)?)),
        Kind::String => Value::String(core::str::from_utf8(content(bytes, at)?).ok()?.into()),
        Kind::Bytes => Value::Bytes(content(bytes, at)?.into()),
        Kind::Option(inner) => Value::Option(match bytes.get(at)? {
            0 => None,
            _ => Some(Box::new(decode(inner, bytes, at + 1)?)),
        }),
        Kind::List(inner) => {
            let (first, count) = elements(bytes, at, inner.size())?;
            let slots = (0..count).map(|index| first + index * inner.size());
            Value::List(slots.map(|at| decode(inner, bytes, at)).collect::<Option<_>>()?)
        }
        Kind::Struct(_) => Value::Struct(decode_fields(layout, bytes, at)?),
        Kind::Enum(variants) => {
            let plain = || Some((*bytes.get(at)?, 0));
            let (tag, start) = if layout.is_fixed() { plain()? } else { payload(bytes, at)? };
            let fields = &variants.get(usize::from(tag))?.fields;
            Value::Enum { variant: tag.into(), fields: decode_fields(fields, bytes, start)? }
        }
    })
}

fn decode_fields(layout: &Layout, bytes: &[u8], at: usize) -> Option<Vec<Value>> {
    let fields = layout.fields().iter();
    fields.map(|field| decode(&field.layout, bytes, at + field.offset as usize)).collect()
}

fn unsigned(bytes: &[u8], at: usize, size: u8) -> Option<u128> {
    let slot = bytes.get(at..)?.get(..usize::from(size))?;
    Some(slot.iter().rev().fold(0, |value, &byte| value << 8 | u128::from(byte)))
}
