//! `ignite dashboard`: VMs, networks and traffic in a browser.

use std::net::SocketAddr;

use clap::Args;
use ignite_dashboard::{Access, Dashboard as Page, Error, Key, Options, Reach};
use ignite_engine::Report;
use ignite_program::{FAILED, Failure, USAGE};

use crate::context::{Context, Outcome};
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite dashboard
  ignite dashboard --listen 127.0.0.1:0          any free port
  ssh -L 4280:127.0.0.1:4280 root@HOST ignite dashboard    of another host, in a browser here

The address that is printed has a key in it: who has it may look, and nobody can change anything.
Ctrl-C ends it.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Dashboard {
    /// Address and port of the page
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = Options::DEFAULT_LISTEN)]
    listen: SocketAddr,

    /// Let everyone look who reaches the address, other users of this host as well
    #[arg(long)]
    no_token: bool,

    /// Let --listen be an address that other machines reach; nothing is encrypted
    #[arg(long)]
    allow_remote: bool,
}

impl Verb for Dashboard {
    const ABOUT: &'static str = "Show VMs, networks and traffic in a browser";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.engine()?;
        let options = self.options().map_err(failure)?;
        self.warn(context);
        let page = Page::bind(options, engine).map_err(failure)?;
        let stop = page.stopper();
        ignite_engine::on_termination(move || stop.stop())?;
        context.terminal.line(&page.url())?;
        page.run().map_err(failure)?;
        Ok(0)
    }
}

impl Dashboard {
    fn options(&self) -> Result<Options, Error> {
        Ok(Options {
            listen: self.listen,
            reach: match self.allow_remote {
                true => Reach::Remote,
                false => Reach::Loopback,
            },
            access: match self.no_token {
                true => Access::Everyone,
                false => Access::Key(Key::random()?),
            },
        })
    }

    fn warn(&self, context: &Context) {
        let remote = !self.listen.ip().is_loopback();
        if remote && self.allow_remote {
            context
                .terminal
                .warn("other machines reach this page, and nothing is encrypted");
        }
        if self.no_token {
            let who = if remote {
                "everyone on the network"
            } else {
                "every user of this host"
            };
            context
                .terminal
                .warn(&format!("{who} can read all VMs' consoles"));
        }
    }
}

fn failure(error: Error) -> Failure {
    let (hint, code) = (error.hint(), if error.is_usage() { USAGE } else { FAILED });
    Failure::new(error, hint).with_code(code)
}
