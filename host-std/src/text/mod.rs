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
//! `[null]` stay apart. In a cell, an optional string that is there and empty is
//! `""`: a cell in the quotes of a JSON string is that string, if it is optional.
//! Optional bytes that are there and none are `0x`.

mod cell;
mod columns;
mod error;
mod guarded;
mod json;
mod json_document;
mod rows;
mod scalar;
pub mod timestamp;

pub use columns::{CellError, ColumnPlan, PlanError};
pub use error::TextError;
pub use json::{Typed, arguments_from_json, value_from_json};
pub use rows::{Place, RowFault, Rows, RowsError, RowsFormat};
pub use scalar::{arguments_from_words, value_from_text};

pub(crate) use cell::cell_text;
pub(crate) use json_document::parse_json;
pub(crate) use scalar::hex;

#[cfg(test)]
mod tests;
