//! Rooms come and go, and say what is wrong.

use super::*;
use std::collections::BTreeSet;

#[track_caller]
fn error(spec: Spec) -> String {
    process::spawn(spec).expect_err("refused").to_string()
}

/// A program in a room, its confinement changed.
fn confined(change: impl FnOnce(&mut Confine)) -> Spec {
    let mut confine = Confine::new(room(), LIMITS);
    change(&mut confine);
    inner(PROGRAM, "no such test").confine(confine)
}

#[test]
fn a_step_that_fails_is_named() {
    let full = File::options().write(true).open("/dev/full").expect("open");
    let text = error(confined(|confine| confine.cgroups.push(full.into())));
    assert_eq!(text, "cannot start /probe: cannot join its control groups");
    let text = error(confined(|confine| confine.landlock = Some(null())));
    assert_eq!(text, "cannot start /probe: cannot apply its landlock rules");
    let text = error(confined(|confine| confine.filter = Some(Filter::broken())));
    assert_eq!(text, "cannot start /probe: cannot filter its system calls");
    let text = error(confined(|_| ()).cwd("/home"));
    assert_eq!(
        text,
        "cannot start /probe: cannot enter its working directory"
    );
    let shell = Spec::new("/bin/sh").confine(Confine::new(room(), LIMITS));
    assert_eq!(error(shell), "cannot start /bin/sh");
    assert!(finished(confined(|_| ())).status.success());
}

#[test]
fn a_limit_above_ones_own_is_ones_own() {
    let most = |confine: &mut Confine| confine.limits.open_files = u64::MAX;
    assert!(finished(confined(most)).status.success());
}

/// A file in the place of `cgroup.procs`: that the kernel moves whoever writes "0" is its own affair.
#[test]
fn every_control_group_is_joined() {
    let groups = [(); 2].map(|()| tempfile::NamedTempFile::new().expect("a file"));
    let confine = |confine: &mut Confine| {
        let opened = groups
            .iter()
            .map(|file| file.reopen().expect("open").into());
        confine.cgroups.extend(opened);
    };
    assert!(finished(confined(confine)).status.success());
    for group in &groups {
        assert_eq!(fs::read(group.path()).expect("read"), b"0");
    }
}

#[test]
fn a_room_that_cannot_be_says_why() {
    let made = |change: &dyn Fn(&mut Plan)| {
        let mut plan = plan();
        change(&mut plan);
        Room::make(&plan, USER).expect_err("refused").to_string()
    };
    let text = made(&|plan| plan.show(Path::new("/no/such"), Access::Read));
    assert_eq!(text, "cannot open /no/such");
    let text = made(&|plan| plan.devices.push("/dev/no-such".into()));
    assert_eq!(text, "cannot look at /dev/no-such");
    let text = made(&|plan| plan.devices.push("/dev/pts".into()));
    assert_eq!(text, "/dev/pts is not a character device");
    let text = made(&|plan| plan.show(Path::new("/run/x"), Access::Read));
    assert!(text.starts_with("cannot show /run/x in a room"), "{text}");
}

/// A child process measures, so that no other test's descriptors are counted.
#[test]
fn rooms_leave_nothing() {
    let program = std::env::current_exe().expect("this program");
    let output = finished(inner(program, "life::many_rooms"));
    assert!(output.status.success(), "{}", text(&output));
}

#[test]
#[ignore = "needs a process of its own"]
fn many_rooms() {
    let before = traces();
    for _ in 0..50 {
        let room = room();
        assert!(
            finished(inner(PROGRAM, "no such test").confine(Confine::new(room, LIMITS)))
                .status
                .success()
        );
    }
    assert_eq!(traces(), before);
}

/// Mounts, descriptors, namespaces and control groups of this process.
fn traces() -> BTreeSet<String> {
    let mut traces = BTreeSet::new();
    for file in ["mountinfo", "cgroup"] {
        let text = fs::read_to_string(format!("/proc/self/{file}")).expect("read");
        traces.extend(text.lines().map(str::to_owned));
    }
    for directory in ["fd", "ns"] {
        for entry in fs::read_dir(format!("/proc/self/{directory}")).expect("list") {
            let path = entry.expect("entry").path();
            if let Ok(target) = fs::read_link(&path) {
                traces.insert(format!("{} {}", path.display(), target.display()));
            }
        }
    }
    traces
}

#[test]
fn the_host_reaches_what_is_in_the_work_directory() {
    let room = room();
    let work = room.work().expect("a work directory");
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY;
    rustix::fs::openat(work, "disk", flags, 0o600.into()).expect("made");
    rustix::fs::symlinkat("/etc/passwd", work, "link").expect("made");
    let path = format!(
        "/proc/self/fd/{}/link",
        std::os::fd::AsRawFd::as_raw_fd(&work)
    );
    let refused = fs::read(path).expect_err("a link");
    assert_eq!(refused.raw_os_error(), Some(libc::ELOOP));
    let copy = room.clone();
    drop(room);
    let work = copy.work().expect("still there");
    rustix::fs::statat(work, "disk", rustix::fs::AtFlags::empty()).expect("still there");
}

#[test]
fn a_file_may_be_opened_again_if_landlock_is_told() {
    let plan = plan();
    let start = |told: bool| {
        let file: OwnedFd = File::open("/etc/hostname").expect("open").into();
        let mut confine = Confine::new(Room::make(&plan, USER).expect("a room"), LIMITS);
        let known = [std::os::fd::AsFd::as_fd(&file)];
        let reopened = if told { &known[..] } else { &[] };
        confine.landlock = landlock(&plan, &confine.room, reopened).expect("rules");
        let spec = inner(PROGRAM, "life::opens_again").pass_fd(file, 5);
        finished(spec.confine(confine)).status.success()
    };
    assert!(start(true));
    assert!(!start(false));
}

#[test]
#[ignore = "runs in a room"]
fn opens_again() {
    fs::read("/proc/self/fd/5").expect("it may be opened");
}

/// What a room is for: a program as the distribution has it, and what it needs besides.
#[test]
fn a_program_of_the_distribution_runs() {
    let program = Path::new("/bin/cat");
    let mut plan = Plan {
        proc: Some("/proc".into()),
        ..Plan::default()
    };
    plan.program(program).expect("understood");
    let room = Room::make(&plan, USER).expect("a room");
    let spec = Spec::new(program).arg("/proc/self/status").env_clear();
    let output = finished(spec.confine(Confine::new(room, LIMITS)));
    let (status, user) = (
        text(&output),
        format!("Uid:\t{USER}\t{USER}\t{USER}\t{USER}\n"),
    );
    assert!(
        status.contains(&user) && status.contains("\nPid:\t1\n"),
        "{output:?}"
    );
    assert!(status.contains("\nGroups:\t \n"), "{status}");
}

/// The next process sees a `/proc` of its own.
#[test]
fn a_room_can_be_used_again() {
    let room = room();
    for _ in 0..2 {
        let confine = Confine::new(room.clone(), LIMITS);
        let output = finished(inner(PROGRAM, "life::sees_itself").confine(confine));
        assert!(output.status.success(), "{}", text(&output));
    }
}

#[test]
#[ignore = "runs in a room"]
fn sees_itself() {
    assert_eq!(fs::read_link("/proc/self").expect("itself"), Path::new("1"));
}
