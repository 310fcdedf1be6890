//! `stop` and `kill`: ask the supervisor, wait for the end, see to it that all is released.

use std::time::{Duration, Instant};

use ignite_api::{Name, Uid};
use ignite_store::{Liveness, State, StatusRecord, VmRecord};
use ignite_wire::agent::Message;
use ignite_wire::supervisor::End;

use super::control::{self, Control};
use super::repair::is_alive;
use crate::{Cancel, Engine, Error};

/// Beyond the guest's grace period, for the VMM's end and the release.
const SLACK: Duration = Duration::from_secs(15);

/// What was done with a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Its uid.
    pub uid: Uid,
    /// Its name.
    pub name: Name,
    /// What was done, in a word.
    pub what: &'static str,
}

impl Done {
    /// One line for people.
    pub fn describe(&self) -> String {
        format!("{} VM {} ({})", self.what, self.name, self.uid)
    }
}

impl Engine {
    /// Shuts the guest down in order, ends it past `grace`.
    pub fn stop(&self, text: &str, grace: Duration) -> Result<Done, Error> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.finish(text, Message::Stop { grace_ms }, grace, "stopped")
    }

    /// Ends a VM at once.
    pub fn kill(&self, text: &str) -> Result<Done, Error> {
        self.finish(text, Message::Kill, Duration::ZERO, "killed")
    }

    fn finish(
        &self,
        text: &str,
        request: Message,
        grace: Duration,
        what: &'static str,
    ) -> Result<Done, Error> {
        let uid = self.vms.resolve(text)?;
        let record = self.vms.get(uid)?;
        let event = if what == "killed" { "kill" } else { "stop" };
        let ran = self.end_vm(&record, request, grace)?;
        if ran {
            self.note(event, uid, &record.name, &[]);
        }
        // A VM that removes itself is gone by now.
        match self.lock_idle(uid) {
            Ok((lock, live)) => {
                self.repair(&lock, &live)?;
                drop(live);
                self.remove_if_asked(lock)?;
            }
            Err(Error::Store(error)) if error.is_not_found() => {}
            // Somebody waited for its end to start it again.
            Err(Error::Running { .. }) if ran => {}
            Err(error) => return Err(error),
        }
        let what = if ran { what } else { "already stopped:" };
        Ok(Done {
            uid,
            name: record.name,
            what,
        })
    }

    /// Shuts the guest down in order, and waits for that alone; false if it did not run.
    pub(super) fn end_in_order(&self, record: &VmRecord, grace: Duration) -> Result<bool, Error> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        self.end_vm(record, Message::Stop { grace_ms }, grace)
    }

    /// Ends a VM; false if it did not run.
    fn end_vm(&self, record: &VmRecord, request: Message, grace: Duration) -> Result<bool, Error> {
        let paths = &self.config.paths;
        if !Liveness::is_held(paths, record.uid)? {
            return Ok(false);
        }
        let mut deadline = Instant::now() + grace + SLACK;
        let mut asked = self.ask(record.uid, &request);
        let mut forced = false;
        while Liveness::is_held(paths, record.uid)? {
            let status = self.vms.status(record.uid).unwrap_or_default();
            let vanished =
                status.state.is_live() && !status.supervisor.as_ref().is_some_and(is_alive);
            let ended = asked && status.state == State::Stopped;
            if ended || vanished && status.supervisor.is_some() {
                // Its last act is waited for by who takes its lock, which repairs what is left of it.
                break;
            }
            if !asked {
                // Being started in this moment: its socket appears with the supervisor.
                asked = self.ask(record.uid, &request);
            }
            if Instant::now() > deadline {
                if forced {
                    return Err(Error::DoesNotEnd {
                        name: record.name.to_string(),
                    });
                }
                forced = true;
                asked = self.ask(record.uid, &Message::Kill);
                deadline = Instant::now() + SLACK;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(true)
    }

    /// Whether the supervisor took the request. One that hangs has it, and sees it when it goes on; one
    /// that closes the connection unread does not.
    fn ask(&self, uid: Uid, request: &Message) -> bool {
        const PATIENCE: Duration = Duration::from_secs(1);
        let taken = |message| matches!(message, Message::StatusReply(_)).then_some(());
        let asked = Control::connect(&self.config.paths.vm_run(uid))
            .and_then(|control| control.call(request.clone(), PATIENCE, taken));
        if let Err(error) = &asked {
            tracing::debug!(%uid, %error, "the supervisor does not answer");
        }
        matches!(asked, Ok(()) | Err(control::Error::Silent))
    }

    /// Waits a moment for a VM whose command ends at once; says so if it did.
    /// Called off in that time, the VM is removed.
    pub fn ended_within(
        &self,
        uid: Uid,
        limit: Duration,
        cancel: &Cancel,
    ) -> Result<Option<String>, Error> {
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            if let Err(cancelled) = cancel.check() {
                self.remove(uid.as_str(), true)?;
                return Err(cancelled.into());
            }
            match self.vms.status(uid) {
                Ok(status) if status.state == State::Stopped => {
                    return Ok(Some(early_end(&status, uid)));
                }
                Ok(_) => {}
                Err(error) if error.is_not_found() => return Ok(None),
                Err(error) => return Err(error.into()),
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        Ok(None)
    }
}

fn early_end(status: &StatusRecord, uid: Uid) -> String {
    let how = match (status.exit_code, status.end) {
        (Some(code), _) => format!("its command ended with exit code {code}"),
        (None, Some(End::Panicked)) => "its kernel panicked".into(),
        (None, Some(End::PoweredOff)) => "the guest powered itself off".into(),
        (None, Some(End::Rebooted)) => "the guest rebooted".into(),
        (None, Some(End::Halted)) => "the guest halted".into(),
        (None, Some(End::Killed)) => "it was killed".into(),
        (None, _) => status
            .message
            .clone()
            .unwrap_or_else(|| "its VMM ended".into()),
    };
    format!(
        "the VM ended at once: {how}; see its console with: ignite logs {uid}, \
         or give it another command: ignite run IMAGE -- CMD"
    )
}
