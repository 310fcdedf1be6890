//! What `image ls` and `kernel ls` print: a table, uids alone, or the objects for programs.

use ignite_api::Object;
use ignite_engine::Report;
use jiff::Timestamp;
use serde::Serialize;

use crate::context::{Context, Outcome};
use crate::duration::since;
use crate::output::OutputArgs;

/// Prints the objects, after a warning for everything that could not be read; `table` is for people.
pub fn list<Spec: Serialize, Status: Serialize>(
    context: &Context,
    output: &OutputArgs,
    (objects, faults): (Vec<Object<Spec, Status>>, Vec<String>),
    table: impl FnOnce(&[Object<Spec, Status>]) -> String,
) -> Outcome {
    for fault in faults {
        context.terminal.warn(&fault);
    }
    if let Some(format) = output.output {
        return context.encode(format, &objects);
    }
    let text = match context.terminal.is_quiet() {
        true => objects
            .iter()
            .map(|object| format!("{}\n", identity(object)[0]))
            .collect(),
        false => table(&objects),
    };
    context.terminal.result(&text)?;
    Ok(0)
}

/// Uid, name and age of an object.
pub fn identity<Spec, Status>(object: &Object<Spec, Status>) -> [String; 3] {
    let metadata = &object.metadata;
    let age = metadata
        .created
        .and_then(|created| since(created, Timestamp::now()));
    [
        metadata.uid.map(|uid| uid.to_string()).unwrap_or_default(),
        metadata.name.clone(),
        age.unwrap_or_else(|| "<unknown>".into()),
    ]
}
