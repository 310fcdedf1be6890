//! `ignite wait`: until VMs have ended.

use clap::Args;

use crate::context::{Context, Outcome};
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite wait job
  code=$(ignite wait job)

Prints an exit code for each VM, in their order: its command's; 0 for a guest that powered itself
off, 137 for one that was killed, 255 for one that broke or was lost. One that has ended already is
not waited for.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Wait {
    /// VMs, by name, uid, or the beginning of either
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,
}

impl Verb for Wait {
    const ABOUT: &'static str = "Wait until VMs have ended, and print their exit codes";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.reader()?;
        engine.wait(&self.vms, &mut |code| {
            context.terminal.line(&code.to_string())
        })?;
        Ok(0)
    }
}
