//! `ignite update`: what can be changed of a VM, also while it runs.

use clap::{ArgGroup, Args};

use super::rates::RateArgs;
use super::stop::print;
use crate::context::{Context, Outcome};
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite update web --net-rate 10Mbit
  ignite update web --net-rate eth1=1Gbit --disk-rate 50MB
  ignite update web db --net-rate none

A VM that runs has them at once, one that does not from its next start on. A rate without an
interface's name is that of all.";

#[derive(Debug, Args)]
#[command(
    after_help = EXAMPLES,
    group = ArgGroup::new("change").required(true).multiple(true).args(["net_rate", "disk_rate"])
)]
pub struct Update {
    /// VMs, by name, uid, or the beginning of either
    #[arg(required = true, value_name = "VM")]
    vms: Vec<String>,

    #[command(flatten)]
    rates: RateArgs,
}

impl Verb for Update {
    const ABOUT: &'static str = "Change how fast VMs may be, also while they run";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.engine()?;
        let rates = self.rates.rates();
        context.each(&self.vms, |vm| {
            print(context, &engine.change_rates(vm, &rates)?)
        })
    }
}
