//! Real programs: the distribution's shell and tools.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd as _, AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use super::*;
use crate::netns::Namespace;

fn shell(script: &str) -> Spec {
    Spec::new("sh").args(["-c", script])
}

fn output(spec: Spec) -> String {
    let output = run(spec, b"", Limits::default()).expect("run");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn feeds_and_keeps_both_streams_and_the_code() {
    let input = vec![b'x'; 1 << 20];
    let output = run(
        shell("cat; echo problem >&2; exit 7"),
        &input,
        Limits::default(),
    )
    .expect("run");
    assert_eq!(output.status, Status::Code(7));
    assert_eq!(output.stdout, input);
    assert_eq!(output.stderr, b"problem\n");
    assert!(!output.truncated && !output.timed_out);
}

#[test]
fn joins_control_groups_by_writing_itself_to_them() {
    let (mut first, joint) = std::io::pipe().expect("a pipe");
    let (mut second, another) = std::io::pipe().expect("a pipe");
    let spec = Spec::new("true").cgroups(vec![joint.into(), another.into()]);
    assert!(
        spawn(spec)
            .expect("a child")
            .wait()
            .expect("ends")
            .success()
    );
    let mut written = String::new();
    first.read_to_string(&mut written).expect("closed");
    second.read_to_string(&mut written).expect("closed");
    assert_eq!(written, "00");
    let unwritable = File::open("/dev/null").expect("there");
    let spec = Spec::new("true").cgroups(vec![unwritable.into()]);
    let error = spawn(spec).expect_err("no group");
    assert!(error.to_string().contains("control groups"), "{error}");
}

#[test]
fn input_nobody_reads_hangs_nothing() {
    let output = run(Spec::new("true"), &vec![0; 1 << 20], Limits::default()).expect("run");
    assert!(output.status.success());
}

#[test]
fn cuts_output_at_the_limit() {
    let limits = Limits {
        stdout_bytes: 1000,
        ..Limits::default()
    };
    let output = run(shell("head -c 3000000 /dev/zero"), b"", limits).expect("run");
    assert!(output.status.success());
    assert_eq!(output.stdout.len(), 1000);
    assert!(output.truncated);
}

#[test]
fn kills_the_whole_group_at_the_time_limit() {
    let limits = Limits {
        time: Duration::from_millis(200),
        ..Limits::default()
    };
    let output = run(shell("sleep 300 & echo $!; wait"), b"", limits).expect("run");
    assert!(output.timed_out);
    assert_eq!(output.status, Status::Signal(libc::SIGKILL));
    let grandchild = String::from_utf8(output.stdout).expect("UTF-8");
    wait_gone(grandchild.trim());
}

#[test]
fn a_program_is_killed_with_its_children_when_it_is_to_stop() {
    let (stop, held) = rustix::pipe::pipe().expect("a pipe");
    let stopper = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        drop(held);
    });
    let start = Instant::now();
    let script = shell("sleep 300 & echo $!; wait");
    let output = run_until(script, b"", Limits::default(), stop.as_fd()).expect("run");
    assert!(output.timed_out && start.elapsed() < Duration::from_secs(20));
    stopper.join().expect("the thread ends");
    let grandchild = String::from_utf8(output.stdout).expect("UTF-8");
    wait_gone(grandchild.trim());
}

#[test]
fn endless_output_does_not_hide_the_time_limit() {
    let limits = Limits {
        time: Duration::from_millis(200),
        ..Limits::default()
    };
    let output = run(Spec::new("yes"), b"", limits).expect("run");
    assert!(output.timed_out && output.truncated);
}

#[test]
fn a_grandchild_that_keeps_the_pipe_is_not_waited_for() {
    let start = Instant::now();
    let pid = output(shell("sleep 300 & echo $!"));
    assert!(start.elapsed() < Duration::from_secs(60));
    let pid: i32 = pid.trim().parse().expect("a number");
    let pid = rustix::process::Pid::from_raw(pid).expect("positive");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("still there");
}

#[test]
fn a_signal_that_ended_it_is_told() {
    let output = run(shell("kill -TERM $$"), b"", Limits::default()).expect("run");
    assert_eq!(output.status, Status::Signal(libc::SIGTERM));
}

#[test]
fn what_a_killed_program_began_ends_with_it() {
    let output = run(
        shell("sleep 300 & echo $!; kill -9 $$"),
        b"",
        Limits::default(),
    );
    let output = output.expect("run");
    assert_eq!(output.status, Status::Signal(libc::SIGKILL));
    let grandchild = String::from_utf8(output.stdout).expect("UTF-8");
    let gone = std::fs::read_to_string(format!("/proc/{}/stat", grandchild.trim()));
    assert!(gone.is_err() || gone.is_ok_and(|stat| stat.contains(") Z ")));
}

#[test]
fn what_cannot_start_says_why() {
    let error = spawn(Spec::new("/no/such/program")).expect_err("absent");
    assert_eq!(error.to_string(), "cannot start /no/such/program");
    assert!(error.is_not_found());
    let error = spawn(Spec::new("no-such-program")).expect_err("absent");
    assert!(error.is_not_found() && error.hint().is_some(), "{error}");
    let error = spawn(Spec::new("/bin/true").cwd("/no/such/directory")).expect_err("no directory");
    assert_eq!(
        error.to_string(),
        "cannot start /bin/true: cannot enter its working directory"
    );
    assert!(matches!(
        spawn(Spec::new("true").arg("a\0b")),
        Err(Error::ZeroByte { .. })
    ));
}

#[test]
fn the_environment_is_what_was_said() {
    let spec = Spec::new("env")
        .env_clear()
        .env("A", "1")
        .env("B", "2")
        .env("A", "3");
    assert_eq!(output(spec), "B=2\nA=3\n");
    let spec = shell("echo ${HOME-none}").env_remove("HOME");
    assert_eq!(output(spec), "none\n");
}

#[test]
fn descriptors_get_their_numbers_and_others_close() {
    let leak = File::open("/dev/null").expect("open");
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).expect("clear close-on-exec");
    // The two swap numbers: each source is the other's target.
    let one: OwnedFd = crate::fs::memfd("one", b"one").expect("memfd");
    let two: OwnedFd = crate::fs::memfd("two", b"two").expect("memfd");
    let (a, b) = (one.as_raw_fd(), two.as_raw_fd());
    let script = format!("cat <&{b}; cat <&{a}; exec ls /proc/self/fd");
    // bash: dash knows descriptors up to 9 only.
    let spec = Spec::new("bash").args(["-c", &script]);
    let text = output(spec.pass_fd(one, b).pass_fd(two, a));
    let listed = text
        .strip_prefix("onetwo")
        .unwrap_or_else(|| panic!("{text}"));
    let mut found: Vec<i32> = listed
        .lines()
        .map(|line| line.parse().expect("a number"))
        .collect();
    for expected in [0, 1, 2, a, b] {
        let place = found.iter().position(|fd| *fd == expected);
        found.remove(place.unwrap_or_else(|| panic!("no {expected}: {text}")));
    }
    assert_eq!(
        found.len(),
        1,
        "the directory ls reads, and nothing else: {text}"
    );
    drop(leak);
}

#[test]
fn signals_start_fresh() {
    let _signals = crate::signal::Signals::block(&[libc::SIGTERM]).expect("block");
    let status = output(Spec::new("cat").arg("/proc/self/status"));
    let line = |name: &str| {
        let line = status
            .lines()
            .find(|line| line.starts_with(name))
            .expect("there");
        line.split_whitespace().nth(1).map(str::to_owned)
    };
    assert_eq!(line("SigBlk:").as_deref(), Some("0000000000000000"));
    let ignored = line("SigIgn:").expect("a mask");
    let ignored = u64::from_str_radix(&ignored, 16).expect("hexadecimal");
    assert_eq!(ignored & (1 << (libc::SIGPIPE - 1)), 0);
    assert_eq!(ignored & (1 << (libc::SIGTERM - 1)), 0);
}

#[test]
fn runs_in_another_network_namespace() {
    let namespace = Namespace::anonymous().expect("namespace");
    let here = output(Spec::new("readlink").arg("/proc/self/ns/net"));
    let there = output(
        Spec::new("readlink")
            .arg("/proc/self/ns/net")
            .netns(&namespace),
    );
    assert_ne!(here, there);
}

#[test]
fn drops_to_a_user_and_still_dies_with_its_parent() {
    let user = output(shell("id -u; id -g; id -G").user(65534, 65534));
    assert_eq!(user, "65534\n65534\n65534\n");
    let child = std::thread::spawn(|| {
        let spec = Spec::new("sleep").arg("300").user(65534, 65534);
        spawn(spec.parent_death_signal(libc::SIGKILL)).expect("spawn")
    })
    .join()
    .expect("thread");
    let status = child.wait_timeout(Duration::from_secs(20)).expect("wait");
    assert_eq!(status, Some(Status::Signal(libc::SIGKILL)));
}

#[test]
fn a_child_is_signalled_and_waited_for() {
    let child = spawn(Spec::new("sleep").arg("300").session()).expect("spawn");
    assert_eq!(child.try_wait().expect("look"), None);
    assert_eq!(
        child.wait_timeout(Duration::from_millis(10)).expect("wait"),
        None
    );
    child.signal(libc::SIGTERM).expect("signal");
    assert_eq!(child.wait().expect("wait"), Status::Signal(libc::SIGTERM));
    child.signal(libc::SIGTERM).expect("gone is fine");
}

#[test]
fn a_program_being_written_is_tried_again() {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("program");
    let mut file = File::create(&path).expect("create");
    file.write_all(b"#!/bin/sh\nexit 3\n").expect("write");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("chmod");
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        drop(file);
    });
    let output = run(Spec::new(&path), b"", Limits::default()).expect("run");
    assert_eq!(output.status, Status::Code(3));
    writer.join().expect("writer");
}

#[test]
fn many_threads_start_children_at_once() {
    std::thread::scope(|scope| {
        for thread in 0..8 {
            scope.spawn(move || {
                for turn in 0..25 {
                    let text = format!("{thread}-{turn}");
                    assert_eq!(output(Spec::new("echo").arg(&text)).trim(), text);
                }
            });
        }
    });
}

fn wait_gone(pid: &str) {
    let path = format!("/proc/{pid}/stat");
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let mut text = String::new();
        let gone = match File::open(&path).and_then(|mut file| file.read_to_string(&mut text)) {
            Err(_) => true,
            // Nobody may reap it here; a zombie is ended all the same.
            Ok(_) => text
                .rsplit(')')
                .next()
                .is_some_and(|rest| rest.trim_start().starts_with('Z')),
        };
        if gone {
            return;
        }
        assert!(Instant::now() < deadline, "process {pid} still runs");
        std::thread::sleep(Duration::from_millis(10));
    }
}
