//! Reading JSON of strangers: typed access that names the place of a fault.

use serde_json::{Map, Value};

/// A JSON object.
pub type Object = Map<String, Value>;

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

/// The member `key`: an exact match first, else one that differs in letter case
/// only, as Go's decoder finds it. `null` counts as absent.
pub fn member<'a>(object: &'a Object, key: &str) -> Option<&'a Value> {
    let folded = || {
        object
            .iter()
            .rfind(|(name, _)| name.eq_ignore_ascii_case(key))
    };
    object
        .get(key)
        .or_else(|| folded().map(|(_, value)| value))
        .filter(|value| !value.is_null())
}

/// At most `limit` bytes of a foreign text, readable on a terminal: control
/// characters and invalid UTF-8 are replaced, a cut is shown.
pub fn excerpt(bytes: &[u8], limit: usize) -> String {
    let cut = &bytes[..bytes.len().min(limit)];
    let mut text: String = String::from_utf8_lossy(cut)
        .chars()
        .map(|c| match c {
            '\n' | '\t' | '\r' => ' ',
            c if c.is_control() || is_direction(c) => '\u{fffd}',
            c => c,
        })
        .collect();
    if bytes.len() > limit {
        text.push_str(&format!("... ({} bytes)", bytes.len()));
    }
    text.trim().to_owned()
}

/// Signs that turn the direction of writing, and so what a reader believes to see.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found_as_go_finds_them() {
        let object: Object =
            serde_json::from_str(r#"{"Name":"a","name":"b","TYPE":"c","dns":null}"#)
                .expect("a literal");
        assert_eq!(member(&object, "name"), Some(&Value::from("b")));
        assert_eq!(member(&object, "type"), Some(&Value::from("c")));
        assert_eq!(member(&object, "dns"), None);
    }

    #[test]
    fn an_excerpt_is_short_and_harmless() {
        let text = excerpt(b"\x1b[31mred\nand \xff more", 14);
        assert_eq!(text, "\u{fffd}[31mred and \u{fffd}... (19 bytes)");
    }
}
