//! How a VM ended: a pure function of everything that was seen.
//!
//! A VMM's exit code lies (a guest's panic looks like a clean exit), so the end is put together from
//! what the VMM said, what the agent said, the kernel's last words on the console, and what the
//! supervisor itself decided. What the guest did by itself goes before what was done to it, because a
//! `kill` may come while it powers off.

use std::time::Duration;

use ignite_host::process::Status;
use ignite_vmm::Reason;
use ignite_wire::agent::PowerAction;
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
    /// The VMM's own last lines.
    pub vmm_output: Vec<String>,
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
        (Some(Reason::GuestPanic), _) => (End::Panicked, say("the guest's kernel panicked")),
        (Some(Reason::GuestPowerOff), _) => (End::PoweredOff, None),
        (Some(Reason::GuestReset), _) => after_reset(evidence),
        (_, Some(Verdict::BootTimeout)) => (End::BootTimeout, Some(boot_timeout(evidence))),
        (_, Some(verdict)) => after_verdict(verdict),
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

/// A reset is a reboot, or what is left of a panic or a triple fault.
fn after_reset(evidence: &Evidence) -> (End, Option<String>) {
    match (evidence.last_words, evidence.going) {
        (Some(LastWords::Panic), _) => (
            End::Panicked,
            Some("the guest's kernel panicked".to_owned()),
        ),
        (Some(_), _) | (None, Some(_)) => (End::Rebooted, None),
        (None, None) => (
            End::Panicked,
            Some("the guest's processor was reset with no word of its kernel".to_owned()),
        ),
    }
}

fn after_verdict(verdict: Verdict) -> (End, Option<String>) {
    let (end, text) = match verdict {
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
mod tests {
    use super::*;

    fn end_of(evidence: Evidence) -> End {
        outcome(&evidence, "vm").end
    }

    fn reset() -> Evidence {
        Evidence {
            ready: true,
            shutdown: Some(Reason::GuestReset),
            status: Some(Status::Code(0)),
            ..Evidence::default()
        }
    }

    #[test]
    fn a_reset_is_a_reboot_only_if_somebody_said_so() {
        let said = Evidence {
            going: Some(PowerAction::Reboot),
            ..reset()
        };
        let kernel = Evidence {
            last_words: Some(LastWords::Restart),
            ..reset()
        };
        let panic = Evidence {
            last_words: Some(LastWords::Panic),
            ..said.clone()
        };
        assert_eq!(end_of(said), End::Rebooted);
        assert_eq!(end_of(kernel), End::Rebooted);
        assert_eq!(end_of(panic), End::Panicked);
        assert_eq!(end_of(reset()), End::Panicked);
    }

    #[test]
    fn what_the_guest_did_goes_before_what_was_done_to_it() {
        let evidence = Evidence {
            shutdown: Some(Reason::GuestPowerOff),
            verdict: Some(Verdict::Kill),
            ..Evidence::default()
        };
        assert_eq!(end_of(evidence), End::PoweredOff);
    }

    #[test]
    fn verdicts_name_the_end() {
        let cases = [
            (Verdict::Kill, End::Killed),
            (Verdict::GraceOver, End::Killed),
            (Verdict::BootTimeout, End::BootTimeout),
            (Verdict::HaltAnnounced, End::Halted),
            (Verdict::KernelGone(LastWords::Halted), End::Halted),
            (Verdict::KernelGone(LastWords::Panic), End::Panicked),
        ];
        for (verdict, end) in cases {
            for shutdown in [None, Some(Reason::Quit)] {
                let evidence = Evidence {
                    verdict: Some(verdict),
                    shutdown,
                    ..Evidence::default()
                };
                assert_eq!(end_of(evidence), end, "{verdict:?} {shutdown:?}");
            }
        }
    }

    #[test]
    fn a_vmm_that_ends_without_a_word_failed() {
        let evidence = Evidence {
            status: Some(Status::Signal(9)),
            ..Evidence::default()
        };
        let outcome = outcome(&evidence, "web");
        assert_eq!(outcome.end, End::VmmFailed);
        assert_eq!(
            outcome.message.as_deref(),
            Some("the virtual machine monitor ended by itself with signal 9")
        );
        assert_eq!(
            outcome.hint.as_deref(),
            Some("see the console: ignite logs web")
        );
    }

    #[test]
    fn an_end_before_ready_is_told() {
        let evidence = Evidence {
            shutdown: Some(Reason::GuestPowerOff),
            ..Evidence::default()
        };
        let outcome = outcome(&evidence, "web");
        let message = outcome.message.expect("a message");
        assert_eq!(message, "the guest powered off before it was ready");
        assert!(outcome.hint.is_some());
    }

    #[test]
    fn a_guest_that_says_why_it_does_not_start_is_quoted() {
        let complaint = |hint: &str| Complaint {
            message: "the disk is no ext4".into(),
            hint: hint.into(),
        };
        let mut evidence = Evidence {
            shutdown: Some(Reason::GuestPowerOff),
            complaint: Some(complaint("try another")),
            ..Evidence::default()
        };
        let quoted = outcome(&evidence, "web");
        assert_eq!(quoted.end, End::PoweredOff);
        assert_eq!(
            quoted.message.as_deref(),
            Some("the guest cannot start: the disk is no ext4")
        );
        assert_eq!(quoted.hint.as_deref(), Some("try another"));
        evidence.complaint = Some(complaint(""));
        let hint = outcome(&evidence, "web").hint.expect("a hint");
        assert!(hint.contains("ignite logs web"));
        // Once it was up, how it ended is what counts.
        evidence.ready = true;
        assert_eq!(outcome(&evidence, "web").message, None);
    }

    #[test]
    fn a_lost_network_is_why_the_guest_was_shut_down() {
        let evidence = Evidence {
            stopping: true,
            command: Some((143, Duration::ZERO)),
            complaint: Some(Complaint {
                message: "no".into(),
                hint: String::new(),
            }),
            shutdown: Some(Reason::GuestPowerOff),
            lost_holder: Some("ignite-1".into()),
            ..Evidence::default()
        };
        let outcome = outcome(&evidence, "web");
        assert_eq!((outcome.end, outcome.exit_code), (End::NetworkLost, None));
        assert!(outcome.message.expect("a message").contains("ignite-1"));
        assert!(outcome.hint.expect("a hint").contains("ignite start web"));
    }

    #[test]
    fn a_stop_is_no_sudden_end() {
        let evidence = Evidence {
            ready: true,
            stopping: true,
            command: Some((143, Duration::ZERO)),
            shutdown: Some(Reason::GuestPowerOff),
            ..Evidence::default()
        };
        let outcome = outcome(&evidence, "web");
        assert_eq!(
            (outcome.exit_code, outcome.message, outcome.hint),
            (Some(143), None, None)
        );
    }

    #[test]
    fn a_sudden_end_of_the_command_brings_a_hint() {
        let ended = |after| Evidence {
            ready: true,
            command: Some((3, after)),
            shutdown: Some(Reason::GuestPowerOff),
            ..Evidence::default()
        };
        let sudden = outcome(&ended(Duration::from_millis(200)), "web");
        assert_eq!(sudden.exit_code, Some(3));
        assert!(sudden.hint.expect("a hint").contains("ignite logs web"));
        let later = outcome(&ended(Duration::from_secs(2)), "web");
        assert_eq!((later.exit_code, later.hint), (Some(3), None));
    }
}
