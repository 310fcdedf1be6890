//! Published ports that change.

use ignite_host::fs::Lock;
use ignite_store::PortsPending;

use super::*;

#[test]
fn ports_of_a_running_vm_change_by_the_plugin_that_publishes() {
    let scene = Scene::new();
    let [stays, old, new] = free_ports();
    let uid = scene.create(&with_ports(&[stays, old]));
    let _live = scene.run(uid, &scene.network(true));
    let wanted = with_ports(&[stays, new]);
    let updated = scene.engine.update(uid, &wanted, &Silent).expect("done");
    assert_eq!((updated.changes.len(), updated.needs_restart), (1, false));
    let expected = [
        format!("DEL {stays} {old} {new}"),
        format!("ADD {stays} {new}"),
    ];
    assert_eq!(scene.calls("publisher"), expected);
    assert!(scene.calls("maker").is_empty());
    assert_eq!(scene.ports(uid), [stays, new]);
    assert_eq!(scene.published(uid), [u64::from(stays), u64::from(new)]);
    let again = scene
        .engine
        .update(uid, &wanted, &Silent)
        .expect("nothing to do");
    assert_eq!(
        (again, scene.calls("publisher").len()),
        (Updated::default(), 2)
    );
}

#[test]
fn a_port_of_another_changes_nothing_but_the_rest() {
    let scene = Scene::new();
    let [own, taken] = free_ports();
    let (uid, other) = (scene.create(&with_ports(&[own])), {
        let mut vm = with_ports(&[taken]);
        vm.metadata.name = "other".into();
        scene.create(&vm)
    });
    let _live = (
        scene.run(uid, &scene.network(true)),
        scene.run(other, &scene.network(true)),
    );
    let mut wanted = with_ports(&[own, taken]);
    wanted.metadata.labels.insert("app".into(), "web".into());
    let error = scene
        .engine
        .update(uid, &wanted, &Silent)
        .expect_err("taken");
    assert!(
        error.to_string().contains("published by VM other"),
        "{error}"
    );
    assert_eq!(
        (scene.ports(uid), scene.calls("publisher").len()),
        (vec![own], 0)
    );
    let left = scene.engine.difference(uid, &wanted).expect("compared");
    assert_eq!(left.in_place.len(), 1, "the label is there: {left:?}");
}

#[test]
fn what_is_refused_is_undone_and_tried_again() {
    let scene = Scene::new();
    let [old, new] = free_ports();
    let uid = scene.create(&with_ports(&[old]));
    let _live = scene.run(uid, &scene.network(true));
    let wanted = with_ports(&[new]);
    scene.refuse(&new.to_string());
    scene
        .engine
        .update(uid, &wanted, &Silent)
        .expect_err("refused");
    assert_eq!(
        (scene.ports(uid), scene.published(uid)),
        (vec![old], vec![u64::from(old)])
    );
    assert_eq!(scene.calls("publisher").last(), Some(&format!("ADD {old}")));

    // Neither: then both stay the VM's, until it comes right.
    scene.refuse(&format!("{old} {new}"));
    scene
        .engine
        .update(uid, &wanted, &Silent)
        .expect_err("refused");
    assert_eq!(scene.ports(uid), [new, old]);
    assert!(
        !scene
            .engine
            .difference(uid, &wanted)
            .expect("compared")
            .in_place
            .is_empty()
    );
    scene.refuse("");
    scene.engine.update(uid, &wanted, &Silent).expect("done");
    assert_eq!(
        (scene.ports(uid), scene.published(uid)),
        (vec![new], vec![u64::from(new)])
    );
    assert_eq!(
        scene.engine.difference(uid, &wanted).expect("compared"),
        Difference::default()
    );
}

#[test]
fn an_update_cut_off_is_seen_and_finished() {
    let scene = Scene::new();
    let [old, new] = free_ports();
    let uid = scene.create(&with_ports(&[old]));
    let _live = scene.run(uid, &scene.network(true));
    // Recorded, and no further: nothing of `vm.json` differs from the manifest but this.
    let lock = scene.engine.vms.lock(uid).expect("its lock");
    let mut record = lock.record().expect("read");
    record.spec.network.ports = with_ports(&[old, new]).spec.network.ports;
    record.ports_pending = Some(PortsPending {
        since: Timestamp::UNIX_EPOCH,
        next_start: None,
    });
    lock.write_record(&record).expect("written");
    drop(lock);
    let wanted = with_ports(&[old, new]);
    assert_eq!(
        scene
            .engine
            .difference(uid, &wanted)
            .expect("compared")
            .in_place
            .len(),
        1
    );
    scene
        .engine
        .update(uid, &wanted, &Silent)
        .expect("finished");
    assert_eq!(scene.published(uid), [u64::from(old), u64::from(new)]);
    assert_eq!(
        scene.engine.difference(uid, &wanted).expect("compared"),
        Difference::default()
    );
}

#[test]
fn a_network_that_cannot_change_says_so_or_waits_for_a_start() {
    let scene = Scene::new();
    let [old, new] = free_ports();
    let uid = scene.create(&with_ports(&[old]));
    let _live = scene.run(uid, &scene.network(false));
    let wanted = with_ports(&[new]);
    let directory = &scene.engine.config.paths.cni_conf;
    fs::create_dir_all(directory).expect("made");
    let file = directory.join("10-lan.conflist");
    fs::write(&file, scene.network(false)).expect("written");
    let error = scene
        .engine
        .update(uid, &wanted, &Silent)
        .expect_err("no plugin publishes");
    assert!(error.hint().expect("a hint").contains("portmap"), "{error}");
    assert_eq!(scene.ports(uid), [old]);

    // Its file was mended since the VM was started.
    fs::write(&file, scene.network(true)).expect("written");
    let updated = scene.engine.update(uid, &wanted, &Silent);
    assert!(updated.expect("recorded").needs_restart);
    let difference = scene.engine.difference(uid, &wanted).expect("compared");
    let restart = Difference {
        restart: true,
        ..Difference::default()
    };
    assert_eq!(difference, restart, "nothing is left but the start");
    let again = scene.engine.update(uid, &wanted, &Silent);
    assert_eq!(again.expect("nothing to do"), Updated::default());
    assert_eq!(scene.calls("publisher").len(), 0);

    // The run has its former port still.
    let mut other = with_ports(&[old]);
    other.metadata.name = "other".into();
    let other = scene.engine.vms.get(scene.create(&other)).expect("read");
    let error = scene.engine.free_ports(&other, &[], &Silent);
    let error = error.expect_err("it is published").to_string();
    assert!(error.contains("published by VM web"), "{error}");
    let mut record = scene.engine.vms.get(uid).expect("read");
    assert!(record.settle_ports());
    assert_eq!(record.spec.network.ports, wanted.spec.network.ports);
}

#[test]
fn a_port_is_widened_though_the_vm_has_it() {
    let scene = Scene::new();
    // As Docker's proxy does.
    let proxy = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = proxy.local_addr().expect("bound").port();
    let mut vm = manifest();
    vm.spec.network.ports = mappings(&[&format!("127.0.0.1:{port}:80")]);
    let uid = scene.create(&vm);
    let _live = scene.run(uid, &scene.network(true));
    vm.spec.network.ports = mappings(&[&format!("{port}:80")]);
    scene
        .engine
        .update(uid, &vm, &Silent)
        .expect("its own port");
    assert_eq!(scene.published(uid), [u64::from(port)]);
}

#[test]
fn a_vm_that_does_not_run_has_its_ports_at_once() {
    let scene = Scene::new();
    let uid = scene.create(&with_ports(&[8080]));
    // Whoever has it: its start will tell.
    let held = Lock::exclusive(&scene.engine.config.paths.run.join("ports.lock"));
    let _held = held.expect("free");
    let updated = scene
        .engine
        .update(uid, &with_ports(&[9090]), &Silent)
        .expect("done");
    assert_eq!(
        (updated.needs_restart, scene.ports(uid)),
        (false, vec![9090])
    );
}
