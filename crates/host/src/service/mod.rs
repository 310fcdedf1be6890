//! Programs that run as long as the host does.
//!
//! ```text
//!   systemd there:  a unit in /etc/systemd/system, enabled: it starts again, and after a reboot
//!   without it:     a keeper, one process for each: starts it again, keeps its log; gone after a reboot
//! ```
//!
//! Both have the same verbs, so that who starts a service need not know which of them it is.

mod keeper;
mod log;
mod notify;
mod systemd;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use keeper::{Keeper, keep};
pub use notify::notify;
pub use systemd::Systemd;

use crate::{error, fs, process};

/// What is to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name: letters, digits, dashes.
    pub name: String,
    /// What it is, in a few words.
    pub description: String,
    /// The program, with its path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

/// Errors of services.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the service.
    #[error("cannot set up the service {name}")]
    File {
        /// The service.
        name: String,
        /// What failed.
        source: fs::Error,
    },
    /// Its keeper does not start.
    #[error("cannot start the service {name}")]
    Start {
        /// The service.
        name: String,
        /// What failed.
        source: process::Error,
    },
    /// systemctl failed.
    #[error("systemctl {verb} of {unit} failed: {text}")]
    Systemctl {
        /// What was asked of it.
        verb: &'static str,
        /// The unit.
        unit: String,
        /// What it said.
        text: String,
    },
    /// Its keeper was started, and is not there.
    #[error("the keeper of the service {name} does not come up")]
    NoKeeper {
        /// The service.
        name: String,
    },
    /// It was told to end, killed, and is still there.
    #[error("the service {name} does not end")]
    DoesNotEnd {
        /// The service.
        name: String,
    },
    /// Signals cannot be read.
    #[error("cannot keep the service {name}")]
    Signals {
        /// The service.
        name: String,
        /// The kernel's answer.
        source: error::SystemError,
    },
    /// What is to be kept is not described.
    #[error("{} does not describe a service", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File { source, .. } => source.hint(),
            Self::Start { source, .. } => source.hint(),
            Self::Systemctl { unit, .. } => Some(format!("see why: journalctl -u {unit} -n 30")),
            Self::NoKeeper { .. }
            | Self::DoesNotEnd { .. }
            | Self::Signals { .. }
            | Self::Unreadable { .. } => None,
        }
    }
}

/// Where a service's words are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Log {
    /// In this file; what was before it is in one of the same name with `.1` behind it.
    File(PathBuf),
    /// In the journal, under this unit.
    Journal(String),
}

/// Who looks after services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Manager {
    /// systemd
    Systemd(Systemd),
    /// A process of our own for each.
    Keeper(Keeper),
}

impl Manager {
    /// systemd if this host runs it, else `keeper`.
    pub fn of_host(keeper: Keeper) -> Self {
        match Path::new("/run/systemd/system").is_dir() {
            true => Self::Systemd(Systemd::new("/etc/systemd/system")),
            false => Self::Keeper(keeper),
        }
    }

    /// Whether services are started again after a reboot.
    pub fn survives_reboot(&self) -> bool {
        matches!(self, Self::Systemd(_))
    }

    /// Has the service run, as it is described. One that runs so already is left alone; one that runs
    /// otherwise is started again.
    pub fn start(&self, service: &Service) -> Result<(), Error> {
        match self {
            Self::Systemd(systemd) => systemd.start(service),
            Self::Keeper(keeper) => keeper.start(service),
        }
    }

    /// The same, but one that runs is started again in any case.
    pub fn restart(&self, service: &Service) -> Result<(), Error> {
        match self {
            Self::Systemd(systemd) => systemd.restart(service),
            Self::Keeper(keeper) => {
                keeper.stop(&service.name)?;
                keeper.start(service)
            }
        }
    }

    /// Ends the service, now and for good. One that is not there is fine.
    pub fn stop(&self, name: &str) -> Result<(), Error> {
        match self {
            Self::Systemd(systemd) => systemd.stop(name),
            Self::Keeper(keeper) => keeper.stop(name),
        }
    }

    /// Whether somebody keeps it running.
    pub fn is_running(&self, name: &str) -> Result<bool, Error> {
        match self {
            Self::Systemd(systemd) => systemd.is_running(name),
            Self::Keeper(keeper) => keeper.is_running(name),
        }
    }

    /// Where its words are.
    pub fn log(&self, name: &str) -> Log {
        match self {
            Self::Systemd(_) => Log::Journal(systemd::unit(name)),
            Self::Keeper(keeper) => Log::File(keeper.log(name)),
        }
    }
}
