//! `ignite pause` and `ignite unpause`: guests that stand still for a while.

use clap::Args;

use super::stop::print;
use crate::context::{Context, Outcome};
use crate::verb::Verb;

const PAUSE_EXAMPLES: &str = "\
Examples:
  ignite pause web
  ignite pause db cache

A paused VM keeps its memory, address and ports, uses no processor time, and answers nobody.
`ignite stop` lets it go on, and shuts it down.";

const UNPAUSE_EXAMPLES: &str = "\
Examples:
  ignite unpause web";

#[derive(Debug, Args)]
#[command(after_help = PAUSE_EXAMPLES)]
pub struct Pause {
    /// VMs, by name, uid, or the beginning of either
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,
}

impl Verb for Pause {
    const ABOUT: &'static str = "Pause VMs: their processors stand still";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.engine()?;
        context.each(&self.vms, |vm| print(context, &engine.pause(vm)?))
    }
}

#[derive(Debug, Args)]
#[command(after_help = UNPAUSE_EXAMPLES)]
pub struct Unpause {
    /// VMs, by name, uid, or the beginning of either
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,
}

impl Verb for Unpause {
    const ABOUT: &'static str = "Resume paused VMs";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.engine()?;
        context.each(&self.vms, |vm| print(context, &engine.unpause(vm)?))
    }
}
