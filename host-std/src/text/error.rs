use std::fmt;

use interstice_core::abi::{
    layout::{Kind, Layout},
    value::ValueError,
};

use super::timestamp;

/// The longest piece of somebody's input that a message repeats.
const FOUND_CHARS: usize = 60;

/// A text that is not a value of the type it should be, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextError {
    /// The place inside the value, e.g. `readings[3].kind`; empty for the
    /// value itself.
    pub path: String,
    /// What the type asks for.
    pub expected: String,
    /// What stands there.
    pub found: String,
}

impl TextError {
    pub(super) fn new(expected: &Layout, found: impl fmt::Display) -> Self {
        Self::because(type_text(expected), found)
    }

    pub(super) fn because(expected: impl Into<String>, found: impl fmt::Display) -> Self {
        Self { path: String::new(), expected: expected.into(), found: shorten(&found.to_string()) }
    }

    /// The same error, one level further out.
    pub(super) fn inside(mut self, place: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = format!("{place}{dot}{}", self.path);
        self
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "`{}`: ", self.path)?;
        }
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

impl std::error::Error for TextError {}

/// Repeats what was found, as a quoted piece that fits a line.
pub(super) fn quote(text: &str) -> String {
    if text.is_empty() { "nothing".to_owned() } else { format!("{text:?}") }
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(FOUND_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

/// A type as a message names it: its text form, and what that does not tell.
pub(super) fn type_text(layout: &Layout) -> String {
    let hint = match layout.kind() {
        Kind::Bool => "true or false".to_owned(),
        Kind::Timestamp => timestamp::EXAMPLE.to_owned(),
        Kind::Bytes => "pairs of hexadecimal digits".to_owned(),
        Kind::Struct(fields) if layout.name().is_some() => {
            let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
            format!("an object with {}", names.join(", "))
        }
        Kind::Enum(variants) => {
            let names: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
            format!("one of {}", names.join(", "))
        }
        _ => return layout.to_string(),
    };
    format!("{layout} ({hint})")
}

impl From<ValueError> for TextError {
    fn from(error: ValueError) -> Self {
        Self { path: error.path, expected: error.expected, found: shorten(&error.found) }
    }
}
