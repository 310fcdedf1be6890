//! Lives in the jailer's jail. The stand-ins in it have to be static: `make helper`.

use std::collections::BTreeSet;
use std::fs::{File, read_link};
use std::path::{Path, PathBuf};

use ignite_host::cgroup::{Bounds, Group, of_vm};
use ignite_host::process::Status;
use ignite_vmm::{Confinement, Driver, Jailer, Nic, Reason, Report};
use ignite_wire::agent::Message;
use rustix::process::{Pid, Signal, kill_process};

use super::life::{Link, with_tap};
use super::place::{PATIENCE, Place, exists, wait_for_console, wait_for_end};

const USER: u32 = 2_080_374_790;

/// A place with a control group, and a jailer that locks up what is started there.
struct Jailed {
    place: Place,
    group: Group,
    jailer: Jailer,
}

impl Jailed {
    fn new(name: &str) -> Self {
        let mut place = Place::new("");
        place.machine.program = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../build/testkit/stand-in/firecracker")
            .canonicalize()
            .expect("the stand-in for Firecracker is made by `make helper`");
        let bounds = Bounds {
            memory: 1 << 30,
            cpu_millis: 2000,
            tasks: 100,
        };
        let jailer = Jailer {
            program: env!("CARGO_BIN_EXE_stand-in-jailer").into(),
            base: place.path("jail"),
        };
        Self {
            place,
            group: Group::make(&of_vm(name), &bounds).expect("control groups are mounted"),
            jailer,
        }
    }

    fn confinement(&self) -> Confinement {
        Confinement {
            user: USER,
            tasks: 100,
            file_bytes: 64 << 20,
            cgroups: self.group.joints().expect("there"),
            jailer: Some(self.jailer.clone()),
        }
    }

    fn start(&self, nics: Vec<Nic>) -> Result<Driver, ignite_vmm::Error> {
        let live = File::open(self.place.path("disk")).expect("there");
        let confinement = Some(self.confinement());
        self.place
            .start_holding(nics, confinement, Some(live.into()))
    }

    /// Nothing is left of any run.
    fn check_gone(&self) {
        assert!(!exists(&self.jailer.base));
        assert_eq!(self.place.left(), [""; 0]);
        assert_eq!(self.group.processes().expect("readable"), [0; 0]);
    }
}

impl Drop for Jailed {
    fn drop(&mut self) {
        // A test that failed says why itself.
        let _ = self.group.clone().remove();
    }
}

/// A path below the process's directory in `/proc`.
fn of(driver: &Driver, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/{name}", driver.process().pid()))
}

fn names(directory: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory).expect("readable");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let name = entry.expect("an entry").file_name();
        name.to_string_lossy().into_owned()
    };
    entries.map(name).collect()
}

/// It is its user, can do nothing, sees its root alone, and holds nothing of ours.
fn check_locked_up(driver: &Driver, jailed: &Jailed) {
    let status = std::fs::read_to_string(of(driver, "status")).expect("it runs");
    let ids = format!("{USER}\t{USER}\t{USER}\t{USER}");
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.expect("every kernel tells").trim().to_owned()
    };
    assert_eq!((line("Uid:"), line("Gid:")), (ids.clone(), ids));
    assert_eq!(line("Groups:"), "");
    for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
        assert_eq!(line(set), "0000000000000000", "{set}");
    }
    let root = [
        "dev",
        "disk0",
        "disk1",
        "firecracker",
        "firecracker.pid",
        "kernel",
        "run",
    ];
    let seen = names(&of(driver, "root/"));
    assert_eq!(seen, root.map(str::to_owned).into());
    let mounts = std::fs::read_to_string(of(driver, "mountinfo")).expect("it runs");
    assert_eq!(mounts.lines().count(), 1, "{mounts}");
    let own = std::fs::canonicalize(jailed.place.path("disk")).expect("there");
    for fd in names(&of(driver, "fd")) {
        let file = read_link(of(driver, "fd").join(&fd)).unwrap_or_default();
        assert_ne!(file, own, "the lock under {fd}");
    }
    let pid = i32::try_from(driver.process().pid()).expect("a pid");
    let members = jailed.group.processes().expect("readable");
    assert!(members.contains(&pid), "{members:?}");
}

#[test]
fn a_jailed_guest_lives_as_well() {
    let jailed = Jailed::new("test-jail-life");
    with_tap(Some(USER), |netlink, nic| {
        let mut driver = jailed.start(vec![nic]).expect("it starts");
        wait_for_console(&driver, "stand-in: up");
        check_locked_up(&driver, &jailed);
        let run = names(&of(&driver, "root/run"));
        assert!(
            !run.contains("initramfs") && run.contains("api.sock"),
            "{run:?}"
        );
        let mut link = Link::accept(&driver);
        assert!(matches!(link.hear(), Message::Hello { .. }));
        assert_eq!(link.hear(), Message::Ready);
        link.say(Message::Shutdown { grace_ms: 1000 });
        let (status, reports) = wait_for_end(&mut driver);
        assert_eq!(status, Status::Code(0));
        assert_eq!(reports, [Report::Shutdown(Reason::GuestReset)]);
        drop(driver);
        jailed.check_gone();
        assert!(jailed.place.path("disk").exists() && jailed.place.path("vmlinux").exists());
        let tap = netlink.link("tap0").expect("links").expect("it stays");
        netlink.delete(tap.index).expect("deleted");
    });
}

#[test]
fn what_a_vanished_supervisor_leaves_ends_with_its_group_and_hinders_nobody() {
    let jailed = Jailed::new("test-jail-left");
    // With the thread that started it, any other VMM ends; the group has what the jailer started.
    let started = std::thread::scope(|scope| scope.spawn(|| jailed.start(Vec::new())).join());
    let driver = started.expect("no panic").expect("it starts");
    for pid in jailed.group.processes().expect("readable") {
        let pid = Pid::from_raw(pid).expect("a process");
        kill_process(pid, Signal::KILL).expect("killed");
    }
    let ended = driver.process().wait_timeout(PATIENCE).expect("our child");
    assert_eq!(ended, Some(Status::Signal(9)));
    std::mem::forget(driver);
    assert!(exists(
        &jailed
            .jailer
            .base
            .join("firecracker/stand-in-1/root/dev/net/tun")
    ));
    let mut driver = jailed.start(Vec::new()).expect("it starts again");
    driver.quit();
    let (status, reports) = wait_for_end(&mut driver);
    assert_eq!(status, Status::Signal(9));
    assert_eq!(reports.last(), Some(&Report::Shutdown(Reason::Quit)));
    drop(driver);
    jailed.check_gone();
}

#[test]
fn a_jail_that_cannot_be_is_refused_and_leaves_nothing() {
    let mut jailed = Jailed::new("test-jail-refused");
    let mut alone = jailed.confinement();
    alone.cgroups.clear();
    let error = jailed
        .place
        .start_as(Vec::new(), Some(alone))
        .expect_err("no group");
    assert!(error.to_string().contains("control groups"), "{error}");
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("without --jailer"))
    );
    jailed.check_gone();
    let static_one = jailed.place.machine.program.clone();
    // A script has no shell in the jail; one that is no jailer; and one that is not there.
    for (jailer, program, words) in [
        (
            jailed.jailer.program.clone(),
            jailed.place.path("firecracker"),
            "exit code 1",
        ),
        ("/bin/false".into(), static_one.clone(), "exit code 1"),
        (
            "/nonexistent/jailer".into(),
            static_one,
            "/nonexistent/jailer",
        ),
    ] {
        jailed.jailer.program = jailer;
        jailed.place.machine.program = program;
        let error = jailed.start(Vec::new()).expect_err("refused");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.hint().is_some(), "{error}");
        jailed.check_gone();
    }
}
