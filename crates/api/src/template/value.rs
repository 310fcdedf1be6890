//! Data as a template sees it: a tree with nothing behind it.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::Size;

/// One value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing, where something could be: `<nil>`.
    Nil,
    /// What a map does not hold: `<no value>`.
    Missing,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Number(i128),
    /// A size: for people as text, as a number of bytes where it is compared.
    Size(Size),
    /// Text.
    Text(String),
    /// Values in their order: between commas as text.
    List(Vec<Value>),
    /// Values by key: `map[a:1 b:2]` as text.
    Map(BTreeMap<String, Value>),
    /// Named fields: `{1 2}` as text, if it has none of its own.
    Object(Object),
}

/// Named fields, in the order of their declaration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Object {
    fields: Vec<Field>,
    text: Option<String>,
    /// What manifests have in its place.
    said: Option<Box<Value>>,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    /// As Go programs call it: `DiskSize`.
    name: String,
    /// As manifests call it: `diskSize`; none for another name of what is there already.
    key: Option<String>,
    /// Whether manifests show it.
    is_said: bool,
    value: Value,
}

impl Value {
    /// Text.
    pub fn text(text: impl fmt::Display) -> Self {
        Self::Text(text.to_string())
    }

    /// What is in it under a name: a field of an object, an entry of a map; nothing in nothing.
    /// `None` where it can have no such thing.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(object) => object.get(name),
            Self::Map(map) => Some(map.get(name).unwrap_or(&Self::Missing)),
            Self::Nil | Self::Missing => Some(self),
            _ => None,
        }
    }

    /// The fields to choose from.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Self::Object(object) => object.names().collect(),
            _ => Vec::new(),
        }
    }

    /// Whether `if` takes it for true.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil | Self::Missing => false,
            Self::Bool(value) => *value,
            Self::Number(number) => *number != 0,
            Self::Size(size) => size.bytes() != 0,
            Self::Text(text) => !text.is_empty(),
            Self::List(list) => !list.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Object(_) => true,
        }
    }

    /// What it is, in a word.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Nil | Self::Missing => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Size(_) => "a size",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
            Self::Object(_) => "an object",
        }
    }

    /// How many bytes and values it is made of, about: what it costs to look at all of it.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::List(list) => list.iter().map(|value| 8 + value.weight()).sum(),
            Self::Map(map) => map
                .iter()
                .map(|(key, it)| 8 + key.len() + it.weight())
                .sum(),
            Self::Object(object) => object.fields.iter().map(|it| 8 + it.value.weight()).sum(),
            _ => 8,
        }
    }

    /// The same as JSON, as manifests have it.
    pub(super) fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Self::Nil | Self::Missing => Json::Null,
            Self::Bool(value) => Json::Bool(*value),
            Self::Number(number) => match i64::try_from(*number) {
                Ok(number) => number.into(),
                Err(_) => u64::try_from(*number).map_or(Json::Null, Json::from),
            },
            Self::Size(size) => Json::String(size.to_string()),
            Self::Text(text) => Json::String(text.clone()),
            Self::List(list) => list.iter().map(Self::to_json).collect(),
            Self::Map(map) => map
                .iter()
                .map(|(key, it)| (key.clone(), it.to_json()))
                .collect(),
            Self::Object(object) => object.to_json(),
        }
    }
}

impl fmt::Display for Value {
    /// As a template prints it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nil => f.write_str("<nil>"),
            Self::Missing => f.write_str("<no value>"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Size(size) => write!(f, "{}", size.human()),
            Self::Text(text) => f.write_str(text),
            Self::List(list) => between(f, ", ", list.iter()),
            Self::Map(map) => {
                f.write_str("map[")?;
                between(
                    f,
                    " ",
                    map.iter()
                        .map(|(key, value)| fmt::from_fn(move |f| write!(f, "{key}:{value}"))),
                )?;
                f.write_char(']')
            }
            Self::Object(object) => object.fmt(f),
        }
    }
}

fn between<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    separator: &str,
    items: impl Iterator<Item = T>,
) -> fmt::Result {
    for (index, item) in items.enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

impl Object {
    /// Adds a field of manifests; `is_said` says whether they show it.
    pub(super) fn push(&mut self, name: String, key: &str, is_said: bool, value: Value) {
        self.fields.push(Field {
            name,
            key: Some(key.to_owned()),
            is_said,
            value,
        });
    }

    /// The same with another name for something: neither part of its text nor of its JSON. What has
    /// the name already stays.
    pub fn with(mut self, name: &str, value: Value) -> Self {
        if self.get(name).is_none() {
            self.fields.push(Field {
                name: name.to_owned(),
                key: None,
                is_said: false,
                value,
            });
        }
        self
    }

    /// The same with a text of its own.
    pub fn with_text(self, text: impl fmt::Display) -> Self {
        let text = Some(text.to_string());
        Self { text, ..self }
    }

    /// The same with what manifests have in its place.
    pub fn said_as(self, value: Value) -> Self {
        let said = Some(Box::new(value));
        Self { said, ..self }
    }

    /// A field, by either of its names.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let is = |field: &&Field| field.name == name || field.key.as_deref() == Some(name);
        self.fields.iter().find(is).map(|field| &field.value)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Value> {
        let is = |field: &&mut Field| field.name == name || field.key.as_deref() == Some(name);
        self.fields
            .iter_mut()
            .find(is)
            .map(|field| &mut field.value)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }

    fn to_json(&self) -> serde_json::Value {
        if let Some(said) = &self.said {
            return said.to_json();
        }
        let said = self.fields.iter().filter(|field| field.is_said);
        let entries = said.filter_map(|field| Some((field.key.clone()?, field.value.to_json())));
        entries.collect()
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.text {
            return f.write_str(text);
        }
        f.write_char('{')?;
        let own = self.fields.iter().filter(|field| field.key.is_some());
        between(f, " ", own.map(|field| &field.value))?;
        f.write_char('}')
    }
}
