//! `ignite logs`: a VM's console.

use std::io::{Write, stdout};

use clap::Args;
use ignite_program::NO_READER;

use crate::context::{Context, Outcome};
use crate::terminal::Outlet;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite logs web
  ignite logs -f web     go on until it ends";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Logs {
    /// VM, by name, uid, or the beginning of either
    vm: String,

    /// Go on until the VM ends
    #[arg(short, long)]
    follow: bool,
}

impl Verb for Logs {
    const ABOUT: &'static str = "Show what a VM wrote to its console";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.reader()?;
        let mut stdout = Outlet::new(stdout().lock());
        let shown = engine.logs(&self.vm, self.follow, &mut |bytes| {
            stdout.write_all(bytes)?;
            stdout.flush()
        });
        if stdout.is_gone() {
            return Ok(NO_READER);
        }
        shown?;
        Ok(0)
    }
}
