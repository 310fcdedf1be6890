//! The commands, a file each.

mod completion;
mod daemon;
mod gitops;
mod internal;
mod version;

use clap::Subcommand;
use ignite_program::Failure;

pub use gitops::conceal;

use crate::args::Globals;

/// What there is to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Keep VMs as the manifests in a directory say
    Daemon(daemon::Daemon),
    /// Keep VMs as the manifests in a git repository say
    Gitops(Box<gitops::Gitops>),
    /// Print the completion script of a shell
    Completion(completion::Completion),
    /// Verbs for Ignite's own programs
    #[command(hide = true)]
    Internal(internal::Internal),
    /// Show the version
    Version(version::Version),
}

impl Command {
    /// Does it, to its end.
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        match self {
            Self::Daemon(daemon) => daemon.run(globals),
            Self::Gitops(gitops) => gitops.run(globals),
            Self::Completion(completion) => completion.run(),
            Self::Internal(internal) => internal.run(globals),
            Self::Version(version) => version.run(),
        }
    }
}
