//! Values -> single texts, as [`value_from_text`](super::value_from_text) and
//! [`ColumnPlan`](super::ColumnPlan) read them back.

use std::borrow::Cow;

use interstice_core::abi::{
    layout::{Kind, Layout},
    value::Value,
};

use super::{json::Typed, scalar::hex, timestamp};

/// A value as a cell.
pub(crate) fn cell_text(layout: &Layout, value: &Value) -> String {
    match (layout.kind(), value) {
        (_, Value::Bool(value)) => value.to_string(),
        (_, Value::Unsigned(value)) => value.to_string(),
        (_, Value::Signed(value)) => value.to_string(),
        (_, Value::F32(value)) => format!("{value:?}"),
        (_, Value::F64(value)) => format!("{value:?}"),
        (_, Value::Timestamp(micros)) => timestamp::format(*micros),
        (_, Value::String(text)) => text.clone(),
        (_, Value::Bytes(bytes)) => hex(bytes),
        (Kind::Option(_), Value::Option(None)) => String::new(),
        (Kind::Option(inner), Value::Option(Some(inside))) => match (inner.kind(), &**inside) {
            (Kind::Option(_), _) => json_text(layout, value),
            (_, Value::String(text)) if is_blank(text) || json_string(text).is_some() => {
                json_text(inner, inside)
            }
            (_, Value::Bytes(bytes)) if bytes.is_empty() => "0x".to_owned(),
            _ => cell_text(inner, inside),
        },
        (Kind::Enum(variants), Value::Enum { variant, fields }) if fields.is_empty() => {
            variants.get(usize::from(*variant)).map_or_else(String::new, |v| v.name.clone())
        }
        _ => json_text(layout, value),
    }
}

fn json_text(layout: &Layout, value: &Value) -> String {
    serde_json::to_string(&Typed { layout, value }).unwrap_or_default()
}

/// Whether a cell says that there is no value.
pub(super) fn is_blank(cell: &str) -> bool {
    cell.trim_ascii().is_empty()
}

/// The string that the cell of an optional one says. In quotes, as JSON, it can
/// be empty or blank; everything else is as it stands.
pub(super) fn optional_string(cell: &str) -> Cow<'_, str> {
    json_string(cell).map_or(Cow::Borrowed(cell), Cow::Owned)
}

fn json_string(cell: &str) -> Option<String> {
    cell.starts_with('"').then(|| serde_json::from_str(cell).ok()).flatten()
}
