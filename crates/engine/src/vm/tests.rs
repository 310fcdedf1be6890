//! Verbs beside one another, on a host in a directory: whatever the order, records stay whole.

use std::net::TcpListener;
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use ignite_api::{InterfaceSpec, Kind, Metadata, PortMapping, Size, Uid, Vm, VmSpec};
use ignite_host::fs::Lock;
use ignite_store::{
    ImageConfig, ImageRecord, KernelRecord, Liveness, NetworkRecord, Paths, State, StatusRecord,
    VmLock,
};
use ignite_wire::supervisor::End;

use super::create::CreateRequest;
use crate::{Cancel, Config, Engine, Error, Silent};

/// Of a registry where nobody listens: it is known, or it is not to be had.
const IMAGE: &str = "127.0.0.1:9/box:latest";
const KERNEL: &str = "kernel:1";

pub(super) fn engine(root: &Path) -> Engine {
    let config = Config {
        paths: Paths::under(root),
        ..Config::default()
    };
    Engine::reader(config).expect("an engine")
}

/// A directory that becomes an object's, with one file.
pub(super) fn staged(engine: &Engine, file: &str) -> std::path::PathBuf {
    let directory = engine.config.paths.staging().join("one");
    std::fs::create_dir_all(&directory).expect("mkdir");
    std::fs::write(directory.join(file), "content").expect("write");
    directory
}

pub(super) fn add_image(engine: &Engine) {
    let record = ImageRecord {
        uid: Uid::random(),
        names: vec![IMAGE.into()],
        created: jiff::Timestamp::UNIX_EPOCH,
        digest: "sha256:1".into(),
        source: IMAGE.into(),
        size: Size::MIB,
        disk_size: Size::MIB,
        config: ImageConfig {
            cmd: vec!["/bin/sh".into()],
            ..ImageConfig::default()
        },
    };
    let made = engine
        .images
        .create(&record, &staged(engine, crate::image::FILE));
    made.expect("an image");
}

pub(super) fn add_kernel(engine: &Engine) {
    let record = KernelRecord {
        uid: Uid::random(),
        names: vec![KERNEL.into()],
        created: jiff::Timestamp::UNIX_EPOCH,
        digest: "sha256:2".into(),
        source: KERNEL.into(),
        version: "6.1".into(),
        size: Size::MIB,
        guest: None,
    };
    let made = engine.kernels.create(&record, &staged(engine, "vmlinux"));
    made.expect("a kernel");
}

fn create(engine: &Engine) -> Result<Uid, Error> {
    create_as(engine, VmSpec::default())
}

pub(super) fn create_as(engine: &Engine, spec: VmSpec) -> Result<Uid, Error> {
    let request = CreateRequest {
        vm: Vm::new(Kind::Vm, Metadata::default(), spec),
        image: IMAGE.into(),
        kernel: Some(KERNEL.into()),
        remove_when_ended: false,
        managed: None,
    };
    let cancel = Cancel::new().expect("an eventfd");
    Ok(engine.create(request, &Silent, &cancel)?.uid)
}

/// A VM whose supervisor seems to be at work.
pub(super) fn in_state(engine: &Engine, state: State) -> (VmLock, Liveness) {
    add_image(engine);
    add_kernel(engine);
    let uid = create(engine).expect("a VM");
    let lock = engine.vms.lock(uid).expect("its lock");
    let live = Liveness::try_acquire(&engine.config.paths, uid)
        .expect("its liveness")
        .expect("free");
    let status = StatusRecord {
        state,
        ..StatusRecord::default()
    };
    lock.write_status(&status, &live).expect("its status");
    (lock, live)
}

#[test]
fn an_image_or_kernel_is_removed_or_used_and_never_both() {
    let root = tempfile::tempdir().expect("tempdir");
    let engine = engine(root.path());
    let (mut created, mut refused) = (0, 0);
    for round in 0..60 {
        if engine.images.by_name(IMAGE).expect("look").is_none() {
            add_image(&engine);
        }
        if engine.kernels.by_name(KERNEL).expect("look").is_none() {
            add_kernel(&engine);
        }
        // From well before the record is written until well after.
        let late = Duration::from_micros(50 * round);
        let start = Barrier::new(3);
        let (vm, image, kernel) = thread::scope(|scope| {
            let vm = scope.spawn(|| {
                start.wait();
                create(&engine)
            });
            let image = scope.spawn(|| {
                start.wait();
                thread::sleep(late);
                engine.remove_image(IMAGE, false)
            });
            start.wait();
            thread::sleep(late);
            let kernel = engine.remove_kernel(KERNEL, false);
            (
                vm.join().expect("no panic"),
                image.join().expect("no panic"),
                kernel,
            )
        });
        match vm {
            Ok(uid) => {
                assert!(matches!(image, Err(Error::InUse { .. })), "{image:?}");
                assert!(matches!(kernel, Err(Error::InUse { .. })), "{kernel:?}");
                engine.remove(uid.as_str(), false).expect("removed");
                created += 1;
            }
            Err(error) => {
                assert!(
                    image.is_ok() || kernel.is_ok(),
                    "nothing was removed: {error}"
                );
                let vms = engine.vms.list().expect("listed");
                assert!(vms.records.is_empty() && vms.faults.is_empty(), "{vms:?}");
                refused += 1;
            }
        }
    }
    assert!(created > 0 && refused > 0, "{created} made, {refused} not");
}

#[test]
fn what_is_still_being_released_is_left_alone() {
    let root = tempfile::tempdir().expect("tempdir");
    let engine = engine(root.path());
    let (lock, live) = in_state(&engine, State::Stopped);
    let network = NetworkRecord {
        sandbox: Some("/run/netns/ignite-x".into()),
        ..NetworkRecord::default()
    };
    lock.write_network(&network).expect("its network");
    let uid = lock.uid();
    drop(lock);

    let refused = engine
        .lock_idle_within(uid, Duration::from_millis(30))
        .expect_err("its supervisor is at its last act");
    assert!(matches!(refused, Error::StillEnding { .. }), "{refused}");
    let hint = refused.hint().expect("a hint");
    assert!(hint.contains("spawn.log"), "{hint}");
    assert_eq!(engine.vms.network(uid).expect("read"), network);

    drop(live);
    engine
        .lock_idle_within(uid, Duration::from_secs(10))
        .expect("free, when it is done");
}

#[test]
fn a_start_that_failed_is_no_lost_vm() {
    let root = tempfile::tempdir().expect("tempdir");
    let engine = engine(root.path());
    let (lock, live) = in_state(&engine, State::Starting);
    engine
        .record_failed_start(&lock, &live, "called off")
        .expect("recorded");
    let status = lock.status().expect("read");
    assert_eq!(
        (status.state, status.end),
        (State::Stopped, Some(End::Killed))
    );
    assert_eq!(status.message.as_deref(), Some("called off"));
    // What the supervisor itself has written down stays.
    engine
        .record_failed_start(&lock, &live, "again")
        .expect("nothing to record");
    assert_eq!(lock.status().expect("read"), status);
}

/// A VM with these ports, and its lock.
fn with_ports(engine: &Engine, ports: &[PortMapping]) -> VmLock {
    let mut spec = VmSpec::default();
    spec.network.ports = ports.to_vec();
    let uid = create_as(engine, spec).expect("a VM");
    engine.vms.lock(uid).expect("its lock")
}

/// Makes it one that died when it was about to be attached.
fn dies(engine: &Engine, lock: VmLock) -> Uid {
    let network = NetworkRecord {
        sandbox: Some(engine.config.paths.netns.join("ignite-x")),
        ..NetworkRecord::default()
    };
    lock.write_network(&network).expect("its network");
    lock.uid()
}

fn is_released(engine: &Engine, uid: Uid) -> bool {
    engine.vms.network(uid).expect("read").is_released()
}

/// A port of this host that is free in this moment.
fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

fn mapping(address: &str, port: u16) -> Vec<PortMapping> {
    PortMapping::parse(&format!("{address}:{port}:80")).expect("a mapping")
}

/// What a start does before it makes anything.
fn reserve(engine: &Engine, lock: &VmLock) -> Result<(), Error> {
    engine.reserve(lock, &lock.record()?, &Silent)
}

#[test]
fn of_many_that_ask_for_one_mac_one_gets_it() {
    let root = tempfile::tempdir().expect("tempdir");
    let engine = engine(root.path());
    add_image(&engine);
    add_kernel(&engine);
    let mut spec = VmSpec::default();
    spec.network.interfaces = InterfaceSpec::parse_all(["a:mac=02:00:00:00:00:07"]).expect("one");
    for _ in 0..10 {
        let start = Barrier::new(4);
        let made: Vec<Result<Uid, Error>> = thread::scope(|scope| {
            let one = || {
                start.wait();
                create_as(&engine, spec.clone())
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(one)).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().expect("no panic");
            threads.into_iter().map(join).collect()
        });
        let (won, lost): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "{won:?}");
        for error in lost.into_iter().filter_map(Result::err) {
            assert!(matches!(error, Error::MacTaken { .. }), "{error}");
        }
        let vms = engine.vms.list().expect("listed").records;
        assert_eq!(vms.len(), 1);
        engine.remove(vms[0].uid.as_str(), false).expect("removed");
    }
}

#[test]
fn who_wants_no_port_waits_for_nobody_who_does() {
    let root = tempfile::tempdir().expect("tempdir");
    let engine = engine(root.path());
    let (_other, _live) = in_state(&engine, State::Running);
    let vm = with_ports(&engine, &[]);
    // Of a start that goes on for ever.
    let path = engine.config.paths.run.join("ports.lock");
    let _held = Lock::exclusive(&path).expect("free");
    reserve(&engine, &vm).expect("reserved");
    assert!(!is_released(&engine, vm.uid()), "the intent is recorded");
}

#[test]
fn the_dead_are_repaired_while_others_compare_their_ports() {
    let root = tempfile::tempdir().expect("tempdir");
    let engine = engine(root.path());
    let (_other, _live) = in_state(&engine, State::Running);
    let wanted = mapping("127.0.0.1", port());
    let vm = with_ports(&engine, &wanted);
    let dead = dies(&engine, with_ports(&engine, &wanted));
    let held = Lock::exclusive(&engine.config.paths.run.join("ports.lock")).expect("free");
    thread::scope(|scope| {
        let held = held;
        let waits = scope.spawn(|| reserve(&engine, &vm));
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_released(&engine, dead) {
            assert!(Instant::now() < deadline, "it waits for the lock first");
            thread::sleep(Duration::from_millis(5));
        }
        // One dies while the lock is waited for, and one was tried already.
        let late = dies(&engine, with_ports(&engine, &wanted));
        dies(&engine, engine.vms.lock(dead).expect("its lock"));
        assert!(!waits.is_finished(), "the lock is held");
        drop(held);
        waits.join().expect("no panic").expect("reserved");
        assert!(is_released(&engine, late), "found under the lock");
        assert!(!is_released(&engine, dead), "each is tried once");
    });
}

#[test]
fn the_dead_on_other_ports_are_in_nobodys_way() {
    let root = tempfile::tempdir().expect("tempdir");
    let engine = engine(root.path());
    let (_other, _live) = in_state(&engine, State::Running);
    let port = port();
    let vm = with_ports(&engine, &mapping("127.0.0.1", port));
    let dead = dies(&engine, with_ports(&engine, &mapping("127.0.0.2", port)));
    reserve(&engine, &vm).expect("reserved");
    assert!(!is_released(&engine, dead), "that may take long");
}

#[test]
fn a_port_of_one_about_to_be_attached_is_taken() {
    let root = tempfile::tempdir().expect("tempdir");
    let engine = engine(root.path());
    let (_other, _live) = in_state(&engine, State::Running);
    let wanted = mapping("127.0.0.1", port());
    let (first, second) = (with_ports(&engine, &wanted), with_ports(&engine, &wanted));
    let live = Liveness::try_acquire(&engine.config.paths, first.uid()).expect("its liveness");
    let _live = live.expect("free");
    reserve(&engine, &first).expect("reserved");
    let refused = reserve(&engine, &second).expect_err("taken");
    assert!(refused.to_string().contains("published by VM"), "{refused}");
    assert!(is_released(&engine, second.uid()), "nothing is recorded");
}
