//! `ignite overlay`: one network over several hosts.

mod init;
mod join;
mod leave;
mod logs;
mod reserve;
mod start;
mod status;
mod token;
mod up;

use clap::Args;
use ignite_engine::overlay::OverlayName;

use crate::context::{Context, Outcome};
use crate::verb::{Verb, group};

const EXAMPLES: &str = "\
Examples:
  ignite overlay init                                on the first host
  ignite overlay join 192.0.2.1 --token TOKEN        on every other, as init says
  ignite overlay status
  ignite overlay leave --all

VMs of all these hosts are on one network, without more ado: ignite run IMAGE. The guide, with
what to open in firewalls, is docs/networking.md.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Overlay {
    #[command(subcommand)]
    command: OverlayCommand,
}

group! {
    OverlayCommand {
        "init" => init::Init,
        "join" => join::Join,
        "status" => status::Status,
        "logs" => logs::Logs,
        "start" => start::Start,
        "restart" => start::Restart,
        "leave" | "cleanup" => leave::Leave,
        "token" => token::Token,
        "reserve" => reserve::Reserve,
    }
}

impl Verb for Overlay {
    const ABOUT: &'static str = "Join the VMs of several hosts in one network";

    fn run(self, context: &Context) -> Outcome {
        self.command.run(context)
    }
}

/// Which overlay.
#[derive(Debug, Args)]
struct NameArgs {
    /// Name of the overlay, where there are several on a host
    #[arg(long, value_name = "NAME", default_value = OverlayName::DEFAULT, hide_default_value = true)]
    name: OverlayName,
}
