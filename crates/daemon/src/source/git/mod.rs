//! Manifests from a git repository: `ignited gitops`.
//!
//! The `git` program fetches one branch, and only its last commit, into a bare repository; files are
//! read from there as objects. There is no working tree: nothing of the repository's choice runs
//! (hooks, filters) or is followed (symbolic links, submodules) on this host.
//!
//! ```text
//!   options   what is asked for, plain data       program     one call of git, bounded and clean
//!   remote    addresses, branch: names            repository  the copy on this host
//!   secret    credentials                         listing     which files are manifests
//!   session   the life of a followed repository   read, batch their texts
//!   schedule  when it is looked at                publish     the status, pushed back
//!   inbox     what the daemon tells it
//! ```

mod batch;
mod branch;
mod config;
mod error;
mod hint;
mod inbox;
mod listing;
mod object;
mod options;
mod place;
mod program;
mod publish;
mod read;
mod remote;
mod repository;
mod schedule;
mod secret;
mod session;
mod ssh;
mod status_file;

use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::thread;

pub use branch::Branch;
pub use error::Error;
pub use options::{Options, Signers, Ssh};
pub use remote::{Remote, Scheme, without_login};
pub use secret::{Credentials, Login, PasswordSource, Secret};
pub use status_file::StatusFile;

use ignite_host::process::{self, Limits, Spec};
use inbox::{Inbox, inbox};
use place::Place;
use program::Program;
use session::{Over, Session, words};

use super::{Command, Delivery, Source};

/// A repository as a source.
#[derive(Debug)]
pub struct Git {
    options: Options,
}

impl Git {
    /// A source of what a repository's branch holds.
    ///
    /// # Errors
    /// If git is not installed, or cannot be given the path of a file that was named.
    pub fn new(options: Options) -> Result<Self, Error> {
        options.check_names()?;
        let action = "run git";
        process::run(Spec::new("git").arg("version"), b"", Limits::default())
            .map_err(|source| Error::Program { action, source })?;
        Ok(Self { options })
    }

    fn follow(
        self,
        commands: &Inbox,
        deliveries: Sender<Delivery>,
        stop: OwnedFd,
    ) -> Result<(), Over> {
        let place = loop {
            match Place::prepare(&self.options, &self.name()) {
                Ok(place) => break place,
                Err(error) => deliveries.send(Delivery::Unreachable(words(&error)))?,
            }
            pause(commands, self.options.interval)?;
        };
        let program = Program::new(&self.options, place, stop);
        Session::new(self.options, program, deliveries).run(commands)
    }
}

impl Source for Git {
    fn name(&self) -> String {
        let Options { remote, branch, .. } = &self.options;
        format!("{}#{}", remote.url(), branch.name())
    }

    fn run(self: Box<Self>, commands: Receiver<Command>, deliveries: Sender<Delivery>) {
        let (stop, held) = match rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC) {
            Ok(pipe) => pipe,
            Err(errno) => {
                let words = format!(
                    "the repository cannot be followed: {}",
                    std::io::Error::from(errno)
                );
                // A daemon that listens no more needs no word.
                let _ = deliveries.send(Delivery::Unreachable(words));
                return commands.into_iter().for_each(drop);
            }
        };
        let (outbox, inbox) = inbox(self.options.status_file.is_some());
        // Hears of the daemon's end while git runs: the pipe closes, and git is ended.
        thread::spawn(move || {
            let _held = held;
            // It returns when one of both ends is gone.
            commands.into_iter().all(|command| outbox.send(command))
        });
        // Over is the only way it ends.
        let _ = self.follow(&inbox, deliveries, stop);
    }
}

/// How many manifests, and how many bytes of them, there are in what `git ls-tree -r -z -l` says of a
/// commit; none where that is refused. What stands in it strangers choose, so it is fuzzed.
pub fn weigh_listing(answer: &[u8]) -> Option<(usize, u64)> {
    let listing = listing::parse(answer).ok()?;
    Some((listing.entries.len(), listing.total))
}

/// Waits, or until a rescan is asked for.
fn pause(commands: &Inbox, time: std::time::Duration) -> Result<(), Over> {
    match commands.recv_timeout(time) {
        Err(RecvTimeoutError::Disconnected) => Err(Over),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
