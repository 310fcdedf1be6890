//! Orders carried out by a real engine on a host in a directory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ignite_api::{DiskOrigin, PortMapping, Uid, Vm, VmmChoice};
use ignite_engine::{Cancel, Config, Engine, State};
use ignite_store::{Liveness, Paths, StatusRecord, VmRecord, Vms};
use jiff::Timestamp;
use serde_json::json;

use super::perform::Job;
use crate::desired::{Desired, Key, Wanted};
use crate::plan::{Act, Actual, Busy, Differences, Input, Memories, Order, fit, plan};

struct Scene {
    root: tempfile::TempDir,
    engine: Arc<Engine>,
    uid: Uid,
    vm: Vm,
}

impl Scene {
    /// A VM on Docker's bridge, kept after a manifest that says just how it is.
    fn new() -> Self {
        let root = tempfile::tempdir().expect("tempdir");
        let mut config = Config {
            paths: Paths::under(root.path()),
            ..Config::default()
        };
        config.vmm_programs.firecracker = Some("/nonexistent/firecracker".into());
        std::fs::create_dir_all(&config.paths.run).expect("made");
        let mut vm = Vm::of_image("box:1".parse().expect("a reference"));
        vm.metadata.name = "web".into();
        vm.status.running = true;
        let uid = Uid::random();
        let record: VmRecord = serde_json::from_value(json!({
            "uid": uid, "name": "web", "created": Timestamp::UNIX_EPOCH, "spec": vm.spec,
            "idPrefix": "ignite", "containerId": format!("ignite-{uid}"),
            "image": {"uid": uid, "digest": "sha256:00", "name": "box:1"},
            "kernel": {"uid": uid, "version": "6.1", "name": "kernel:6.1"},
            "cmdline": "quiet", "interfaces": [], "networkPlugin": "docker-bridge",
            "process": {"kind": "init", "path": "/sbin/init"},
            "managed": {"by": "here", "file": "web.yaml", "wanted": true},
        }))
        .expect("a record");
        drop(Vms::new(&config.paths).create(&record).expect("a VM"));
        let engine = Engine::reader(config).expect("an engine");
        Self {
            root,
            engine: Arc::new(engine),
            uid,
            vm,
        }
    }

    /// It runs for as long as what is returned is there.
    fn run(&self) -> Liveness {
        let paths = Paths::under(self.root.path());
        let live = Liveness::try_acquire(&paths, self.uid);
        let live = live.expect("its liveness").expect("free");
        let status = StatusRecord {
            state: State::Running,
            started: Some(Timestamp::UNIX_EPOCH),
            ..StatusRecord::default()
        };
        let lock = Vms::new(&paths).lock(self.uid).expect("its lock");
        lock.write_status(&status, &live).expect("its status");
        live
    }

    fn wanted(&self) -> Wanted {
        Wanted {
            key: Key::Name("web".into()),
            file: "web.yaml".into(),
            vm: Arc::new(self.vm.clone()),
            defaults: Arc::default(),
        }
    }

    /// What a daemon that has only just begun does next.
    fn next(&self) -> Vec<Order> {
        let wanted = self.wanted();
        let (kept, unreadable) = self.engine.kept("here").expect("looked");
        let vm = fit(&wanted.vm, &wanted.defaults, None).expect("it fits");
        let difference = self.engine.difference(self.uid, &vm).expect("compared");
        let input = Input {
            desired: &Desired {
                wanted: [(wanted.key.clone(), wanted)].into(),
                ..Desired::default()
            },
            actual: &Actual {
                kept,
                unreadable,
                others: Vec::new(),
            },
            differences: &Differences::from([(self.uid, Ok(difference))]),
            busy: &Busy::default(),
            readable: true,
            policies: &BTreeMap::new(),
        };
        plan(&input, &mut Memories::default(), Instant::now()).orders
    }

    fn job(&self, order: Order) -> Job {
        Job {
            engine: Arc::clone(&self.engine),
            by: "here".into(),
            order,
            cancel: Cancel::new().expect("an eventfd"),
        }
    }
}

#[test]
fn ports_that_only_a_start_publishes_lead_to_one() {
    let mut scene = Scene::new();
    let _live = scene.run();
    assert_eq!(scene.next(), []);
    let listener = std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    drop(listener);
    scene.vm.spec.network.ports = PortMapping::parse(&format!("{port}:80")).expect("a mapping");
    let orders = scene.next();
    assert_eq!(orders[0].act, Act::Update);
    scene.job(orders[0].clone()).perform().expect("recorded");
    // Whoever asks, and however often.
    for _ in 0..2 {
        let acts: Vec<Act> = scene.next().iter().map(|order| order.act).collect();
        assert_eq!(acts, [Act::Restart]);
    }
}

#[test]
fn a_vm_goes_on_when_the_other_vmm_is_not_there() {
    let mut scene = Scene::new();
    let _live = scene.run();
    let lock = Vms::new(&Paths::under(scene.root.path())).lock(scene.uid);
    let lock = lock.expect("its lock");
    let mut record = lock.record().expect("its record");
    record.disk = DiskOrigin::Copy;
    lock.write_record(&record).expect("written");
    drop(lock);
    scene.vm.spec.vmm = Some(VmmChoice::Firecracker);
    let update = scene.next().remove(0);
    assert_eq!(update.act, Act::Update);
    scene.job(update.clone()).perform().expect("recorded");
    let restart = Order {
        act: Act::Restart,
        ..update
    };
    let fault = scene.job(restart).perform().expect_err("no Firecracker");
    assert!(fault.hint.is_some(), "{fault}");
    let managed = scene.engine.holder(scene.uid).expect("read").flatten();
    assert!(managed.expect("kept").wanted, "it was not stopped");
}

#[test]
fn a_vm_stays_when_the_new_one_cannot_be_made() {
    let mut scene = Scene::new();
    scene.vm.spec.image.oci = "127.0.0.1:9/nowhere".parse().ok();
    scene.vm.spec.recreate_on_change = true;
    let orders = scene.next();
    assert_eq!(orders[0].act, Act::Recreate);
    let job = scene.job(orders[0].clone());
    let fault = job.perform().expect_err("there is no registry");
    assert!(fault.message.contains("127.0.0.1:9"), "{fault}");
    assert!(scene.engine.holder(scene.uid).expect("read").is_some());
    job.cancel.cancel();
    job.perform().expect_err("called off");
    assert!(scene.engine.holder(scene.uid).expect("read").is_some());
}
