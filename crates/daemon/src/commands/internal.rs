//! `ignited internal`: verbs for the supervisors of VMs that the daemon started, and for packaging.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory, Subcommand};
use ignite_api::Uid;

use crate::args::{Cli, Globals};
use crate::config::releaser;
use crate::failure::Failure;

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
    /// Does it.
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        match self.command {
            InternalCommand::Release { uid } => Ok(releaser(globals)?.release(uid)?),
            InternalCommand::Man { directory } => {
                write_pages(&directory).map_err(|error| Failure::new(error, None))
            }
        }
    }
}

/// A page for the program and one for each command: `ignited-daemon.1`.
fn write_pages(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    clap_mangen::generate_to(command, directory)
}
