//! `ignite inspect`: all that is known of an object.

use clap::{Args, ValueEnum};

use crate::context::{Context, Outcome};
use crate::output::Format;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite inspect vm web
  ignite inspect -o yaml image nginx:latest";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Inspect {
    /// What it is
    #[arg(value_enum, ignore_case = true)]
    kind: Kind,

    /// Its name, its uid, or the beginning of either
    object: String,

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
}

/// Form of an object's text.
#[derive(Debug, Clone, Copy, Args)]
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
}

impl FormArgs {
    /// The form asked for.
    pub fn output(self) -> Format {
        self.output
    }
}

impl Verb for Inspect {
    const ABOUT: &'static str = "Show all that is known of a VM, an image or a kernel";

    fn run(self, context: &Context) -> Outcome {
        show(context, self.kind, &self.object, self.form)
    }
}

/// Prints one object.
pub fn show(context: &Context, kind: Kind, object: &str, form: FormArgs) -> Outcome {
    let engine = context.reader()?;
    match kind {
        Kind::Vm => context.encode(form.output, &engine.inspect(object)?),
        Kind::Image => context.encode(form.output, &engine.image(object)?),
        Kind::Kernel => context.encode(form.output, &engine.kernel(object)?),
    }
}
