//! The end of the guest.

use std::time::{Duration, Instant};

use ignite_wire::agent::PowerAction;
use ignite_wire::guest::PowerOff;
use rustix::mount::{MountFlags, UnmountFlags, mount_remount, unmount};
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
    unmount_volumes();
    // "." rather than "/": the agent's own root is the initramfs.
    let _ = mount_remount(".", MountFlags::RDONLY, c"");
    let _ = reboot(command(action, power_off));
    // Only a halted or refusing machine comes here; PID 1 must not return.
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

/// Disks and shared directories besides the root, the last one first; what somebody still holds is at
/// least written.
fn unmount_volumes() {
    let mounts = std::fs::read_to_string("proc/self/mounts").unwrap_or_default();
    for target in volumes(&mounts).iter().rev() {
        if unmount(target.as_str(), UnmountFlags::empty()).is_err() {
            let _ = mount_remount(target.as_str(), MountFlags::RDONLY, c"");
        }
    }
}

/// Where they are mounted, below the working directory, from `/proc/self/mounts` (proc(5)).
fn volumes(mounts: &str) -> Vec<String> {
    let place = |line: &str| {
        let mut words = line.split(' ');
        let (source, target, kind) = (words.next()?, words.next()?, words.next()?);
        let below = target.strip_prefix('/').filter(|below| !below.is_empty())?;
        (source.starts_with("/dev/") || kind == "virtiofs").then(|| unescape(below))
    };
    mounts.lines().filter_map(place).collect()
}

/// The four characters the kernel writes as octal numbers.
fn unescape(path: &str) -> String {
    let escapes = [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ];
    escapes
        .iter()
        .fold(path.to_owned(), |path, (escape, character)| {
            path.replace(escape, character)
        })
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
    fn volumes_are_disks_and_shared_directories() {
        let mounts = "/dev/vda / ext4 rw 0 0\nproc /proc proc rw 0 0\n\
                      /dev/vdb /lib/modules/6.1 ext4 ro 0 0\n\
                      /dev/vdc /my\\040data xfs rw 0 0\nshare0 /src virtiofs rw 0 0\n";
        assert_eq!(volumes(mounts), ["lib/modules/6.1", "my data", "src"]);
    }

    #[test]
    fn a_machine_without_a_switch_is_reset() {
        let power_off = |switch| command(PowerAction::PowerOff, switch);
        assert_eq!(power_off(PowerOff::Acpi), RebootCommand::PowerOff);
        assert_eq!(power_off(PowerOff::Reset), RebootCommand::Restart);
        let halt = command(PowerAction::Halt, PowerOff::Reset);
        assert_eq!(halt, RebootCommand::Halt);
    }
}
