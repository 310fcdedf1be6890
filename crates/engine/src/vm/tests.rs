//! Verbs beside one another, on a host in a directory: whatever the order, records stay whole.

use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use ignite_api::{Kind, Metadata, Size, Uid, Vm, VmSpec};
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

fn engine(root: &Path) -> Engine {
    let config = Config {
        paths: Paths::under(root),
        ..Config::default()
    };
    Engine::reader(config).expect("an engine")
}

/// A directory that becomes an object's, with one file.
fn staged(engine: &Engine, file: &str) -> std::path::PathBuf {
    let directory = engine.config.paths.staging().join("one");
    std::fs::create_dir_all(&directory).expect("mkdir");
    std::fs::write(directory.join(file), "content").expect("write");
    directory
}

fn add_image(engine: &Engine) {
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

fn add_kernel(engine: &Engine) {
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
    let request = CreateRequest {
        vm: Vm::new(Kind::Vm, Metadata::default(), VmSpec::default()),
        image: IMAGE.into(),
        kernel: Some(KERNEL.into()),
        remove_when_ended: false,
    };
    let cancel = Cancel::new().expect("an eventfd");
    Ok(engine.create(request, &Silent, &cancel)?.uid)
}

/// A VM whose supervisor seems to be at work.
fn in_state(engine: &Engine, state: State) -> (VmLock, Liveness) {
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
