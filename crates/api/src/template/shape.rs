//! Objects as values: what serde says of them, with the fields it leaves out.
//!
//! Sizes are text in manifests and sizes here; so that a template can name every field, one that a
//! manifest leaves out is there as well, as nothing.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde::ser::{self, Serializer};

use super::names;
use super::value::{Object, Value};
use crate::Size;

/// Fields that hold a size.
const SIZES: [&str; 4] = ["memory", "diskSize", "balloon", "size"];

impl Value {
    /// What a template sees of something that can be written; nothing where that cannot be, which
    /// plain data can.
    pub fn of<T: Serialize + ?Sized>(data: &T) -> Self {
        data.serialize(Shape).unwrap_or(Self::Nil)
    }
}

/// How serde_json writes a number of any length: a structure with one field of this name.
const NUMBER: &str = "$serde_json::private::Number";

/// Turns data into a value.
struct Shape;

/// Nothing of plain data cannot be written, but for a map with keys that are no text.
#[derive(Debug)]
struct NoShape(String);

impl fmt::Display for NoShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoShape {}

impl ser::Error for NoShape {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

macro_rules! numbers {
    ($($name:ident: $type:ty,)+) => {
        $(fn $name(self, number: $type) -> Result<Value, NoShape> {
            Ok(Value::Number(number.into()))
        })+
    };
}

impl Serializer for Shape {
    type Ok = Value;
    type Error = NoShape;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = Variant<List>;
    type SerializeMap = Map;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Variant<Fields>;

    numbers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_i128: i128,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64,
    }

    fn serialize_bool(self, value: bool) -> Result<Value, NoShape> {
        Ok(Value::Bool(value))
    }

    fn serialize_f32(self, number: f32) -> Result<Value, NoShape> {
        Ok(Value::text(number))
    }

    fn serialize_f64(self, number: f64) -> Result<Value, NoShape> {
        Ok(Value::text(number))
    }

    fn serialize_char(self, letter: char) -> Result<Value, NoShape> {
        Ok(Value::text(letter))
    }

    fn serialize_str(self, text: &str) -> Result<Value, NoShape> {
        Ok(Value::text(text))
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Value, NoShape> {
        Ok(Value::text(String::from_utf8_lossy(bytes)))
    }

    fn serialize_none(self) -> Result<Value, NoShape> {
        Ok(Value::Nil)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, NoShape> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, NoShape> {
        Ok(Value::Nil)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, NoShape> {
        Ok(Value::Nil)
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<Value, NoShape> {
        Ok(Value::text(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Value, NoShape> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, NoShape> {
        Ok(one_entry(variant, value.serialize(self)?))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List, NoShape> {
        Ok(List::default())
    }

    fn serialize_tuple(self, _: usize) -> Result<List, NoShape> {
        Ok(List::default())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List, NoShape> {
        Ok(List::default())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Variant<List>, NoShape> {
        Ok(Variant::of(variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Map, NoShape> {
        Ok(Map::default())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields, NoShape> {
        Ok(Fields::default())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Variant<Fields>, NoShape> {
        Ok(Variant::of(variant))
    }
}

fn one_entry(key: &str, value: Value) -> Value {
    Value::Map(BTreeMap::from([(key.to_owned(), value)]))
}

/// Values in their order.
#[derive(Default)]
struct List(Vec<Value>);

/// Values by key.
#[derive(Default)]
struct Map {
    key: String,
    entries: BTreeMap<String, Value>,
}

/// Named fields.
#[derive(Default)]
struct Fields(Object);

/// What belongs to one of several forms: the form's name is its key.
struct Variant<T> {
    variant: &'static str,
    inner: T,
}

impl<T: Default> Variant<T> {
    fn of(variant: &'static str) -> Self {
        let inner = T::default();
        Self { variant, inner }
    }
}

impl Fields {
    fn value(self) -> Value {
        match self.0.get(NUMBER) {
            Some(Value::Text(number)) => number
                .parse()
                .map_or_else(|_| Value::text(number), Value::Number),
            _ => Value::Object(self.0),
        }
    }

    fn add(&mut self, key: &'static str, is_said: bool, value: Value) {
        let value = match &value {
            Value::Text(text) if SIZES.contains(&key) => {
                text.parse::<Size>().map_or(value, Value::Size)
            }
            _ => value,
        };
        self.0.push(names::of_key(key), key, is_said, value);
    }
}

macro_rules! list {
    ($trait:ident, $push:ident) => {
        impl ser::$trait for List {
            type Ok = Value;
            type Error = NoShape;

            fn $push<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoShape> {
                self.0.push(value.serialize(Shape)?);
                Ok(())
            }

            fn end(self) -> Result<Value, NoShape> {
                Ok(Value::List(self.0))
            }
        }
    };
}

list!(SerializeSeq, serialize_element);
list!(SerializeTuple, serialize_element);
list!(SerializeTupleStruct, serialize_field);

impl ser::SerializeTupleVariant for Variant<List> {
    type Ok = Value;
    type Error = NoShape;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoShape> {
        ser::SerializeSeq::serialize_element(&mut self.inner, value)
    }

    fn end(self) -> Result<Value, NoShape> {
        let value = ser::SerializeSeq::end(self.inner)?;
        Ok(one_entry(self.variant, value))
    }
}

impl ser::SerializeMap for Map {
    type Ok = Value;
    type Error = NoShape;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), NoShape> {
        self.key = key.serialize(Shape)?.to_string();
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), NoShape> {
        let value = value.serialize(Shape)?;
        self.entries.insert(std::mem::take(&mut self.key), value);
        Ok(())
    }

    fn end(self) -> Result<Value, NoShape> {
        Ok(Value::Map(self.entries))
    }
}

impl ser::SerializeStruct for Fields {
    type Ok = Value;
    type Error = NoShape;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), NoShape> {
        self.add(key, true, value.serialize(Shape)?);
        Ok(())
    }

    fn skip_field(&mut self, key: &'static str) -> Result<(), NoShape> {
        self.add(key, false, Value::Nil);
        Ok(())
    }

    fn end(self) -> Result<Value, NoShape> {
        Ok(self.value())
    }
}

impl ser::SerializeStructVariant for Variant<Fields> {
    type Ok = Value;
    type Error = NoShape;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), NoShape> {
        ser::SerializeStruct::serialize_field(&mut self.inner, key, value)
    }

    fn end(self) -> Result<Value, NoShape> {
        let value = ser::SerializeStruct::end(self.inner)?;
        Ok(one_entry(self.variant, value))
    }
}
