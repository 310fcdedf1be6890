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

pub(crate) mod children;
pub(crate) mod control;
pub(crate) mod copy;
pub(crate) mod create;
mod events;
pub(crate) mod exec;
pub(crate) mod files;
mod group;
mod inspect;
pub(crate) mod list;
mod logs;
#[cfg(test)]
mod orphans;
mod pause;
mod plan;
pub(crate) mod rates;
pub(crate) mod refusals;
mod remove;
pub(crate) mod repair;
mod run;
mod signal;
pub(crate) mod start;
pub(crate) mod stop;
#[cfg(test)]
mod tests;
pub(crate) mod update;
mod user;
pub(crate) mod vmm;

use ignite_store::Liveness;
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
        let uid = self.vms.resolve(text)?;
        if !Liveness::is_held(&self.config.paths, uid)? {
            return Err(Error::NotRunning {
                name: self.vms.get(uid)?.name.to_string(),
            });
        }
        let control = control::Control::connect(&self.config.paths.vm_run(uid))?;
        Ok(exec::run(control, request, streams)?)
    }
}
