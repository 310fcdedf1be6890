//! The status in the repository.

use std::time::Duration;

use super::followed::{Followed, texts};
use super::upstream::{Node, Upstream, tree};
use super::*;
use crate::source::Command;

const PATH: &str = ".ignite-status/web.json";

fn publishing(upstream: &Upstream) -> Options {
    Options {
        status_file: Some(StatusFile::parse(PATH).expect("hidden")),
        ..options_of(upstream)
    }
}

fn status(state: &str, time: &str) -> Command {
    Command::Status(format!(
        "{{\"state\":\"{state}\",\"since\":\"2026-11-22T{time}Z\"}}\n"
    ))
}

/// Waits until the branch is another commit than `before`.
fn wait_for_push(upstream: &Upstream, before: &str) -> String {
    for _ in 0..600 {
        match upstream.head("main") {
            Some(head) if head != before => return head,
            _ => std::thread::sleep(Duration::from_millis(50)),
        }
    }
    panic!("nothing is pushed");
}

/// Waits until the branch has this many commits; more is a failure.
fn wait_for_commits(upstream: &Upstream, wanted: usize) {
    for _ in 0..600 {
        let count = upstream.git(&["rev-list", "--count", "main"], b"");
        let count: usize = count.parse().expect("a number");
        assert!(count <= wanted, "{count} commits, not {wanted}");
        if count == wanted {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the branch does not get to {wanted} commits");
}

#[test]
fn it_is_one_commit_with_one_file_more_and_makes_no_news() {
    let upstream = Upstream::new();
    let one = upstream.push(&tree(&[("web.yaml", "one"), ("README.md", "x")]));
    let followed = Followed::start(publishing(&upstream));
    followed.snapshot();
    followed.tell(status("running", "08:00:00"));
    let pushed = wait_for_push(&upstream, &one);
    assert_eq!(
        upstream.git(&["diff-tree", "-r", "--name-status", &one, &pushed], b""),
        format!("A\t{PATH}")
    );
    assert_eq!(
        upstream.git(&["rev-parse", &format!("{pushed}^")], b""),
        one
    );
    assert!(
        upstream
            .git(&["show", &format!("{pushed}:{PATH}")], b"")
            .contains("08:00:00")
    );
    // Neither the commit nor another time is news.
    followed.tell(status("running", "09:00:00"));
    assert!(followed.is_silent());
    assert_eq!(upstream.head("main"), Some(pushed.clone()));

    followed.tell(status("stopped", "10:00:00"));
    let again = wait_for_push(&upstream, &pushed);
    let two = upstream.push(&tree(&[("web.yaml", "two")]));
    assert_eq!(
        texts(&followed.snapshot_of(&two)),
        [("web.yaml", "two")].into()
    );
    assert_eq!(
        upstream.git(&["rev-parse", &format!("{again}^")], b""),
        pushed
    );
}

#[test]
fn somebody_else_may_push_at_the_same_time() {
    let upstream = Upstream::new();
    let one = upstream.push(&tree(&[("web.yaml", "one")]));
    let mut options = publishing(&upstream);
    // Two daemons, a file each.
    let first = Followed::start(options.clone());
    options.directory = upstream.beside().join("gitops-2");
    options.status_file = Some(StatusFile::parse(".ignite-status/db.json").expect("hidden"));
    let second = Followed::start(options);
    first.snapshot();
    second.snapshot();
    for round in 0..5 {
        for followed in [&first, &second] {
            followed.tell(status(&format!("round {round}"), "08:00:00"));
        }
        wait_for_commits(&upstream, 3 + 2 * round);
    }
    let files = upstream.git(&["ls-tree", "-r", "--name-only", "main"], b"");
    assert_eq!(
        files,
        ".ignite-status/db.json\n.ignite-status/web.json\nweb.yaml"
    );
    assert_eq!(
        upstream.git(&["rev-list", "--max-parents=0", "main"], b""),
        one
    );
    assert!(first.is_silent() && second.is_silent());
    wait_for_commits(&upstream, 11);
}

#[test]
fn what_is_in_its_place_is_not_touched() {
    let upstream = Upstream::new();
    let mut files = tree(&[("web.yaml", "one")]);
    files.insert(PATH.as_bytes().to_vec(), Node::Link("/etc/passwd"));
    let one = upstream.push(&files);
    let followed = Followed::start(publishing(&upstream));
    followed.snapshot();
    followed.tell(status("running", "08:00:00"));
    assert!(followed.is_silent());
    assert_eq!(upstream.head("main"), Some(one));
    // It goes on all the same.
    let two = upstream.push(&tree(&[("web.yaml", "two")]));
    followed.snapshot_of(&two);
    wait_for_push(&upstream, &two);
}
