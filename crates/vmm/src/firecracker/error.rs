//! What can go wrong with Firecracker.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use ignite_host::process::Status;

use super::answer;
use super::version::Version;

const RELEASES: &str = "https://github.com/firecracker-microvm/firecracker/releases";

/// What is attempted with the programs that a jail is made for.
pub(super) const FIND: &str = "find";

/// Errors of starting and steering Firecracker. What was attempted reads after "cannot".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be made a block device.
    #[error("Firecracker cannot be given a volume")]
    Loop(#[source] ignite_host::loop_device::Error),
    /// It is too old.
    #[error(
        "this is Firecracker {version}, and {} is the oldest supported",
        Version::OLDEST
    )]
    TooOld {
        /// What it says.
        version: String,
    },
    /// A file, pipe or socket it needs could not be made.
    #[error("cannot {action} {name} in Firecracker's work directory")]
    Work {
        /// What was attempted.
        action: &'static str,
        /// Which of them.
        name: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The guest's disk cannot be made its user's.
    #[error("cannot give {} to Firecracker's user", path.display())]
    Disk {
        /// The disk.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A part of its jail could not be made.
    #[error("cannot {action} {} for Firecracker's jail", path.display())]
    Jail {
        /// What was attempted.
        action: &'static str,
        /// The program, the file or the directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// A disk cannot be linked into the jail, and nobody copies it.
    #[error(
        "the disk {} is not on the file system of {}, where the jailer would keep the VM",
        disk.display(), base.display()
    )]
    ForeignDisk {
        /// The disk.
        disk: PathBuf,
        /// The jail's directory.
        base: PathBuf,
    },
    /// Devices do not open, or programs do not run, where the jail is.
    #[error("the jailer cannot work in {}: it is mounted nodev or noexec", base.display())]
    NoDevices {
        /// The jail's directory.
        base: PathBuf,
    },
    /// The jailer takes no such program.
    #[error("the jailer starts only programs that have \"firecracker\" in their names, and not {}", program.display())]
    NoJailName {
        /// The program, links followed.
        program: PathBuf,
    },
    /// What the jailer started, only its control group can end for sure.
    #[error("this host has no control groups, and the jailer's VMs need one")]
    NoGroups,
    /// It does not listen.
    #[error("Firecracker did not open its API socket within {} s", patience.as_secs())]
    NoSocket {
        /// How long was waited.
        patience: Duration,
    },
    /// It is gone.
    #[error("cannot {attempt}: {}", how(*status, words.as_deref()))]
    Ended {
        /// What was attempted.
        attempt: String,
        /// How it ended.
        status: Status,
        /// What it said last.
        words: Option<String>,
    },
    /// It refused.
    #[error("cannot {attempt}: {fault}")]
    Refused {
        /// What was attempted.
        attempt: String,
        /// Its words.
        fault: String,
    },
    /// It says nothing.
    #[error("cannot {attempt}: Firecracker did not answer within {} s", patience.as_secs())]
    Silent {
        /// What was attempted.
        attempt: String,
        /// How long was waited.
        patience: Duration,
    },
    /// It answers, but too slowly.
    #[error("cannot {attempt}: Firecracker has not started the guest within {} s", patience.as_secs())]
    Slow {
        /// What was attempted.
        attempt: String,
        /// How long was waited for all of the start.
        patience: Duration,
    },
    /// The connection ended.
    #[error("cannot {attempt}: Firecracker closed the connection")]
    Closed {
        /// What was attempted.
        attempt: String,
    },
    /// The connection broke.
    #[error("cannot {attempt}")]
    Connection {
        /// What was attempted.
        attempt: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// It answered what is no answer.
    #[error("cannot {attempt}: Firecracker does not speak its protocol")]
    Protocol {
        /// What was attempted.
        attempt: String,
        /// What is wrong with it.
        source: answer::Error,
    },
    /// Firecracker made a tap of its own: it does so silently where none of the name is there.
    #[error("the tap {name} that Firecracker uses is not the one made for it")]
    ForeignTap {
        /// Its name.
        name: String,
    },
    /// The kernel does not say which taps there are.
    #[error("cannot look at Firecracker's taps")]
    Taps(#[source] ignite_host::link::Error),
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::TooOld { .. } => Some(format!(
                "install Firecracker {} or newer ({RELEASES}), or choose qemu",
                Version::OLDEST
            )),
            Self::Ended { .. } | Self::Refused { .. } => Some(
                "see the VMM's messages in spawn.log in the VM's directory, or choose qemu"
                    .to_owned(),
            ),
            Self::Silent { .. } | Self::Slow { .. } | Self::NoSocket { .. } => {
                Some("the host may be overloaded: try again".to_owned())
            }
            Self::Protocol { .. } => Some(format!(
                "the program may be no Firecracker: install a release ({RELEASES})"
            )),
            Self::ForeignDisk { .. } => Some(
                "keep the data directory on one file system, or start the VM without --jailer"
                    .to_owned(),
            ),
            Self::NoDevices { .. } => Some(
                "mount the data directory's file system with dev and exec, or start the VM without \
                 --jailer"
                    .to_owned(),
            ),
            Self::NoJailName { .. } => Some(
                "rename the program, or start the VM without --jailer".to_owned(),
            ),
            Self::NoGroups => Some(
                "mount control groups (`ignite doctor` tells which are there), or start the VM \
                 without --jailer"
                    .to_owned(),
            ),
            Self::Jail {
                action: FIND,
                source,
                ..
            } if source.kind() == io::ErrorKind::NotFound => Some(
                "name Firecracker and its jailer in the configuration (`firecracker:`, `jailer:`), \
                 or start the VM without --jailer"
                    .to_owned(),
            ),
            Self::Jail { source, .. } | Self::Disk { source, .. }
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Some(
                    "it was removed behind Ignite's back: `ignite inspect` names the VM's image and \
                     kernel; import what is missing again"
                        .to_owned(),
                )
            }
            Self::Jail { source, .. } | Self::Disk { source, .. } | Self::Work { source, .. } => {
                ignite_host::error::hint(source)
            }
            _ => None,
        }
    }
}

fn how(status: Status, words: Option<&str>) -> String {
    let mut text = format!("Firecracker ended with {status}");
    if let Some(meaning) = meaning(status) {
        text.push_str(&format!(", {meaning}"));
    }
    if let Some(words) = words {
        text.push_str(": ");
        text.push_str(words);
    }
    text
}

/// What Firecracker's exit codes say, where they say something. It ends by itself with most signals it
/// gets, and tells them so.
pub(super) fn meaning(status: Status) -> Option<&'static str> {
    let text = match status {
        Status::Code(134) | Status::Signal(6) => "it panicked",
        Status::Code(148) | Status::Signal(31) => "its system call filter ended it",
        Status::Code(149) | Status::Signal(7) => {
            "it used memory that is not there: the host may be out of memory"
        }
        Status::Code(150) | Status::Signal(11) => "it used memory that is not its own",
        Status::Code(151) | Status::Signal(25) => "a file it wrote grew past the limit",
        Status::Code(152) => "it does not take its configuration",
        Status::Code(153) => "it does not take its arguments",
        Status::Code(154) | Status::Signal(24) => "it used up its processor time",
        Status::Code(156) | Status::Signal(1) => "its terminal hung up",
        Status::Code(157) | Status::Signal(4) => "its program is not for this processor",
        Status::Code(_) | Status::Signal(_) => return None,
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_with_its_meaning_and_last_words() {
        let error = Error::Ended {
            attempt: "start the guest".to_owned(),
            status: Status::Code(148),
            words: Some("bad syscall".to_owned()),
        };
        assert_eq!(
            error.to_string(),
            "cannot start the guest: Firecracker ended with exit code 148, its system call filter \
             ended it: bad syscall"
        );
        assert_eq!(meaning(Status::Code(0)), None);
    }
}
