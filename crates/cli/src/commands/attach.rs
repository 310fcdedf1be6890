//! `ignite attach`: a VM's console.

use clap::Args;

use crate::context::{Context, Outcome};
use crate::seat::{DetachArgs, SESSION_FAILED, Seat};
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite attach web
  ignite attach --no-stdin web
  ignite attach --detach-keys ctrl-a,d web

What the VM prints from now on is shown; what it printed before is in `ignite logs`. Several may
attach at once. The exit code is that of the VM's command; 0 after the keys to detach with.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Attach {
    /// VM, by name, uid, or the beginning of either
    vm: String,

    /// Show the console only: what is typed is not passed on
    #[arg(long)]
    no_stdin: bool,

    #[command(flatten)]
    detach: DetachArgs,

    /// Taken from Docker, and not used: signals to this program never go to the VM
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, hide = true)]
    sig_proxy: Option<Option<bool>>,
}

impl Verb for Attach {
    const ABOUT: &'static str = "Attach to a VM's console";

    fn run(self, context: &Context) -> Outcome {
        self.attach(context)
            .map_err(|failure| failure.with_code(SESSION_FAILED))
    }
}

impl Attach {
    fn attach(self, context: &Context) -> Outcome {
        let inbox = Seat::signals()?;
        let engine = context.engine()?;
        let keys = self.detach.keys(&engine);
        let seat = Seat::of_console(!self.no_stdin, keys, inbox);
        seat.sit(context, &self.vm, |streams, local| {
            engine.attach(&self.vm, streams, local)
        })
    }
}
