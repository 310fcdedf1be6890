//! What `ls` prints: a table, ids alone, or the objects for programs.

use ignite_api::Object;
use ignite_engine::Report;
use jiff::Timestamp;
use serde::Serialize;

use crate::context::{Context, Outcome};
use crate::duration::since;
use crate::output::OutputArgs;
use crate::select::{ListArgs, Listed};

/// Prints the items, after a warning for everything that could not be read; `id` is what is left of
/// them where only ids are wanted, `table` is for people.
pub fn list<T: Serialize>(
    context: &Context,
    output: &OutputArgs,
    (items, faults): (Vec<T>, Vec<String>),
    id: impl Fn(&T) -> String,
    table: impl FnOnce(&[T]) -> String,
) -> Outcome {
    for fault in faults {
        context.terminal.warn(&fault);
    }
    if let Some(format) = output.output {
        return context.encode(format, &items);
    }
    let text = match context.terminal.is_quiet() {
        true => items.iter().map(|item| id(item) + "\n").collect(),
        false => table(&items),
    };
    context.terminal.result(&text)?;
    Ok(0)
}

/// The same of those that are meant, and as a template says where there is one.
pub fn select<T: Listed>(
    context: &Context,
    args: &ListArgs,
    (items, faults): (Vec<T>, Vec<String>),
    table: impl FnOnce(&[T]) -> String,
) -> Outcome {
    let form = args.template.form()?;
    let items = args.choose(items)?;
    let Some(form) = form else {
        return list(context, &args.output, (items, faults), Listed::id, table);
    };
    for fault in faults {
        context.terminal.warn(&fault);
    }
    let values: Vec<_> = items.iter().map(Listed::value).collect();
    context.terminal.result(&form.render(&values)?)?;
    Ok(0)
}

/// Uid of an object.
pub fn uid<Spec, Status>(object: &Object<Spec, Status>) -> String {
    let uid = object.metadata.uid;
    uid.map(|uid| uid.to_string()).unwrap_or_default()
}

/// Uid, name and age of an object.
pub fn identity<Spec, Status>(object: &Object<Spec, Status>) -> [String; 3] {
    let metadata = &object.metadata;
    let age = metadata
        .created
        .and_then(|created| since(created, Timestamp::now()));
    [
        uid(object),
        metadata.name.clone(),
        age.unwrap_or_else(|| "<unknown>".into()),
    ]
}
