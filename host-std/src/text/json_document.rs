//! JSON texts that say one thing: a key that an object has twice is refused,
//! where most readers take the last one and say nothing.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value as Json};

/// Reads a JSON document.
pub(crate) fn parse_json(text: &[u8]) -> Result<Json, serde_json::Error> {
    Ok(serde_json::from_slice::<Document>(text)?.0)
}

/// What is wrong with a JSON text, without the place, which is told in our own
/// terms.
pub(super) fn json_error_text(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let text = text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]);
    if error.is_data() { text.to_owned() } else { format!("not JSON: {text}") }
}

struct Document(Json);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DocumentVisitor)
    }
}

struct DocumentVisitor;

impl<'de> Visitor<'de> for DocumentVisitor {
    type Value = Document;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E>(self) -> Result<Document, E> {
        Ok(Document(Json::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Document, E> {
        Ok(Document(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Document, E> {
        Ok(Document(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Document, E> {
        Ok(Document(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Document, E> {
        Ok(Document(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Document, E> {
        Ok(Document(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Document, A::Error> {
        let mut array = Vec::new();
        while let Some(Document(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(Document(array.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Document, A::Error> {
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom(format_args!("{key:?} is given twice")));
            }
            let Document(value) = entries.next_value()?;
            object.insert(key, value);
        }
        Ok(Document(object.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_read_as_they_are_written() {
        let text =
            r#"[null, true, -1, 18446744073709551615, 1.5, "a\n", [], {"a": {"b": [1]}, "b": {}}]"#;
        assert_eq!(
            parse_json(text.as_bytes()).unwrap(),
            serde_json::from_str::<Json>(text).unwrap()
        );
    }

    #[test]
    fn a_key_that_is_given_twice_is_refused() {
        for text in [r#"{"a": 1, "b": 2, "a": 1}"#, r#"[{"c": {"a": 1, "\u0061": 2}}]"#] {
            let error = parse_json(text.as_bytes()).unwrap_err();
            assert_eq!(json_error_text(&error), r#""a" is given twice"#);
        }
        let error = parse_json(b"{\"a\": ").unwrap_err();
        assert_eq!(json_error_text(&error), "not JSON: EOF while parsing a value");
        assert!(parse_json(b"1 2").is_err());
    }
}
