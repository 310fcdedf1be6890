//! The end of the guest.

use std::time::{Duration, Instant};

use ignite_wire::agent::PowerAction;
use ignite_wire::guest::PowerOff;
use rustix::mount::{MountFlags, mount_remount};
use rustix::process::{WaitOptions, wait};
use rustix::system::{RebootCommand, reboot};

use crate::sys;

/// How long killed processes may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(2);

/// Kills all that runs, brings the root file system into order and ends the machine. The working
/// directory must be on the root file system.
pub fn down(action: PowerAction, power_off: PowerOff) -> ! {
    sys::kill(sys::EVERYONE, libc::SIGKILL);
    reap_everyone();
    rustix::fs::sync();
    // "." rather than "/": the agent's own root is the initramfs.
    let _ = mount_remount(".", MountFlags::RDONLY, c"");
    let _ = reboot(command(action, power_off));
    // Only a halted or refusing machine comes here; PID 1 must not return.
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// A machine without a switch ends by a reset only. What was meant, the supervisor has been told.
fn command(action: PowerAction, power_off: PowerOff) -> RebootCommand {
    match (action, power_off) {
        (PowerAction::PowerOff, PowerOff::Acpi) => RebootCommand::PowerOff,
        (PowerAction::PowerOff, PowerOff::Reset) | (PowerAction::Reboot, _) => {
            RebootCommand::Restart
        }
        (PowerAction::Halt, _) => RebootCommand::Halt,
    }
}

/// Waits until this process has no children, which for PID 1 means nothing runs any more.
fn reap_everyone() {
    let deadline = Instant::now() + GONE_WITHIN;
    while Instant::now() < deadline {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => std::thread::sleep(Duration::from_millis(2)),
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_without_a_switch_is_reset() {
        let power_off = |switch| command(PowerAction::PowerOff, switch);
        assert_eq!(power_off(PowerOff::Acpi), RebootCommand::PowerOff);
        assert_eq!(power_off(PowerOff::Reset), RebootCommand::Restart);
        let halt = command(PowerAction::Halt, PowerOff::Reset);
        assert_eq!(halt, RebootCommand::Halt);
    }
}
