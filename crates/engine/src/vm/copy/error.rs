//! Why files could not be copied.

use std::io;

use ignite_archive::SourceError;

use crate::vm::control;

/// Errors of copying between this host and a VM.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// What is to be copied is not there.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// It cannot be written on this host.
    #[error(transparent)]
    Unpack(#[from] ignite_archive::Error),
    /// The guest says why not.
    #[error("in the VM: {message}")]
    Guest {
        /// What it says.
        message: String,
        /// What it says to do.
        hint: Option<String>,
    },
    /// Not everything is as it was.
    #[error("{faults} of the files could not be copied as they are")]
    Faults {
        /// How many.
        faults: u64,
    },
    /// The path does not name anything to copy.
    #[error("{path:?} does not say what to copy")]
    NoName {
        /// The path.
        path: String,
    },
    /// Standard input or output.
    #[error("cannot pass the archive on")]
    Stream(#[source] io::Error),
    /// Nothing moves.
    #[error("the VM has said nothing for {seconds} s")]
    Silent {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The guest program has no such tool.
    #[error("the VM was started by an earlier version of Ignite, which cannot do that")]
    Earlier,
    /// The supervisor.
    #[error(transparent)]
    Control(#[from] control::Error),
    /// The caller called it off.
    #[error("interrupted")]
    Cancelled,
}

impl CopyError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Source(error) => error.hint(),
            Self::Unpack(error) => error.hint(),
            Self::Guest { hint, .. } => hint.clone(),
            Self::NoName { .. } => {
                Some("name the file or directory itself, or /. behind it for what is in it".into())
            }
            Self::Silent { .. } => Some(
                "see whether it is paused, or hangs: ignite ps; to wait longer: --timeout SECONDS"
                    .into(),
            ),
            Self::Earlier => {
                Some("stop the VM and start it: ignite stop VM; ignite start VM".into())
            }
            Self::Control(error) => error.hint(),
            Self::Faults { .. } => Some("the warnings name them, and say why".into()),
            Self::Stream(error) => ignite_host::error::hint(error),
            Self::Cancelled => None,
        }
    }
}
