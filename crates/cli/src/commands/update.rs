//! `ignite update`: what can be changed of a VM, also while it runs.

use clap::{ArgGroup, Args};
use ignite_api::Size;
use ignite_engine::Changes;

use super::rates::RateArgs;
use super::stop::print;
use crate::context::{Context, Outcome};
use crate::values;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite update web --net-rate 10Mbit
  ignite update web --net-rate eth1=1Gbit --disk-rate 50MB
  ignite update web db --net-rate none
  ignite update web --balloon 256MB

A VM that runs has them at once, one that does not from its next start on. A rate without an
interface's name is that of all. A VM that runs has a balloon only if it was started with one.";

#[derive(Debug, Args)]
#[command(
    after_help = EXAMPLES,
    group = ArgGroup::new("change").required(true).multiple(true).args(["net_rate", "disk_rate", "balloon"])
)]
pub struct Update {
    /// VMs, by name, uid, or the beginning of either
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,

    #[command(flatten)]
    rates: RateArgs,

    /// How much of its memory the VM gives back to the host; 0 for nothing
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, value_parser = values::SIZE)]
    balloon: Option<Size>,
}

impl Verb for Update {
    const ABOUT: &'static str =
        "Change how fast VMs may be and how much memory they give back, also while they run";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.engine()?;
        let changes = Changes {
            rates: self.rates.rates(),
            balloon: self.balloon,
        };
        context.each(&self.vms, |vm| {
            print(context, &engine.change(vm, &changes)?)
        })
    }
}
