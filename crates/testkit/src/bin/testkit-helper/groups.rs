//! Control groups as the product makes them, where only version 2 is mounted: in a VM.
//!
//! Each part makes a group with bounds, puts a program of this one into it that takes more, and fails
//! unless the group stopped it. What it saw is printed.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use ignite_host::cgroup::{Bounds, Group, Usage};

use super::Failure;

/// Where the only hierarchy is.
const ROOT: &str = "/sys/fs/cgroup";

/// How long a machine without virtualisation may take for anything here.
const PATIENCE: Duration = Duration::from_secs(60);

const BOUNDS: Bounds = Bounds {
    memory: 24 << 20,
    cpu_millis: 200,
    tasks: 8,
};

/// Goes through all parts.
pub(super) fn check() -> Result<(), Failure> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let is_v1 = mounts
        .lines()
        .any(|line| line.split(' ').nth(2) == Some("cgroup"));
    verify(
        !is_v1 && mounts.contains("cgroup2"),
        "version 2 alone",
        &mounts,
    )?;
    let own = fs::read_to_string("/proc/self/cgroup")?;
    verify(
        own.trim() == "0::/",
        "it runs in the root, which has processes",
        &own,
    )?;
    bounds()?;
    hog()?;
    bomb()?;
    burner()?;
    killed()?;
    removed()
}

/// What runs in a group: it joins by the descriptors on its command line, as a VMM does, and then does
/// what it is told.
pub(super) fn inside(what: &str, group: &str) -> Result<(), Failure> {
    for joint in Group::find(group)?.joints()? {
        fs::File::from(joint).write_all(b"0")?;
    }
    match what {
        "hog" => loop {
            std::mem::forget(vec![1_u8; 1 << 20]);
        },
        "bomb" => {
            let own = std::env::current_exe()?;
            let spawn = || Command::new(&own).args(["hold-still"]).spawn();
            while spawn().is_ok() {}
            hold_still()
        }
        "burn" => loop {
            std::hint::spin_loop();
        },
        _ => hold_still(),
    }
}

/// Does nothing until it is killed.
pub(super) fn hold_still() -> ! {
    loop {
        std::thread::park();
    }
}

fn verify(holds: bool, what: &str, seen: &dyn std::fmt::Debug) -> Result<(), Failure> {
    if !holds {
        return Err(format!("not so: {what}: {seen:?}").into());
    }
    println!("{what}: {seen:?}");
    Ok(())
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        if Instant::now() > deadline {
            return Err(format!("not so in time: {what}").into());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn name(what: &str) -> String {
    format!("ignite/{what}")
}

fn start(what: &str, bounds: Bounds) -> Result<(Group, Child), Failure> {
    let group = Group::make(&name(what), &bounds)?;
    verify(
        group.missing().is_empty(),
        "every controller",
        &group.missing(),
    )?;
    let own = std::env::current_exe()?;
    let child = Command::new(own)
        .args(["in-group", what, &name(what)])
        .spawn()?;
    Ok((group, child))
}

fn end(group: Group, mut child: Child) -> Result<ExitStatus, Failure> {
    group.remove()?;
    Ok(child.wait()?)
}

fn file(path: &str) -> Result<String, Failure> {
    let path = Path::new(ROOT).join(path);
    let text = fs::read_to_string(&path);
    Ok(text
        .map_err(|error| format!("{}: {error}", path.display()))?
        .trim()
        .to_owned())
}

/// A number of a file of lines of a key and a number.
fn counter(path: &str, key: &str) -> Result<u64, Failure> {
    let text = file(path)?;
    let value = |line: &str| line.strip_prefix(key)?.trim().parse().ok();
    Ok(text
        .lines()
        .find_map(value)
        .ok_or(format!("no {key} in {text}"))?)
}

/// What was asked for is what the kernel says, and every parent passes its controllers on.
fn bounds() -> Result<(), Failure> {
    let group = Group::make(&name("bounds"), &BOUNDS)?;
    for (path, expected) in [
        ("ignite/bounds/memory.max", "25165824"),
        ("ignite/bounds/memory.oom.group", "1"),
        ("ignite/bounds/cpu.max", "20000 100000"),
        ("ignite/bounds/pids.max", "8"),
    ] {
        verify(file(path)? == expected, path, &file(path)?)?;
    }
    for path in ["cgroup.subtree_control", "ignite/cgroup.subtree_control"] {
        let enabled = file(path)?;
        let has = |controller| enabled.split(' ').any(|word| word == controller);
        verify(
            ["memory", "cpu", "pids"].into_iter().all(has),
            path,
            &enabled,
        )?;
    }
    group.change(&Bounds { tasks: 9, ..BOUNDS })?;
    verify(
        file("ignite/bounds/pids.max")? == "9",
        "a bound is changed",
        &"9",
    )?;
    Ok(group.remove()?)
}

fn hog() -> Result<(), Failure> {
    let (group, mut child) = start("hog", BOUNDS)?;
    let status = child.wait()?;
    let Usage {
        oom_kills,
        memory_peak,
        ..
    } = group.usage();
    verify(!status.success(), "the hog was ended", &status)?;
    let kills = counter("ignite/hog/memory.events", "oom_kill")?;
    verify(
        kills > 0 && oom_kills == Some(kills),
        "by its group's bound",
        &kills,
    )?;
    let held = memory_peak.is_none_or(|peak| peak <= BOUNDS.memory);
    verify(held, "at its bound", &memory_peak)?;
    Ok(group.remove()?)
}

fn bomb() -> Result<(), Failure> {
    let (group, child) = start("bomb", BOUNDS)?;
    eventually("it is refused a process", || {
        counter("ignite/bomb/pids.events", "max").is_ok_and(|refused| refused > 0)
    })?;
    let tasks = group.usage().tasks;
    verify(
        tasks == Some(BOUNDS.tasks.into()),
        "as many as it may have",
        &tasks,
    )?;
    let found = group.processes()?.len();
    verify(
        found == BOUNDS.tasks as usize,
        "all of them are found",
        &found,
    )?;
    let status = end(group, child)?;
    verify(!status.success(), "and killed", &status)
}

/// A fifth of a processor, and a period's worth besides.
fn burner() -> Result<(), Failure> {
    let (group, child) = start("burn", BOUNDS)?;
    let began = Instant::now();
    eventually("it is held back", || {
        group.usage().throttled.is_some_and(|periods| periods >= 50)
    })?;
    group.usage().cpu.ok_or("it is not counted")?;
    // A period that took more is paid back in the next ones; without a bound it never would be.
    eventually("processor time is bounded", || {
        let most = began.elapsed() / 5 + Duration::from_millis(40);
        group.usage().cpu.is_some_and(|used| used <= most)
    })?;
    end(group, child).map(drop)
}

/// All at once, whoever made the group.
fn killed() -> Result<(), Failure> {
    let (group, mut child) = start("still", BOUNDS)?;
    eventually("it joins", || {
        group.processes().is_ok_and(|all| all.len() == 1)
    })?;
    let found = Group::find(&name("still"))?;
    verify(
        found.exists() && found.missing().is_empty(),
        "it is found",
        &found.missing(),
    )?;
    found.remove()?;
    let status = child.wait()?;
    verify(!status.success(), "it is killed", &status)
}

fn removed() -> Result<(), Failure> {
    let left = Path::new(ROOT).join("ignite");
    verify(!left.exists(), "nothing is left", &left)
}
