//! How a VM ended: a pure function of everything that was seen.
//!
//! A VMM's exit code lies (a guest's panic looks like a clean exit), so the end is put together from
//! what the VMM said, what the agent said, the kernel's last words on the console, and what the
//! supervisor itself decided. What the guest did by itself goes before what was done to it, because a
//! `kill` may come while it powers off.

use std::time::Duration;

use ignite_host::process::Status;
use ignite_vmm::Reason;
use ignite_wire::agent::{ExitStatus, Message, PowerAction};
use ignite_wire::supervisor::End;

use crate::console::LastWords;
use crate::holder;

/// A command that ends this soon after the guest was ready deserves a hint.
pub const SUDDEN: Duration = Duration::from_secs(1);

/// Why the supervisor ended the VMM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was asked to.
    Kill,
    /// The guest had not shut down in its grace period.
    GraceOver,
    /// The agent was not ready in time.
    BootTimeout,
    /// The agent said the guest halts, and fell silent.
    HaltAnnounced,
    /// The kernel said on the console that it stops, and the agent fell silent.
    KernelGone(LastWords),
}

/// Everything that was seen of a VM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The agent was ready.
    pub ready: bool,
    /// The guest was asked to shut down.
    pub stopping: bool,
    /// The user's command ended with this code, that long after the guest was ready.
    pub command: Option<(i32, Duration)>,
    /// What the agent said the guest would do.
    pub going: Option<PowerAction>,
    /// The kernel's last words on the console.
    pub last_words: Option<LastWords>,
    /// Why the VMM said the machine stops.
    pub shutdown: Option<Reason>,
    /// The VMM told of a panic.
    pub panicked: bool,
    /// Why the supervisor ended the VMM.
    pub verdict: Option<Verdict>,
    /// How the VMM's process ended.
    pub status: Option<Status>,
    /// The guest printed something.
    pub printed: bool,
    /// The agent spoke.
    pub greeted: bool,
    /// What kept the guest from starting, in its own words.
    pub complaint: Option<Complaint>,
    /// The container that owned the network ended while all was well.
    pub lost_holder: Option<String>,
    /// The kernel ended something of the VMM because the memory of its control group was used up.
    pub out_of_memory: bool,
    /// The machine has no switch: a guest that powers itself off resets it, or stops.
    pub switchless: bool,
    /// The VMM, or the host's processor under the guest, broke like this.
    pub broken: Option<String>,
    /// The VMM's own last lines.
    pub vmm_output: Vec<String>,
}

impl Evidence {
    /// Whether the VMM was ended by the kernel because it used up its memory.
    fn ended_for_memory(&self) -> bool {
        const SIGKILL: i32 = 9;
        self.out_of_memory && self.status == Some(Status::Signal(SIGKILL))
    }
}

/// What a guest that does not start says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// What failed and why.
    pub message: String,
    /// What to do; may be empty.
    pub hint: String,
}

/// How a VM ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The named final state.
    pub end: End,
    /// Exit code of the user's command, if it ended.
    pub exit_code: Option<i32>,
    /// What happened, where the state does not say it all.
    pub message: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Outcome {
    /// What those are told who are attached to the console: an exit code as long as the guest ended by
    /// itself.
    pub fn farewell(&self) -> Message {
        let by_itself = matches!(self.end, End::PoweredOff | End::Halted | End::Rebooted);
        const SIGKILL: i32 = 9;
        let status = match (self.exit_code, &self.message) {
            (Some(code), _) => ExitStatus::Code { code },
            (None, _) if by_itself => ExitStatus::Code { code: 0 },
            (None, None) => ExitStatus::Signal { number: SIGKILL },
            (None, Some(message)) => {
                return Message::Error {
                    message: format!("the VM ended: {message}"),
                    hint: self.hint.clone(),
                };
            }
        };
        Message::Exit { status }
    }
}

/// Weighs the evidence. `name` is the VM's, for hints.
pub fn outcome(evidence: &Evidence, name: &str) -> Outcome {
    if let Some(container) = &evidence.lost_holder {
        return network_lost(container, name);
    }
    let (end, message) = end(evidence);
    if let Some(complaint) = evidence.complaint.as_ref().filter(|_| !evidence.ready) {
        return not_started(end, complaint, name);
    }
    let logs = format!("see the console: ignite logs {name}");
    let (exit_code, sudden) = match evidence.command {
        Some((code, after)) => (Some(code), after < SUDDEN && !evidence.stopping),
        None => (None, false),
    };
    let message = match exit_code {
        Some(code) if end == End::PoweredOff && sudden => {
            Some(format!("the command ended at once, with exit code {code}"))
        }
        _ => message.or_else(|| (!evidence.ready).then(|| too_early(end))),
    };
    let hint = match end {
        End::VmmFailed if evidence.ended_for_memory() => Some(format!(
            "the bound is the guest's memory and a margin for the virtual machine monitor: if this \
             happens again, see what it does with: ignite logs {name}"
        )),
        End::PoweredOff if sudden => Some(format!(
            "a VM lives as long as its command; to see what it printed: ignite logs {name}"
        )),
        End::PoweredOff if !evidence.ready => Some(logs),
        End::PoweredOff | End::Rebooted | End::Halted | End::Killed => None,
        End::Panicked | End::BootTimeout | End::VmmFailed | End::Lost | End::NetworkLost => {
            Some(logs)
        }
    };
    Outcome {
        end,
        exit_code,
        message,
        hint,
    }
}

/// However the guest went then: it was shut down because of that.
fn network_lost(container: &str, name: &str) -> Outcome {
    Outcome {
        end: End::NetworkLost,
        exit_code: None,
        message: Some(holder::message(container)),
        hint: Some(holder::hint(name)),
    }
}

/// A guest that said why it does not start powers itself off; however it ended, that is the reason.
fn not_started(end: End, complaint: &Complaint, name: &str) -> Outcome {
    let hint = match complaint.hint.as_str() {
        "" => format!("see the console: ignite logs {name}"),
        hint => hint.to_owned(),
    };
    Outcome {
        end,
        exit_code: None,
        message: Some(format!("the guest cannot start: {}", complaint.message)),
        hint: Some(hint),
    }
}

fn end(evidence: &Evidence) -> (End, Option<String>) {
    let say = |text: &str| Some(text.to_owned());
    match (evidence.shutdown, evidence.verdict) {
        _ if evidence.panicked => (End::Panicked, say("the guest's kernel panicked")),
        (_, None | Some(Verdict::BootTimeout)) if evidence.broken.is_some() => {
            (End::VmmFailed, evidence.broken.clone())
        }
        (Some(Reason::GuestPanic), _) => (End::Panicked, say("the guest's kernel panicked")),
        (Some(Reason::GuestPowerOff), _) => (End::PoweredOff, None),
        (Some(Reason::GuestReset), _) => after_reset(evidence),
        (_, Some(Verdict::BootTimeout)) => (End::BootTimeout, Some(boot_timeout(evidence))),
        (_, Some(verdict)) => after_verdict(verdict, evidence),
        (Some(Reason::Signal), None) => (
            End::VmmFailed,
            say("the virtual machine monitor was ended by a signal from outside"),
        ),
        (Some(Reason::Quit | Reason::Other) | None, None) => {
            (End::VmmFailed, Some(vmm_failed(evidence)))
        }
    }
}

fn too_early(end: End) -> String {
    let how = match end {
        End::PoweredOff => "powered off",
        End::Halted => "halted",
        End::Rebooted => "asked for a reboot",
        End::Killed => "was killed",
        End::Panicked | End::BootTimeout | End::VmmFailed | End::Lost | End::NetworkLost => "ended",
    };
    format!("the guest {how} before it was ready")
}

fn vmm_failed(evidence: &Evidence) -> String {
    if evidence.ended_for_memory() {
        return "the virtual machine monitor ran out of the memory it may use".to_owned();
    }
    let mut text = "the virtual machine monitor ended by itself".to_owned();
    if let Some(status) = evidence.status {
        text.push_str(&format!(" with {status}"));
    }
    if let Some(line) = evidence.vmm_output.last() {
        text.push_str(": ");
        text.push_str(line);
    }
    text
}

fn boot_timeout(evidence: &Evidence) -> String {
    let seen = match (evidence.greeted, evidence.printed) {
        (true, _) => "its agent spoke, but did not get ready",
        (false, true) => "it printed to its console, but its agent never spoke",
        (false, false) => "it printed nothing, and its agent never spoke",
    };
    format!("the guest was not ready in time: {seen}")
}

/// A reset is a reboot, or what is left of a panic or a triple fault; where the machine has no switch,
/// also all there is of a power-off, and of a stop by Ctrl-Alt-Del.
fn after_reset(evidence: &Evidence) -> (End, Option<String>) {
    let switched_off = match evidence.going {
        Some(PowerAction::PowerOff) => true,
        Some(PowerAction::Reboot) => evidence.stopping,
        Some(PowerAction::Halt) => false,
        None => evidence.stopping && evidence.last_words.is_some(),
    };
    match (evidence.last_words, evidence.going) {
        (Some(LastWords::Panic), _) => (
            End::Panicked,
            Some("the guest's kernel panicked".to_owned()),
        ),
        _ if evidence.switchless && switched_off => (End::PoweredOff, None),
        (Some(_), _) | (None, Some(_)) => (End::Rebooted, None),
        (None, None) => (
            End::Panicked,
            Some("the guest's processor was reset with no word of its kernel".to_owned()),
        ),
    }
}

fn after_verdict(verdict: Verdict, evidence: &Evidence) -> (End, Option<String>) {
    // A kernel that finds no switch halts, and older ones say no more than that.
    let switched_off = evidence.switchless && evidence.going == Some(PowerAction::PowerOff);
    let (end, text) = match verdict {
        Verdict::KernelGone(LastWords::PowerOff) if evidence.switchless => {
            return (End::PoweredOff, None);
        }
        Verdict::KernelGone(LastWords::Halted) if switched_off => return (End::PoweredOff, None),
        Verdict::Kill => return (End::Killed, None),
        Verdict::GraceOver => (
            End::Killed,
            "the guest did not shut down in its grace period",
        ),
        Verdict::BootTimeout => (End::BootTimeout, "the guest was not ready in time"),
        Verdict::HaltAnnounced | Verdict::KernelGone(LastWords::Halted) => {
            return (End::Halted, None);
        }
        Verdict::KernelGone(LastWords::Panic) => (
            End::Panicked,
            "the guest's kernel panicked and did not go on",
        ),
        Verdict::KernelGone(LastWords::PowerOff) => (
            End::PoweredOff,
            "the guest could not switch its machine off, which was done for it",
        ),
        Verdict::KernelGone(LastWords::Restart) => (
            End::Rebooted,
            "the guest could not reset its machine, which was ended for it",
        ),
    };
    (end, Some(text.to_owned()))
}

#[cfg(test)]
mod tests;
