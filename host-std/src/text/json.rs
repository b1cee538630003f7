//! Values from JSON, and into anything that serde writes.

use interstice_core::abi::{
    layout::{FieldLayout, Kind, Layout},
    value::Value,
};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};
use serde_json::Value as Json;

use super::{
    error::{TextError, quote},
    scalar::{self, parse_scalar},
    timestamp,
};

/// Numbers up to this magnitude are exact in every JSON reader.
const EXACT: u128 = 1 << 53;

/// A call's arguments: an object by parameter name, or an array by position.
///
/// # Errors
///
/// When an argument is missing, unknown or of another type; the error names it.
pub fn arguments_from_json(params: &Layout, json: &Json) -> Result<Value, TextError> {
    let fields = params.fields();
    match json {
        Json::Array(values) if values.len() == fields.len() => {
            let values = fields.iter().zip(values).map(|(field, json)| {
                value_from_json(&field.layout, json).map_err(|error| error.inside(&field.name))
            });
            Ok(Value::Struct(values.collect::<Result<_, _>>()?))
        }
        Json::Array(values) => Err(TextError::because(
            scalar::count_text(fields),
            format!("an array of {}", values.len()),
        )),
        // A call without parameters may be given as nothing at all.
        Json::Null if fields.is_empty() => Ok(Value::Struct(Vec::new())),
        Json::Object(_) => value_from_json(params, json),
        other => Err(TextError::because(
            "the arguments as an object by name or an array by position",
            found(other),
        )),
    }
}

/// A value of the type `layout` describes.
///
/// # Errors
///
/// When the JSON is of another type; the error says where inside.
pub fn value_from_json(layout: &Layout, json: &Json) -> Result<Value, TextError> {
    let wrong = || TextError::new(layout, found(json));
    match (layout.kind(), json) {
        (Kind::Option(_), Json::Null) => Ok(Value::Option(None)),
        (Kind::Option(inner), json) => {
            let json = match (inner.kind(), json) {
                (Kind::Option(_), Json::Array(wrapped)) if wrapped.len() == 1 => &wrapped[0],
                (Kind::Option(_), _) => return Err(wrong()),
                (_, json) => json,
            };
            Ok(Value::Option(Some(Box::new(value_from_json(inner, json)?))))
        }
        (Kind::List(inner), Json::Array(values)) => {
            let values = values.iter().enumerate().map(|(index, json)| {
                value_from_json(inner, json).map_err(|error| error.inside(&format!("[{index}]")))
            });
            Ok(Value::List(values.collect::<Result<_, _>>()?))
        }
        (Kind::Struct(fields), Json::Object(object)) => fields_from_json(fields, object),
        (Kind::Enum(variants), json) => {
            let empty = serde_json::Map::new();
            let (name, payload) = match json {
                Json::String(name) => (name, &empty),
                Json::Object(object) => match object.iter().next() {
                    Some((name, Json::Object(payload))) if object.len() == 1 => (name, payload),
                    _ => return Err(wrong()),
                },
                _ => return Err(wrong()),
            };
            let index =
                variants.iter().position(|variant| variant.name == *name).ok_or_else(wrong)?;
            let fields = fields_from_json(variants[index].fields.fields(), payload)
                .map_err(|error| error.inside(name))?;
            let Value::Struct(fields) = fields else { return Err(wrong()) };
            Ok(Value::Enum { variant: index as u16, fields })
        }
        (Kind::Bool, Json::Bool(value)) => Ok(Value::Bool(*value)),
        (Kind::Unsigned(_) | Kind::Signed(_), Json::Number(number)) if !number.is_f64() => {
            parse_scalar(layout, &number.to_string())
        }
        (Kind::F32 | Kind::F64, Json::Number(number)) => parse_scalar(layout, &number.to_string()),
        (Kind::Timestamp, Json::Number(number)) if !number.is_f64() => {
            parse_scalar(layout, &number.to_string())
        }
        (Kind::Bool, _) => Err(wrong()),
        (_, Json::String(text)) => parse_scalar(layout, text),
        _ => Err(wrong()),
    }
}

fn fields_from_json(
    fields: &[FieldLayout],
    object: &serde_json::Map<String, Json>,
) -> Result<Value, TextError> {
    if let Some(unknown) = object.keys().find(|key| !fields.iter().any(|f| f.name == **key)) {
        return Err(TextError::because(scalar::names_text(fields, "fields"), quote(unknown)));
    }
    let values = fields.iter().map(|field| match object.get(&field.name) {
        Some(json) => {
            value_from_json(&field.layout, json).map_err(|error| error.inside(&field.name))
        }
        None if matches!(field.layout.kind(), Kind::Option(_)) => Ok(Value::Option(None)),
        None => Err(TextError::new(&field.layout, "nothing").inside(&field.name)),
    });
    Ok(Value::Struct(values.collect::<Result<_, _>>()?))
}

fn found(json: &Json) -> String {
    match json {
        Json::Null => "null".to_owned(),
        Json::Array(values) => format!("an array of {}", values.len()),
        Json::Object(object) => match object.keys().next() {
            Some(key) => format!("an object with {key:?}"),
            None => "an empty object".to_owned(),
        },
        other => other.to_string(),
    }
}

/// A value together with its type, for serde: JSON and YAML both come from here.
///
/// A value that is not of the type (which a decoded one always is) is written
/// as `null`.
#[derive(Clone, Copy, Debug)]
pub struct Typed<'a> {
    /// The type.
    pub layout: &'a Layout,
    /// The value.
    pub value: &'a Value,
}

impl Serialize for Typed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.layout.kind(), self.value) {
            (_, Value::Bool(value)) => serializer.serialize_bool(*value),
            (_, Value::Unsigned(value)) => match u64::try_from(*value) {
                Ok(number) if *value <= EXACT => serializer.serialize_u64(number),
                _ => serializer.collect_str(value),
            },
            (_, Value::Signed(value)) => match i64::try_from(*value) {
                Ok(number) if value.unsigned_abs() <= EXACT => serializer.serialize_i64(number),
                _ => serializer.collect_str(value),
            },
            (_, Value::F32(value)) if value.is_finite() => serializer.serialize_f32(*value),
            (_, Value::F32(value)) => serializer.collect_str(value),
            (_, Value::F64(value)) if value.is_finite() => serializer.serialize_f64(*value),
            (_, Value::F64(value)) => serializer.collect_str(value),
            (_, Value::Timestamp(micros)) => serializer.serialize_str(&timestamp::format(*micros)),
            (_, Value::String(text)) => serializer.serialize_str(text),
            (_, Value::Bytes(bytes)) => serializer.serialize_str(&scalar::hex(bytes)),
            (Kind::Option(_), Value::Option(None)) => serializer.serialize_none(),
            (Kind::Option(inner), Value::Option(Some(value))) => {
                let typed = Typed { layout: inner, value };
                match inner.kind() {
                    Kind::Option(_) => [typed].serialize(serializer),
                    _ => typed.serialize(serializer),
                }
            }
            (Kind::List(inner), Value::List(values)) => {
                let mut sequence = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    sequence.serialize_element(&Typed { layout: inner, value })?;
                }
                sequence.end()
            }
            (Kind::Struct(fields), Value::Struct(values)) => {
                Fields { fields, values }.serialize(serializer)
            }
            (Kind::Enum(variants), Value::Enum { variant, fields: values }) => {
                match variants.get(usize::from(*variant)) {
                    Some(variant) if values.is_empty() => serializer.serialize_str(&variant.name),
                    Some(variant) => {
                        let fields = variant.fields.fields();
                        let mut map = serializer.serialize_map(Some(1))?;
                        map.serialize_entry(&variant.name, &Fields { fields, values })?;
                        map.end()
                    }
                    None => serializer.serialize_none(),
                }
            }
            _ => serializer.serialize_none(),
        }
    }
}

struct Fields<'a> {
    fields: &'a [FieldLayout],
    values: &'a [Value],
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.fields.len()))?;
        for (field, value) in self.fields.iter().zip(self.values) {
            map.serialize_entry(&field.name, &Typed { layout: &field.layout, value })?;
        }
        map.end()
    }
}
