//! VMMs that outlived their supervisor and hold the liveness lock: a program of ours is in their place,
//! in the VM's control group on this machine.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::thread;
use std::time::Duration;

use ignite_api::Uid;
use ignite_host::cgroup::{Bounds, Group, of_vm};
use ignite_host::process::{Child, Spec, spawn, start_time};
use ignite_store::{Liveness, ProcessRecord, State, StatusRecord, VmLock, VmmRecord};
use ignite_wire::supervisor::{End, Vmm};

use super::control::SOCKET;
use super::tests::{engine, in_state};
use crate::{Engine, Error};

/// So long its end is waited for.
const SOON: Duration = Duration::from_secs(20);

/// Takes the group away however a test ends.
struct Grouped(Uid);

impl Drop for Grouped {
    fn drop(&mut self) {
        if let Ok(group) = Group::find(&of_vm(self.0.as_str())) {
            let _ = group.remove();
        }
    }
}

/// A process in the VM's group that holds the VM's liveness lock.
fn orphan(lock: &VmLock, live: &Liveness) -> (Child, Grouped) {
    let held = live.to_fd().expect("a descriptor");
    let spec = Spec::new("sleep").arg("600").pass_fd(held, 10);
    let child = spawn(spec).expect("it starts");
    let bounds = Bounds {
        memory: 64 << 20,
        cpu_millis: 1000,
        tasks: 20,
    };
    let grouped = Grouped(lock.uid());
    let group = Group::make(&of_vm(lock.uid().as_str()), &bounds).expect("a group");
    for joint in group.joints().expect("its files") {
        let mut joint = std::fs::File::from(joint);
        write!(joint, "{}", child.pid()).expect("it joins");
    }
    (child, grouped)
}

fn ended(child: &Child) -> bool {
    child.wait_timeout(SOON).expect("a child").is_some()
}

/// No process has this number.
fn gone() -> ProcessRecord {
    ProcessRecord {
        pid: i32::MAX,
        start_time: 1,
        boot_id: String::new(),
    }
}

fn record(engine: &Engine, lock: &VmLock, live: &Liveness, change: impl FnOnce(&mut StatusRecord)) {
    let mut status = engine.vms.status(lock.uid()).expect("its status");
    change(&mut status);
    lock.write_status(&status, live).expect("written");
}

#[test]
fn one_is_among_the_dead_and_ended_by_the_repair() {
    let root = tempfile::tempdir().expect("tempdir");
    let engine = engine(root.path());
    let (lock, live) = in_state(&engine, State::Running);
    record(&engine, &lock, &live, |it| it.supervisor = Some(gone()));
    let (child, _grouped) = orphan(&lock, &live);
    let uid = lock.uid();
    drop((lock, live));
    let dead = engine.dead_vms(None).expect("looked");
    assert_eq!(dead.iter().map(|vm| vm.uid).collect::<Vec<_>>(), [uid]);
    engine.repair_one(uid).expect("repaired");
    assert!(ended(&child));
    let status = engine.vms.status(uid).expect("read");
    assert_eq!(
        (status.state, status.end),
        (State::Stopped, Some(End::Lost))
    );
    assert!(engine.dead_vms(None).expect("looked").is_empty());
}

#[test]
fn one_that_no_record_tells_of_is_ended_unless_its_supervisor_listens() {
    let root = tempfile::tempdir().expect("tempdir");
    let engine = engine(root.path());
    let (lock, live) = in_state(&engine, State::Stopped);
    let (child, _grouped) = orphan(&lock, &live);
    let uid = lock.uid();
    drop((lock, live));
    let socket = engine.config.paths.vm_run(uid).join(SOCKET);
    let supervisor = UnixListener::bind(&socket).expect("bound");
    let refused = engine
        .lock_idle_within(uid, Duration::from_millis(50))
        .expect_err("somebody is at work on it");
    assert!(matches!(refused, Error::StillEnding { .. }), "{refused}");
    assert!(child.try_wait().expect("a child").is_none(), "it was ended");
    drop(supervisor);
    engine.lock_idle_within(uid, SOON).expect("idle");
    assert!(ended(&child));
}

#[test]
fn a_start_that_failed_does_not_wait_for_one() {
    let root = tempfile::tempdir().expect("tempdir");
    let engine = engine(root.path());
    let (lock, live) = in_state(&engine, State::Starting);
    let (child, _grouped) = orphan(&lock, &live);
    let pid = i32::try_from(child.pid()).expect("a pid");
    let process = ProcessRecord {
        pid,
        start_time: start_time(pid).expect("it lives"),
        boot_id: String::new(),
    };
    record(&engine, &lock, &live, |it| {
        it.vmm = Some(VmmRecord {
            kind: Vmm::QemuTcg,
            balloon: false,
            process,
        });
    });
    thread::scope(|scope| {
        // A child is there until somebody waits for it.
        let waits = scope.spawn(|| ended(&child));
        let failed = engine.record_failed_start(&lock, &live, "called off");
        assert!(waits.join().expect("no panic"), "it lives on");
        failed.expect("recorded");
    });
    assert_eq!(lock.status().expect("read").state, State::Stopped);
}
