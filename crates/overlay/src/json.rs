//! JSON of other nodes, read as Go reads it: letter case of member names does not matter, `null` is
//! absent, unknown members are nobody's business.
//!
//! Depth is bounded by the decoder (128 levels), size by [`MAX_BYTES`].

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

/// The largest document that is read, in bytes. Real ones have some hundred.
pub const MAX_BYTES: usize = 64 << 10;

/// How much of a foreign text a message quotes, in characters.
const QUOTE: usize = 100;

/// A JSON object.
pub type Object = Map<String, Value>;

/// Why bytes are not the object that is expected.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Larger than any that means well.
    #[error("it has {found} bytes, more than {MAX_BYTES}")]
    TooLarge {
        /// Its size.
        found: usize,
    },
    /// Not JSON.
    #[error("it is not JSON")]
    Syntax(#[source] serde_json::Error),
    /// JSON, but nothing with members.
    #[error("it is {found}, not an object")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// A member of another type.
    #[error("{field} must be {expected}, not {found}")]
    Type {
        /// Path of the member.
        field: String,
        /// What is expected.
        expected: &'static str,
        /// What was found.
        found: &'static str,
    },
    /// A number outside of what is possible.
    #[error("{field} is {value}, not a whole number from {low} to {high}")]
    Number {
        /// Path of the member.
        field: String,
        /// The number as it was found.
        value: String,
        /// The least possible.
        low: u64,
        /// The greatest possible.
        high: u64,
    },
}

/// Reads an object.
pub fn object(bytes: &[u8]) -> Result<Object, JsonError> {
    if bytes.len() > MAX_BYTES {
        return Err(JsonError::TooLarge { found: bytes.len() });
    }
    match serde_json::from_slice(bytes).map_err(JsonError::Syntax)? {
        Value::Object(object) => Ok(object),
        other => Err(JsonError::NotAnObject {
            found: kind(&other),
        }),
    }
}

/// A foreign text, cut to what a message can hold; to be shown with `{:?}`.
pub fn quoted(text: &str) -> String {
    text.chars().take(QUOTE).collect()
}

/// The members of an object, by their types.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    object: &'a Object,
    /// Where the object is in the document, for messages: empty, or `Backend.`.
    place: &'static str,
}

impl<'a> Fields<'a> {
    /// The members of `object`; `place` goes before their names in messages.
    pub fn new(object: &'a Object, place: &'static str) -> Self {
        Self { object, place }
    }

    /// Any member. Of several whose names differ in letter case only, the last, as in Go.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        let named =
            |(key, value): &(&String, &Value)| key.eq_ignore_ascii_case(name) && !value.is_null();
        self.object.iter().rfind(named).map(|(_, value)| value)
    }

    /// A text.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, JsonError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong_type(name, "a string", other)),
        }
    }

    /// A flag.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, JsonError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(self.wrong_type(name, "true or false", other)),
        }
    }

    /// A whole number within bounds.
    pub fn number<N: TryFrom<u64>>(
        &self,
        name: &str,
        bounds: RangeInclusive<u64>,
    ) -> Result<Option<N>, JsonError> {
        let number = match self.get(name) {
            None => return Ok(None),
            Some(Value::Number(number)) => number,
            Some(other) => return Err(self.wrong_type(name, "a number", other)),
        };
        let fitting = number.as_u64().filter(|number| bounds.contains(number));
        fitting
            .and_then(|number| N::try_from(number).ok())
            .map(Some)
            .ok_or_else(|| JsonError::Number {
                field: self.path(name),
                value: quoted(&number.to_string()),
                low: *bounds.start(),
                high: *bounds.end(),
            })
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.place)
    }

    fn wrong_type(&self, name: &str, expected: &'static str, found: &Value) -> JsonError {
        JsonError::Type {
            field: self.path(name),
            expected,
            found: kind(found),
        }
    }
}

/// What kind of value this is, for messages.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_as_go_finds_them() {
        let object = object(br#"{"NAME":"a","name":"b","Null":null,"n":7}"#).expect("an object");
        let fields = Fields::new(&object, "Backend.");
        assert_eq!(fields.text("Name").expect("a text"), Some("b"));
        assert_eq!(fields.text("null").expect("absent"), None);
        assert_eq!(fields.number::<u16>("N", 1..=7).expect("fits"), Some(7));
        assert_eq!(fields.flag("other").expect("absent"), None);
    }

    #[test]
    fn wrong_members_are_named() {
        let object =
            object(br#"{"a":1,"b":"x","c":1.0,"d":-1,"e":99999999999999999999}"#).expect("JSON");
        let fields = Fields::new(&object, "Backend.");
        let told = |error: JsonError| error.to_string();
        assert_eq!(
            told(fields.text("a").expect_err("a number")),
            "Backend.a must be a string, not a number"
        );
        assert_eq!(
            told(fields.flag("b").expect_err("a text")),
            "Backend.b must be true or false, not a string"
        );
        for name in ["c", "d", "e"] {
            let error = fields.number::<u16>(name, 0..=9).expect_err(name);
            assert!(told(error).ends_with(", not a whole number from 0 to 9"));
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let told = |bytes: &[u8]| object(bytes).expect_err("no object").to_string();
        assert_eq!(told(b"[]"), "it is an array, not an object");
        assert_eq!(told(b"{"), "it is not JSON");
        assert_eq!(
            told(&[b' '; MAX_BYTES + 1]),
            "it has 65537 bytes, more than 65536"
        );
        let deep = [vec![b'['; 30_000], vec![b']'; 30_000]].concat();
        assert_eq!(told(&deep), "it is not JSON");
    }
}
