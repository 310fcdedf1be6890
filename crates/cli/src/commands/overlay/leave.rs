//! `ignite overlay leave`: nothing of the overlay on this host any more.

use clap::Args;
use ignite_engine::Report;
use ignite_engine::overlay::LeaveRequest;

use super::NameArgs;
use crate::context::{Context, Outcome};
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite overlay leave           the agent, the CNI network, on the first host etcd
  ignite overlay leave --all     devices, routes, rules, the lease, etcd's data as well

Without --all, devices and routes stay until the next reboot, and the host's subnet stays its
own for a day.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Leave {
    /// Devices, routes, rules, the lease and, on the first host, etcd's data as well
    #[arg(long)]
    all: bool,

    /// Even if other hosts, or VMs, need it
    #[arg(short, long)]
    force: bool,

    #[command(flatten)]
    name: NameArgs,
}

impl Verb for Leave {
    const ABOUT: &'static str = "Take the overlay off this host";

    fn run(self, context: &Context) -> Outcome {
        let request = LeaveRequest {
            name: self.name.name,
            all: self.all,
            force: self.force,
        };
        let left = context
            .networks()?
            .overlay_leave(&request, context.terminal)?;
        if left.gone.is_empty() {
            context.terminal.info("nothing was left to remove");
        }
        for gone in &left.gone {
            context.terminal.info(&format!("removed: {gone}"));
        }
        Ok(0)
    }
}
