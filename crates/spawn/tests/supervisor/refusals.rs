//! What confines a VMM, each part of it in its turn not to be had: one error that says so and what to
//! do, and nothing is left.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ignite_host::process::Spec;
use ignite_wire::guest::{PowerOff, Transport};
use ignite_wire::supervisor::{Confinement, End, Event, Plan, Vmm};

use super::stage::{SUPERVISOR, Vm, in_sandbox, nobody_left, plan, stand_in};

/// A start that fails.
struct Case {
    /// The capability that the supervisor lacks, if that is the reason.
    lacks: Option<&'static str>,
    /// The change of the plan, if that is the reason; it gets a directory, too.
    change: fn(&mut Plan, &Path),
    /// What the message says.
    words: &'static [&'static str],
    /// What the hint says.
    hint: &'static str,
}

const PRIVILEGE: &str = "capabilit";

fn lacking(capability: &'static str, words: &'static [&'static str]) -> Case {
    Case {
        lacks: Some(capability),
        change: |_, _| {},
        words,
        hint: PRIVILEGE,
    }
}

fn with(change: fn(&mut Plan, &Path), words: &'static [&'static str], hint: &'static str) -> Case {
    Case {
        lacks: None,
        change,
        words,
        hint,
    }
}

fn confinement(plan: &mut Plan) -> &mut Confinement {
    plan.confinement.as_mut().expect("confined")
}

/// The VMM's program, copied, with this mode.
fn copy(plan: &mut Plan, directory: &Path, mode: u32) {
    let path = directory.join("firecracker");
    std::fs::copy(&plan.machine.program, &path).expect("copied");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("ours");
    plan.machine.program = path;
}

/// Of both VMMs.
fn common() -> Vec<Case> {
    vec![
        lacking("sys_admin", &["confine", "mount namespace"]),
        lacking("mknod", &["confine", "make the device /dev/"]),
        lacking("sys_chroot", &["enter its room"]),
        lacking("setpcap", &["bounding set"]),
        lacking("setgid", &["change to its user"]),
        lacking("setuid", &["change to its user"]),
        with(
            |plan, _| confinement(plan).tasks = u32::MAX,
            &["bound the virtual machine monitor", "pids.max"],
            "ignite doctor",
        ),
        with(
            |plan, _| plan.machine.program = "/nonexistent/program".into(),
            &["/nonexistent/program"],
            "nstall",
        ),
        with(
            |plan, directory| copy(plan, directory, 0o644),
            &["firecracker", "Permission denied"],
            "chmod",
        ),
        with(
            |plan, directory| {
                copy(plan, directory, 0o755);
                std::fs::write(&plan.machine.program, "no program").expect("ours");
            },
            &["firecracker", "needs to run"],
            "64-bit program",
        ),
        with(
            |plan, _| std::fs::remove_file(&plan.machine.kernel).expect("there"),
            &["vmlinux", "No such file"],
            "import",
        ),
        with(
            |plan, _| std::fs::remove_file(&plan.machine.disks[0].path).expect("there"),
            &["disk", "No such file"],
            "ignite",
        ),
    ]
}

fn qemu(directory: &Path, uid: &str) -> Plan {
    let mut plan = plan(directory, uid, "", true);
    plan.machine.vmm = Vmm::QemuTcg;
    plan.machine.program = stand_in("qemu-system-x86_64");
    plan.guest.agent = Transport::Serial;
    plan.guest.power_off = PowerOff::Acpi;
    plan
}

fn jailed(directory: &Path, uid: &str) -> Plan {
    let mut plan = plan(directory, uid, "", true);
    confinement(&mut plan).jailer = Some(stand_in("jailer"));
    plan
}

/// The supervisor's command, without a capability.
fn without(capability: Option<&str>, spec: Spec) -> Spec {
    match capability {
        None => spec,
        Some(name) => Spec::new("setpriv")
            .arg(format!("--bounding-set=-{name}"))
            .arg(SUPERVISOR),
    }
}

/// Starts it; the message and the hint of its failure.
fn refused(uid: &str, case: &Case, plan: fn(&Path, &str) -> Plan) -> (String, Option<String>) {
    let made = |directory: &Path| {
        let mut plan = plan(directory, uid);
        (case.change)(&mut plan, directory);
        plan
    };
    let mut vm = Vm::start_by(made, |spec| without(case.lacks, spec));
    let event = vm.event();
    let Event::Failed { message, hint, .. } = event else {
        panic!("{:?}: {event:?}", case.words);
    };
    let record = vm.ended();
    assert_eq!(record.end, Some(End::VmmFailed), "{message}");
    assert_eq!(vm.left(), [""; 0], "{message}");
    assert!(!vm.directory.path().join("vm/jail").exists(), "{message}");
    (message, hint)
}

fn check(uid: &str, cases: &[Case], plan: fn(&Path, &str) -> Plan) {
    let mut faults = Vec::new();
    for case in cases {
        in_sandbox(|| {
            let (message, hint) = refused(uid, case, plan);
            let is_clear = case.words.iter().all(|word| message.contains(word));
            let helps = hint.as_ref().is_some_and(|hint| hint.contains(case.hint));
            if !is_clear || !helps || !nobody_left(uid) {
                faults.push(format!("{:?}: {message}; {hint:?}", case.words));
            }
        });
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_qemu_that_cannot_be_confined_is_not_started() {
    check("00c0ffee00000021", &common(), qemu);
}

#[test]
fn a_firecracker_that_cannot_be_confined_is_not_started() {
    let room = |directory: &Path, uid: &str| plan(directory, uid, "", true);
    let mut cases = common();
    cases.push(lacking("chown", &["confine", "Operation not permitted"]));
    check("00c0ffee00000022", &cases, room);
}

#[test]
fn a_firecracker_that_cannot_be_jailed_is_not_started() {
    let cases = [
        with(
            |plan, _| confinement(plan).jailer = Some("/nonexistent/jailer".into()),
            &["/nonexistent/jailer"],
            "without --jailer",
        ),
        with(
            |plan, directory| {
                std::fs::write(directory.join("jailer"), "").expect("ours");
                confinement(plan).jailer = Some(directory.join("jailer"));
            },
            &["jailer", "Permission denied"],
            "chmod",
        ),
        with(
            |plan, _| plan.machine.program = "/nonexistent/firecracker".into(),
            &["/nonexistent/firecracker"],
            "without --jailer",
        ),
        with(
            |plan, _| std::fs::remove_file(&plan.machine.kernel).expect("there"),
            &["vmlinux", "No such file"],
            "import",
        ),
        // The jailer is root until its jail is made.
        Case {
            hint: "spawn.log",
            ..lacking("mknod", &["Firecracker ended with exit code 1"])
        },
    ];
    check("00c0ffee00000023", &cases, jailed);
}
