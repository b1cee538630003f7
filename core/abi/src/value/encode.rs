//! Tree -> bytes.

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};
use core::fmt;

use super::Value;
use crate::layout::{FieldLayout, Kind, Layout, canonical_32, canonical_64, error::prefix};

/// A value that is not of the type it should be, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError {
    /// The place: `readings[3].kind`. Empty for the value itself.
    pub path: String,
    /// What is due there: a type's text form.
    pub expected: String,
    /// What was found.
    pub found: String,
}

impl ValueError {
    fn within(mut self, outer: &str) -> Self {
        prefix(&mut self.path, outer);
        self
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "expected {}, found {}", self.expected, self.found)
    }
}

impl core::error::Error for ValueError {}

impl Layout {
    /// Appends the encoding of `value`, with offsets that count from where it
    /// starts in `out`.
    ///
    /// # Errors
    ///
    /// When it is not a value of this type; then `out` is as before.
    pub fn encode(&self, value: &Value, out: &mut Vec<u8>) -> Result<(), ValueError> {
        let start = out.len();
        out.resize(start + self.size(), 0);
        let encoded = Encode { start, out }.node(self, value, start);
        if encoded.is_err() {
            out.truncate(start);
        }
        encoded
    }
}

/// Writes into slots that are there already and zero.
struct Encode<'a> {
    out: &'a mut Vec<u8>,
    /// Where the value starts in `out`.
    start: usize,
}

impl Encode<'_> {
    fn node(&mut self, layout: &Layout, value: &Value, at: usize) -> Result<(), ValueError> {
        let mismatch = || mismatch(layout, value);
        match (layout.kind(), value) {
            (Kind::Bool, Value::Bool(value)) => self.put(at, &[u8::from(*value)]),
            (Kind::Unsigned(size), Value::Unsigned(value)) => {
                let bits = u32::from(*size) * 8;
                if value.checked_shr(bits).unwrap_or(0) != 0 {
                    return Err(mismatch());
                }
                self.put(at, &value.to_le_bytes()[..usize::from(*size).min(16)]);
            }
            (Kind::Signed(size), Value::Signed(value)) => {
                let unused = 128u32.saturating_sub(u32::from(*size) * 8);
                if value << unused >> unused != *value {
                    return Err(mismatch());
                }
                self.put(at, &value.to_le_bytes()[..usize::from(*size).min(16)]);
            }
            (Kind::F32, Value::F32(value)) => {
                self.put(at, &canonical_32(value.to_bits()).to_le_bytes());
            }
            (Kind::F64, Value::F64(value)) => {
                self.put(at, &canonical_64(value.to_bits()).to_le_bytes());
            }
            (Kind::Timestamp, Value::Timestamp(value)) => self.put(at, &value.to_le_bytes()),
            (Kind::String, Value::String(text)) => self.content(at, text.as_bytes())?,
            (Kind::Bytes, Value::Bytes(bytes)) => self.content(at, bytes)?,
            (Kind::Option(_), Value::Option(None)) => {}
            (Kind::Option(inner), Value::Option(Some(value))) => {
                self.put(at, &[1]);
                self.node(inner, value, at + 1)?;
            }
            (Kind::List(inner), Value::List(values)) => self.list(inner, values, at)?,
            (Kind::Struct(fields), Value::Struct(values)) if fields.len() == values.len() => {
                self.fields(fields, values, at)?;
            }
            (Kind::Enum(variants), Value::Enum { variant, fields: values }) => {
                let Some(known) = variants.get(usize::from(*variant)) else {
                    return Err(mismatch());
                };
                let fields = known.fields.fields();
                if fields.len() != values.len() {
                    return Err(mismatch().within(&known.name));
                }
                self.put(at, &[*variant as u8]);
                if !layout.is_fixed() {
                    let start = self.out.len();
                    self.put(at + 1, &self.offset()?.to_le_bytes());
                    self.out.resize(start + known.fields.size(), 0);
                    self.fields(fields, values, start).map_err(|e| e.within(&known.name))?;
                }
            }
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    fn fields(
        &mut self,
        fields: &[FieldLayout],
        values: &[Value],
        at: usize,
    ) -> Result<(), ValueError> {
        fields.iter().zip(values).try_for_each(|(field, value)| {
            self.node(&field.layout, value, at + field.offset as usize)
                .map_err(|error| error.within(&field.name))
        })
    }

    fn list(&mut self, inner: &Layout, values: &[Value], at: usize) -> Result<(), ValueError> {
        self.span(at, values.len())?;
        let first = self.out.len();
        self.out.resize(first + values.len() * inner.size(), 0);
        values.iter().enumerate().try_for_each(|(index, value)| {
            self.node(inner, value, first + index * inner.size())
                .map_err(|error| error.within(&format!("[{index}]")))
        })
    }

    fn content(&mut self, at: usize, content: &[u8]) -> Result<(), ValueError> {
        self.span(at, content.len())?;
        self.out.extend_from_slice(content);
        Ok(())
    }

    /// Writes the slot of `count` things that are appended next.
    fn span(&mut self, at: usize, count: usize) -> Result<(), ValueError> {
        let offset = self.offset()?;
        let count = u32::try_from(count).map_err(|_| too_large())?;
        self.put(at, &offset.to_le_bytes());
        self.put(at + 4, &count.to_le_bytes());
        Ok(())
    }

    fn offset(&self) -> Result<u32, ValueError> {
        u32::try_from(self.out.len() - self.start).map_err(|_| too_large())
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        if let Some(slot) = self.out.get_mut(at..at + bytes.len()) {
            slot.copy_from_slice(bytes);
        }
    }
}

fn mismatch(layout: &Layout, value: &Value) -> ValueError {
    let found = match value {
        Value::Bool(value) => format!("{value}"),
        Value::Unsigned(value) => format!("{value}"),
        Value::Signed(value) => format!("the signed number {value}"),
        Value::F32(value) => format!("the f32 {value:?}"),
        Value::F64(value) => format!("the f64 {value:?}"),
        Value::Timestamp(_) => "a timestamp".to_owned(),
        Value::String(_) => "a string".to_owned(),
        Value::Bytes(_) => "bytes".to_owned(),
        Value::Option(None) => "an option without a value".to_owned(),
        Value::Option(Some(_)) => "an option".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Struct(fields) => format!("a struct of {} fields", fields.len()),
        Value::Enum { variant, fields } => {
            format!("variant {variant} of an enum with {} fields", fields.len())
        }
    };
    ValueError { path: String::new(), expected: format!("{layout}"), found }
}

fn too_large() -> ValueError {
    let expected = "a value of less than 4 GiB".to_owned();
    ValueError { path: String::new(), expected, found: "a larger one".to_owned() }
}
