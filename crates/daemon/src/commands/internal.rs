//! `ignited internal`: verbs for the supervisors of VMs that the daemon started, and for packaging.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Subcommand};
use ignite_api::Uid;
use ignite_program::{Failure, write_man};

use crate::args::{Cli, Globals};

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
            InternalCommand::Release { uid } => Ok(globals.places.releaser()?.release(uid)?),
            InternalCommand::Man { directory } => {
                write_man(Cli::command(), &directory).map_err(|error| Failure::new(error, None))
            }
        }
    }
}
