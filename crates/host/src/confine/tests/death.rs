//! A confined child does not outlive its parent.

use super::*;
use crate::process::{Child, Status, Watched, spawn, start_time};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, FromRawFd};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// In the parent: where it finds the pipe that holds its child up.
const HOLD: i32 = 5;

/// The child: does nothing for long.
#[test]
#[ignore = "runs in a room"]
fn sleeps() {
    std::thread::sleep(PATIENCE * 10);
}

fn sleeper(cgroups: Vec<OwnedFd>) -> Spec {
    let mut confine = Confine::new(room(), LIMITS);
    confine.cgroups = cgroups;
    inner(PROGRAM, "death::sleeps")
        .confine(confine)
        .parent_death_signal(libc::SIGKILL)
}

/// The parent: starts the child, tells its number, and waits to be killed.
#[test]
#[ignore = "is killed"]
fn parent() {
    let child = spawn(sleeper(Vec::new())).expect("a child");
    println!("\n|{}", child.pid());
    child.wait().expect("waited");
}

/// The parent whose child is held up before it asked for a signal at its parent's death.
#[test]
#[ignore = "is killed"]
fn held_parent() {
    // SAFETY: passed by whoever started this program, and used by nobody else.
    let hold = unsafe { OwnedFd::from_raw_fd(HOLD) };
    println!("\n|started");
    spawn(sleeper(vec![hold])).expect("a child");
}

/// A parent and what it prints behind a bar.
fn started(name: &str, hold: Option<OwnedFd>) -> (Child, String) {
    let program = std::env::current_exe().expect("this program");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut spec = inner(program, name).stdout(Stdio::Fd(writer.into()));
    if let Some(hold) = hold {
        spec = spec.pass_fd(hold, HOLD);
    }
    let parent = spawn(spec).expect("a parent");
    let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
    let said = lines.find_map(|line| line.strip_prefix('|').map(str::to_owned));
    (parent, said.expect("it says something"))
}

fn kill(parent: &Child) {
    parent.signal(libc::SIGKILL).expect("signalled");
    assert_eq!(
        parent.wait().expect("waited"),
        Status::Signal(libc::SIGKILL)
    );
}

fn watch(pid: i32) -> Watched {
    let begun = start_time(pid).expect("it lives");
    Watched::open(pid, begun).expect("asked").expect("it lives")
}

fn wait_for_end(watched: &Watched) {
    let mut fds = [crate::signal::PollFd::new(
        watched,
        crate::signal::PollFlags::IN,
    )];
    crate::signal::poll(&mut fds, Some(PATIENCE)).expect("waited");
    assert!(watched.has_ended(), "it outlives its parent");
}

#[test]
fn the_child_ends_with_its_parent() {
    let (parent, said) = started("death::parent", None);
    let child = watch(said.parse().expect("a number"));
    assert!(!child.has_ended());
    kill(&parent);
    wait_for_end(&child);
}

/// The child is held up at its first step by a full pipe in the place of a control group. When the
/// parent is gone nobody will send the signal it asks for then; it must see for itself.
#[test]
fn the_child_ends_with_a_parent_that_ended_first() {
    let (mut reader, mut writer) = std::io::pipe().expect("a pipe");
    rustix::pipe::fcntl_setpipe_size(&writer, 4096).expect("set");
    writer.write_all(&[b'x'; 4096]).expect("filled");
    let hold = writer.as_fd().try_clone_to_owned().expect("copied");
    drop(writer);
    let (parent, _) = started("death::held_parent", Some(hold));
    let child = watch(only_child(&parent));
    kill(&parent);
    assert!(!child.has_ended(), "it is held up");
    let mut text = [0; 4096];
    reader.read_exact(&mut text).expect("drained");
    wait_for_end(&child);
}

/// The process it starts, which may be a moment away.
fn only_child(parent: &Child) -> i32 {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(child) = children(parent.pid()).first() {
            return *child;
        }
        assert!(Instant::now() < deadline, "it starts no child");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Of all its threads.
fn children(pid: u32) -> Vec<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it lives");
    let lists =
        threads.map(|thread| fs::read_to_string(thread.expect("entry").path().join("children")));
    let lists: Vec<String> = lists.map_while(Result::ok).collect();
    let numbers = lists.iter().flat_map(|list| list.split_whitespace());
    numbers.filter_map(|number| number.parse().ok()).collect()
}
