//! Every step of a start fails in every way: the error names the step, and nothing is left.

use ignite_testkit::firecracker::Kind;

use ignite_host::process::Status;
use ignite_host::tap;
use ignite_vmm::{Confinement, Driver, Nic, Report, Request};

use super::life::with_tap;
use super::place::{Place, look_until, wait_for_end};

/// The request that wants a tap.
const NETWORK: &str = "PUT /network-interfaces/net0";

/// The requests of a start, with what the error calls them.
const STEPS: [(&str, &str); 11] = [
    ("GET /version", "ask Firecracker for its version"),
    ("PUT /metrics", "have Firecracker write metrics"),
    ("PUT /machine-config", "the machine's size"),
    ("PUT /boot-source", "the kernel"),
    ("PUT /drives/disk0", "disk 0"),
    ("PUT /drives/disk1", "disk 1"),
    (NETWORK, "network interface 0"),
    ("PUT /vsock", "the agent's socket"),
    ("PUT /entropy", "random numbers"),
    ("PUT /balloon", "the balloon"),
    ("PUT /actions", "start the guest"),
];

/// What the error says of each kind; nothing where there is none.
fn words(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Refuse => Some("is refused (code 400)"),
        Kind::Broken => Some("dropped"),
        Kind::Busy => Some("Too many open connections (code 503)"),
        Kind::Hang | Kind::Half => Some("did not answer within 10 s"),
        Kind::Die => Some("ended with exit code 1"),
        Kind::Close => Some("closed the connection"),
        Kind::Garbage | Kind::Chunked => Some("does not speak its protocol"),
        Kind::Slow => None,
    }
}

/// Fails at this step in this way.
fn fails(at: &str, step: &str, name: &str, kind: Kind) {
    if at != NETWORK {
        return fails_with(Vec::new(), at, step, name, kind);
    }
    with_tap(None, |netlink, nic| {
        fails_with(vec![nic], at, step, name, kind);
        let tap = netlink.link("tap0").expect("links").expect("it stays");
        netlink.delete(tap.index).expect("nobody holds it");
    });
}

fn fails_with(nics: Vec<Nic>, at: &str, step: &str, name: &str, kind: Kind) {
    let mut place = Place::new(&format!("--fault '{at}={name}'"));
    place.machine.balloon = Some(64 << 20);
    let started = place.start(nics);
    match (words(kind), started) {
        (None, Ok(mut driver)) => {
            driver.quit();
            driver.process().wait().expect("our child");
        }
        (Some(words), Err(error)) => {
            let text = error.to_string();
            assert!(text.contains(words), "{at} {name}: {text}");
            assert!(text.contains(step), "{at} {name}: {text}");
        }
        (_, started) => panic!("{at} {name}: {started:?}"),
    }
    assert_eq!(place.left(), [""; 0], "{at} {name}");
    assert_eq!(place.processes(), [""; 0], "{at} {name}");
}

#[test]
fn each_step_fails_in_each_way() {
    // Those that wait do so beside each other; a VMM dies with the thread that started it.
    std::thread::scope(|scope| {
        for (at, step) in STEPS {
            for (name, kind) in Kind::ALL {
                scope.spawn(move || fails(at, step, name, kind));
            }
        }
    });
}

/// Asks for something.
type Ask = fn(&mut Driver);

/// What is asked of a running VMM, and what is reported of that.
const LATER: [(&str, Ask, Option<Request>); 5] = [
    ("PATCH /vm", Driver::pause, Some(Request::Pause)),
    ("PATCH /drives/disk0", limit, Some(Request::LimitDisk)),
    ("PATCH /balloon", empty, Some(Request::Inflate)),
    ("PUT /actions FlushMetrics", Driver::count, None),
    ("PUT /actions SendCtrlAltDel", Driver::power_button, None),
];

fn limit(driver: &mut Driver) {
    driver.limit_disk(0, None);
}

fn empty(driver: &mut Driver) {
    driver.inflate(0);
}

/// Whoever asked hears that it is not done, once, and the VMM is told from one that answers.
fn breaks_later(at: &str, ask: Ask, asked: Option<Request>, name: &str) {
    let place = Place::new(&format!("--fault '{at}={name}'"));
    let mut driver = place.start(Vec::new()).expect("it starts");
    ask(&mut driver);
    let told = |report: &Report| matches!(report, Report::Refused { .. });
    let reports = if name == "die" {
        // What was asked is sent when looked at.
        let mut reports = look_until(&mut driver, |_| true);
        let (status, last) = wait_for_end(&mut driver);
        assert_eq!(status, Status::Code(1), "{at}");
        reports.extend(last);
        reports
    } else {
        let reports = look_until(&mut driver, |reports| reports.iter().any(told));
        driver.quit();
        wait_for_end(&mut driver);
        reports
    };
    let refused = |report: &&Report| matches!(report, Report::Answer(request, Err(_)) if Some(*request) == asked);
    let answers = reports.iter().filter(refused).count();
    assert_eq!(
        answers,
        usize::from(asked.is_some()),
        "{at} {name}: {reports:?}"
    );
    let done = |report: &Report| matches!(report, Report::Answer(_, Ok(())));
    assert!(!reports.iter().any(done), "{at} {name}: {reports:?}");
    drop(driver);
    assert_eq!(place.left(), [""; 0], "{at} {name}");
    assert_eq!(place.processes(), [""; 0], "{at} {name}");
}

#[test]
fn what_is_asked_later_fails_in_each_way() {
    std::thread::scope(|scope| {
        for (at, ask, asked) in LATER {
            for name in ["die", "half", "garbage"] {
                scope.spawn(move || breaks_later(at, ask, asked, name));
            }
        }
    });
}

/// No account's.
const USER: u32 = 2_080_374_786;

#[test]
fn a_confined_start_that_fails_leaves_nothing() {
    for (fault, step) in [
        ("no kernel", "start the guest"),
        ("no tap", "network interface 0"),
    ] {
        let mut place = Place::new("");
        // A shell is not in the room.
        place.machine.program = env!("CARGO_BIN_EXE_stand-in-firecracker").into();
        if fault == "no kernel" {
            std::fs::write(&place.machine.kernel, "MZ no kernel").expect("write");
        }
        with_tap(Some(USER), |netlink, nic| {
            let busy = (fault == "no tap").then(|| tap::open("tap0").expect("free"));
            let confinement = Confinement {
                user: USER,
                tasks: 100,
                file_bytes: 64 << 20,
                jailer: None,
                cgroups: Vec::new(),
            };
            let error = place
                .start_as(vec![nic], Some(confinement))
                .expect_err("it fails");
            assert!(error.to_string().contains(step), "{fault}: {error}");
            assert_eq!(place.left(), [""; 0], "{fault}");
            assert_eq!(place.processes(), [""; 0], "{fault}");
            let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mounts");
            let work = place.work().display().to_string();
            assert!(!mounts.contains(&work), "{fault}: {mounts}");
            drop(busy);
            let tap = netlink.link("tap0").expect("links").expect("it stays");
            netlink.delete(tap.index).expect("nobody holds it");
        });
    }
}

fn refusal(place: &Place) -> ignite_vmm::Error {
    let error = place.start(Vec::new()).expect_err("it fails");
    assert_eq!(place.left(), [""; 0]);
    assert_eq!(place.processes(), [""; 0]);
    error
}

#[test]
fn a_program_that_does_not_begin_is_told_with_its_last_words() {
    let error = refusal(&Place::new("--launch 152"));
    assert_eq!(
        error.to_string(),
        "cannot connect to Firecracker: Firecracker ended with exit code 152, it does not take its \
         configuration: this machine monitor does not start"
    );
}

#[test]
fn a_socket_that_never_comes_is_not_waited_for_for_ever() {
    let error = refusal(&Place::new("--launch deaf")).to_string();
    assert!(error.contains("did not open its API socket"), "{error}");
}

#[test]
fn one_that_is_too_old_is_refused_with_both_versions() {
    let error = refusal(&Place::new("--claim 1.7"));
    assert_eq!(
        error.to_string(),
        "this is Firecracker 1.7.0, and 1.8.0 is the oldest supported"
    );
    assert!(error.hint().expect("a hint").contains("1.8.0 or newer"));
}

#[test]
fn what_is_not_there_is_named() {
    let mut place = Place::new("");
    place.machine.disks[1].path = "/nonexistent/disk".into();
    let text = refusal(&place).to_string();
    assert!(
        text.contains("disk 1") && text.contains("/nonexistent/disk"),
        "{text}"
    );
    let place = Place::new("");
    std::fs::write(&place.machine.kernel, "MZ no kernel").expect("write");
    let text = refusal(&place).to_string();
    assert!(
        text.contains("start the guest") && text.contains("Elf"),
        "{text}"
    );
    let mut place = Place::new("");
    place.machine.program = "/nonexistent/firecracker".into();
    assert!(refusal(&place).hint().is_some());
}
