//! What manifests and the configuration may say, as JSON Schema (draft 2020-12): for editors, and for
//! whoever writes manifests with a program.
//!
//! The fields are those of the types that [`decode`](crate::decode) reads, so both refuse the same
//! fields. Of what a text must look like a schema knows less: what it lets pass may still be refused.

mod texts;

use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Value, json};

use crate::configuration::NoStatus;
use crate::manifest::StatusV1alpha2;
use crate::{
    ApiVersion, ConfigurationSpec, ImageSpec, ImageStatus, KernelSpec, KernelStatus, Kind,
    Metadata, VmSpec, VmStatus,
};

/// The schema of an object of this kind; of any kind where none is named.
pub fn schema(kind: Option<Kind>) -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = match kind {
        Some(kind) => of_kind(&mut generator, kind),
        None => of_all(&mut generator),
    };
    let title = kind.map_or_else(|| "Object".to_owned(), |kind| kind.to_string());
    schema.insert("title".into(), title.into());
    let dialect = generator.settings().meta_schema.clone();
    schema.insert("$schema".into(), dialect.map_or(Value::Null, Value::from));
    let definitions = generator.take_definitions(true);
    schema.insert("$defs".into(), Value::Object(definitions));
    RecursiveTransform(numbers_as_text).transform(&mut schema);
    schema.to_value()
}

const ALL: [Kind; 4] = [Kind::Vm, Kind::Image, Kind::Kernel, Kind::Configuration];

/// One object of any kind; which one decides what else it may say, so that a fault is told of the
/// kind that was meant.
fn of_all(generator: &mut SchemaGenerator) -> Schema {
    let each = ALL.map(|kind| {
        json!({
            "if": { "properties": { "kind": { "const": kind } }, "required": ["kind"] },
            "then": of_kind(generator, kind),
        })
    });
    json_schema!({
        "type": "object",
        "properties": { "kind": { "enum": ALL } },
        "required": ["kind"],
        "allOf": each,
    })
}

fn of_kind(generator: &mut SchemaGenerator, kind: Kind) -> Schema {
    match kind {
        Kind::Vm => of_vm(generator),
        Kind::Image => object::<ImageSpec, ImageStatus>(generator, kind),
        Kind::Kernel => object::<KernelSpec, KernelStatus>(generator, kind),
        Kind::Configuration => object::<ConfigurationSpec, NoStatus>(generator, kind),
    }
}

/// A VM, whose status had another shape in the first version that is read.
fn of_vm(generator: &mut SchemaGenerator) -> Schema {
    let mut vm = object::<VmSpec, VmStatus>(generator, Kind::Vm);
    let newest = generator.subschema_for::<VmStatus>();
    let oldest = generator.subschema_for::<StatusV1alpha2>();
    let version = "ignite.weave.works/v1alpha2";
    if let Some(status) = vm.pointer_mut("/properties/status") {
        *status = json!({ "description": "What is so." });
    }
    vm.insert(
        "allOf".into(),
        json!([{
            "if": { "properties": { "apiVersion": { "const": version } }, "required": ["apiVersion"] },
            "then": { "properties": { "status": oldest } },
            "else": { "properties": { "status": newest } },
        }]),
    );
    vm
}

/// The shape of every object.
fn object<Spec: JsonSchema, Status: JsonSchema>(
    generator: &mut SchemaGenerator,
    kind: Kind,
) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "apiVersion": generator.subschema_for::<ApiVersion>(),
            "kind": { "const": kind },
            "metadata": generator.subschema_for::<Metadata>(),
            "spec": generator.subschema_for::<Spec>(),
            "status": generator.subschema_for::<Status>(),
        },
        "required": ["apiVersion", "kind", "spec"],
        "additionalProperties": false,
    })
}

/// A number of YAML is read where a text is wanted: `command: [sleep, 5]`.
fn numbers_as_text(schema: &mut Schema) {
    if schema.get("enum").is_some() || schema.get("format").is_some() {
        return;
    }
    let types = match schema.get("type") {
        Some(Value::String(only)) if only == "string" => vec![json!("string")],
        Some(Value::Array(several)) if several.contains(&json!("string")) => several.clone(),
        _ => return,
    };
    let types = types.into_iter().chain([json!("number"), json!("boolean")]);
    schema.insert("type".into(), types.collect());
}

#[cfg(test)]
mod tests;
