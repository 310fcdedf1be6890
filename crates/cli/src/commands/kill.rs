//! `ignite kill`: end VMs at once.

use clap::Args;

use super::stop::print;
use crate::context::{Context, Outcome};
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite kill web";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Kill {
    /// VMs, by name, uid, or the beginning of either
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,
}

impl Verb for Kill {
    const ABOUT: &'static str = "End VMs at once, without shutting them down";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.engine()?;
        context.each(&self.vms, |vm| print(context, &engine.kill(vm)?))
    }
}
