//! What happens to a branch, and what the daemon hears of it.

use super::followed::{Followed, texts};
use super::upstream::{Upstream, tree};
use super::{options_of, *};
use crate::source::Command;

#[test]
fn first_commit_change_and_revert() {
    let upstream = Upstream::new();
    let one = upstream.push(&tree(&[
        ("web.yaml", "one"),
        ("db/a b.yml", "db"),
        ("README.md", "x"),
    ]));
    let followed = Followed::start(options_of(&upstream));
    let snapshot = followed.snapshot();
    assert_eq!(
        texts(&snapshot),
        [("db/a b.yml", "db"), ("web.yaml", "one")].into()
    );
    assert_eq!((snapshot.revision, snapshot.warnings), (Some(one), vec![]));

    let two = upstream.push(&tree(&[("web.yaml", "two"), ("db/a b.yml", "db")]));
    let snapshot = followed.snapshot_of(&two);
    assert_eq!(
        texts(&snapshot),
        [("db/a b.yml", "(unchanged)"), ("web.yaml", "two")].into()
    );

    let back = upstream.push(&tree(&[("web.yaml", "one")]));
    assert_eq!(
        texts(&followed.snapshot_of(&back)),
        [("web.yaml", "one")].into()
    );
    assert!(followed.is_silent());
}

#[test]
fn unrelated_history_is_followed_too() {
    let upstream = Upstream::new();
    upstream.push(&tree(&[("web.yaml", "one")]));
    let followed = Followed::start(options_of(&upstream));
    followed.snapshot();
    let forced = upstream.force_push(&tree(&[("web.yaml", "one"), ("new.yaml", "new")]));
    let snapshot = followed.snapshot_of(&forced);
    assert_eq!(
        texts(&snapshot),
        [("new.yaml", "new"), ("web.yaml", "(unchanged)")].into()
    );
}

#[test]
fn an_empty_repository_is_waited_for() {
    let upstream = Upstream::new();
    let followed = Followed::start(options_of(&upstream));
    let said = followed.failure();
    assert!(
        said.contains("the repository is empty (push a branch"),
        "{said}"
    );
    let one = upstream.push(&tree(&[("web.yaml", "one")]));
    assert_eq!(
        texts(&followed.snapshot_of(&one)),
        [("web.yaml", "one")].into()
    );
}

#[test]
fn a_branch_that_is_missing_or_deleted_is_told_with_those_there_are() {
    let upstream = Upstream::new();
    let one = upstream.push(&tree(&[("web.yaml", "one")]));
    upstream.git(&["update-ref", "refs/heads/release/1", &one], b"");
    let followed = Followed::start(options_of(&upstream));
    followed.snapshot();
    upstream.git(&["update-ref", "-d", "refs/heads/main"], b"");
    let said = followed.failure();
    assert!(
        said.contains("there is no branch main, but release/1 (name one"),
        "{said}"
    );
    upstream.git(&["update-ref", "refs/heads/main", &one], b"");
    // The same commit again: it is told because the last word was a failure.
    assert_eq!(
        texts(&followed.snapshot_of(&one)),
        [("web.yaml", "(unchanged)")].into()
    );
}

#[test]
fn hidden_files_make_no_news() {
    let upstream = Upstream::new();
    upstream.push(&tree(&[("web.yaml", "one")]));
    let followed = Followed::start(options_of(&upstream));
    followed.snapshot();
    upstream.push(&tree(&[
        ("web.yaml", "one"),
        (".ignite-status/a.json", "{}"),
    ]));
    assert!(followed.is_silent());
}

#[test]
fn a_rescan_looks_at_once_and_gives_every_text() {
    let upstream = Upstream::new();
    upstream.push(&tree(&[("web.yaml", "one")]));
    let mut options = options_of(&upstream);
    options.interval = Duration::from_secs(3600);
    let followed = Followed::start(options);
    followed.snapshot();
    followed.tell(Command::Rescan);
    assert_eq!(texts(&followed.snapshot()), [("web.yaml", "one")].into());
    let two = upstream.push(&tree(&[("web.yaml", "two")]));
    followed.tell(Command::Rescan);
    assert_eq!(followed.snapshot().revision, Some(two));
}

#[test]
fn sha256_repositories_are_read() {
    let upstream = Upstream::of_format("sha256");
    let one = upstream.push(&tree(&[("web.yaml", "one")]));
    assert_eq!(one.len(), 64);
    let followed = Followed::start(options_of(&upstream));
    assert_eq!(texts(&followed.snapshot()), [("web.yaml", "one")].into());
}

#[test]
fn many_commits_leave_a_small_copy() {
    let upstream = Upstream::new();
    let followed = Followed::start(options_of(&upstream));
    let noise = |n: usize| format!("{n} {}", "x".repeat(1000));
    for n in 0..25 {
        let files: Vec<(String, String)> = (0..20)
            .map(|f| (format!("{f}.yaml"), noise(n * 20 + f)))
            .collect();
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .collect();
        followed.tell(Command::Rescan);
        followed.snapshot_of(&upstream.push(&tree(&files)));
    }
    drop(followed);
    let objects = walk(&upstream.beside().join("gitops"))
        .into_iter()
        .filter(|path| {
            path.parent()
                .is_some_and(|parent| parent.to_string_lossy().contains("/objects/"))
        })
        .count();
    assert!(objects < 300, "{objects} of more than 500 objects are kept");
}

/// Every file below a directory.
pub(super) fn walk(directory: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => walk(&entry.path()),
            _ => vec![entry.path()],
        })
        .collect()
}
