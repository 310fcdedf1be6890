//! `ignite rename`: another name for a VM.

use clap::Args;
use ignite_api::Name;

use super::stop::print;
use crate::context::{Context, Outcome};
use crate::values;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite rename web old-web

Uid, MAC, address and ports stay. A guest that runs keeps its host name until its next start.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Rename {
    /// VM, by name, uid, or the beginning of either
    vm: String,

    /// Its new name, which no other VM has
    #[arg(value_name = "NAME", value_parser = values::NAME)]
    name: Name,
}

impl Verb for Rename {
    const ABOUT: &'static str = "Give a VM another name, also while it runs";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.engine()?;
        print(context, &engine.rename(&self.vm, self.name)?)?;
        Ok(0)
    }
}
