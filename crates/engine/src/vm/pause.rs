//! `pause` and `unpause`: a guest's processors stand still, and nothing else of the VM changes.

use std::path::Path;
use std::time::Duration;

use ignite_store::Liveness;
use ignite_wire::agent::Message;

use super::control::{self, Control};
use super::refusals;
use crate::{Done, Engine, Error};

/// Longer than a supervisor waits for its VMM.
const PATIENCE: Duration = Duration::from_secs(15);

impl Engine {
    /// Stops the guest's processors. One that stands still already is left so.
    pub fn pause(&self, text: &str) -> Result<Done, Error> {
        self.stand(text, Message::Pause, ["paused", "already paused:"])
    }

    /// Lets the guest's processors go on. One that runs is left so.
    pub fn unpause(&self, text: &str) -> Result<Done, Error> {
        self.stand(text, Message::Resume, ["unpaused", "not paused:"])
    }

    fn stand(
        &self,
        text: &str,
        request: Message,
        [done, nothing]: [&'static str; 2],
    ) -> Result<Done, Error> {
        let uid = self.vms.resolve(text)?;
        let name = self.vms.get(uid)?.name;
        let paths = &self.config.paths;
        if !Liveness::is_held(paths, uid)? {
            return Err(Error::NotRunning {
                name: name.to_string(),
            });
        }
        let event = if done == "paused" { "pause" } else { "unpause" };
        let changed = ask(&paths.vm_run(uid), request)?;
        if changed {
            self.note(event, uid, &name, &[]);
        }
        let what = if changed { done } else { nothing };
        Ok(Done { uid, name, what })
    }
}

/// Asks the supervisor with this runtime directory for something; whether it changed anything.
///
/// One of an earlier version closes the connection at a request it does not know, just as one does
/// whose VM ends. It still says how its VM is.
pub(super) fn ask(run_dir: &Path, request: Message) -> Result<bool, control::Error> {
    match Control::connect(run_dir)?.call(request, PATIENCE, done_of) {
        Err(control::Error::Ended) if refusals::status(run_dir).is_ok() => {
            Err(control::Error::Earlier)
        }
        answer => answer,
    }
}

/// Whether what was asked for changed anything.
fn done_of(answer: Message) -> Option<bool> {
    match answer {
        Message::Done { changed } => Some(changed),
        _ => None,
    }
}
