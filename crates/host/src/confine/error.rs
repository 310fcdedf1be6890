//! What can go wrong with a room.

use std::path::PathBuf;

use crate::error::SystemError;

/// Errors of planning and making a room.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path of the plan cannot be a place in a room.
    #[error("cannot show {} in a room: {problem}", target.display())]
    Target {
        /// The path as planned.
        target: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// What is to be a device is none.
    #[error("{} is not a character device", path.display())]
    NotADevice {
        /// The path on the host.
        path: PathBuf,
    },
    /// A program file is not what this host could execute.
    #[error("cannot tell what {} needs to run: {problem}", program.display())]
    Program {
        /// Its path.
        program: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The kernel refused a step.
    #[error(transparent)]
    System(#[from] SystemError),
    /// The rules for landlock were refused by a kernel that has it.
    #[error("cannot make the landlock rules of a room")]
    Landlock {
        /// What was refused.
        source: Box<landlock::RulesetError>,
    },
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Target { target, .. } => Some(format!(
                "move {} to a directory of its own, such as /opt or /usr/local/lib, or use a program that \
                 is static",
                target.display()
            )),
            Self::NotADevice { path } => Some(format!(
                "load the kernel module that makes {}",
                path.display()
            )),
            Self::Program { .. } => Some(
                "use a 64-bit program for Linux on this processor, static or with its libraries in \
                 /lib or /usr/lib"
                    .to_owned(),
            ),
            // Nothing of this is on a disk.
            Self::System(error) if error.errno() == Some(libc::ENOSPC) => Some(
                "raise the kernel's limits: `sysctl user.max_mnt_namespaces fs.mount-max`".to_owned(),
            ),
            Self::System(error) if error.errno() == Some(libc::ENOENT) => Some(
                "it was removed behind Ignite's back: `ignite doctor` tells which programs there are, \
                 `ignite inspect` names the VM's image and kernel; install or import what is missing again"
                    .to_owned(),
            ),
            Self::System(error) => error.hint(),
            Self::Landlock { .. } => {
                Some("tell us about this kernel: `uname -r` and this message".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn a_limit_of_the_kernel_is_not_taken_for_a_full_disk() {
        let hint = |errno| Error::from(SystemError::new("make a room", errno)).hint();
        assert!(hint(Errno::NOSPC).is_some_and(|hint| hint.contains("max_mnt_namespaces")));
        assert!(hint(Errno::PERM).is_some_and(|hint| hint.contains("root")));
        assert!(hint(Errno::NOENT).is_some_and(|hint| hint.contains("import")));
    }
}
