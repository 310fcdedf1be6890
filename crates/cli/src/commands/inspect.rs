//! `ignite inspect`: all that is known of objects.

use std::cell::RefCell;

use clap::{Args, ValueEnum};
use ignite_api::template::Value;
use ignite_api::{Image, Kernel, Metadata, Vm};
use ignite_engine::{Engine, NetworkDetail, Report};
use ignite_program::Failure;
use serde::Serialize;

use crate::context::{Context, Outcome};
use crate::output::Format;
use crate::select::TemplateArgs;
use crate::shown;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite inspect vm web
  ignite inspect web db                     the kind is found out
  ignite inspect -o yaml image nginx:latest
  ignite inspect vm web -t '{{.Status.Network.IPAddresses}}'";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Inspect {
    /// Names or uids, or the beginning of either; before them vm, image, kernel or network
    #[arg(required = true, value_name = "[KIND] OBJECT")]
    words: Vec<String>,

    #[command(flatten)]
    form: FormArgs,
}

/// Kind of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A VM
    Vm,
    /// An image
    Image,
    /// A kernel
    Kernel,
    /// A network
    Network,
}

impl Kind {
    /// As messages have it.
    fn noun(self) -> &'static str {
        match self {
            Self::Vm => "VM",
            Self::Image => "image",
            Self::Kernel => "kernel",
            Self::Network => "network",
        }
    }
}

/// Form of an object's text. There is nothing to filter here, and `-f` is Docker's for a template.
#[derive(Debug, Clone, Args)]
#[command(mut_arg("template", |template| template.short_alias('f')))]
pub struct FormArgs {
    /// json or yaml
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        default_value = "json",
        hide_possible_values = true
    )]
    output: Format,

    #[command(flatten)]
    template: TemplateArgs,
}

impl Verb for Inspect {
    const ABOUT: &'static str = "Show all that is known of VMs, images, kernels or networks";

    fn run(self, context: &Context) -> Outcome {
        let (kind, objects) = split(&self.words);
        show(context, kind, objects, &self.form)
    }
}

/// The kind, where the first of several words is one, and the objects.
fn split(words: &[String]) -> (Option<Kind>, &[String]) {
    match words {
        [first, rest @ ..] if !rest.is_empty() => match Kind::from_str(first, true) {
            Ok(kind) => (Some(kind), rest),
            Err(_) => (None, words),
        },
        _ => (None, words),
    }
}

/// Prints objects: one as such, several as a list. That one is not there is in the way of no other.
pub fn show(context: &Context, kind: Option<Kind>, names: &[String], form: &FormArgs) -> Outcome {
    let template = form.template.form()?;
    let engine = context.reader()?;
    let found = RefCell::new(Vec::new());
    let code = context.each(names, |name| {
        let object = match kind {
            Some(kind) => find(context, &engine, kind, name)?,
            None => search(context, &engine, name)?,
        };
        found.borrow_mut().push(object);
        Ok(())
    })?;
    let found = found.into_inner();
    match (template, found.as_slice()) {
        (_, []) => {}
        (Some(template), found) => {
            let values: Vec<Value> = found.iter().map(Found::value).collect();
            context.terminal.result(&template.render(&values)?)?;
        }
        (None, [object]) if names.len() == 1 => drop(context.encode(form.output, object)?),
        (None, found) => drop(context.encode(form.output, &found)?),
    }
    Ok(code)
}

/// An object of any kind.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Found {
    Vm(Box<Vm>),
    Image(Image),
    Kernel(Kernel),
    Network(Box<NetworkDetail>),
}

impl Found {
    fn value(&self) -> Value {
        Value::Object(match self {
            Self::Vm(vm) => shown::vm(vm),
            Self::Image(image) => shown::image(image),
            Self::Kernel(kernel) => shown::kernel(kernel),
            Self::Network(network) => shown::network(network),
        })
    }

    /// Whether this is its whole name or uid.
    fn is_called(&self, text: &str) -> bool {
        let is = |metadata: &Metadata| {
            metadata.name == text || metadata.uid.is_some_and(|uid| uid.as_str() == text)
        };
        match self {
            Self::Vm(vm) => is(&vm.metadata),
            Self::Image(image) => is(&image.metadata),
            Self::Kernel(kernel) => is(&kernel.metadata),
            Self::Network(network) => network.name == text,
        }
    }
}

fn find(context: &Context, engine: &Engine, kind: Kind, name: &str) -> Result<Found, Failure> {
    Ok(match kind {
        Kind::Vm => Found::Vm(Box::new(engine.inspect(name)?)),
        Kind::Image => Found::Image(engine.image(name)?),
        Kind::Kernel => Found::Kernel(engine.kernel(name)?),
        Kind::Network => {
            let (network, faults) = engine.network(name)?;
            for fault in faults {
                context.terminal.warn(&fault);
            }
            Found::Network(Box::new(network))
        }
    })
}

/// The one object of this name, whatever its kind; a whole name goes before the beginning of another.
fn search(context: &Context, engine: &Engine, name: &str) -> Result<Found, Failure> {
    let mut all = Vec::new();
    let mut failed = None;
    for kind in [Kind::Vm, Kind::Image, Kind::Kernel] {
        let found = match kind {
            Kind::Vm => engine.inspect(name).map(|it| Found::Vm(Box::new(it))),
            Kind::Image => engine.image(name).map(Found::Image),
            _ => engine.kernel(name).map(Found::Kernel),
        };
        match found {
            Ok(found) => all.push((kind, found)),
            Err(error) if error.is_not_found() => {}
            // Something else may have just this name.
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    // Networks have no uids, and no beginnings of names: whatever fails, it is none of this name.
    if let Ok(network) = find(context, engine, Kind::Network, name) {
        all.push((Kind::Network, network));
    }
    if all
        .iter()
        .filter(|(_, found)| found.is_called(name))
        .count()
        == 1
    {
        all.retain(|(_, found)| found.is_called(name));
    } else if let Some(error) = failed {
        return Err(error.into());
    }
    match all.len() {
        0 => Err(Failure::new(
            format!("there is no VM, image, kernel or network {name:?}"),
            Some("see what there is with: ignite ps -a, ignite images, ignite kernels, ignite network ls".into()),
        )),
        1 => Ok(all.remove(0).1),
        _ => Err(ambiguous(name, &all)),
    }
}

fn ambiguous(name: &str, all: &[(Kind, Found)]) -> Failure {
    let nouns: Vec<&str> = all.iter().map(|(kind, _)| kind.noun()).collect();
    let first = nouns
        .first()
        .map(|noun| noun.to_lowercase())
        .unwrap_or_default();
    Failure::new(
        format!("{name:?} could be more than one: {}", nouns.join(", ")),
        Some(format!("say which: ignite inspect {first} {name}")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_several_words_may_be_a_kind() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for (text, kind, count) in [
            ("vm web", Some(Kind::Vm), 1),
            ("VM web db", Some(Kind::Vm), 2),
            ("Network blue", Some(Kind::Network), 1),
            ("web", None, 1),
            ("web db", None, 2),
            ("vm", None, 1),
        ] {
            let words = words(text);
            let (found, objects) = split(&words);
            assert_eq!((found, objects.len()), (kind, count), "{text}");
        }
    }
}
