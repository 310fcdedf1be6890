//! A supervisor that is killed between two lines: its VMM ends, with it or with its control group, and
//! the VM can be started again. What the engine does then is done here by hand: it ends the group, and
//! lets go of the sandbox.

use std::path::{Path, PathBuf};
use std::time::Instant;

use ignite_host::cgroup::{Group, of_vm};
use ignite_host::link::Netlink;
use ignite_host::netns::Namespace;
use ignite_host::step::{Step, VARIABLE};
use ignite_wire::agent::Message;
use ignite_wire::supervisor::{End, Plan};
use rustix::process::{Pid, Signal, kill_process};

use super::stage::{PATIENCE, Vm, nobody_left, plan, processes_of, stand_in, user};

const STEPS: [Step; 7] = [
    Step::SuperviseBegun,
    Step::SuperviseJoined,
    Step::SuperviseGrouped,
    Step::SuperviseCloned,
    Step::SuperviseStarted,
    Step::SuperviseRecorded,
    Step::SuperviseReady,
];

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// The text of a process's `status`; none once it is gone.
fn status(directory: &Path) -> String {
    std::fs::read_to_string(directory.join("status")).unwrap_or_default()
}

/// The children of a supervisor that are to be its VMM, and have no program yet.
fn waiting(supervisor: u32) -> Vec<Pid> {
    let is_child = |directory: &PathBuf| {
        let status = status(directory);
        // They wait for SIGCONT, known by SIGURG, which they block alone.
        status.contains(&format!("\nPPid:\t{supervisor}\n"))
            && status.contains("\nSigBlk:\t0000000000400000\n")
    };
    let entries = std::fs::read_dir("/proc").expect("mounted").flatten();
    let children = entries.map(|entry| entry.path()).filter(is_child);
    let number = |path: PathBuf| path.file_name()?.to_str()?.parse().ok();
    children
        .filter_map(number)
        .filter_map(Pid::from_raw)
        .collect()
}

/// Works in a sandbox with an `eth0`, which goes with all that is left in it.
fn in_sandbox(work: impl FnOnce() + Send) {
    let namespace = Namespace::anonymous().expect("root makes namespaces");
    let made = namespace.run(|| {
        let netlink = Netlink::open().expect("netlink");
        netlink.create_veth("eth0", "peer", None).expect("veth");
        work();
    });
    made.expect("a thread");
}

/// A VM whose supervisor was killed at `step`.
fn killed(step: Step, plan: impl FnOnce(&Path) -> Plan) -> Vm {
    let vm = Vm::start_by(plan, |spec| spec.env(VARIABLE, step.name()));
    let number = vm.supervisor.pid();
    let supervisor = PathBuf::from(format!("/proc/{number}"));
    wait_until(step.name(), || {
        status(&supervisor).contains("\nState:\tT") || !waiting(number).is_empty()
    });
    let children = waiting(number);
    assert_eq!(children.len(), usize::from(step == Step::SuperviseCloned));
    vm.supervisor.signal(9).expect("our child");
    let ended = vm.supervisor.wait_timeout(PATIENCE).expect("our child");
    assert!(ended.is_some(), "{} holds it", step.name());
    for child in children {
        kill_process(child, Signal::CONT).expect("it is there");
    }
    vm
}

fn walk(uid: &str, ends_by_itself: fn(Step) -> bool, plan: impl Fn(&Path) -> Plan + Sync) {
    for step in STEPS {
        let mut left = None;
        in_sandbox(|| left = Some(killed(step, &plan)));
        let find = || Group::find(&of_vm(uid)).expect("readable");
        let gone = || {
            let in_group = find().processes().expect("readable");
            in_group.is_empty() && processes_of(user(uid)).is_empty()
        };
        if ends_by_itself(step) {
            wait_until("a VMM lives on without its supervisor", gone);
        }
        find().remove().expect("its processes end");
        assert!(nobody_left(uid), "after {}", step.name());
        in_sandbox(|| {
            let mut vm = left.take().expect("killed").again();
            vm.wait_until_ready();
            vm.control().ask(Message::Stop { grace_ms: 20_000 });
            let record = vm.ended();
            assert_eq!((record.end, record.message), (Some(End::PoweredOff), None));
            assert_eq!(vm.left(), [""; 0], "after {}", step.name());
            assert!(!vm.directory.path().join("vm/jail").exists());
            assert!(nobody_left(uid), "after {}", step.name());
            let netlink = Netlink::open().expect("netlink");
            assert_eq!(netlink.link("tap0").expect("links"), None);
        });
    }
}

#[test]
fn a_vmm_in_its_room_ends_with_its_supervisor_wherever_that_is_killed() {
    const UID: &str = "00c0ffee00000011";
    walk(UID, |_| true, |directory| plan(directory, UID, "", true));
}

#[test]
fn a_jailed_vmm_ends_with_its_group_wherever_its_supervisor_is_killed() {
    const UID: &str = "00c0ffee00000012";
    // The jailer's change of user makes the kernel forget whose child it is.
    let ends_by_itself = |step| STEPS[..4].contains(&step);
    walk(UID, ends_by_itself, |directory| {
        let mut plan = plan(directory, UID, "", true);
        let confinement = plan.confinement.as_mut().expect("confined");
        confinement.jailer = Some(stand_in("jailer"));
        plan
    });
}
