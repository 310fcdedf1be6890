use super::*;
use crate::{AttachmentRecord, AttachmentState, ImageChoice, KernelChoice, State};
use ignite_api::{DiskOrigin, IdPrefix, Mac, Name, NetworkPlugin, VmSpec};
use ignite_wire::guest::Process;
use ignite_wire::supervisor::End;
use jiff::Timestamp;

struct Fixture {
    _root: tempfile::TempDir,
    paths: Paths,
    vms: Vms,
}

fn fixture() -> Fixture {
    let root = tempfile::tempdir().expect("tempdir");
    let paths = Paths::under(root.path());
    Fixture {
        vms: Vms::new(&paths),
        _root: root,
        paths,
    }
}

fn vm(name: &str) -> VmRecord {
    let uid = Uid::random();
    VmRecord {
        uid,
        name: name.parse::<Name>().expect("a name"),
        created: Timestamp::UNIX_EPOCH,
        labels: [("a".to_owned(), "b".to_owned())].into(),
        annotations: Default::default(),
        spec: VmSpec::default(),
        id_prefix: IdPrefix::default(),
        container_id: IdPrefix::default().container_id(uid),
        image: ImageChoice {
            uid,
            digest: "sha256:0".into(),
            name: "debian:12".into(),
        },
        kernel: KernelChoice {
            uid,
            version: "6.1.0".into(),
            name: String::new(),
        },
        cmdline: "console=ttyS0".into(),
        disk: DiskOrigin::default(),
        vmm_version: None,
        interfaces: Vec::new(),
        process: Process::Init {
            path: "/sbin/init".into(),
        },
        network_plugin: NetworkPlugin::Cni,
        auto_remove: false,
        managed: None,
        user: None,
        ports_pending: None,
        update_pending: None,
    }
}

fn attachment() -> AttachmentRecord {
    AttachmentRecord {
        network: "ignite-cni-bridge".into(),
        config_file: "/etc/cni/net.d/10-ignite.conflist".into(),
        config: "{ \"cniVersion\": \"0.4.0\" }\n".into(),
        interface: "eth0".into(),
        mac: Mac::random_local(),
        container_id: "ignite-x".into(),
        netns: "/run/netns/ignite-x".into(),
        args: vec![
            ("IgnoreUnknown".into(), "1".into()),
            ("MAC".into(), "02:00:00:00:00:01".into()),
        ],
        capabilities: Default::default(),
        state: AttachmentState::Attached,
        result: Some(serde_json::json!({ "z": 1, "a": [1.50] })),
        addresses: vec!["10.61.0.2/16".parse().expect("valid")],
        gateway: None,
    }
}

#[test]
fn records_are_read_as_they_were_written() {
    let Fixture { vms, paths, _root } = fixture();
    let record = vm("web");
    let lock = vms.create(&record).expect("create");
    assert_eq!(vms.get(record.uid).expect("get"), record);
    assert_eq!(
        lock.status().expect("absent is created").state,
        State::Created
    );
    assert!(lock.network().expect("absent is empty").is_released());

    let network = NetworkRecord {
        attachments: vec![attachment()],
        ..NetworkRecord::default()
    };
    lock.write_network(&network).expect("write");
    assert_eq!(lock.network().expect("read"), network);

    let live = Liveness::try_acquire(&paths, record.uid)
        .expect("acquire")
        .expect("free");
    let status = StatusRecord {
        state: State::Stopped,
        end: Some(End::Halted),
        exit_code: Some(3),
        ..StatusRecord::default()
    };
    lock.write_status(&status, &live).expect("write");
    assert_eq!(vms.status(record.uid).expect("read"), status);
}

#[test]
fn names_and_uids_are_unique() {
    let Fixture { vms, _root, .. } = fixture();
    let record = vm("web");
    let lock = vms.create(&record).expect("create");
    let error = vms.create(&vm("web")).expect_err("taken");
    assert!(
        matches!(&error, Error::NameTaken { uid, .. } if *uid == record.uid),
        "{error}"
    );
    let error = vms
        .create(&VmRecord {
            name: "other".parse().expect("a name"),
            ..record.clone()
        })
        .expect_err("taken");
    assert!(matches!(error, Error::UidTaken { .. }), "{error}");
    // A uid is as good as a name.
    let error = vms.create(&vm(record.uid.as_str())).expect_err("taken");
    assert!(matches!(&error, Error::NameTaken { uid, .. } if *uid == record.uid));
    let (named, other) = (vm("0123456789abcdef"), Uid::random());
    let second = vms.create(&named).expect("a name that is nobody's uid");
    let of_name: Uid = named.name.as_str().parse().expect("a uid");
    let third = VmRecord {
        uid: of_name,
        ..vm("third")
    };
    let error = vms.create(&third).expect_err("a name as uid");
    assert!(matches!(error, Error::UidTaken { uid, .. } if uid == of_name));
    let error = second.rename(record.uid.as_str().parse().expect("a name"));
    assert!(matches!(error, Err(Error::NameTaken { .. })));
    second
        .rename(named.uid.as_str().parse().expect("a name"))
        .expect("its own");
    assert_eq!(vms.resolve(named.uid.as_str()).expect("one"), named.uid);
    assert!(vms.resolve(other.as_str()).is_err());
    second.remove().expect("removed");
    assert_eq!(vms.get(record.uid).expect("unharmed"), record);
    lock.remove().expect("remove");
    vms.create(&vm("web")).expect("free again");
}

#[test]
fn of_many_that_create_one_name_at_once_one_wins() {
    let Fixture { vms, _root, .. } = fixture();
    let won: Vec<bool> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| vms.create(&vm("web")).is_ok()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
}

#[test]
fn removal_leaves_nothing_and_wakes_who_waits() {
    let Fixture { vms, paths, _root } = fixture();
    let record = vm("web");
    let lock = vms.create(&record).expect("create");
    drop(Liveness::try_acquire(&paths, record.uid).expect("acquire"));
    assert!(vms.try_lock(record.uid).expect("try").is_none());
    let waiter = std::thread::spawn({
        let (vms, uid) = (vms.clone(), record.uid);
        move || vms.lock(uid)
    });
    std::thread::sleep(std::time::Duration::from_millis(20));
    lock.remove().expect("remove");
    assert!(
        waiter
            .join()
            .expect("no panic")
            .expect_err("gone")
            .is_not_found()
    );
    assert!(vms.lock(record.uid).expect_err("gone").is_not_found());
    assert!(!paths.vm_run(record.uid).exists());
    assert_eq!(std::fs::read_dir(paths.vms()).expect("list").count(), 0);
}

#[test]
fn a_damaged_record_is_in_nobodys_way() {
    let Fixture { vms, _root, .. } = fixture();
    let (good, bad) = (vm("good"), vm("bad"));
    drop(vms.create(&good).expect("create"));
    drop(vms.create(&bad).expect("create"));
    std::fs::write(vms.dir(bad.uid).join("vm.json"), "{ \"uid\": ").expect("damage");
    let listing = vms.list().expect("list");
    assert_eq!((listing.records.len(), listing.faults.len()), (1, 1));
    let summary = vms.summary().expect("summary");
    assert_eq!(
        (summary.vms.len(), summary.damaged.as_slice()),
        (1, [bad.uid].as_slice())
    );
    assert_eq!(vms.resolve("good").expect("resolve"), good.uid);
    assert_eq!(vms.resolve(bad.uid.as_str()).expect("by uid"), bad.uid);
    vms.lock(bad.uid).expect("lock").remove().expect("remove");
    drop(vms.create(&vm("bad")).expect("the name is free"));
}

#[test]
fn repair_sweeps_halves_and_nothing_else() {
    let Fixture { vms, paths, _root } = fixture();
    let record = vm("web");
    drop(vms.create(&record).expect("create"));
    for half in [".creating-0123456789abcdef", ".removing-0123456789abcdef"] {
        std::fs::create_dir(paths.vms().join(half)).expect("mkdir");
        std::fs::write(paths.vms().join(half).join("vm.json"), "{").expect("write");
    }
    std::fs::create_dir(paths.vms().join("fedcba9876543210")).expect("an empty directory is no VM");
    assert_eq!(
        vms.list().expect("list").records,
        std::slice::from_ref(&record)
    );
    assert!(
        vms.get("0123456789abcdef".parse().expect("a uid"))
            .expect_err("half")
            .is_not_found()
    );
    assert_eq!(vms.halves().expect("a look changes nothing").len(), 2);
    assert_eq!(vms.repair().expect("repair").len(), 2);
    assert_eq!(vms.halves().expect("swept"), [""; 0].map(PathBuf::from));
    assert_eq!(vms.list().expect("list").records, [record]);
}

#[test]
fn a_vm_that_is_being_made_is_nobodys_to_sweep() {
    let Fixture { vms, paths, _root } = fixture();
    let names = || std::fs::read_dir(paths.vms()).expect("list").count();
    let record = vm("slow");
    let begun = vms.begin(record.uid).expect("begun");
    std::fs::write(begun.directory().join("disk"), "half").expect("write");
    // Its disk takes long: others sweep, are made, and cannot take its uid.
    assert_eq!(vms.halves().expect("halves").len(), 0);
    assert_eq!(vms.repair().expect("repair").len(), 0);
    drop(vms.create(&vm("quick")).expect("create"));
    let error = vms.begin(record.uid).expect_err("its uid is taken");
    assert!(matches!(error, Error::UidTaken { .. }), "{error}");
    assert!(vms.get(record.uid).expect_err("not yet").is_not_found());
    let lock = begun.finish::<Error>(&record, || Ok(())).expect("made");
    assert!(lock.dir().join("disk").exists());

    // One that is dropped is gone, and so is one that is refused.
    drop(vms.begin(Uid::random()).expect("begun"));
    let other = vm("slow");
    let begun = vms.begin(other.uid).expect("begun");
    let error = begun
        .finish::<Error>(&other, || Ok(()))
        .expect_err("its name is taken");
    assert!(matches!(error, Error::NameTaken { .. }), "{error}");
    assert_eq!(names(), 2);
}

#[test]
fn the_summary_follows_every_record() {
    let Fixture { vms, paths, _root } = fixture();
    let records: Vec<VmRecord> = (0..20).map(|number| vm(&format!("vm-{number}"))).collect();
    for record in &records {
        drop(vms.create(record).expect("create"));
    }
    std::thread::sleep(std::time::Duration::from_millis(150));
    let before = vms.summary().expect("summary").vms;
    assert!(paths.vms().join("index").exists());
    assert_eq!(vms.summary().expect("from the index").vms, before);

    let lock = vms.lock(records[0].uid).expect("lock");
    let live = Liveness::try_acquire(&paths, records[0].uid)
        .expect("acquire")
        .expect("free");
    lock.write_network(&NetworkRecord {
        attachments: vec![attachment()],
        ..NetworkRecord::default()
    })
    .expect("write");
    lock.write_status(
        &StatusRecord {
            state: State::Running,
            ..StatusRecord::default()
        },
        &live,
    )
    .expect("write");
    let seen = |vms: &Vms| {
        vms.summary()
            .expect("summary")
            .vms
            .into_iter()
            .find(|vm| vm.uid == records[0].uid)
            .expect("there")
    };
    assert_eq!(
        (seen(&vms).state, seen(&vms).addresses.len()),
        (State::Running, 1)
    );
    drop(live);
    assert_eq!(
        (seen(&vms).state, seen(&vms).end),
        (State::Stopped, Some(End::Lost)),
        "the supervisor vanished"
    );
    lock.remove().expect("remove");
    assert_eq!(vms.summary().expect("summary").vms.len(), 19);
}

/// Changes that follow each other within one time stamp are never missed.
#[test]
fn the_summary_is_never_behind() {
    let Fixture { vms, _root, .. } = fixture();
    let mut record = vm("web");
    let lock = vms.create(&record).expect("create");
    for number in 0..40 {
        drop(vms.create(&vm(&format!("vm-{number}"))).expect("create"));
    }
    for cpus in 2..50 {
        record.spec.cpus = cpus;
        lock.write_record(&record).expect("write");
        let seen = vms
            .summary()
            .expect("summary")
            .vms
            .into_iter()
            .find(|vm| vm.uid == record.uid)
            .expect("there");
        assert_eq!(seen.cpus, cpus);
    }
}
