//! `ignite overlay join`: any further host.

use std::path::PathBuf;

use clap::Args;
use ignite_engine::overlay::{JOIN_PORT, JoinRequest, TokenChoice};

use super::NameArgs;
use super::up::{HostArgs, tell};
use crate::context::{Context, Outcome};
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite overlay join 192.0.2.1 --token TOKEN
  ignite overlay join node1.example --token-file token
  ignite overlay join 192.0.2.1                  to an overlay of ignite overlay init --insecure

The token is in what init printed; more are made there: ignite overlay token new. Once more, it goes
on where it was, without a token.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Join {
    /// The first host, by address or name
    host: String,

    /// What it is shown; good once
    #[arg(long, value_name = "TEXT", conflicts_with = "token_file")]
    token: Option<String>,

    /// File with the token, so that it is in nobody's list of processes
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    #[command(flatten)]
    name: NameArgs,

    #[command(flatten)]
    this: HostArgs,

    /// Port of its etcd
    #[arg(long, value_name = "PORT", default_value_t = 2379)]
    etcd_port: u16,

    /// Port at which it gives out certificates
    #[arg(long, value_name = "PORT", default_value_t = JOIN_PORT)]
    join_port: u16,

    /// Where the overlay's records begin [default: /coreos.com/network, or /NAME/network]
    #[arg(long, value_name = "KEY")]
    etcd_prefix: Option<String>,
}

impl Verb for Join {
    const ABOUT: &'static str = "Make this host one more of an overlay";

    fn run(self, context: &Context) -> Outcome {
        let token = self
            .token
            .map(TokenChoice::Text)
            .or(self.token_file.map(TokenChoice::File));
        let request = JoinRequest {
            name: self.name.name,
            address: self.host,
            port: self.etcd_port,
            join_port: self.join_port,
            token,
            prefix: self.etcd_prefix,
            host: self.this.choice(),
        };
        let up = context
            .networks()?
            .overlay_join(&request, context.terminal)?;
        tell(context, &request.name, &up);
        Ok(0)
    }
}
