//! `ignite overlay start` and `restart`: of what init or join set up.

use clap::Args;

use ignite_engine::overlay::{OverlayName, Start as How};

use super::NameArgs;
use super::up::tell;
use crate::context::{Context, Outcome};
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite overlay start

With systemd, that happens by itself.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Start {
    #[command(flatten)]
    name: NameArgs,
}

impl Verb for Start {
    const ABOUT: &'static str = "Start what init or join set up, after a reboot without systemd";

    fn run(self, context: &Context) -> Outcome {
        start(context, &self.name.name, How::IfNot)
    }
}

const RESTART_EXAMPLES: &str = "\
Examples:
  ignite overlay restart

The agent then follows the configuration that etcd has now. Traffic goes on meanwhile, but for the
backends udp and wireguard.";

#[derive(Debug, Args)]
#[command(after_help = RESTART_EXAMPLES)]
pub struct Restart {
    #[command(flatten)]
    name: NameArgs,
}

impl Verb for Restart {
    const ABOUT: &'static str = "Start the agent again, to follow a changed configuration";

    fn run(self, context: &Context) -> Outcome {
        start(context, &self.name.name, How::Anew)
    }
}

fn start(context: &Context, name: &OverlayName, how: How) -> Outcome {
    let up = context
        .networks()?
        .overlay_start(name, how, context.terminal)?;
    tell(context, name, &up);
    Ok(0)
}
