//! Which VMM this host can run.
//!
//! ```text
//!   auto         Firecracker on KVM, else QEMU on KVM, else QEMU translating instructions
//!   firecracker  that, on any KVM; on one of software with a warning
//!   qemu         on KVM, else translating instructions
//! ```
//! A `/dev/kvm` that exists proves nothing: hardware virtualisation counts only where the processor
//! shows it. Some hosts have a software KVM under which ordinary kernels hang.

pub mod firecracker;

use std::path::{Path, PathBuf};

use ignite_host::cpu::{self, Virtualisation};
use ignite_host::process;
use ignite_wire::supervisor::Vmm;

use crate::Error;
use firecracker::Product;

/// Programs that are QEMU for this processor, best first.
const QEMU: [&str; 2] = ["qemu-system-x86_64", "qemu-kvm"];

const FIRECRACKER: &str = "firecracker";
const JAILER: &str = "jailer";

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
    /// Whether this VMM is one of those that are wanted.
    pub fn admits(self, vmm: Vmm) -> bool {
        match self {
            Self::Auto => true,
            Self::Qemu => vmm != Vmm::Firecracker,
            Self::Exactly(wanted) => vmm == wanted,
        }
    }
}

/// Programs that are named, and not looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programs {
    /// Firecracker.
    pub firecracker: Option<PathBuf>,
    /// Its jailer.
    pub jailer: Option<PathBuf>,
}

/// A VMM this host can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The driver and how it accelerates.
    pub vmm: Vmm,
    /// Its program.
    pub program: PathBuf,
    /// Its version, where it makes a difference to the driver.
    pub version: Option<firecracker::Version>,
    /// What may be in the way of its guests.
    pub warning: Option<&'static str>,
}

/// Looks for the VMM among the programs in the usual places.
pub fn find(choice: Choice) -> Result<Found, Error> {
    find_among(choice, &Programs::default())
}

/// Looks for the VMM, where programs may be named.
pub fn find_among(choice: Choice, programs: &Programs) -> Result<Found, Error> {
    let host = Host {
        kvm: cpu::hardware_virtualisation(),
        has_device: cpu::opens_kvm(),
        directories: directories(),
    };
    host.find(choice, programs)
}

/// Firecracker's jailer, if it is not too old: the one that is named, else the first one in the usual
/// places.
pub fn jailer(programs: &Programs) -> Result<PathBuf, Error> {
    let named = programs.jailer.as_deref();
    let program = firecracker::program(JAILER, named, &directories())?;
    firecracker::usable(Product::Jailer, &program)?;
    Ok(program)
}

/// Where distributions have virtiofsd: no place that is in anybody's `PATH`.
const VIRTIOFSD: [&str; 4] = [
    "/usr/libexec/virtiofsd",
    "/usr/lib/qemu/virtiofsd",
    "/usr/lib/virtiofsd",
    "/usr/local/libexec/virtiofsd",
];

/// The program that serves directories to QEMU's guests, where it is installed.
pub fn virtiofsd() -> Option<PathBuf> {
    let mut places = VIRTIOFSD.iter().map(PathBuf::from);
    places.find(|place| place.is_file())
}

/// Those of `PATH`, and the usual ones.
fn directories() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .filter(|directory| directory.is_absolute())
        .chain(DIRECTORIES.map(PathBuf::from))
        .fold(Vec::new(), |mut list: Vec<PathBuf>, directory| {
            if !list.contains(&directory) {
                list.push(directory);
            }
            list
        })
}

/// What a VMM finds here.
struct Host {
    /// Hardware virtualisation.
    kvm: Virtualisation,
    /// Whether `/dev/kvm` opens, whatever is behind it.
    has_device: bool,
    directories: Vec<PathBuf>,
}

impl Host {
    fn find(&self, choice: Choice, programs: &Programs) -> Result<Found, Error> {
        let named = programs.firecracker.as_deref();
        match choice {
            Choice::Exactly(Vmm::Firecracker) => self.firecracker(named),
            Choice::Exactly(Vmm::QemuKvm) if !self.kvm.is_available() => {
                Err(Error::NoKvm(self.kvm))
            }
            Choice::Exactly(vmm) => self.qemu(vmm),
            Choice::Auto if self.kvm.is_available() => self.firecracker(named).or_else(|error| {
                // One that is not there is no news.
                if !matches!(
                    error,
                    Error::NoFirecracker(firecracker::Error::Missing { .. })
                ) {
                    let error = ignite_host::error::chain(&error);
                    tracing::warn!(error, "QEMU is taken instead of Firecracker");
                }
                self.qemu(Vmm::QemuKvm)
            }),
            Choice::Qemu if self.kvm.is_available() => self.qemu(Vmm::QemuKvm),
            Choice::Auto | Choice::Qemu => self.qemu(Vmm::QemuTcg),
        }
    }

    fn firecracker(&self, named: Option<&Path>) -> Result<Found, Error> {
        const SOFTWARE: &str = "this processor shows no hardware virtualisation: under a KVM of \
                                software ordinary kernels may hang";
        let warning = match self.kvm {
            Virtualisation::Available => None,
            Virtualisation::NoFlag if self.has_device => Some(SOFTWARE),
            kvm => return Err(Error::NoKvm(kvm)),
        };
        let program = firecracker::program(FIRECRACKER, named, &self.directories)?;
        Ok(Found {
            vmm: Vmm::Firecracker,
            version: Some(firecracker::usable(Product::Firecracker, &program)?),
            program,
            warning,
        })
    }

    fn qemu(&self, vmm: Vmm) -> Result<Found, Error> {
        let program = QEMU
            .iter()
            .find_map(|name| process::find_program(name, &self.directories).ok())
            .ok_or_else(|| Error::NoVmm {
                names: QEMU.to_vec(),
                directories: self.directories.clone(),
            })?;
        Ok(Found {
            vmm,
            program,
            version: None,
            warning: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program of a line of shell.
    pub(super) fn program(directory: &Path, name: &str, line: &str) -> PathBuf {
        let program = directory.join(name);
        // By another process: a file that this one has open for writing, a child that another test
        // starts at that moment has as well, and nobody can run it.
        let script = r#"rm -f "$0"; printf '#!/bin/sh\n%s\n' "$1" > "$0"; chmod 755 "$0""#;
        let status = std::process::Command::new("sh")
            .args(["-euc", script])
            .arg(&program)
            .arg(line)
            .status();
        assert!(status.expect("sh").success());
        program
    }

    const RECENT: &str = "echo Firecracker v1.9.0";

    /// What a host with these programs takes.
    fn taken(
        choice: Choice,
        (kvm, has_device): (Virtualisation, bool),
        programs: &[(&str, &str)],
    ) -> Result<Found, Error> {
        let directory = tempfile::tempdir().expect("tempdir");
        for (name, line) in programs {
            program(directory.path(), name, line);
        }
        let host = Host {
            kvm,
            has_device,
            directories: vec!["/nonexistent".into(), directory.path().to_owned()],
        };
        host.find(choice, &Programs::default())
    }

    const HARDWARE: (Virtualisation, bool) = (Virtualisation::Available, true);
    const SOFTWARE: (Virtualisation, bool) = (Virtualisation::NoFlag, true);
    const NONE: (Virtualisation, bool) = (Virtualisation::NoFlag, false);

    #[test]
    fn the_best_one_is_taken() {
        use Choice::{Auto, Exactly, Qemu};
        use Vmm::{Firecracker, QemuKvm, QemuTcg};
        let both = &[("firecracker", RECENT), (QEMU[0], "")][..];
        let qemu = &both[1..];
        let old = &[("firecracker", "echo Firecracker v1.7.0"), (QEMU[1], "")][..];
        for (choice, host, programs, vmm) in [
            (Auto, HARDWARE, both, Firecracker),
            (Auto, HARDWARE, qemu, QemuKvm),
            (Auto, HARDWARE, old, QemuKvm),
            (Auto, SOFTWARE, both, QemuTcg),
            (Auto, NONE, qemu, QemuTcg),
            (Qemu, HARDWARE, both, QemuKvm),
            (Qemu, SOFTWARE, both, QemuTcg),
            (Exactly(QemuTcg), HARDWARE, both, QemuTcg),
            (Exactly(Firecracker), HARDWARE, both, Firecracker),
            (Exactly(Firecracker), SOFTWARE, both, Firecracker),
        ] {
            let found = taken(choice, host, programs).expect("one is there");
            assert_eq!(found.vmm, vmm, "{choice:?} {host:?} {programs:?}");
            assert!(choice.admits(found.vmm));
            assert_eq!(found.version.is_some(), vmm == Firecracker);
            let on_software = vmm == Firecracker && host == SOFTWARE;
            assert_eq!(found.warning.is_some(), on_software);
        }
    }

    #[test]
    fn kvm_is_refused_where_it_does_not_work() {
        let programs = [("firecracker", RECENT), (QEMU[0], "")];
        for (vmm, host) in [
            (Vmm::QemuKvm, SOFTWARE),
            (Vmm::Firecracker, NONE),
            (Vmm::Firecracker, (Virtualisation::Forbidden, false)),
        ] {
            let error = taken(Choice::Exactly(vmm), host, &programs).expect_err("no KVM");
            assert!(error.hint().expect("a hint").contains("qemu-tcg"));
        }
    }

    #[test]
    fn one_that_is_asked_for_is_not_replaced() {
        let choice = Choice::Exactly(Vmm::Firecracker);
        for (programs, message) in [
            (
                &[(QEMU[0], "")][..],
                "firecracker is not found in /nonexistent",
            ),
            (
                &[("firecracker", "echo Firecracker v1.7.3")],
                "Firecracker 1.7.3",
            ),
            (&[("firecracker", "echo QEMU")], "no Firecracker"),
        ] {
            let error = taken(choice, HARDWARE, programs).expect_err("none of use");
            assert!(error.to_string().contains(message), "{error}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn nothing_found_names_directories_and_packages() {
        let host = Host {
            kvm: Virtualisation::NoFlag,
            has_device: false,
            directories: vec!["/nonexistent".into()],
        };
        let error = host
            .find(Choice::Auto, &Programs::default())
            .expect_err("nothing there");
        assert_eq!(
            error.to_string(),
            "no virtual machine monitor found: looked for qemu-system-x86_64, qemu-kvm in /nonexistent"
        );
        assert!(error.hint().expect("a hint").contains("qemu-system-x86"));
    }

    #[test]
    fn a_program_that_is_named_is_the_one() {
        let directory = tempfile::tempdir().expect("tempdir");
        let programs = Programs {
            firecracker: Some(program(directory.path(), "fc", RECENT)),
            jailer: Some(program(directory.path(), "jail", "echo Jailer v1.9.0")),
        };
        let host = Host {
            kvm: Virtualisation::Available,
            has_device: true,
            directories: Vec::new(),
        };
        let found = host.find(Choice::Auto, &programs).expect("it is named");
        assert_eq!(Some(found.program), programs.firecracker);
        assert_eq!(jailer(&programs).ok(), programs.jailer);
        for none in [directory.path().join("absent"), directory.path().to_owned()] {
            let programs = Programs {
                jailer: Some(none),
                ..Programs::default()
            };
            let error = jailer(&programs).expect_err("no program");
            assert!(error.hint().is_some(), "{error}");
        }
    }

    #[test]
    fn what_is_no_jailer_or_an_old_one_is_refused() {
        let directory = tempfile::tempdir().expect("tempdir");
        for (line, words) in [
            (RECENT, "is no Jailer"),
            ("echo Jailer v1.7.0", "is Jailer 1.7.0"),
            ("false", "does not tell its version"),
            ("echo hello", "is no Jailer"),
        ] {
            let programs = Programs {
                firecracker: None,
                jailer: Some(program(directory.path(), "jailer", line)),
            };
            let error = jailer(&programs).expect_err("refused").to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
