//! Which VMM this host can run.
//!
//! A `/dev/kvm` that exists proves nothing: hardware virtualisation counts only where the processor
//! shows it. Some hosts have a software KVM under which ordinary kernels hang.

use std::path::PathBuf;
use std::str::FromStr;

use ignite_host::cpu::{self, Virtualisation};
use ignite_host::process;
use ignite_wire::supervisor::Vmm;

use crate::Error;

/// Programs that are QEMU for this processor, best first.
const QEMU: [&str; 2] = ["qemu-system-x86_64", "qemu-kvm"];

/// Directories searched after `PATH`: `qemu-kvm` of the Red Hat family lives in the last.
const DIRECTORIES: [&str; 4] = ["/usr/bin", "/usr/local/bin", "/bin", "/usr/libexec"];

/// Which VMM is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Choice {
    /// The best this host can run.
    #[default]
    Auto,
    /// QEMU, with hardware virtualisation where it works.
    Qemu,
    /// This one and no other.
    Exactly(Vmm),
}

impl Choice {
    /// What [`FromStr`] takes, for messages.
    pub const NAMES: &'static str = "auto, qemu, qemu-kvm, qemu-tcg";
}

impl FromStr for Choice {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "auto" => Ok(Self::Auto),
            "qemu" => Ok(Self::Qemu),
            "qemu-kvm" => Ok(Self::Exactly(Vmm::QemuKvm)),
            "qemu-tcg" => Ok(Self::Exactly(Vmm::QemuTcg)),
            _ => Err(Error::UnknownVmm {
                name: name.to_owned(),
            }),
        }
    }
}

/// A VMM this host can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The driver and how it accelerates.
    pub vmm: Vmm,
    /// Its program.
    pub program: PathBuf,
}

/// Looks for the VMM. Where hardware virtualisation works QEMU uses it, else it translates.
pub fn find(choice: Choice) -> Result<Found, Error> {
    let kvm = cpu::hardware_virtualisation();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories = std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .chain(DIRECTORIES.map(PathBuf::from))
        .fold(Vec::new(), |mut list: Vec<PathBuf>, directory| {
            if !list.contains(&directory) {
                list.push(directory);
            }
            list
        });
    find_in(choice, &directories, kvm)
}

fn find_in(choice: Choice, directories: &[PathBuf], kvm: Virtualisation) -> Result<Found, Error> {
    let vmm = match choice {
        Choice::Exactly(Vmm::QemuKvm) if !kvm.is_available() => return Err(Error::NoKvm(kvm)),
        Choice::Exactly(vmm) => vmm,
        Choice::Auto | Choice::Qemu if kvm.is_available() => Vmm::QemuKvm,
        Choice::Auto | Choice::Qemu => Vmm::QemuTcg,
    };
    let program = QEMU
        .iter()
        .find_map(|name| process::find_program(name, directories).ok())
        .ok_or_else(|| Error::NoVmm {
            names: QEMU.to_vec(),
            directories: directories.to_vec(),
        })?;
    Ok(Found { vmm, program })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn with_qemu() -> (tempfile::TempDir, Vec<PathBuf>) {
        let directory = tempfile::tempdir().expect("tempdir");
        let program = directory.path().join(QEMU[0]);
        std::fs::write(&program, "").expect("write");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("chmod");
        let list = vec![PathBuf::from("/nonexistent"), directory.path().to_owned()];
        (directory, list)
    }

    #[test]
    fn auto_takes_kvm_only_where_it_works() {
        let (_keep, list) = with_qemu();
        let found = |kvm| {
            find_in(Choice::Auto, &list, kvm)
                .expect("qemu is there")
                .vmm
        };
        assert_eq!(found(Virtualisation::Available), Vmm::QemuKvm);
        assert_eq!(found(Virtualisation::NoFlag), Vmm::QemuTcg);
    }

    #[test]
    fn kvm_is_refused_where_it_does_not_work() {
        let (_keep, list) = with_qemu();
        let error = find_in(Choice::Exactly(Vmm::QemuKvm), &list, Virtualisation::NoFlag)
            .expect_err("no KVM");
        assert!(error.hint().expect("a hint").contains("qemu-tcg"));
    }

    #[test]
    fn nothing_found_names_directories_and_packages() {
        let list = [PathBuf::from("/nonexistent")];
        let error =
            find_in(Choice::Auto, &list, Virtualisation::NoFlag).expect_err("nothing there");
        assert_eq!(
            error.to_string(),
            "no virtual machine monitor found: looked for qemu-system-x86_64, qemu-kvm in /nonexistent"
        );
        assert!(error.hint().expect("a hint").contains("qemu-system-x86"));
    }

    #[test]
    fn names_parse() {
        for name in Choice::NAMES.split(", ") {
            name.parse::<Choice>().expect("a listed name");
        }
        assert!("xen".parse::<Choice>().is_err());
    }
}
