//! What a program in a room can reach: a line for each attempt.

use super::*;
use crate::confine::probe::{self, Attempt};

/// The program inside: tries everything, and says what became of it.
#[test]
#[ignore = "runs in a room"]
fn inside() {
    let aims = aims();
    let say = |kind: &str, attempts: Vec<Attempt>| {
        for attempt in attempts {
            match (attempt.run)(&aims) {
                Ok(got) => println!("\n|{kind}|{}|got|{got}", attempt.name),
                Err(error) => println!("\n|{kind}|{}|not|{error}", attempt.name),
            }
        }
    };
    let names = |path: &str| {
        let entries = fs::read_dir(path).expect("a directory");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("read")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        println!("\n|list|{path}|got|{}", names.join(" "));
    };
    names("/");
    names("/dev");
    names("/dev/net");
    names("/run");
    say("refused", probe::refused());
    say("granted", probe::granted());
    println!("\n|end|all was tried|got|");
}

/// (kind, name, whether it came to something, what came of it).
type Line = (String, String, bool, String);

fn lines(output: &Output) -> Vec<Line> {
    let text = text(output);
    let lines = text.lines().filter_map(|line| line.strip_prefix('|'));
    let lines: Vec<Line> = lines
        .map(|line| {
            let mut parts = line.splitn(4, '|').map(str::to_owned);
            let mut next = || parts.next().unwrap_or_default();
            (next(), next(), next() == "got", next())
        })
        .collect();
    let ended = lines.iter().any(|(kind, ..)| kind == "end");
    assert!(
        ended,
        "{output:?}\n{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    lines
}

fn from_inside(change: impl FnOnce(&Plan, &mut Confine)) -> Vec<Line> {
    let outside = Outside::new();
    let plan = plan();
    let mut confine = Confine::new(Room::make(&plan, USER).expect("a room"), LIMITS);
    change(&plan, &mut confine);
    let spec = outside
        .told(inner(PROGRAM, "table::inside"))
        .confine(confine);
    lines(&finished(spec))
}

fn came_to_something(lines: &[Line], kind: &str) -> Vec<String> {
    let of_kind = lines.iter().filter(|line| line.0 == kind && line.2);
    of_kind
        .map(|(_, name, _, got)| format!("{name}: {got}"))
        .collect()
}

fn is_listed(lines: &[Line], path: &str) -> String {
    let line = lines.iter().find(|line| line.0 == "list" && line.1 == path);
    line.map(|line| line.3.clone()).expect("listed")
}

fn assert_empty_room(lines: &[Line]) {
    for (kind, name, got, what) in lines {
        println!(
            "{kind:8} {:4} {name}: {what}",
            if *got { "got" } else { "not" }
        );
    }
    assert_eq!(came_to_something(lines, "refused").join("\n"), "");
    let mut withheld = lines.iter().filter(|line| line.0 == "granted" && !line.2);
    assert_eq!(withheld.next(), None);
    let root: Vec<String> = is_listed(lines, "/")
        .split(' ')
        .map(str::to_owned)
        .collect();
    let mut expected: Vec<String> = plan()
        .binds
        .iter()
        .map(|bind| bind.target.as_path())
        .chain(plan().links.iter().map(|link| link.target.as_path()))
        .filter_map(|path| path.iter().nth(1))
        .map(|name| name.to_string_lossy().into_owned())
        .chain(["dev", "proc", "run"].map(str::to_owned))
        .collect();
    expected.sort();
    expected.dedup();
    assert_eq!(root, expected);
    assert_eq!(is_listed(lines, "/dev"), "net null");
    assert_eq!(is_listed(lines, "/dev/net"), "tun");
    assert_eq!(is_listed(lines, "/run"), "");
}

#[test]
fn a_room_is_empty() {
    assert_empty_room(&from_inside(|_, _| ()));
}

#[test]
fn a_room_is_empty_under_landlock_too() {
    assert_empty_room(&from_inside(|plan, confine| {
        confine.landlock = landlock(plan, &confine.room, &[]).expect("rules");
        assert!(confine.landlock.is_some(), "this kernel has landlock");
    }));
}

/// Without the filter, room and user still hold all that are theirs to hold.
#[test]
fn the_walls_do_not_lean_on_the_filter() {
    let lines = from_inside(|_, confine| confine.filter = None);
    let reached = came_to_something(&lines, "refused");
    let reached: Vec<&str> = reached
        .iter()
        .filter_map(|line| line.split(':').next())
        .collect();
    // What the filter alone holds: new processes, what a user namespace gives, sockets (in a network
    // with nothing in it), large parts of the kernel.
    let expected = [
        "outlive its supervisor",
        "let go of a lock it was given",
        "take room past the end of a file",
        "fork",
        "open an IPv4 socket",
        "open an IPv6 socket",
        "open a netlink socket",
        "make a process in a user namespace",
        "ask the kernel anything",
        "use keys",
        "change how it is executed",
    ];
    for name in &expected {
        assert!(
            reached.contains(name),
            "{name} is held by something else: {reached:?}"
        );
    }
    // And what not every kernel has.
    let others = [
        "use io_uring",
        "serve page faults",
        "open a vsock socket",
        "open an ALG socket",
    ];
    for name in reached {
        assert!(
            expected.contains(&name) || others.contains(&name),
            "{name} is held by nothing else"
        );
    }
}

/// The same program outside reaches what is there to be reached, or the table above shows nothing.
#[test]
fn without_a_room_things_are_reached() {
    let outside = Outside::new();
    let program = std::env::current_exe().expect("this program");
    let output = finished(outside.told(inner(program, "table::outside")));
    let reached = came_to_something(&lines(&output), "refused");
    assert_eq!(reached.len(), REACHED_OUTSIDE.len(), "{reached:#?}");
}

/// The attempts that do no harm where they succeed, and succeed for root.
const REACHED_OUTSIDE: &[&str] = &[
    "read /etc/passwd",
    "read /etc/shadow",
    "read another VM's disk",
    "read the host's files by /proc/<pid>/root",
    "read the host's files by ..",
    "find something writable",
    "find something that obeys set-user-ID bits",
    "read the kernel's settings",
    "change what the kernel says of it",
    "see another process",
    "signal a process of the host's",
    "signal whomever it can",
    "hold a process of the host's",
    "read the memory of a process of the host's",
    "outlive its supervisor",
    "let go of a lock it was given",
    "take room past the end of a file",
    "make a file longer than its disk",
    "fork",
    "connect to a unix socket of the host's",
    "connect to an abstract unix socket of the host's",
    "open an IPv4 socket",
    "open an IPv6 socket",
    "open a raw socket",
    "open a packet socket",
    "open a netlink socket",
    "enter a namespace",
    "become root",
    "join root's group",
    "join further groups",
    "hold a capability",
    "get a capability by a program",
    "gain privileges by a program",
    "ask the kernel anything",
    "run before others",
    "use io_uring",
    "use keys",
    "know the host's name",
    "change how it is executed",
    "make a network namespace",
    "make an IPC namespace",
    "make a UTS namespace",
    "make a PID namespace",
    "make a cgroup namespace",
];

#[test]
#[ignore = "runs outside of a room"]
fn outside() {
    let aims = aims();
    for attempt in probe::refused() {
        if REACHED_OUTSIDE.contains(&attempt.name) {
            match (attempt.run)(&aims) {
                Ok(got) => println!("\n|refused|{}|got|{got}", attempt.name),
                Err(error) => println!("\n|refused|{}|not|{error}", attempt.name),
            }
        }
    }
    println!("\n|end|all was tried|got|");
}
