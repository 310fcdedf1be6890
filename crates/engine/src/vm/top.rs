//! `top`: the processes of a guest, through its agent; its image needs no program for that.

use std::time::Duration;

use ignite_wire::agent::Tool;
use ignite_wire::processes::{self, MAX_LIST, Process};

use super::copy::{Attendants, CopyError, answer};
use crate::{Engine, Error};

/// Why a guest's processes are not known.
#[derive(Debug, thiserror::Error)]
pub enum ProcessesError {
    /// There is no list.
    #[error(transparent)]
    Asked(#[from] CopyError),
    /// It cannot be read.
    #[error("the VM's list of processes cannot be read")]
    Unreadable(#[from] processes::Error),
    /// It has no end.
    #[error("the VM's list of processes is longer than {MAX_LIST} bytes")]
    TooLong,
}

impl ProcessesError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Asked(error) => error.hint(),
            Self::Unreadable(_) | Self::TooLong => {
                Some("its agent is not what was started; stop the VM and start it".into())
            }
        }
    }
}

impl Engine {
    /// The processes of the VM that `text` means, by their numbers; gives up when it is silent for longer
    /// than `patience`.
    pub fn processes(
        &self,
        text: &str,
        patience: Duration,
        attendants: Attendants<'_>,
    ) -> Result<Vec<Process>, Error> {
        let (_, control) = self.control_of(text)?;
        Ok(list(control, patience, attendants)?)
    }
}

fn list(
    control: super::control::Control,
    patience: Duration,
    attendants: Attendants<'_>,
) -> Result<Vec<Process>, ProcessesError> {
    let most = MAX_LIST as u64;
    let bytes = answer(control, Tool::Processes, most, attendants, patience)?;
    if bytes.len() > MAX_LIST {
        return Err(ProcessesError::TooLong);
    }
    Ok(processes::parse(&bytes)?)
}
