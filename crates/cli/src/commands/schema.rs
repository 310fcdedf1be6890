//! `ignite schema`: what manifests and the configuration may say, for editors.

use clap::{Args, ValueEnum};
use ignite_api::Kind;

use crate::context::{Context, Outcome};
use crate::output::Format;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite schema >ignite.schema.json        whatever the kind
  ignite schema configuration

An editor with a YAML language server reads the schema a file names in its first line:
  # yaml-language-server: $schema=ignite.schema.json";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Schema {
    /// What is described: vm, image, kernel or configuration [default: all of them]
    #[arg(value_name = "KIND", ignore_case = true, hide_possible_values = true)]
    kind: Option<Described>,
}

/// Kind of what is described.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Described {
    /// A VM
    Vm,
    /// An image
    Image,
    /// A kernel
    Kernel,
    /// The configuration file
    #[value(alias = "config")]
    Configuration,
}

impl From<Described> for Kind {
    fn from(described: Described) -> Self {
        match described {
            Described::Vm => Self::Vm,
            Described::Image => Self::Image,
            Described::Kernel => Self::Kernel,
            Described::Configuration => Self::Configuration,
        }
    }
}

impl Verb for Schema {
    const ABOUT: &'static str = "Print the JSON schema of manifests and of the configuration";

    fn run(self, context: &Context) -> Outcome {
        let schema = ignite_api::schema(self.kind.map(Kind::from));
        context.encode(Format::Json, &schema)
    }
}
