//! `ignite internal`: verbs for our own programs and for packaging, not for people.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, Subcommand};
use ignite_api::Uid;

use crate::args::Cli;
use crate::context::{Context, Outcome};

/// Verbs for Ignite's own programs
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
    /// Write the man pages
    Man {
        /// Directory to write them to
        directory: PathBuf,
    },
}

impl Internal {
    pub fn run(self, context: &Context) -> Outcome {
        match self.command {
            InternalCommand::Release { uid } => context.engine()?.release(uid)?,
            InternalCommand::Man { directory } => write_pages(&directory)?,
        }
        Ok(0)
    }
}

/// A page for the program and one for each command: `ignite-run.1`.
fn write_pages(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut command = Cli::command();
    command.build();
    clap_mangen::generate_to(command, directory)
}
