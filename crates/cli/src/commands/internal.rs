//! `ignite internal`: verbs for our own programs and for packaging, not for people.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Subcommand};
use ignite_api::Uid;
use ignite_program::write_man;

use crate::args::Cli;
use crate::context::{Context, Outcome};
use crate::verb::Verb;

#[derive(Debug, Args)]
pub struct Internal {
    #[command(subcommand)]
    command: InternalCommand,
}

#[derive(Debug, Subcommand)]
enum InternalCommand {
    /// Free what an ended VM had: the last act of its supervisor
    Release {
        /// The VM
        uid: Uid,
    },
    /// Keep a service running, where there is no systemd
    Keep {
        /// Its description
        description: PathBuf,
        /// Where its words go
        #[arg(long)]
        log: PathBuf,
    },
    /// Write the man pages
    Man {
        /// Directory to write them to
        directory: PathBuf,
    },
}

impl Verb for Internal {
    const ABOUT: &'static str = "Verbs for Ignite's own programs";
    const HIDDEN: bool = true;

    fn run(self, context: &Context) -> Outcome {
        match self.command {
            InternalCommand::Release { uid } => context.globals.places.releaser()?.release(uid)?,
            InternalCommand::Keep { description, log } => {
                ignite_engine::overlay::keep(&description, &log)?;
            }
            InternalCommand::Man { directory } => write_man(Cli::command(), &directory)?,
        }
        Ok(0)
    }
}
