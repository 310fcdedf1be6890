//! Whole lives.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ignite_host::link::Netlink;
use ignite_host::netns::Namespace;
use ignite_host::process::Status;
use ignite_host::tap::{self, Tap as HostTap};
use ignite_vmm::{Agent, Confinement, Driver, Nic, Reason, Report, Request, Tap};
use ignite_wire::agent::{Decoder, Frame, Message, PowerAction, VERSION};

use super::place::{PATIENCE, Place, exists, look_until, wait_for_console, wait_for_end};

/// The supervisor's side of the agent.
pub struct Link {
    stream: UnixStream,
    decoder: Decoder,
}

impl Link {
    pub fn accept(driver: &Driver) -> Self {
        let Agent::Listener(listener) = driver.agent().expect("a listener") else {
            panic!("Firecracker's agents arrive");
        };
        let deadline = Instant::now() + PATIENCE;
        loop {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
                    let decoder = Decoder::new();
                    return Self { stream, decoder };
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
            assert!(Instant::now() < deadline, "no agent came");
            sleep(Duration::from_millis(2));
        }
    }

    pub fn hear(&mut self) -> Message {
        loop {
            if let Some(frame) = self.decoder.next().expect("frames") {
                return frame.message;
            }
            let mut buffer = [0; 1024];
            let length = self.stream.read(&mut buffer).expect("in time");
            assert!(length > 0, "the agent closed");
            self.decoder.push(&buffer[..length]);
        }
    }

    pub fn say(&mut self, message: Message) {
        let mut bytes = Vec::new();
        Frame::link(message).encode(&mut bytes).expect("small");
        self.stream.write_all(&bytes).expect("room");
    }
}

#[test]
fn a_guest_lives_and_powers_itself_off_by_a_reset() {
    let place = Place::new("");
    let mut driver = place.start(Vec::new()).expect("it starts");
    assert!(!place.left().contains(&"initramfs".to_owned()), "read");
    let said = wait_for_console(&driver, "stand-in: up");
    assert!(!said.contains("INFO"), "the VMM's log: {said}");
    driver.console().write_all(b"hello\n").expect("room");
    wait_for_console(&driver, "hello");
    let mut link = Link::accept(&driver);
    let hello = Message::Hello {
        version: VERSION,
        token: b"t0ken".to_vec(),
    };
    assert_eq!(link.hear(), hello);
    assert_eq!(link.hear(), Message::Ready);
    driver.pause();
    driver.resume();
    driver.limit_disk(0, None);
    driver.limit_disk(7, None);
    driver.count();
    let reports = look_until(&mut driver, |reports| reports.len() >= 4);
    assert_eq!(
        reports[..3],
        [
            Report::Answer(Request::Pause, Ok(())),
            Report::Answer(Request::Resume, Ok(())),
            Report::Answer(Request::LimitDisk, Ok(())),
        ]
    );
    let Report::Answer(Request::LimitDisk, Err(fault)) = &reports[3] else {
        panic!("{reports:?}");
    };
    assert!(fault.contains("disk7"), "{fault}");
    link.say(Message::Shutdown { grace_ms: 1000 });
    let action = PowerAction::PowerOff;
    assert_eq!(link.hear(), Message::Going { action });
    let (status, reports) = wait_for_end(&mut driver);
    assert_eq!(status, Status::Code(0));
    assert_eq!(reports, [Report::Shutdown(Reason::GuestReset)]);
    let counters = driver.counters().expect("counted");
    // At the start, when asked, and at the end.
    assert_eq!((counters.disk_reads, counters.exits), (3, 30));
    drop(driver);
    assert_eq!(place.left(), [""; 0]);
}

/// What the balloon holds, as soon as that is told.
fn told_of_balloon(driver: &mut Driver) -> Report {
    driver.count();
    let told = |report: &Report| matches!(report, Report::Balloon { .. });
    let reports = look_until(driver, |reports| reports.iter().any(told));
    reports.into_iter().find(told).expect("it was just there")
}

#[test]
fn a_balloon_changes_once_the_guest_has_its_driver() {
    let mut place = Place::new("");
    place.machine.balloon = Some(64 << 20);
    place.machine.cmdline = "standin.late".to_owned();
    let mut driver = place.start(Vec::new()).expect("it starts");
    driver.inflate(32 << 20);
    let reports = look_until(&mut driver, |reports| !reports.is_empty());
    let Report::Answer(Request::Inflate, Err(fault)) = &reports[0] else {
        panic!("{reports:?}");
    };
    assert!(fault.contains("not activated"), "{fault}");
    assert_eq!(told_of_balloon(&mut driver), Report::Balloon { bytes: 0 });
    driver.power_button();
    // What was asked is sent when looked at.
    look_until(&mut driver, |_| true);
    wait_for_console(&driver, "stand-in: up");
    let bytes = 64 << 20;
    assert_eq!(told_of_balloon(&mut driver), Report::Balloon { bytes });
    driver.inflate(0);
    let reports = look_until(&mut driver, |reports| !reports.is_empty());
    assert_eq!(reports, [Report::Answer(Request::Inflate, Ok(()))]);
    assert_eq!(told_of_balloon(&mut driver), Report::Balloon { bytes: 0 });
    driver.quit();
    wait_for_end(&mut driver);
}

#[test]
fn a_confined_guest_lives_as_well() {
    const USER: u32 = 2_080_374_784;
    let mut place = Place::new("");
    // A shell is not in the room.
    place.machine.program = env!("CARGO_BIN_EXE_stand-in-firecracker").into();
    with_tap(Some(USER), |netlink, nic| {
        let confinement = Confinement {
            user: USER,
            tasks: 100,
            file_bytes: 1 << 30,
            cgroups: Vec::new(),
            jailer: None,
        };
        let started = place.start_as(vec![nic], Some(confinement));
        let mut driver = started.expect("it starts");
        let status = format!("/proc/{}/status", driver.process().pid());
        let status = std::fs::read_to_string(status).expect("it runs");
        assert!(status.contains(&format!("Uid:\t{USER}\t")), "{status}");
        let mut link = Link::accept(&driver);
        assert!(matches!(link.hear(), Message::Hello { .. }));
        assert_eq!(link.hear(), Message::Ready);
        assert_eq!(place.left(), [""; 0], "all is in the room");
        link.say(Message::Shutdown { grace_ms: 1000 });
        let (status, reports) = wait_for_end(&mut driver);
        assert_eq!(status, Status::Code(0));
        assert_eq!(reports, [Report::Shutdown(Reason::GuestReset)]);
        let tap = netlink.link("tap0").expect("links").expect("it stays");
        netlink.delete(tap.index).expect("deleted");
    });
}

#[test]
fn a_guest_without_an_agent_hears_ctrl_alt_del() {
    let mut place = Place::new("");
    place.machine.cmdline = "standin.silent".to_owned();
    let mut driver = place.start(Vec::new()).expect("it starts");
    driver.power_button();
    look_until(&mut driver, |_| true);
    let (status, reports) = wait_for_end(&mut driver);
    assert_eq!(status, Status::Code(0));
    assert_eq!(reports, [Report::Shutdown(Reason::GuestReset)]);
}

#[test]
fn one_that_is_asked_to_quit_is_gone_and_leaves_nothing() {
    let place = Place::new("");
    let mut driver = place.start(Vec::new()).expect("it starts");
    driver.pause();
    driver.quit();
    let (status, reports) = wait_for_end(&mut driver);
    assert_eq!(status, Status::Signal(9));
    assert_eq!(reports.last(), Some(&Report::Shutdown(Reason::Quit)));
    drop(driver);
    assert_eq!(place.left(), [""; 0]);
}

#[test]
fn the_log_tells_what_the_code_does_not() {
    for (fate, code, words) in [
        ("standin.breaks", 0, "KVM_EXIT_INTERNAL_ERROR"),
        ("standin.dies", 148, "system call filter"),
    ] {
        let mut place = Place::new("");
        place.machine.cmdline = fate.to_owned();
        let mut driver = place.start(Vec::new()).expect("it starts");
        let (status, reports) = wait_for_end(&mut driver);
        assert_eq!(status, Status::Code(code), "{fate}");
        let Some(Report::Broken { message }) = reports.last() else {
            panic!("{fate}: {reports:?}");
        };
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn what_another_run_left_does_not_hinder() {
    let place = Place::new("");
    let mut driver = place.start(Vec::new()).expect("it starts");
    driver.kill().expect("it runs");
    wait_for_end(&mut driver);
    // As after a supervisor that was killed.
    std::mem::forget(driver);
    assert!(exists(&place.work().join("api.sock")) && exists(&place.work().join("vsock.sock")));
    let mut driver = place.start(Vec::new()).expect("it starts again");
    driver.quit();
    wait_for_end(&mut driver);
}

#[test]
fn a_request_that_is_not_answered_keeps_nobody_waiting() {
    let place = Place::new("--fault 'PATCH /vm=hang'");
    let mut driver = place.start(Vec::new()).expect("it starts");
    driver.pause();
    driver.resume();
    let begun = Instant::now();
    assert_eq!(look_until(&mut driver, |_| true), []);
    assert!(begun.elapsed() < Duration::from_secs(5), "it waited");
    let reports = look_until(&mut driver, |reports| reports.len() >= 3);
    let refused = |report: &Report, asked| matches!(report, Report::Answer(request, Err(_)) if *request == asked);
    assert!(
        matches!(&reports[0], Report::Refused { message } if message.contains("did not answer"))
    );
    assert!(refused(&reports[1], Request::Pause) && refused(&reports[2], Request::Resume));
    // Given up: what is asked for now is refused at once.
    driver.pause();
    assert!(driver.deadline().is_some());
    let reports = look_until(&mut driver, |reports| !reports.is_empty());
    assert!(refused(&reports[0], Request::Pause));
    driver.quit();
    wait_for_end(&mut driver);
}

/// Runs in a namespace of its own with a tap for a VMM to open.
pub fn with_tap(user: Option<u32>, work: impl FnOnce(&Netlink, Nic) + Send) {
    let namespace = Namespace::anonymous().expect("root makes namespaces");
    namespace
        .run(|| {
            let netlink = Netlink::open().expect("netlink");
            let tap = HostTap::create("tap0").expect("a tap");
            let index = tap.index();
            tap::leave(&tap.into_fd(), "tap0", user).expect("left");
            let nic = Nic {
                tap: Tap::Named {
                    name: "tap0".to_owned(),
                    index,
                },
                mac: "02:00:00:00:00:01".to_owned(),
                mtu: 1500,
            };
            work(&netlink, nic);
        })
        .expect("a thread");
}

#[test]
fn a_tap_is_opened_by_its_name() {
    let place = Place::new("");
    with_tap(None, |netlink, nic| {
        let mut driver = place.start(vec![nic]).expect("it starts");
        assert!(tap::open("tap0").is_err(), "the VMM has it");
        driver.quit();
        wait_for_end(&mut driver);
        let tap = netlink.link("tap0").expect("links").expect("it stays");
        netlink.delete(tap.index).expect("deleted");
    });
}

#[test]
fn a_tap_of_the_vmms_own_making_is_found_out() {
    let place = Place::new("");
    with_tap(None, |netlink, nic| {
        let tap = netlink.link("tap0").expect("links").expect("there");
        netlink.delete(tap.index).expect("deleted");
        let error = place.start(vec![nic]).expect_err("another tap");
        assert!(error.to_string().contains("not the one"), "{error}");
        assert_eq!(netlink.link("tap0").expect("links"), None);
    });
}

#[test]
fn a_tap_that_is_busy_is_refused() {
    let place = Place::new("");
    with_tap(None, |_, nic| {
        let _busy = tap::open("tap0").expect("free");
        let error = place.start(vec![nic]).expect_err("busy");
        assert!(error.to_string().contains("network interface 0"), "{error}");
    });
}
