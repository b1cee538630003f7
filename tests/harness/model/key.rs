//! Keys that compare by value, and scans over them.

use std::cmp::Ordering;

use interstice_core::abi::{filter::Comparison, layout::Layout, value::Value};

use crate::guest::script::{BoundSpec, ScanSpec};

/// A column of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyPart {
    /// A boolean.
    Bool(bool),
    /// An unsigned integer.
    Unsigned(u128),
    /// A signed integer, or a time.
    Signed(i128),
    /// A string's or byte string's content.
    Content(Vec<u8>),
    /// The variant of an enum without payload.
    Variant(u16),
}

impl KeyPart {
    pub(super) fn of(value: &Value) -> Self {
        match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Unsigned(value) => Self::Unsigned(*value),
            Value::Signed(value) => Self::Signed(*value),
            Value::Timestamp(micros) => Self::Signed(i128::from(*micros)),
            Value::String(text) => Self::Content(text.clone().into_bytes()),
            Value::Bytes(bytes) => Self::Content(bytes.clone()),
            Value::Enum { variant, .. } => Self::Variant(*variant),
            other => panic!("{other:?} is no key"),
        }
    }
}

/// The columns of a row that make up its key.
pub(super) fn of_row(layout: &Layout, columns: &[u16], row: &[u8]) -> Vec<KeyPart> {
    let values = columns_of(layout, row);
    columns.iter().map(|&column| KeyPart::of(&values[usize::from(column)])).collect()
}

/// A key row: the key columns as a row of their own.
pub(super) fn of_key_row(layout: &Layout, row: &[u8]) -> Vec<KeyPart> {
    columns_of(layout, row).iter().map(KeyPart::of).collect()
}

fn columns_of(layout: &Layout, row: &[u8]) -> Vec<Value> {
    match layout.decode(row) {
        Ok(Value::Struct(values)) => values,
        other => panic!("a row is a struct, not {other:?}"),
    }
}

/// Whether a scan visits the row with `key`.
pub(super) fn visits(spec: &ScanSpec, layout: &Layout, key: &[KeyPart], row: &[u8]) -> bool {
    let compare = |bound: &BoundSpec| {
        let bound: Vec<KeyPart> = bound.columns.iter().map(KeyPart::of).collect();
        key[..bound.len()].cmp(&bound[..])
    };
    let above = spec.lower.as_ref().is_none_or(|bound| match compare(bound) {
        Ordering::Less => false,
        Ordering::Equal => bound.inclusive,
        Ordering::Greater => true,
    });
    let below = spec.upper.as_ref().is_none_or(|bound| match compare(bound) {
        Ordering::Less => true,
        Ordering::Equal => bound.inclusive,
        Ordering::Greater => false,
    });
    let holds = spec.condition.as_ref().is_none_or(|(column, comparison, value)| {
        compares(&columns_of(layout, row)[usize::from(*column)], *comparison, value)
    });
    above && below && holds
}

fn compares(column: &Value, comparison: Comparison, value: &Value) -> bool {
    let order = match (column, value) {
        (Value::F32(a), Value::F32(b)) => a.partial_cmp(b),
        (Value::F64(a), Value::F64(b)) => a.partial_cmp(b),
        (a, b) => Some(KeyPart::of(a).cmp(&KeyPart::of(b))),
    };
    match comparison {
        Comparison::Eq => order == Some(Ordering::Equal),
        Comparison::Ne => order != Some(Ordering::Equal),
        Comparison::Lt => order == Some(Ordering::Less),
        Comparison::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Comparison::Gt => order == Some(Ordering::Greater),
        Comparison::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    }
}
