//! The programs a VM can run in, and which of them would be taken.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ignite_api::VmmChoice;
use ignite_host::error::chain;
use ignite_host::probe::program;
use ignite_host::probe::system::Family;
use ignite_vmm::Error;
use ignite_vmm::find::{self, Choice, Found, find_among};
use ignite_wire::supervisor::Vmm;

use super::ask::ask;
use super::host::Host;
use super::{Line, Section};
use crate::Config;

const SECTION: Section = Section::Vmm;

/// A program that says nothing so long after the others says nothing.
const PATIENCE: Duration = Duration::from_secs(3);

/// A program and what it says of itself, or why it says nothing.
#[derive(Debug, Clone)]
struct Program {
    path: PathBuf,
    version: Result<String, String>,
}

impl Program {
    fn of(path: PathBuf) -> Self {
        Self {
            version: program::version(&path).map_err(|error| chain(&error)),
            path,
        }
    }

    fn text(&self) -> String {
        let version = match &self.version {
            Ok(version) | Err(version) => version,
        };
        format!("{version}, {}", self.path.display())
    }
}

/// What there is of Firecracker.
enum Firecracker {
    /// A program that can be used, with its version; and what may be in the way of its guests.
    Usable(String, Option<&'static str>),
    /// Nothing was looked for: there is no KVM.
    NoKvm,
    /// No program.
    Nowhere,
    /// A program that cannot be used, and what to do.
    Unusable(String, Option<String>),
}

/// What there is of Firecracker's jailer.
enum Jailer {
    There(Program),
    Nowhere,
    /// The one that is named cannot be used, and what to do.
    Unusable(String, Option<String>),
}

struct Facts {
    firecracker: Firecracker,
    jailer: Jailer,
    /// Whether VMs are to have it unless told otherwise.
    is_jailer_wanted: bool,
    qemu: Option<Program>,
    /// What shares directories with QEMU's guests.
    virtiofsd: Option<Program>,
    /// What VMs are to run in unless told otherwise.
    choice: VmmChoice,
    /// The kind that would be taken, or why there is none and what to do.
    taken: Result<(Vmm, PathBuf), (String, Option<String>)>,
}

pub(super) fn look(config: &Config, host: &Host) -> Vec<Line> {
    let programs = &config.vmm_programs;
    let choice = config.vm_defaults.vmm.unwrap_or_default();
    // One program that hangs leaves time to ask the others.
    let qemu = ask(|| {
        let found = find::find(Choice::Qemu).ok()?;
        Some(Program::of(found.program))
    });
    let virtiofsd = ask(|| find::virtiofsd().map(Program::of));
    let named = programs.clone();
    let jailer = ask(move || jailer(find::jailer(&named)));
    let firecracker = firecracker(find_among(Choice::Exactly(Vmm::Firecracker), programs));
    let taken = find_among(crate::vm::vmm::choice(choice), programs);
    let deadline = Instant::now() + PATIENCE;
    let facts = Facts {
        firecracker,
        jailer: jailer.until(deadline).unwrap_or(Jailer::Nowhere),
        is_jailer_wanted: config.vm_defaults.jailer,
        qemu: qemu.until(deadline).flatten(),
        virtiofsd: virtiofsd.until(deadline).flatten(),
        choice,
        taken: taken
            .map(|found| (found.vmm, found.program))
            .map_err(|error| (chain(&error), error.hint())),
    };
    judge(&facts, host)
}

fn jailer(found: Result<PathBuf, Error>) -> Jailer {
    match found {
        Ok(path) => Jailer::There(Program::of(path)),
        Err(Error::NoFirecracker(find::firecracker::Error::Missing { .. })) => Jailer::Nowhere,
        Err(error) => Jailer::Unusable(chain(&error), error.hint()),
    }
}

fn firecracker(found: Result<Found, Error>) -> Firecracker {
    match found {
        Ok(found) => {
            let version = found.version.map(|version| format!("{version}, "));
            let path = found.program.display();
            let text = format!("{}{path}", version.unwrap_or_default());
            Firecracker::Usable(text, found.warning)
        }
        Err(Error::NoKvm(_)) => Firecracker::NoKvm,
        Err(Error::NoFirecracker(find::firecracker::Error::Missing { .. })) => Firecracker::Nowhere,
        Err(error) => Firecracker::Unusable(chain(&error), error.hint()),
    }
}

/// The kind as `--vmm` names it.
fn kind(vmm: Vmm) -> &'static str {
    match vmm {
        Vmm::QemuTcg => "qemu-tcg",
        Vmm::QemuKvm => "qemu-kvm",
        Vmm::Firecracker => "firecracker",
    }
}

fn judge(facts: &Facts, host: &Host) -> Vec<Line> {
    vec![
        judge_firecracker(facts, host),
        judge_jailer(facts),
        judge_qemu(facts, host),
        judge_virtiofsd(facts, host),
        judge_auto(facts, host),
    ]
}

fn judge_firecracker(facts: &Facts, host: &Host) -> Line {
    const NAME: &str = "firecracker";
    let slower = "VMs run in QEMU, which takes longer to start and more memory";
    match &facts.firecracker {
        Firecracker::Usable(text, None) => Line::good(SECTION, NAME, text),
        Firecracker::Usable(text, Some(warning)) => Line::good(
            SECTION,
            NAME,
            format!("{text}; taken only when asked for: {warning}"),
        ),
        Firecracker::NoKvm => Line::good(SECTION, NAME, "it cannot run here without KVM"),
        Firecracker::Nowhere if host.kvm.is_available() => {
            let oldest = find::firecracker::Version::OLDEST;
            Line::degraded(SECTION, NAME, "not installed", slower).remedy(format!(
                "put the program of https://github.com/firecracker-microvm/firecracker/releases \
                 ({oldest} or newer) into /usr/local/bin"
            ))
        }
        Firecracker::Nowhere => Line::good(
            SECTION,
            NAME,
            "not installed; not missed without hardware KVM",
        ),
        Firecracker::Unusable(why, hint) => Line::degraded(SECTION, NAME, why, slower)
            .remedy(hint.as_deref().unwrap_or("install a newer release")),
    }
}

fn judge_jailer(facts: &Facts) -> Line {
    const NAME: &str = "jailer";
    let (text, hint) = match &facts.jailer {
        Jailer::There(program) if program.version.is_ok() => {
            return Line::good(SECTION, NAME, program.text());
        }
        Jailer::There(program) => (program.text(), None),
        Jailer::Nowhere if !facts.is_jailer_wanted => {
            let text = "not installed; not needed: Ignite confines VMMs itself";
            return Line::good(SECTION, NAME, text);
        }
        Jailer::Nowhere => ("not installed".to_owned(), None),
        Jailer::Unusable(why, hint) => (why.clone(), hint.clone()),
    };
    let remedy = hint.unwrap_or_else(|| {
        "put the jailer of Firecracker's release beside it, or do not ask for it (`jailer:`)".into()
    });
    let is_firecracker = matches!(&facts.taken, Ok((Vmm::Firecracker, _)));
    match facts.is_jailer_wanted && is_firecracker {
        true => Line::missing(SECTION, NAME, text, remedy).essential(),
        false => {
            let costs = "VMs that ask for it do not start in Firecracker";
            Line::degraded(SECTION, NAME, text, costs).remedy(remedy)
        }
    }
}

fn judge_qemu(facts: &Facts, host: &Host) -> Line {
    const NAME: &str = "qemu";
    match &facts.qemu {
        Some(program) if program.version.is_ok() => Line::good(SECTION, NAME, program.text()),
        Some(program) => Line::missing(SECTION, NAME, program.text(), install_qemu(host)),
        None if facts.taken.is_ok() => Line::good(SECTION, NAME, "not installed; not needed"),
        None => Line::missing(SECTION, NAME, "not installed", install_qemu(host)),
    }
}

/// Firecracker has no use for it.
fn judge_virtiofsd(facts: &Facts, host: &Host) -> Line {
    const NAME: &str = "virtiofsd";
    let text = match &facts.virtiofsd {
        Some(program) if program.version.is_ok() => {
            return Line::good(SECTION, NAME, program.text());
        }
        None if facts.qemu.is_none() => {
            return Line::good(SECTION, NAME, "not installed; not needed without QEMU");
        }
        Some(program) => program.text(),
        None => "not installed".to_owned(),
    };
    let costs = match &facts.virtiofsd {
        Some(_) => "VMs with a directory of this host (--volumes) do not start",
        None => "VMs get copies of directories (--volumes), and cannot change those of this host",
    };
    let remedy = match host.family {
        Family::Debian | Family::Ubuntu => {
            "apt install virtiofsd; where there is no such package: apt install qemu-system-common"
                .to_owned()
        }
        Family::Fedora | Family::Other => host.install("virtiofsd", "virtiofsd"),
    };
    Line::degraded(SECTION, NAME, text, costs).remedy(remedy)
}

fn install_qemu(host: &Host) -> String {
    match std::env::consts::ARCH {
        "aarch64" => host.install("qemu-system-arm", "qemu-system-aarch64-core"),
        _ => host.install("qemu-system-x86", "qemu-system-x86-core"),
    }
}

/// What would be taken. A QEMU that does not even tell its version runs no VM.
fn judge_auto(facts: &Facts, host: &Host) -> Line {
    const NAME: &str = "auto";
    let chosen = match facts.choice {
        VmmChoice::Auto => String::new(),
        choice => format!(" (the configuration says {choice})"),
    };
    let broken = matches!(&facts.qemu, Some(program) if program.version.is_err());
    match &facts.taken {
        Ok((vmm, program)) => {
            let text = format!("{}: {}{chosen}", kind(*vmm), program.display());
            match broken && *vmm != Vmm::Firecracker {
                false => Line::good(SECTION, NAME, text),
                true => {
                    let text = text + ", which does not run";
                    Line::missing(SECTION, NAME, text, install_qemu(host)).essential()
                }
            }
        }
        Err((problem, hint)) => {
            let known = host.family != Family::Other && facts.choice == VmmChoice::Auto;
            let hint = hint.clone().filter(|_| !known);
            let remedy = hint.unwrap_or_else(|| install_qemu(host));
            Line::missing(SECTION, NAME, format!("{problem}{chosen}"), remedy).essential()
        }
    }
}

#[cfg(test)]
mod tests {
    use ignite_host::cpu::Virtualisation;

    use super::super::host::tests::GOOD;
    use super::super::{Verdict, can_run};
    use super::*;

    fn program(version: Result<&str, &str>) -> Option<Program> {
        Some(Program {
            path: "/usr/bin/vmm".into(),
            version: version.map(str::to_owned).map_err(str::to_owned),
        })
    }

    fn facts() -> Facts {
        Facts {
            firecracker: Firecracker::Nowhere,
            jailer: Jailer::Nowhere,
            is_jailer_wanted: false,
            qemu: program(Ok("QEMU emulator version 7.2.22")),
            virtiofsd: program(Ok("virtiofsd version 7.2.22")),
            choice: VmmChoice::Auto,
            taken: Ok((Vmm::QemuKvm, "/usr/bin/vmm".into())),
        }
    }

    fn verdict(lines: &[Line], name: &str) -> Verdict {
        let line = lines.iter().find(|line| line.name() == name);
        line.expect("every name is there").verdict()
    }

    #[test]
    fn firecracker_is_missed_where_kvm_works() {
        let told = |firecracker, kvm| {
            let facts = Facts {
                firecracker,
                ..facts()
            };
            verdict(&judge(&facts, &Host { kvm, ..GOOD }), "firecracker")
        };
        let (kvm, none) = (Virtualisation::Available, Virtualisation::NoFlag);
        let usable = |warning| Firecracker::Usable("1.8.0".into(), warning);
        let old = || Firecracker::Unusable("1.7.0 is too old".into(), None);
        assert_eq!(told(usable(None), kvm), Verdict::Good);
        assert_eq!(told(usable(Some("software")), none), Verdict::Good);
        assert_eq!(told(old(), kvm), Verdict::Degraded);
        assert_eq!(told(Firecracker::Nowhere, kvm), Verdict::Degraded);
        assert_eq!(told(Firecracker::Nowhere, none), Verdict::Good);
        assert_eq!(told(Firecracker::NoKvm, none), Verdict::Good);
    }

    #[test]
    fn a_jailer_is_missed_where_it_is_named_or_asked_for() {
        let told = |jailer, is_jailer_wanted, vmm| {
            let facts = Facts {
                jailer,
                is_jailer_wanted,
                taken: Ok((vmm, "/usr/bin/vmm".into())),
                ..facts()
            };
            let lines = judge(&facts, &GOOD);
            (verdict(&lines, "jailer"), can_run(&lines))
        };
        let there = |version| Jailer::There(program(version).expect("one"));
        let unusable = || Jailer::Unusable("/opt/jailer cannot be used".into(), None);
        let (firecracker, qemu) = (Vmm::Firecracker, Vmm::QemuKvm);
        let good = (Verdict::Good, true);
        let degraded = (Verdict::Degraded, true);
        let missing = (Verdict::Missing, false);
        assert_eq!(told(there(Ok("Jailer v1.9.0")), true, firecracker), good);
        assert_eq!(told(Jailer::Nowhere, false, firecracker), good);
        assert_eq!(told(there(Err("hangs")), false, firecracker), degraded);
        assert_eq!(told(unusable(), false, firecracker), degraded);
        assert_eq!(told(unusable(), true, qemu), degraded);
        assert_eq!(told(unusable(), true, firecracker), missing);
        assert_eq!(told(Jailer::Nowhere, true, firecracker), missing);
    }

    #[test]
    fn virtiofsd_is_missed_where_qemu_is() {
        let told = |virtiofsd, qemu| {
            let facts = Facts {
                virtiofsd,
                qemu,
                ..facts()
            };
            let lines = judge(&facts, &GOOD);
            assert!(can_run(&lines));
            let line = lines.into_iter().find(|line| line.name() == "virtiofsd");
            line.expect("every name is there")
        };
        let there = || program(Ok("1.0"));
        assert_eq!(told(there(), there()).verdict(), Verdict::Good);
        assert_eq!(told(None, None).verdict(), Verdict::Good);
        let missing = told(None, there());
        assert_eq!(missing.verdict(), Verdict::Degraded);
        assert!(
            missing
                .costs()
                .is_some_and(|costs| costs.contains("copies"))
        );
        let remedy = missing.remedy_text().unwrap_or_default();
        assert!(remedy.contains("apt install virtiofsd"), "{remedy}");
        let broken = told(program(Err("it does not end")), there());
        assert_eq!(broken.verdict(), Verdict::Degraded);
        assert!(
            broken
                .costs()
                .is_some_and(|costs| costs.contains("do not start"))
        );
    }

    #[test]
    fn without_any_vmm_no_vm_runs() {
        let none = Facts {
            qemu: None,
            taken: Err(("none found".to_owned(), None)),
            ..facts()
        };
        let lines = judge(&none, &GOOD);
        assert!(!can_run(&lines));
        assert_eq!(verdict(&lines, "qemu"), Verdict::Missing);
        let install = Some("apt install qemu-system-x86");
        assert!(lines.iter().any(|line| line.remedy_text() == install));
        assert!(can_run(&judge(&facts(), &GOOD)));
    }

    #[test]
    fn what_the_configuration_says_and_cannot_be_had_is_told_with_its_own_hint() {
        let facts = Facts {
            choice: VmmChoice::QemuKvm,
            taken: Err(("no KVM".to_owned(), Some("choose qemu-tcg".to_owned()))),
            ..facts()
        };
        let lines = judge(&facts, &GOOD);
        let line = lines.last().expect("lines");
        assert_eq!(line.remedy_text(), Some("choose qemu-tcg"));
        assert!(line.detail().contains("the configuration says qemu-kvm"));
        assert!(!can_run(&lines));
    }

    #[test]
    fn a_qemu_that_does_not_run_is_none_unless_firecracker_is_taken() {
        let broken = || Facts {
            qemu: program(Err("it does not end")),
            ..facts()
        };
        assert!(!can_run(&judge(&broken(), &GOOD)));
        let firecracker = Facts {
            taken: Ok((Vmm::Firecracker, "/usr/bin/fc".into())),
            ..broken()
        };
        assert!(can_run(&judge(&firecracker, &GOOD)));
    }
}
