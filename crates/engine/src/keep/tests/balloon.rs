//! Balloons of a VM that runs, with one and without, and of one that does not run.

use ignite_api::Size;
use ignite_store::VmmRecord;
use ignite_wire::agent::Message;
use ignite_wire::supervisor::Vmm;

use super::*;
use crate::Changes;

impl Scene {
    /// Runs the VM, in a machine with a balloon or without.
    fn run_with(&self, uid: Uid, balloon: bool) -> Liveness {
        let live = self.run(uid, &self.network(true));
        let lock = self.engine.vms.lock(uid).expect("its lock");
        let mut status = lock.status().expect("its status");
        status.vmm = Some(VmmRecord {
            kind: Vmm::QemuTcg,
            balloon,
            process: own_process(),
        });
        lock.write_status(&status, &live).expect("its status");
        live
    }

    fn balloon(&self, uid: Uid) -> Option<Size> {
        self.engine.vms.get(uid).expect("read").spec.balloon
    }

    fn inflate(&self, uid: Uid, balloon: Size) -> Result<(), Error> {
        let changes = Changes {
            balloon: Some(balloon),
            ..Changes::default()
        };
        self.engine.change(uid.as_str(), &changes).map(drop)
    }

    /// Whether the VM, which is as the manifest says, waits for a restart.
    fn waits_for_restart(&self, uid: Uid, vm: &Vm) -> bool {
        let difference = self.engine.difference(uid, vm).expect("compared");
        assert_eq!(difference.in_place, []);
        difference.restart
    }
}

fn with_balloon(mib: Option<u64>) -> Vm {
    let mut vm = manifest();
    vm.spec.balloon = mib.map(Size::from_mib);
    vm
}

const DONE: Message = Message::Done { changed: true };

#[test]
fn a_vm_that_runs_with_one_gives_memory_back_at_once() {
    let scene = Scene::new();
    let uid = scene.create(&with_balloon(Some(0)));
    let _live = scene.run_with(uid, true);
    let supervisor = scene.supervisor(uid, DONE);
    scene.inflate(uid, Size::from_mib(64)).expect("changed");
    let bytes = 64 << 20;
    assert_eq!(
        supervisor.join().expect("asked"),
        Message::Balloon { bytes }
    );
    assert_eq!(scene.balloon(uid), Some(Size::from_mib(64)));

    std::fs::remove_file(scene.engine.config.paths.vm_run(uid).join("control.sock"))
        .expect("removed");
    let supervisor = scene.supervisor(uid, DONE);
    let vm = with_balloon(Some(32));
    let updated = scene.engine.update(uid, &vm, &Silent).expect("changed");
    assert!(!updated.needs_restart);
    let bytes = 32 << 20;
    assert_eq!(
        supervisor.join().expect("asked"),
        Message::Balloon { bytes }
    );
    assert!(!scene.waits_for_restart(uid, &vm));
}

#[test]
fn what_is_refused_is_not_recorded() {
    let scene = Scene::new();
    let uid = scene.create(&with_balloon(Some(0)));
    let _live = scene.run_with(uid, true);
    let refusal = Message::Error {
        message: "not yet".into(),
        hint: Some("wait".into()),
    };
    let supervisor = scene.supervisor(uid, refusal);
    let error = scene.inflate(uid, Size::MIB).expect_err("refused");
    supervisor.join().expect("asked");
    assert!(matches!(error, Error::BalloonNotChanged { .. }), "{error}");
    assert_eq!(error.hint().as_deref(), Some("wait"));
    assert_eq!(scene.balloon(uid), Some(Size::default()));
}

#[test]
fn a_machine_without_one_gets_it_by_a_restart() {
    let scene = Scene::new();
    let uid = scene.create(&manifest());
    let live = scene.run_with(uid, false);
    let error = scene.inflate(uid, Size::MIB).expect_err("it has none");
    let hint = error.hint().expect("a hint");
    assert!(hint.contains("ignite stop"), "{hint}");
    assert_eq!(scene.balloon(uid), None);

    let vm = with_balloon(Some(64));
    let updated = scene.engine.update(uid, &vm, &Silent).expect("recorded");
    assert!(updated.needs_restart);
    assert!(scene.waits_for_restart(uid, &vm));
    drop(live);
    let _live = scene.run_with(uid, true);
    assert!(!scene.waits_for_restart(uid, &vm));
    // And the other way.
    let none = with_balloon(None);
    let updated = scene.engine.update(uid, &none, &Silent).expect("recorded");
    assert!(updated.needs_restart && scene.waits_for_restart(uid, &none));
}

#[test]
fn a_vm_that_does_not_run_has_it_from_its_next_start_on_if_it_fits() {
    let scene = Scene::new();
    let uid = scene.create(&manifest());
    scene.inflate(uid, Size::from_mib(448)).expect("recorded");
    assert_eq!(scene.balloon(uid), Some(Size::from_mib(448)));
    let error = scene.inflate(uid, Size::from_mib(449)).expect_err("512 MB");
    assert!(error.is_usage(), "{error}");
    // What a manifest says of the memory is not so yet.
    let mut vm = with_balloon(Some(600));
    vm.spec.memory = Size::GIB;
    let error = scene.engine.update(uid, &vm, &Silent).expect_err("512 MB");
    assert!(error.hint().expect("a hint").contains("448MB"), "{error}");
}
