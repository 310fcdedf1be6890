//! Asking another's PID 1 to power the guest off, and noticing when it does so by itself.

use std::fs::{self, File};
use std::io;
use std::time::{Duration, Instant};

use ignite_wire::agent::PowerAction;
use rustix::stdio::stderr;

use super::child::Child;
use super::dying::Dying;
use crate::init::SYSTEMD_POWER_OFF;
use crate::launch::Launch;
use crate::{console, sys};

/// A shutdown under way.
#[derive(Debug, Default)]
pub struct Shutdown {
    deadline: Option<Instant>,
}

/// What PID 1 is, and with it, how it is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Init {
    /// Takes SIGRTMIN+4.
    Systemd,
    /// Takes SIGUSR2.
    Busybox,
    /// Has a program that knows.
    Other,
}

impl Shutdown {
    /// Asks PID 1, and allows it `grace`.
    pub fn begin(&mut self, now: Instant, grace: Duration, null: &File, dying: &mut Dying) {
        let first = self.deadline.is_none();
        self.deadline = now.checked_add(grace).or(self.deadline);
        if first {
            ask(init(), null, dying);
        }
    }

    /// Time left; none if no shutdown is under way.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        self.deadline
            .map(|deadline| deadline.saturating_duration_since(now))
    }

    /// Whether PID 1 had its time.
    pub fn is_late(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }
}

// Paths without a leading slash: the agent's working directory is the root file system, its root
// is not.

fn init() -> Init {
    let name = fs::read_to_string("proc/1/comm").unwrap_or_default();
    let program = fs::read_link("proc/1/exe").unwrap_or_default();
    let program = program.file_name().unwrap_or_default().to_string_lossy();
    classify(name.trim_end(), &program)
}

fn classify(name: &str, program: &str) -> Init {
    if name == "systemd" || program == "systemd" {
        Init::Systemd
    } else if program.starts_with("busybox") {
        Init::Busybox
    } else {
        Init::Other
    }
}

fn ask(init: Init, null: &File, dying: &mut Dying) {
    match init {
        Init::Systemd => sys::kill(1, SYSTEMD_POWER_OFF),
        Init::Busybox => sys::kill(1, libc::SIGUSR2),
        Init::Other => {
            if let Err(error) = run_poweroff(null, dying) {
                console::say(&format!("cannot run the image's poweroff: {error}"));
            }
        }
    }
}

/// Runs the image's `poweroff`. It is left to itself: the guest ends with it or at the deadline.
fn run_poweroff(null: &File, dying: &mut Dying) -> io::Result<()> {
    let argv = ["poweroff".to_owned()];
    let launch = Launch {
        argv: &argv,
        env: &[],
        user: "",
        cwd: "",
        terminal: false,
    };
    // Its errors are for the console, which is the agent's own standard error.
    let console = || stderr().try_clone_to_owned();
    let streams = [null.try_clone()?.into(), console()?, console()?];
    let start = Child::start(&streams, &[], dying, || {
        let refused = launch.become_it();
        if let Some(message) = refused.message() {
            console::say(message);
        }
        refused
    });
    start.map(drop)
}

/// What PID 1 is about to do, if its arguments say: `systemd-shutdown poweroff`, `init 0`.
pub fn action_of_init() -> Option<PowerAction> {
    action_in(&fs::read("proc/1/cmdline").ok()?)
}

fn action_in(cmdline: &[u8]) -> Option<PowerAction> {
    let text = String::from_utf8_lossy(cmdline);
    let mut words = text.split(['\0', ' ']).filter(|word| !word.is_empty());
    let program = words.next()?.rsplit('/').next()?;
    match (program, words.next()?.trim_matches(['[', ']'])) {
        ("systemd-shutdown" | "shutdown", "poweroff") | ("init", "0") => {
            Some(PowerAction::PowerOff)
        }
        ("systemd-shutdown" | "shutdown", "halt") => Some(PowerAction::Halt),
        ("systemd-shutdown" | "shutdown", "reboot" | "kexec") | ("init", "6") => {
            Some(PowerAction::Reboot)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inits_are_known_by_name_or_program() {
        assert_eq!(classify("systemd", "systemd"), Init::Systemd);
        assert_eq!(classify("init", "systemd"), Init::Systemd);
        assert_eq!(classify("init", "busybox"), Init::Busybox);
        assert_eq!(classify("init", "init"), Init::Other);
        assert_eq!(classify("s6-svscan", "s6-svscan"), Init::Other);
    }

    #[test]
    fn an_init_says_what_it_does() {
        let halt = b"/lib/systemd/systemd-shutdown\0halt\0--log-level\x006\0";
        assert_eq!(action_in(halt), Some(PowerAction::Halt));
        assert_eq!(action_in(b"init [0]\0\0\0"), Some(PowerAction::PowerOff));
        assert_eq!(action_in(b"init [6]"), Some(PowerAction::Reboot));
        assert_eq!(action_in(b"init [2]"), None);
        assert_eq!(action_in(b"/sbin/init\0"), None);
        assert_eq!(action_in(b""), None);
    }

    #[test]
    fn a_shutdown_has_its_time() {
        let now = Instant::now();
        let idle = Shutdown::default();
        assert!(!idle.is_late(now));
        assert_eq!(idle.remaining(now), None);
        let begun = Shutdown {
            deadline: Some(now + Duration::from_secs(5)),
        };
        assert!(!begun.is_late(now));
        assert!(begun.is_late(now + Duration::from_secs(5)));
    }
}
