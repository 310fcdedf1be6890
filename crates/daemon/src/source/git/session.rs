//! A repository while it is followed.
//!
//! ```text
//!   start: what was held is told at once, remote or no remote
//!      |
//!      v
//!   ask the remote for the branch's commit --- same as before --> wait
//!      | another                                                   ^
//!      v                                                           |
//!   fetch -> check the signature -> read -> hold -> tell ----------'
//! ```
//! A failure at any step leaves what is held, and is told.

use std::rc::Rc;
use std::sync::mpsc::{RecvTimeoutError, SendError, Sender};
use std::time::Instant;

use ignite_host::error::chain;

use super::Error;
use super::inbox::Inbox;
use super::object::Id;
use super::options::Options;
use super::program::Program;
use super::publish::Publisher;
use super::read::{Contents, Known, read};
use super::repository::{Repository, remote_head};
use super::schedule::Schedule;
use crate::source::{Command, Delivery};

/// The daemon listens no more.
pub(super) struct Over;

impl<T> From<SendError<T>> for Over {
    fn from(_: SendError<T>) -> Self {
        Self
    }
}

/// A repository that is followed.
pub(super) struct Session {
    options: Options,
    repository: Repository,
    program: Rc<Program>,
    deliveries: Sender<Delivery>,
    known: Option<Known>,
    is_failing: bool,
    schedule: Schedule,
    publisher: Option<Publisher>,
    unpublished: Option<String>,
}

impl Session {
    /// One of which nothing was told yet.
    pub(super) fn new(options: Options, program: Program, deliveries: Sender<Delivery>) -> Self {
        let program = Rc::new(program);
        let file = options.status_file.clone();
        Self {
            publisher: file.map(|file| Publisher::new(file, options.interval)),
            repository: Repository::kept(Rc::clone(&program)),
            options,
            program,
            deliveries,
            known: None,
            is_failing: false,
            schedule: Schedule::default(),
            unpublished: None,
        }
    }

    /// Follows it until the daemon ends.
    pub(super) fn run(mut self, commands: &Inbox) -> Result<(), Over> {
        self.tell_held()?;
        loop {
            let synced = self.sync();
            self.tell(synced)?;
            self.publish();
            self.wait(commands)?;
        }
    }

    /// Tells what was fetched before, so that nothing waits for a remote that is away.
    fn tell_held(&mut self) -> Result<(), Over> {
        let Some(commit) = self.repository.held() else {
            return Ok(());
        };
        match self.look(&self.repository, &commit) {
            Ok(contents) => {
                tracing::info!(commit = commit.short(), "as it was fetched before");
                self.deliver(contents)
            }
            Err(error) => {
                tracing::warn!("what was fetched before cannot be used: {}", chain(&error));
                Ok(())
            }
        }
    }

    /// What the branch holds, where that is not what was told last.
    fn sync(&mut self) -> Result<Option<Contents>, Error> {
        self.options.check_files()?;
        let head = remote_head(&self.program, &self.options)?;
        let is_known = self
            .known
            .as_ref()
            .is_some_and(|known| known.commit == head);
        if is_known && !self.is_failing {
            return Ok(None);
        }
        let contents = if is_known {
            self.look(&self.repository, &head)
        } else {
            self.take(&self.repository)
        };
        let contents = match contents {
            Err(error) if error.may_be_ours() => self.take_anew(&head)?,
            contents => contents?,
        };
        if let Err(error) = self.repository.tidy() {
            tracing::debug!("{}", chain(&error));
        }
        Ok(Some(contents))
    }

    /// Whatever is wrong with the copy on this host, a new one does not have it.
    fn take_anew(&mut self, head: &Id) -> Result<Contents, Error> {
        let fresh = Repository::fresh(Rc::clone(&self.program), head)?;
        let contents = self.take(&fresh)?;
        self.repository = fresh.replace_kept()?;
        Ok(contents)
    }

    fn take(&self, repository: &Repository) -> Result<Contents, Error> {
        let commit = repository.fetch(&self.options)?;
        self.look(repository, &commit)
    }

    /// Reads a commit that is good, and holds it.
    fn look(&self, repository: &Repository, commit: &Id) -> Result<Contents, Error> {
        if self.options.signers.is_some() {
            repository.verify(commit)?;
        }
        let contents = read(repository, commit, self.known.as_ref())?;
        repository.hold(commit)?;
        Ok(contents)
    }

    fn tell(&mut self, synced: Result<Option<Contents>, Error>) -> Result<(), Over> {
        match synced {
            Ok(contents) => {
                self.schedule.succeeded();
                match contents {
                    Some(contents) => self.deliver(contents),
                    None => Ok(()),
                }
            }
            Err(Error::Stopped) => Err(Over),
            Err(error) => {
                self.schedule.failed();
                self.is_failing = true;
                Ok(self.deliveries.send(Delivery::Unreachable(words(&error)))?)
            }
        }
    }

    /// Tells what was read, unless that is what is known already.
    fn deliver(&mut self, contents: Contents) -> Result<(), Over> {
        let Contents {
            snapshot,
            known,
            is_news,
        } = contents;
        let commit = known.commit.short().to_owned();
        self.known = Some(known);
        let was_failing = std::mem::take(&mut self.is_failing);
        if was_failing {
            tracing::info!(commit, "the repository is read again");
        } else if is_news {
            tracing::info!(commit, "a commit to follow");
        }
        if was_failing || is_news {
            self.deliveries.send(Delivery::Snapshot(snapshot))?;
        }
        Ok(())
    }

    /// Publishes the status, where that is asked for; said once in the same words if it cannot be.
    fn publish(&mut self) {
        let (Some(publisher), Some(known), false) =
            (&mut self.publisher, &self.known, self.is_failing)
        else {
            return;
        };
        match publisher.publish(&self.repository, &self.options, &known.commit) {
            Ok(commit) => {
                if let Some(commit) = commit {
                    tracing::info!(commit = commit.short(), "the status is pushed");
                }
                self.unpublished = None;
            }
            Err(Error::Stopped) => {}
            Err(error) => {
                let words = words(&error);
                if self.unpublished.as_ref() != Some(&words) {
                    tracing::warn!("{words}");
                    self.unpublished = Some(words);
                }
            }
        }
    }

    /// Until it is time for the next look, or the daemon wants one.
    fn wait(&mut self, commands: &Inbox) -> Result<(), Over> {
        let deadline = Instant::now() + self.schedule.pause(self.options.interval);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match commands.recv_timeout(left) {
                Ok(Command::Rescan) => {
                    // All texts are given again: what they mean may have changed.
                    self.known = None;
                    return Ok(());
                }
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Ok(Command::Status(status)) => {
                    if let Some(publisher) = &mut self.publisher {
                        publisher.want(status);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return Err(Over),
            }
        }
    }
}

/// An error with its causes and what to do, in one line.
pub(super) fn words(error: &Error) -> String {
    let hint = error.hint().map(|hint| format!(" ({hint})"));
    format!("{}{}", chain(error), hint.unwrap_or_default())
}
