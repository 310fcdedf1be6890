//! `ignite internal`: verbs for our own programs and for packaging, not for people.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, Subcommand};
use ignite_api::Uid;

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
            InternalCommand::Release { uid } => context.releaser()?.release(uid)?,
            InternalCommand::Keep { description, log } => {
                ignite_engine::overlay::keep(&description, &log)?;
            }
            InternalCommand::Man { directory } => write_pages(&directory)?,
        }
        Ok(0)
    }
}

/// A page for the program and one for each command: `ignite-run.1`.
fn write_pages(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    clap_mangen::generate_to(command, directory)
}
