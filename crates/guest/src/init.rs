//! PID 1 for images without init: runs the user's command, reaps, and ends the guest with it.
//!
//! ```text
//!   running --command ended--> ending --agent told, or too late--> power::down
//!      |                         ^
//!      '--asked to stop--> stopping: its stop signal to the command, SIGKILL past the grace period
//! ```
//!
//! Asked by the agent, or by a signal as `poweroff`, `halt` and `reboot` of the image send it to
//! what they take for their init.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ignite_host::signal::{PollFd, PollFlags, Signals, poll};
use ignite_wire::agent::{ExitStatus, PowerAction};
use ignite_wire::guest::PowerOff;
use rustix::process::{Pid, WaitOptions, WaitStatus, wait};
use rustix::system::{RebootCommand, reboot};

use crate::link::{self, Message};
use crate::{console, power, sys};

/// What a stop by a signal allows the command.
const SIGNAL_GRACE: Duration = Duration::from_secs(10);

/// How long the agent may take to pass on that the guest goes down.
const TELL_WITHIN: Duration = Duration::from_secs(2);

/// Real-time signals of systemd's `halt`, `poweroff` and `reboot`: SIGRTMIN+3, +4, +5 of the C
/// library, which keeps two of the kernel's for itself.
const SYSTEMD_HALT: i32 = 37;
/// Of `poweroff`; systemd itself takes it too.
pub const SYSTEMD_POWER_OFF: i32 = 38;
const SYSTEMD_REBOOT: i32 = 39;

const SIGNALS: [i32; 9] = [
    libc::SIGCHLD,
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGPWR,
    SYSTEMD_HALT,
    SYSTEMD_POWER_OFF,
    SYSTEMD_REBOOT,
];

/// What a signal to PID 1 asks for; the first three are busybox's.
fn asked_by(signal: i32) -> Option<PowerAction> {
    match signal {
        libc::SIGUSR1 | SYSTEMD_HALT => Some(PowerAction::Halt),
        libc::SIGUSR2 | libc::SIGPWR | SYSTEMD_POWER_OFF => Some(PowerAction::PowerOff),
        libc::SIGTERM | libc::SIGINT | SYSTEMD_REBOOT => Some(PowerAction::Reboot),
        _ => None,
    }
}

struct Init {
    agent: OwnedFd,
    signals: Signals,
    command: Pid,
    /// What asks the command to end.
    stop_signal: i32,
    stopping: Option<Stopping>,
}

struct Stopping {
    action: PowerAction,
    kill_at: Instant,
    killed: bool,
}

impl Stopping {
    fn new(action: PowerAction, grace: Duration) -> Self {
        Self {
            action,
            kill_at: Instant::now() + grace,
            killed: false,
        }
    }

    fn hastened(self, by: &Self) -> Self {
        Self {
            kill_at: self.kill_at.min(by.kill_at),
            ..self
        }
    }
}

/// Runs `command`, which `stop_signal` asks to end, and never returns. `agent` is the agent's end of
/// [`link`]; `power_off` is what ends the machine.
pub fn run(
    command: Result<Command, ExitStatus>,
    stop_signal: i32,
    agent: OwnedFd,
    power_off: PowerOff,
) -> ! {
    // Else Ctrl-Alt-Del resets the machine at once, with nothing written back; now it is SIGINT.
    let _ = reboot(RebootCommand::CadOff);
    let (status, action) = match start(command) {
        Ok(child) => match supervise(child, stop_signal, &agent) {
            Ok(end) => end,
            Err(error) => {
                console::say(&format!("cannot look after the command: {error}"));
                (ExitStatus::Code { code: 1 }, PowerAction::PowerOff)
            }
        },
        Err(status) => {
            report(&status);
            (status, PowerAction::PowerOff)
        }
    };
    let _ = link::tell(&agent, Message::Ended(status.code()));
    let _ = link::tell(&agent, Message::Going(action));
    // Not for long: it may be gone.
    link::wait_for(Message::Told, &agent, Some(TELL_WITHIN));
    power::down(action, power_off)
}

fn start(command: Result<Command, ExitStatus>) -> Result<Child, ExitStatus> {
    let mut command = command?;
    command
        .stdin(Stdio::inherit())
        .stdout(Stdio::inherit())
        .stderr(Stdio::inherit());
    let program = command.get_program().to_string_lossy().into_owned();
    command
        .spawn()
        .map_err(|error| crate::launch::start_failure(&program, &error))
}

fn report(status: &ExitStatus) {
    if let Some(message) = status.message() {
        console::say(message);
    }
}

/// Looks after the command until it ended: its status, and what is to become of the guest.
fn supervise(
    child: Child,
    stop_signal: i32,
    agent: &OwnedFd,
) -> io::Result<(ExitStatus, PowerAction)> {
    let command = Pid::from_child(&child);
    let agent = agent.try_clone()?;
    let mut init = Init {
        agent,
        signals: Signals::block(&SIGNALS).map_err(io::Error::other)?,
        command,
        stop_signal,
        stopping: None,
    };
    loop {
        // First, since the command may have ended before its signal was blocked.
        if let Some(status) = init.reap() {
            let action = init
                .stopping
                .map_or(PowerAction::PowerOff, |stopping| stopping.action);
            return Ok((status, action));
        }
        init.wait();
        while let Ok(Some(received)) = init.signals.next() {
            if let Some(action) = asked_by(received.signal) {
                init.stop(action, SIGNAL_GRACE);
            }
        }
        while let Ok(Some(message)) = link::hear(&init.agent) {
            if let Message::Stop(grace) = message {
                init.stop(PowerAction::PowerOff, Duration::from_millis(grace));
            }
        }
        init.kill_if_late();
    }
}

impl Init {
    /// Waits for a signal, a word of the agent, or the end of the grace period.
    fn wait(&self) {
        let until = self.stopping.as_ref().filter(|stopping| !stopping.killed);
        let limit = until.map(|stopping| remaining(stopping.kill_at));
        let mut fds = [
            PollFd::new(&self.signals, PollFlags::IN),
            PollFd::new(&self.agent, PollFlags::IN),
        ];
        let _ = poll(&mut fds, limit);
        // A dead agent would be readable for ever; signals alone still end the guest.
        if fds[1].revents().contains(PollFlags::HUP) && !fds[0].revents().contains(PollFlags::IN) {
            let _ = poll(&mut fds[..1], limit);
        }
    }

    /// Of more orders than one the first says what is to become of the guest, and the shortest when the
    /// command is killed: a reboot, as by Ctrl-Alt-Del, does not make a stop under way any longer.
    fn stop(&mut self, action: PowerAction, grace: Duration) {
        let order = Stopping::new(action, grace);
        self.stopping = Some(match self.stopping.take() {
            Some(first) => first.hastened(&order),
            None => order,
        });
        sys::kill(self.command.as_raw_nonzero().get(), self.stop_signal);
    }

    fn kill_if_late(&mut self) {
        if let Some(stopping) = &mut self.stopping
            && !stopping.killed
            && Instant::now() >= stopping.kill_at
        {
            stopping.killed = true;
            sys::kill(self.command.as_raw_nonzero().get(), libc::SIGKILL);
        }
    }

    /// Collects all dead children; the command's status if it is among them.
    fn reap(&self) -> Option<ExitStatus> {
        let mut ended = None;
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == self.command {
                ended = Some(exit_status(status));
            }
        }
        ended
    }
}

fn exit_status(status: WaitStatus) -> ExitStatus {
    match status.terminating_signal() {
        Some(number) => ExitStatus::Signal { number },
        None => ExitStatus::Code {
            code: status.exit_status().unwrap_or(0),
        },
    }
}

fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_order_makes_a_stop_no_longer() {
        let stop = |grace| Stopping::new(PowerAction::PowerOff, Duration::from_secs(grace));
        let reboot = Stopping::new(PowerAction::Reboot, SIGNAL_GRACE);
        let (short, long) = (stop(5), stop(50));
        let short_end = short.kill_at;
        assert_eq!(short.hastened(&reboot).kill_at, short_end);
        let hastened = long.hastened(&reboot);
        assert_eq!(hastened.kill_at, reboot.kill_at);
        assert_eq!(hastened.action, PowerAction::PowerOff);
    }

    #[test]
    fn signals_of_power_off_programs_are_understood() {
        assert_eq!(asked_by(libc::SIGUSR2), Some(PowerAction::PowerOff));
        assert_eq!(asked_by(libc::SIGUSR1), Some(PowerAction::Halt));
        assert_eq!(asked_by(libc::SIGTERM), Some(PowerAction::Reboot));
        assert_eq!(asked_by(libc::SIGCHLD), None);
        assert_eq!(SYSTEMD_POWER_OFF, libc::SIGRTMIN() + 4);
    }
}
