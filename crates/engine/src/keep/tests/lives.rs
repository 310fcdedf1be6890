//! Who a VM is kept for, how it is watched, and how it is found dead.

use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use ignite_store::Managed;
use ignite_wire::supervisor::End;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::*;

#[test]
fn what_is_kept_is_known_by_whom() {
    let scene = Scene::new();
    let uid = scene.create(&manifest());
    let managed = Managed {
        by: "/etc/firecracker/manifests".into(),
        file: "web.yaml".into(),
        wanted: true,
        defaults: Some(Box::default()),
    };
    assert_eq!(scene.engine.holder(uid).expect("read"), Some(None));
    assert_eq!(scene.engine.holder(Uid::random()).expect("read"), None);
    scene
        .engine
        .manage(uid, Some(managed.clone()))
        .expect("kept");
    assert_eq!(
        scene.engine.holder(uid).expect("read"),
        Some(Some(managed.clone()))
    );
    let again = Managed {
        defaults: None,
        ..managed.clone()
    };
    scene.engine.manage(uid, Some(again)).expect("kept");
    let (kept, damaged) = scene.engine.kept(&managed.by).expect("read");
    assert_eq!((kept.len(), damaged.len()), (1, 0));
    assert_eq!(
        (kept[0].state, &kept[0].managed),
        (State::Created, &managed)
    );
    assert!(scene.engine.kept("/elsewhere").expect("read").0.is_empty());
    let other = scene.create(&Vm {
        metadata: ignite_api::Metadata::default(),
        ..manifest()
    });
    fs::write(scene.engine.vms.dir(other).join("vm.json"), "{").expect("written");
    let (kept, damaged) = scene.engine.kept(&managed.by).expect("read");
    assert_eq!((kept.len(), damaged), (1, vec![other]));
    scene.engine.manage(uid, None).expect("let go");
    assert_eq!(scene.engine.holder(uid).expect("read"), Some(None));
}

#[test]
fn a_supervisor_is_watched_as_long_as_it_is_the_one() {
    let scene = Scene::new();
    let uid = scene.create(&manifest());
    assert!(scene.engine.watch(uid).expect("looked").is_none());
    let live = scene.run(uid, &scene.network(true));
    let watch = scene.engine.watch(uid).expect("looked").expect("it runs");
    let mut fds = [PollFd::new(&watch, PollFlags::IN)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    assert_eq!(
        poll(&mut fds, Some(&now)).expect("polled"),
        0,
        "it has not ended"
    );
    // Another process has the number now.
    let lock = scene.engine.vms.lock(uid).expect("its lock");
    let mut status = lock.status().expect("read");
    status.supervisor.as_mut().expect("recorded").start_time += 1;
    lock.write_status(&status, &live).expect("written");
    assert!(scene.engine.watch(uid).expect("looked").is_none());
}

#[test]
fn every_dead_vm_is_repaired_and_what_fails_is_told() {
    let scene = Scene::new();
    let name = |text: &str| {
        let mut vm = with_ports(&[8080]);
        vm.metadata.name = text.into();
        vm
    };
    let uids: Vec<Uid> = (0..9)
        .map(|n| scene.create(&name(&format!("vm-{n}"))))
        .collect();
    let publishing = scene.network(true);
    let broken = publishing.replace("maker", "missing");
    for (index, uid) in uids.iter().enumerate() {
        let config = if index == 4 { &broken } else { &publishing };
        drop(scene.run(*uid, config));
    }
    let _runs = scene.run(uids[0], &publishing);
    let told = std::sync::Mutex::new(std::collections::BTreeMap::new());
    let tell = |uid, done: Result<(), Error>| {
        let before = told.lock().expect("no panic").insert(uid, done.is_err());
        assert_eq!(before, None, "once");
    };
    scene.engine.recover(&tell).expect("looked");
    let told = told.into_inner().expect("no panic");
    let all: Vec<Uid> = told.keys().copied().collect();
    assert_eq!(all, scene.engine.recoverable().expect("listed"));
    let failed: Vec<Uid> = told
        .into_iter()
        .filter_map(|(uid, failed)| failed.then_some(uid))
        .collect();
    assert_eq!(failed, [uids[4]]);
    for (index, uid) in uids.iter().enumerate() {
        let released = scene.engine.vms.network(*uid).expect("read").is_released();
        assert_eq!(released, ![0, 4].contains(&index), "{index}");
        let status = scene.engine.vms.status(*uid).expect("read");
        let expected = if index == 0 { None } else { Some(End::Lost) };
        assert_eq!(status.end, expected, "{index}");
    }
}

#[test]
fn a_supervisor_that_hangs_holds_up_nobody() {
    let scene = Scene::new();
    let uid = scene.create(&manifest());
    assert!(scene.engine.counters(uid).expect("looked").is_none());
    let _live = scene.run(uid, &scene.network(true));
    let run_dir = scene.engine.config.paths.vm_run(uid);
    let _deaf = UnixListener::bind(run_dir.join("control.sock")).expect("bound");
    let begun = Instant::now();
    let error = scene.engine.counters(uid).expect_err("it says nothing");
    assert!(matches!(error, Error::Control(_)), "{error}");
    // Nobody takes what waits; past the socket's queue a connection is refused at once.
    let fill = || crate::vm::control::Control::connect(&run_dir);
    let waiting: Vec<_> = std::iter::from_fn(|| fill().ok()).take(10_000).collect();
    assert!(waiting.len() < 10_000);
    scene.engine.counters(uid).expect_err("its queue is full");
    assert!(begun.elapsed() < Duration::from_secs(60));
}

#[test]
fn a_uid_that_exists_is_refused_by_name() {
    let scene = Scene::new();
    let mut vm = manifest();
    let uid = scene.create(&vm);
    vm.metadata.uid = Some(uid);
    vm.metadata.name = "another".into();
    vm.spec.image.oci = "127.0.0.1:9/nowhere".parse().ok();
    let before = fs::read(record_of(&scene.engine, uid)).expect("read");
    let request = crate::CreateRequest::of_manifest(vm, None).expect("valid");
    let cancel = crate::Cancel::new().expect("an eventfd");
    let error = scene
        .engine
        .create(request, &Silent, &cancel)
        .expect_err("taken");
    assert!(
        matches!(&error, Error::UidTaken { name, .. } if name == "web"),
        "{error}"
    );
    assert!(error.hint().expect("a hint").contains("ignite rm -f web"));
    assert_eq!(
        fs::read(record_of(&scene.engine, uid)).expect("read"),
        before
    );
}

fn record_of(engine: &Engine, uid: Uid) -> PathBuf {
    Path::new(&engine.vms.dir(uid)).join("vm.json")
}

#[test]
fn a_manifest_names_image_and_kernel_in_full() {
    let mut vm = manifest();
    vm.spec.kernel.oci = "weaveworks/ignite-kernel:5.10.51".parse().ok();
    let request = crate::CreateRequest::of_manifest(vm.clone(), None).expect("valid");
    assert_eq!(request.image, "docker.io/library/alpine:latest");
    assert_eq!(
        request.kernel.as_deref(),
        Some("weaveworks/ignite-kernel:5.10.51")
    );
    vm.spec.image.oci = None;
    let error = crate::CreateRequest::of_manifest(vm, None).expect_err("no image");
    assert!(error.to_string().contains("spec.image.oci"), "{error}");
}
