//! The functions of templates.

use std::cmp::Ordering;

use super::MAX_TEXT;
use super::printf::printf;
use super::value::Value;
use crate::Size;

/// One function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    And,
    Contains,
    Eq,
    Ge,
    Gt,
    Index,
    Join,
    Json,
    Le,
    Len,
    Lower,
    Lt,
    Ne,
    Not,
    Or,
    Print,
    Printf,
    Println,
    Split,
    Upper,
}

/// Each with its name, and how many words it takes at least and at most.
const FUNCTIONS: [(Function, &str, usize, usize); 20] = [
    (Function::And, "and", 1, MANY),
    (Function::Contains, "contains", 2, 2),
    (Function::Eq, "eq", 2, MANY),
    (Function::Ge, "ge", 2, 2),
    (Function::Gt, "gt", 2, 2),
    (Function::Index, "index", 1, MANY),
    (Function::Join, "join", 2, 2),
    (Function::Json, "json", 1, 1),
    (Function::Le, "le", 2, 2),
    (Function::Len, "len", 1, 1),
    (Function::Lower, "lower", 1, 1),
    (Function::Lt, "lt", 2, 2),
    (Function::Ne, "ne", 2, 2),
    (Function::Not, "not", 1, 1),
    (Function::Or, "or", 1, MANY),
    (Function::Print, "print", 0, MANY),
    (Function::Printf, "printf", 1, MANY),
    (Function::Println, "println", 0, MANY),
    (Function::Split, "split", 2, 2),
    (Function::Upper, "upper", 1, 1),
];

const MANY: usize = usize::MAX;

impl Function {
    /// The function of a name.
    pub(super) fn named(name: &str) -> Option<Self> {
        let found = FUNCTIONS.iter().find(|(_, known, ..)| *known == name);
        found.map(|(function, ..)| *function)
    }

    /// All names.
    pub(super) fn names() -> impl Iterator<Item = &'static str> {
        FUNCTIONS.iter().map(|(_, name, ..)| *name)
    }

    fn entry(self) -> (&'static str, usize, usize) {
        let found = FUNCTIONS.iter().find(|(function, ..)| *function == self);
        found.map_or(("", 0, 0), |(_, name, least, most)| (name, *least, *most))
    }

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        self.entry().0
    }

    /// What it makes of its words, or what is wrong with them.
    pub(super) fn call(self, words: &[&Value]) -> Result<Value, String> {
        let (_, least, most) = self.entry();
        if words.len() < least || words.len() > most {
            return Err(count(least, most, words.len()));
        }
        let value = self.apply(words)?;
        match &value {
            Value::Text(text) if text.len() > MAX_TEXT => {
                Err(format!("its text has more than {MAX_TEXT} bytes"))
            }
            _ => Ok(value),
        }
    }

    /// With as many words as it takes.
    fn apply(self, words: &[&Value]) -> Result<Value, String> {
        let first = words.first().copied().unwrap_or(&Value::Nil);
        let second = words.get(1).copied().unwrap_or(&Value::Nil);
        Ok(match self {
            Self::And | Self::Or => {
                let wanted = self == Self::Or;
                let found = words.iter().find(|word| word.is_true() == wanted);
                (*found.or(words.last()).unwrap_or(&first)).clone()
            }
            Self::Not => Value::Bool(!first.is_true()),
            Self::Eq => Value::Bool(words[1..].iter().any(|word| is_equal(first, word))),
            Self::Ne => Value::Bool(!is_equal(first, second)),
            Self::Lt => Value::Bool(order(first, second)?.is_lt()),
            Self::Le => Value::Bool(order(first, second)?.is_le()),
            Self::Gt => Value::Bool(order(first, second)?.is_gt()),
            Self::Ge => Value::Bool(order(first, second)?.is_ge()),
            Self::Contains => Value::Bool(contains(first, second)),
            Self::Index => words[1..]
                .iter()
                .try_fold(first.clone(), |it, key| index(&it, key))?,
            Self::Len => len(first)?,
            Self::Json => Value::text(first.to_json()),
            Self::Join => Value::Text(join(first, second)?),
            Self::Split => split(&first.to_string(), &second.to_string()),
            Self::Lower => Value::Text(first.to_string().to_lowercase()),
            Self::Upper => Value::Text(first.to_string().to_uppercase()),
            Self::Print => Value::Text(print(words, "")),
            Self::Println => Value::Text(print(words, " ") + "\n"),
            Self::Printf => Value::Text(printf(&first.to_string(), &words[1..])?),
        })
    }
}

fn count(least: usize, most: usize, given: usize) -> String {
    let wanted = match (least, most) {
        (least, MANY) => format!("{least} or more"),
        (least, most) if least == most => least.to_string(),
        (least, most) => format!("{least} to {most}"),
    };
    format!("takes {wanted} words, not {given}")
}

/// Values of one kind are compared as such; a size with text as that size; all others as text.
fn is_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Nil | Value::Missing, Value::Nil | Value::Missing) => true,
        (Value::Nil | Value::Missing, _) | (_, Value::Nil | Value::Missing) => false,
        (Value::Text(one), Value::Text(other)) => one == other,
        _ => match (number(one), number(other)) {
            (Some(one), Some(other)) => one == other,
            _ => one.to_string() == other.to_string(),
        },
    }
}

fn order(one: &Value, other: &Value) -> Result<Ordering, String> {
    if let (Value::Text(one), Value::Text(other)) = (one, other) {
        return Ok(one.cmp(other));
    }
    match (number(one), number(other)) {
        (Some(one), Some(other)) => Ok(one.cmp(&other)),
        _ => Err(format!("{} and {} have no order", one.kind(), other.kind())),
    }
}

/// A number; text that is a size, as `512MB` is, counts its bytes.
fn number(value: &Value) -> Option<i128> {
    match value {
        Value::Number(number) => Some(*number),
        Value::Size(size) => Some(size.bytes().into()),
        Value::Text(text) => Some(text.parse::<Size>().ok()?.bytes().into()),
        _ => None,
    }
}

fn contains(all: &Value, part: &Value) -> bool {
    let part = part.to_string();
    match all {
        Value::List(list) => list.iter().any(|value| value.to_string() == part),
        Value::Map(map) => map.contains_key(&part),
        _ => all.to_string().contains(&part),
    }
}

/// An entry of a list, a map or an object; of a map, one that is not there is empty text.
pub(super) fn index(value: &Value, key: &Value) -> Result<Value, String> {
    match (value, key) {
        (Value::List(list), Value::Number(number)) => usize::try_from(*number)
            .ok()
            .and_then(|number| list.get(number).cloned())
            .ok_or_else(|| format!("there is no number {number} among {}", list.len())),
        (Value::Map(map), key) => {
            let found = map.get(&key.to_string());
            Ok(found.cloned().unwrap_or_else(|| Value::text("")))
        }
        (Value::Object(object), Value::Text(name)) => object
            .get(name)
            .cloned()
            .ok_or_else(|| format!("there is no field {name:?}")),
        (Value::Nil | Value::Missing, _) => Ok(Value::Missing),
        (value, key) => Err(format!("{} has nothing at {}", value.kind(), key.kind())),
    }
}

fn len(value: &Value) -> Result<Value, String> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.len(),
        Value::Nil | Value::Missing => 0,
        other => return Err(format!("{} has no length", other.kind())),
    };
    Ok(Value::Number(length as i128))
}

fn join(list: &Value, separator: &Value) -> Result<String, String> {
    let list = match list {
        Value::List(list) => list.as_slice(),
        Value::Nil | Value::Missing => &[],
        other => return Err(format!("{} is no list", other.kind())),
    };
    let separator = separator.to_string();
    let mut text = String::new();
    for (index, value) in list.iter().enumerate() {
        if index > 0 {
            text.push_str(&separator);
        }
        text.push_str(&value.to_string());
        if text.len() > MAX_TEXT {
            break;
        }
    }
    Ok(text)
}

fn split(text: &str, separator: &str) -> Value {
    match separator {
        "" => Value::List(vec![Value::text(text)]),
        _ => Value::List(text.split(separator).map(Value::text).collect()),
    }
}

fn print(words: &[&Value], separator: &str) -> String {
    let mut text = String::new();
    for (index, word) in words.iter().enumerate() {
        if index > 0 {
            text.push_str(separator);
        }
        text.push_str(&word.to_string());
    }
    text
}
