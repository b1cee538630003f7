//! Values from single texts: cells of a CSV row, words of a command line.

use std::str::FromStr;

use interstice_core::abi::{
    layout::{FieldLayout, Kind, Layout},
    value::Value,
};
use serde_json::Value as Json;

use super::{
    cell::{is_blank, optional_string},
    error::{TextError, quote},
    json::value_from_json,
    json_document::parse_json,
    timestamp,
};

/// The value that `text` writes, as a cell of CSV does.
///
/// # Errors
///
/// When the text is not of the type; the error shows both.
pub fn value_from_text(layout: &Layout, text: &str) -> Result<Value, TextError> {
    match layout.kind() {
        Kind::Option(_) if is_blank(text) => Ok(Value::Option(None)),
        Kind::Option(inner) if !matches!(inner.kind(), Kind::Option(_)) => {
            let value = match inner.kind() {
                Kind::String => Value::String(optional_string(text).into_owned()),
                _ => value_from_text(inner, text)?,
            };
            Ok(Value::Option(Some(Box::new(value))))
        }
        Kind::Enum(variants) if variants.iter().any(|variant| variant.name == text.trim()) => {
            value_from_json(layout, &Json::String(text.trim().to_owned()))
        }
        Kind::Option(_) | Kind::List(_) | Kind::Struct(_) | Kind::Enum(_) => {
            let json = parse_json(text.as_bytes()).map_err(|error| match error.is_data() {
                true => TextError::because("every key once", quote(text)),
                false => TextError::new(layout, quote(text)).or_json(),
            })?;
            value_from_json(layout, &json)
        }
        _ => parse_scalar(layout, text),
    }
}

/// A call's arguments from words: all as `name=value`, or all by position.
///
/// # Errors
///
/// When an argument is missing, unknown, given twice or of another type.
pub fn arguments_from_words(params: &Layout, words: &[String]) -> Result<Value, TextError> {
    let fields = params.fields();
    let names = |word: &&String| {
        word.split_once('=').is_some_and(|(name, _)| fields.iter().any(|f| f.name == name))
    };
    let named = words.iter().filter(names).count();
    if named > 0
        && let Some(unnamed) = words.iter().find(|word| !names(word))
    {
        let all = "every argument as NAME=VALUE, as one of them is";
        return Err(match name_in(unnamed) {
            Some(name) => TextError::because(names_text(fields, "names"), quote(name)),
            None => TextError::because(all, quote(unnamed)),
        });
    }
    if named == 0 {
        if words.len() != fields.len() {
            if let Some(name) = words.iter().find_map(|word| name_in(word)) {
                return Err(TextError::because(names_text(fields, "names"), quote(name)));
            }
            return Err(TextError::because(count_text(fields), words.len()));
        }
        let values = fields.iter().zip(words).map(|(field, word)| {
            value_from_text(&field.layout, word).map_err(|error| error.inside(&field.name))
        });
        return Ok(Value::Struct(values.collect::<Result<_, _>>()?));
    }
    let texts: Vec<(&str, &str)> = words.iter().filter_map(|word| word.split_once('=')).collect();
    let values = fields.iter().map(|field| {
        let mut given = texts.iter().filter(|(name, _)| *name == field.name);
        let value = match (given.next(), given.next()) {
            (Some((_, text)), None) => value_from_text(&field.layout, text),
            (None, _) if matches!(field.layout.kind(), Kind::Option(_)) => Ok(Value::Option(None)),
            (None, _) => Err(TextError::new(&field.layout, "nothing")),
            (Some(_), Some(_)) => Err(TextError::because("one value", "several")),
        };
        value.map_err(|error| error.inside(&field.name))
    });
    Ok(Value::Struct(values.collect::<Result<_, _>>()?))
}

/// The name of an argument that is written as `name=value`.
fn name_in(word: &str) -> Option<&str> {
    let (name, _) = word.split_once('=')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some(name)
}

/// The value of a type without parts.
#[inline]
pub(super) fn parse_scalar(layout: &Layout, text: &str) -> Result<Value, TextError> {
    let trimmed = text.trim_ascii();
    let value = match layout.kind() {
        Kind::Bool => parse_bool(trimmed).map(Value::Bool),
        Kind::Unsigned(bytes) => parse_unsigned(*bytes, trimmed).map(Value::Unsigned),
        Kind::Signed(bytes) => parse_signed(*bytes, trimmed).map(Value::Signed),
        Kind::F32 => parse_finite(trimmed, f32::is_infinite).map(Value::F32),
        Kind::F64 => parse_finite(trimmed, f64::is_infinite).map(Value::F64),
        Kind::Timestamp => timestamp::parse(trimmed).ok().map(Value::Timestamp),
        Kind::String => Some(Value::String(text.to_owned())),
        Kind::Bytes => parse_hex(trimmed).map(Value::Bytes),
        Kind::Option(_) | Kind::List(_) | Kind::Struct(_) | Kind::Enum(_) => None,
    };
    value.ok_or_else(|| not_scalar(layout, text))
}

/// Says that `text` is not of a type without parts.
pub(super) fn not_scalar(layout: &Layout, text: &str) -> TextError {
    match (layout.kind(), timestamp::parse(text.trim_ascii())) {
        (Kind::Timestamp, Err(why)) => TextError::because(format!("{layout} ({why})"), quote(text)),
        _ => TextError::new(layout, quote(text)),
    }
}

pub(super) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

pub(super) fn parse_unsigned(bytes: u8, text: &str) -> Option<u128> {
    let value = match bytes {
        16 => text.parse().ok()?,
        _ => u128::from(text.parse::<u64>().ok()?),
    };
    (value <= u128::MAX >> (128 - u32::from(bytes) * 8)).then_some(value)
}

pub(super) fn parse_signed(bytes: u8, text: &str) -> Option<i128> {
    let value = match bytes {
        16 => text.parse().ok()?,
        _ => i128::from(text.parse::<i64>().ok()?),
    };
    let max = i128::MAX >> (128 - u32::from(bytes) * 8);
    (-max - 1..=max).contains(&value).then_some(value)
}

/// A float. Digits that are too large for the type are not infinity: somebody
/// meant a number.
pub(super) fn parse_finite<F: Copy + FromStr>(text: &str, is_infinite: fn(F) -> bool) -> Option<F> {
    let value = text.parse::<F>().ok()?;
    let overflowed = is_infinite(value) && text.bytes().any(|byte| byte.is_ascii_digit());
    (!overflowed).then_some(value)
}

pub(super) fn parse_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let text = text.strip_prefix("0x").unwrap_or(text);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect()
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn count_text(fields: &[FieldLayout]) -> String {
    match fields {
        [] => "no arguments".to_owned(),
        [one] => format!("one argument ({})", one.name),
        _ => format!("{} arguments ({})", fields.len(), join(fields)),
    }
}

pub(super) fn names_text(fields: &[FieldLayout], what: &str) -> String {
    match fields {
        [] => format!("no {what}"),
        _ => format!("no other {what} than {}", join(fields)),
    }
}

fn join(fields: &[FieldLayout]) -> String {
    fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>().join(", ")
}

impl TextError {
    fn or_json(mut self) -> Self {
        self.expected.push_str(", as JSON");
        self
    }
}
