//! The verbs on VMs, a file each.
//!
//! ```text
//!             start            Ready             stop, kill, the guest's own end
//!  created ----------> starting -----> running ----------------------------------> stopped
//!     |                    | failed, called off                                      |  |
//!     '-- rm --> gone      '--> as before                        start <-------------'  '-- rm --> gone
//! ```
//!
//! A VM that runs may stand still in between: `paused`.

pub(crate) mod attach;
pub(crate) mod children;
pub(crate) mod console;
pub(crate) mod control;
pub(crate) mod copy;
pub(crate) mod create;
mod events;
pub(crate) mod exec;
pub(crate) mod files;
mod group;
mod inspect;
mod journal;
mod keyboard;
pub(crate) mod list;
pub(crate) mod logs;
#[cfg(test)]
mod orphans;
mod pause;
mod plan;
pub(crate) mod prune;
pub(crate) mod rates;
pub(crate) mod refusals;
mod remove;
mod rename;
pub(crate) mod repair;
mod restart;
mod run;
mod signal;
pub(crate) mod ssh;
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod stop;
#[cfg(test)]
mod tests;
pub(crate) mod top;
pub(crate) mod update;
mod user;
pub(crate) mod vmm;
pub(crate) mod volumes;
mod wait;

use ignite_api::Uid;
use ignite_store::{Liveness, State};
use ignite_wire::agent::{ExecRequest, ExitStatus};

use crate::{Engine, Error};

impl Engine {
    /// Runs a program in the VM that `text` means, to its end.
    pub fn exec(
        &self,
        text: &str,
        request: ExecRequest,
        streams: exec::Streams<'_>,
    ) -> Result<ExitStatus, Error> {
        match self.exec_at(text, request, streams, exec::Local::default())? {
            exec::Ended::Exit(status) => Ok(status),
            // Nobody was there to leave it.
            exec::Ended::Detached | exec::Ended::Signal(_) => Ok(ExitStatus::Code { code: 0 }),
        }
    }

    /// The same for a person at a terminal, who may leave before the end, or be sent signals.
    pub fn exec_at(
        &self,
        text: &str,
        request: ExecRequest,
        streams: exec::Streams<'_>,
        local: exec::Local<'_>,
    ) -> Result<exec::Ended, Error> {
        let (_, control) = self.control_of(text)?;
        Ok(exec::run(control, request, streams, local)?)
    }

    /// A connection to the supervisor of a VM that runs.
    fn control_of(&self, text: &str) -> Result<(Uid, control::Control), Error> {
        let uid = self.vms.resolve(text)?;
        let not_running = |_| {
            let name = self.vms.get(uid)?.name.to_string();
            Err(Error::NotRunning { name })
        };
        if !Liveness::is_held(&self.config.paths, uid)? {
            return not_running(());
        }
        match control::Control::connect(&self.config.paths.vm_run(uid)) {
            // It has ended, and its supervisor is only releasing what it had.
            Err(_) if self.vms.status(uid)?.state == State::Stopped => not_running(()),
            control => Ok((uid, control?)),
        }
    }
}
