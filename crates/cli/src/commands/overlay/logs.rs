//! `ignite overlay logs`: what the agent says.

use std::io::{Write, stdout};

use clap::Args;
use ignite_engine::overlay::{LogRequest, Speaker};
use ignite_program::NO_READER;

use super::NameArgs;
use crate::context::{Context, Outcome};
use crate::terminal::Outlet;
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite overlay logs
  ignite overlay logs -f -n 20
  ignite overlay logs --etcd     of the etcd that init started";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Logs {
    /// Go on with what comes
    #[arg(short, long)]
    follow: bool,

    /// Only the last so many lines
    #[arg(short = 'n', long, value_name = "LINES")]
    tail: Option<usize>,

    /// etcd's, on the first host
    #[arg(long)]
    etcd: bool,

    #[command(flatten)]
    name: NameArgs,
}

impl Verb for Logs {
    const ABOUT: &'static str = "Show what the overlay's agent says";

    fn run(self, context: &Context) -> Outcome {
        let request = LogRequest {
            speaker: match self.etcd {
                true => Speaker::Etcd,
                false => Speaker::Agent,
            },
            tail: self.tail,
            follow: self.follow,
        };
        let mut stdout = Outlet::new(stdout().lock());
        let shown = context
            .networks()?
            .overlay_logs(&self.name.name, request, &mut |bytes| {
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
