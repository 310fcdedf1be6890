//! Rates of a VM that runs, and of one that does not.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

use ignite_wire::agent::{Decoder, Frame, Limits, Message};

use super::*;

impl Scene {
    /// A supervisor that answers one request so; what it was asked for.
    pub(super) fn supervisor(&self, uid: Uid, answer: Message) -> JoinHandle<Message> {
        let directory = self.engine.config.paths.vm_run(uid);
        fs::create_dir_all(&directory).expect("made");
        let listener = UnixListener::bind(directory.join("control.sock")).expect("bound");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut decoder = Decoder::new();
            let asked = loop {
                if let Some(frame) = decoder.next().expect("a frame") {
                    break frame.message;
                }
                let mut buffer = [0; 1024];
                let length = stream.read(&mut buffer).expect("bytes");
                assert_ne!(length, 0, "it was not asked");
                decoder.push(&buffer[..length]);
            };
            let mut bytes = Vec::new();
            Frame::link(answer).encode(&mut bytes).expect("short");
            stream.write_all(&bytes).expect("taken");
            asked
        })
    }

    /// Whether it is recorded that a run may have others.
    fn pending(&self, uid: Uid) -> Option<Timestamp> {
        self.engine.vms.get(uid).expect("read").update_pending
    }

    fn rates(&self, uid: Uid) -> (Option<String>, Option<String>) {
        let spec = self.engine.vms.get(uid).expect("read").spec;
        (
            spec.network.rate.map(|rate| rate.to_string()),
            spec.disk_rate.map(|rate| rate.to_string()),
        )
    }
}

fn limited() -> Vm {
    let mut vm = manifest();
    vm.spec.network.rate = Some("8Mbit".parse().expect("a rate"));
    vm.spec.disk_rate = Some("50MB".parse().expect("a rate"));
    vm
}

const BOTH: (&str, &str) = ("8Mbit", "50MB");

fn both() -> (Option<String>, Option<String>) {
    (Some(BOTH.0.to_owned()), Some(BOTH.1.to_owned()))
}

#[test]
fn a_vm_that_does_not_run_has_them_from_its_next_start_on() {
    let scene = Scene::new();
    let uid = scene.create(&manifest());
    let updated = scene.engine.update(uid, &limited(), &Silent);
    assert_eq!(updated.expect("recorded").changes.len(), 2);
    assert_eq!(scene.rates(uid), both());
    let again = scene.engine.update(uid, &limited(), &Silent);
    assert_eq!(again.expect("nothing to do"), Updated::default());
}

#[test]
fn a_vm_that_runs_has_them_at_once() {
    let scene = Scene::new();
    let uid = scene.create(&manifest());
    let _live = scene.run(uid, &scene.network(true));
    let supervisor = scene.supervisor(uid, Message::Done { changed: true });
    assert_eq!(scene.pending(uid), None);
    let updated = scene.engine.update(uid, &limited(), &Silent);
    assert!(!updated.expect("changed").needs_restart);
    let Message::Limit(Limits { interfaces, disk }) = supervisor.join().expect("asked") else {
        panic!("another request");
    };
    assert_eq!(interfaces["eth0"].bytes_per_second, 1_000_000);
    assert_eq!(disk.expect("a rate").bytes_per_second, 50 << 20);
    assert_eq!(scene.rates(uid), both());
    assert_eq!(scene.pending(uid), None);
}

/// A VM that runs, and was asked for rates by somebody who was killed before he recorded them.
fn cut_off(scene: &Scene) -> (Uid, Liveness) {
    let uid = scene.create(&manifest());
    let live = scene.run(uid, &scene.network(true));
    let lock = scene.engine.vms.lock(uid).expect("its lock");
    let mut record = lock.record().expect("its record");
    record.update_pending = lock.status().expect("its status").started;
    lock.write_record(&record).expect("written");
    assert!(record.update_pending.is_some());
    (uid, live)
}

#[test]
fn after_a_change_that_was_cut_off_the_vm_has_those_of_its_record() {
    type Look = fn(&Scene, Uid);
    let looks: [Look; 3] = [
        |scene, uid| drop(scene.engine.inspect(uid.as_str()).expect("a VM")),
        |scene, uid| {
            let tell = |_, done: Result<(), Error>| done.expect("it lives");
            scene.engine.recover(&tell).expect("a list");
            assert_eq!(scene.rates(uid), (None, None));
        },
        |scene, uid| {
            let vm = manifest();
            let difference = scene.engine.difference(uid, &vm).expect("records");
            assert_eq!(difference.in_place.len(), 1, "{difference:?}");
            let updated = scene.engine.update(uid, &vm, &Silent).expect("changed");
            assert!(!updated.needs_restart);
        },
    ];
    for look in looks {
        let scene = Scene::new();
        let (uid, _live) = cut_off(&scene);
        let supervisor = scene.supervisor(uid, Message::Done { changed: true });
        look(&scene, uid);
        let asked = supervisor.join().expect("asked");
        assert_eq!(asked, Message::Limit(Limits::default()));
        assert_eq!((scene.rates(uid), scene.pending(uid)), ((None, None), None));
    }
}

#[test]
fn a_vm_that_does_not_say_what_it_did_is_asked_again() {
    let scene = Scene::new();
    let uid = scene.create(&manifest());
    let _live = scene.run(uid, &scene.network(true));
    // Nobody listens.
    let updated = scene.engine.update(uid, &limited(), &Silent);
    let error = updated.expect_err("no answer");
    assert!(matches!(error, Error::RatesNotChanged { .. }), "{error}");
    assert!(scene.pending(uid).is_some(), "nobody knows what it did");
    scene.engine.inspect(uid.as_str()).expect("all the same");
    assert!(scene.pending(uid).is_some());
    let refusal = Message::Error {
        message: "busy".into(),
        hint: None,
    };
    let supervisor = scene.supervisor(uid, refusal);
    scene.engine.inspect(uid.as_str()).expect("all the same");
    supervisor.join().expect("asked");
    assert!(scene.pending(uid).is_some(), "what it had is not known");
}

#[test]
fn another_run_has_what_is_recorded() {
    let scene = Scene::new();
    let (uid, live) = cut_off(&scene);
    let lock = scene.engine.vms.lock(uid).expect("its lock");
    let status = StatusRecord {
        started: Some(Timestamp::UNIX_EPOCH + std::time::Duration::from_secs(1)),
        ..lock.status().expect("its status")
    };
    lock.write_status(&status, &live).expect("written");
    let difference = scene.engine.difference(uid, &manifest()).expect("records");
    assert_eq!(difference.in_place, []);
}

#[test]
fn what_the_running_vm_refuses_is_not_recorded_and_holds_nothing_else_up() {
    let scene = Scene::new();
    let uid = scene.create(&manifest());
    let _live = scene.run(uid, &scene.network(true));
    let refusal = Message::Error {
        message: "no such disk".into(),
        hint: Some("look for it".into()),
    };
    let supervisor = scene.supervisor(uid, refusal);
    let mut vm = limited();
    vm.metadata.labels.insert("app".into(), "web".into());
    let error = scene.engine.update(uid, &vm, &Silent).expect_err("refused");
    supervisor.join().expect("asked");
    assert!(matches!(error, Error::RatesNotChanged { .. }), "{error}");
    assert_eq!(error.hint().as_deref(), Some("look for it"));
    assert_eq!(scene.rates(uid), (None, None));
    let record = scene.engine.vms.get(uid).expect("read");
    assert_eq!(record.labels["app"], "web");
}

/// A supervisor that knows of nothing but how its VM is.
fn earlier(scene: &Scene, uid: Uid) {
    let directory = scene.engine.config.paths.vm_run(uid);
    let listener = UnixListener::bind(directory.join("control.sock")).expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a client");
            let mut buffer = [0; 1024];
            let length = stream.read(&mut buffer).expect("bytes");
            let mut decoder = Decoder::new();
            decoder.push(&buffer[..length]);
            let asked = decoder.next().expect("a frame").expect("whole").message;
            if asked == Message::Status {
                let mut bytes = Vec::new();
                let answer = Message::StatusReply(ignite_wire::agent::SupervisorStatus::default());
                Frame::link(answer).encode(&mut bytes).expect("short");
                stream.write_all(&bytes).expect("taken");
            }
        }
    });
}

#[test]
fn a_supervisor_of_an_earlier_version_is_told_from_a_vm_that_ended() {
    let scene = Scene::new();
    let uid = scene.create(&manifest());
    let _live = scene.run(uid, &scene.network(true));
    earlier(&scene, uid);
    let paused = scene.engine.pause(uid.as_str()).expect_err("unknown");
    assert!(paused.to_string().contains("earlier version"), "{paused}");
    assert!(paused.hint().expect("a hint").contains("ignite stop"));
    let limited = scene.engine.update(uid, &limited(), &Silent);
    let hint = limited.expect_err("unknown").hint();
    assert!(hint.expect("a hint").contains("ignite stop"));
}
