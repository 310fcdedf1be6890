//! `ignite stop`: shut guests down in order.

use std::time::Duration;

use clap::Args;
use ignite_engine::{Done, Report};
use ignite_program::Failure;

use crate::context::{Context, Outcome};
use crate::values;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite stop web
  ignite stop --time 60s db cache

An init is asked to power off; a command that runs without one gets the stop signal that its
image names, or SIGTERM.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Stop {
    /// VMs, by name, uid, or the beginning of either
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,

    /// End them at once, as `ignite kill` does
    #[arg(short, long)]
    force_kill: bool,

    /// Time a guest has to shut down before it is ended
    #[arg(
        short,
        long,
        visible_alias = "timeout",
        value_name = "DURATION",
        default_value = "20s",
        value_parser = values::duration
    )]
    time: Duration,
}

impl Verb for Stop {
    const ABOUT: &'static str = "Shut VMs down in order";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.engine()?;
        context.each(&self.vms, |vm| {
            let done = if self.force_kill {
                engine.kill(vm)
            } else {
                engine.stop(vm, self.time)
            };
            print(context, &done?)
        })
    }
}

/// What was done, and the uid as the result.
pub fn print(context: &Context, done: &Done) -> Result<(), Failure> {
    context.terminal.info(&done.describe());
    Ok(context.terminal.line(done.uid.as_str())?)
}
