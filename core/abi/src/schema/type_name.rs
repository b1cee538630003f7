//! The text form of a [`Type`]: `u64`, `option<string>`, `list<Alarm>`.

use alloc::{borrow::ToOwned, boxed::Box, string::String};
use core::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{Type, limits, validate::is_name};

/// Every type without parameters and its text form. The order is the order of
/// their tags in a schema section.
pub(super) const PLAIN: [(Type, &str); 16] = [
    (Type::Bool, "bool"),
    (Type::U8, "u8"),
    (Type::U16, "u16"),
    (Type::U32, "u32"),
    (Type::U64, "u64"),
    (Type::U128, "u128"),
    (Type::I8, "i8"),
    (Type::I16, "i16"),
    (Type::I32, "i32"),
    (Type::I64, "i64"),
    (Type::I128, "i128"),
    (Type::F32, "f32"),
    (Type::F64, "f64"),
    (Type::Timestamp, "timestamp"),
    (Type::String, "string"),
    (Type::Bytes, "bytes"),
];

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(inner) => write!(f, "option<{inner}>"),
            Self::List(inner) => write!(f, "list<{inner}>"),
            Self::Named(name) => f.write_str(name),
            plain => {
                let name = PLAIN.iter().find(|(ty, _)| ty == plain).map_or("?", |(_, name)| name);
                f.write_str(name)
            }
        }
    }
}

/// A text that names no type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseTypeError(String);

impl fmt::Display for ParseTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is not a type", self.0)
    }
}

impl core::error::Error for ParseTypeError {}

impl FromStr for Type {
    type Err = ParseTypeError;

    fn from_str(text: &str) -> Result<Self, ParseTypeError> {
        parse(text, 0).ok_or_else(|| ParseTypeError(text.to_owned()))
    }
}

fn parse(text: &str, depth: usize) -> Option<Type> {
    if depth > limits::TYPE_DEPTH {
        return None;
    }
    let inner = |prefix: &str| text.strip_prefix(prefix)?.strip_suffix('>');
    if let Some(inner) = inner("option<") {
        return Some(Type::Option(Box::new(parse(inner, depth + 1)?)));
    }
    if let Some(inner) = inner("list<") {
        return Some(Type::List(Box::new(parse(inner, depth + 1)?)));
    }
    if let Some((ty, _)) = PLAIN.iter().find(|(_, name)| *name == text) {
        return Some(ty.clone());
    }
    is_name(text).then(|| Type::Named(text.to_owned()))
}

impl Serialize for Type {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Type {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}
