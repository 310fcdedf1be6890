//! `attach`: a VM's console, seen and typed at by a person.

use std::path::Path;

use ignite_wire::agent::Message;

use super::control::{self, Control};
use super::exec::{CHANNEL, Ended, Far, Local, Session, Streams};
use super::refusals;
use crate::{Engine, Error};

/// A console somebody is attached to.
#[derive(Debug)]
pub struct Console {
    control: Control,
}

impl Console {
    /// Attaches to the console of the supervisor with this runtime directory. Where the guest is not
    /// ready yet it is seen from the moment it is.
    pub(super) fn open(run_dir: &Path) -> Result<Self, control::Error> {
        let mut control = Control::connect(run_dir)?;
        control.queue(CHANNEL, Message::Attach)?;
        control.flush()?;
        Ok(Self { control })
    }

    /// Passes on what is printed and typed until the VM ends, or the person leaves.
    pub fn run(self, streams: Streams<'_>, local: Local<'_>) -> Result<Ended, Error> {
        Ok(Session::new(self.control, Far::Console, streams, local).run()?)
    }
}

impl Engine {
    /// Attaches to the console of the VM that `text` means, which runs.
    pub fn attach(
        &self,
        text: &str,
        streams: Streams<'_>,
        local: Local<'_>,
    ) -> Result<Ended, Error> {
        let (uid, _) = self.control_of(text)?;
        let run_dir = self.config.paths.vm_run(uid);
        match Console::open(&run_dir)?.run(streams, local) {
            // One that does not know the request closes the connection, as one does whose VM ends.
            Err(Error::Control(control::Error::Ended)) if refusals::status(&run_dir).is_ok() => {
                Err(control::Error::Earlier.into())
            }
            ended => ended,
        }
    }
}
