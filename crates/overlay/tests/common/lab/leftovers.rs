//! What a run left that was killed: namespaces `ov<pid>-*`, programs in them, temporary directories.

use std::path::{Path, PathBuf};
use std::process::Command;

const NAMESPACES: &str = "/run/netns";

/// What everything of a run begins with.
pub fn prefix(pid: u32) -> String {
    format!("ov{pid}-")
}

/// Removes what is left of runs that are over.
pub fn remove() {
    delete_namespaces(is_of_the_dead);
    for (name, path) in entries(&std::env::temp_dir()) {
        if is_of_the_dead(&name) {
            // Another run may do the same at this moment.
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

/// Ends the programs in such namespaces, and deletes them.
pub fn delete_namespaces(which: impl Fn(&str) -> bool) {
    for (name, _) in entries(Path::new(NAMESPACES)) {
        if which(&name) {
            end_programs(&name);
            let _ = Command::new("ip").args(["netns", "del", &name]).output();
        }
    }
}

fn end_programs(namespace: &str) {
    let listed = Command::new("ip")
        .args(["netns", "pids", namespace])
        .output();
    let listed = listed.expect("ip runs").stdout;
    for pid in String::from_utf8_lossy(&listed).split_whitespace() {
        let _ = Command::new("kill").args(["-KILL", pid]).output();
    }
}

fn is_of_the_dead(name: &str) -> bool {
    let pid = name
        .strip_prefix("ov")
        .and_then(|rest| rest.split_once('-'));
    pid.and_then(|(pid, _)| pid.parse::<u32>().ok())
        .is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists())
}

fn entries(directory: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                entry.path(),
            )
        })
        .collect()
}

#[test]
fn what_a_dead_run_left_is_removed_and_nothing_else() {
    let mut run = Command::new("true").spawn().expect("it starts");
    let dead = format!("{}leftovers", prefix(run.id()));
    run.wait().expect("it ends");
    let living = format!("{}leftovers", prefix(std::process::id()));
    let directories = [&dead, &living].map(|name| std::env::temp_dir().join(name));
    for (name, directory) in [&dead, &living].into_iter().zip(&directories) {
        let added = Command::new("ip").args(["netns", "add", name]).status();
        assert!(added.expect("ip runs").success());
        std::fs::create_dir(directory).expect("a directory");
    }
    let mut left = super::bound(&["ip", "netns", "exec", &dead, "sleep", "1000"])
        .spawn()
        .expect("it starts");
    super::soon("the program is where it will be left", || {
        let inside = Command::new("ip").args(["netns", "pids", &dead]).output();
        let inside = inside.expect("ip runs").stdout;
        match String::from_utf8_lossy(&inside).trim() == left.id().to_string() {
            true => Ok(()),
            false => Err(format!("{inside:?}")),
        }
    });
    remove();
    left.wait().expect("it ends");
    let there = |name: &String| Path::new(NAMESPACES).join(name).exists();
    assert_eq!((there(&dead), there(&living)), (false, true));
    assert_eq!(
        directories.each_ref().map(|directory| directory.exists()),
        [false, true]
    );
    delete_namespaces(|name| name == living);
    std::fs::remove_dir(&directories[1]).expect("it is there");
}
