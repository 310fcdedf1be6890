//! `ignite restart`: stop VMs and start them again.

use std::time::Duration;

use clap::Args;
use ignite_engine::Report;

use super::start::StartArgs;
use crate::context::{Context, Outcome};
use crate::values;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite restart web
  ignite restart -t 60s db cache

A VM keeps its disk, MAC and ports, and its address wherever the network allows asking for one. One
that does not run is started.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Restart {
    /// VMs, by name, uid, or the beginning of either
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,

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

    #[command(flatten)]
    start: StartArgs,
}

impl Verb for Restart {
    const ABOUT: &'static str = "Stop VMs in order and start them again";

    fn run(self, context: &Context) -> Outcome {
        self.start.remark(context);
        let cancel = context.cancel()?;
        let options = self.start.options(context.globals.places.network_plugin);
        let engine = context.engine()?;
        context.each(&self.vms, |vm| {
            let started = engine.restart(vm, self.time, &options, context.terminal, &cancel)?;
            context.terminal.info(&format!("re{}", started.describe()));
            context.terminal.line(started.uid.as_str())?;
            self.start.print_timings(context, &started.timings);
            Ok(())
        })
    }
}
