//! Values as people and other programs write them, and back.
//!
//! | Type | JSON, YAML | A cell of CSV, an argument on the command line |
//! |---|---|---|
//! | `bool` | `true`, `false` | also `1`, `0` |
//! | integers | a number; beyond 2^53 a string of digits | digits |
//! | `f32`, `f64` | a number; `"NaN"`, `"inf"`, `"-inf"` | `1.5`, `2e3`, `NaN`, `inf` |
//! | `timestamp` | `"2010-01-01T01:00:00Z"` | the same; see [`timestamp`] |
//! | `string` | a string | the text as it stands |
//! | `bytes` | hexadecimal digits in a string | hexadecimal digits |
//! | `option<T>` | `null`, or the value | nothing, or the value |
//! | `list<T>` | an array | JSON |
//! | struct | an object | JSON |
//! | enum | `"Variant"`, or `{"Variant": {...}}` | `Variant`, or JSON |
//!
//! Integers and floats are also read from strings. An option directly inside
//! an option is an array of one element when it is there, so that `null` and
//! `[null]` stay apart.

mod columns;
mod error;
mod json;
mod rows;
mod scalar;
pub mod timestamp;

pub use columns::{CellError, ColumnPlan, PlanError};
pub use error::TextError;
pub use json::{Typed, arguments_from_json, value_from_json};
pub use rows::{Place, RowFault, Rows, RowsError, RowsFormat};
pub use scalar::{arguments_from_words, value_from_text};

pub(crate) use scalar::hex;

/// What a JSON parser says, without the place, which is told in our own terms.
fn json_error_text(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests;
