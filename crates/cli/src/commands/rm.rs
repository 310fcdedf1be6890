//! `ignite rm`: remove VMs.

use clap::Args;

use super::stop::print;
use crate::context::{Context, Outcome};
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite rm web
  ignite rm -f db cache     even if they run";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Rm {
    /// VMs, by name, uid, or the beginning of either
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,

    /// End those that run
    #[arg(short, long)]
    force: bool,
}

impl Verb for Rm {
    const ABOUT: &'static str = "Remove VMs with their disks";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.engine()?;
        context.each(&self.vms, |vm| {
            print(context, &engine.remove(vm, self.force)?)
        })
    }
}
