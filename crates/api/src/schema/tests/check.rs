//! A small reader of JSON Schema: the keywords that the schemas here have, and no other.

use regex_lite::Regex;
use serde_json::{Map, Value};

/// What says nothing of which values are allowed.
const REMARKS: [&str; 9] = [
    "$schema",
    "$defs",
    "title",
    "description",
    "default",
    "examples",
    "format",
    "then",
    "else",
];

/// What `schema` has against `value`.
pub fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    Reader { root: schema }.check(schema, value, "", &mut faults);
    faults
}

struct Reader<'a> {
    root: &'a Value,
}

impl Reader<'_> {
    fn holds(&self, schema: &Value, value: &Value) -> bool {
        let mut faults = Vec::new();
        self.check(schema, value, "", &mut faults);
        faults.is_empty()
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, faults: &mut Vec<String>) {
        let Value::Object(keywords) = schema else {
            if *schema == Value::Bool(false) {
                faults.push(format!("{at}: nothing may be here"));
            }
            return;
        };
        for (keyword, wanted) in keywords {
            if !self.keyword(keywords, keyword, wanted, value, at, faults) {
                faults.push(format!("{at}: {keyword}: {wanted} is not {value}"));
            }
        }
    }

    /// Whether one keyword holds; faults further in are added to `faults`.
    fn keyword(
        &self,
        schema: &Map<String, Value>,
        keyword: &str,
        wanted: &Value,
        value: &Value,
        at: &str,
        faults: &mut Vec<String>,
    ) -> bool {
        let list = || wanted.as_array().expect("a list");
        match keyword {
            _ if REMARKS.contains(&keyword) => {}
            "$ref" => {
                let path = wanted.as_str().expect("a text").trim_start_matches('#');
                let target = self.root.pointer(path).expect(path);
                self.check(target, value, at, faults);
            }
            "type" => {
                let one = std::slice::from_ref(wanted);
                let types = wanted.as_array().map_or(one, Vec::as_slice);
                return types.iter().any(|name| is_of(name, value));
            }
            "const" => return value == wanted,
            "enum" => return list().contains(value),
            "anyOf" => return list().iter().any(|schema| self.holds(schema, value)),
            "allOf" => {
                for schema in list() {
                    self.check(schema, value, at, faults);
                }
            }
            "if" => {
                let holds = self.holds(wanted, value);
                if let Some(schema) = schema.get(if holds { "then" } else { "else" }) {
                    self.check(schema, value, at, faults);
                }
            }
            "pattern" => {
                let pattern = Regex::new(wanted.as_str().expect("a text")).expect("a pattern");
                return value.as_str().is_none_or(|text| pattern.is_match(text));
            }
            "minimum" => return value.as_f64() >= wanted.as_f64() || !value.is_number(),
            "maximum" => return value.as_f64() <= wanted.as_f64() || !value.is_number(),
            "maxProperties" => {
                return value
                    .as_object()
                    .is_none_or(|it| Some(it.len() as u64) <= wanted.as_u64());
            }
            "required" => {
                return value
                    .as_object()
                    .is_none_or(|it| list().iter().all(|name| it.contains_key(text(name))));
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.check(wanted, item, &format!("{at}/{index}"), faults);
                }
            }
            "properties" => {
                for (name, schema) in wanted.as_object().expect("a map") {
                    if let Some(field) = value.get(name) {
                        self.check(schema, field, &format!("{at}/{name}"), faults);
                    }
                }
            }
            "additionalProperties" => {
                let known = schema.get("properties");
                for (name, field) in value.as_object().into_iter().flatten() {
                    if known.and_then(|known| known.get(name)).is_none() {
                        self.check(wanted, field, &format!("{at}/{name}"), faults);
                    }
                }
            }
            other => panic!("{at}: nobody reads {other}"),
        }
        true
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn is_of(name: &Value, value: &Value) -> bool {
    match text(name) {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("there is no type {other}"),
    }
}
