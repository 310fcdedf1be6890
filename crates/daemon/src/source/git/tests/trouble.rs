//! Remotes that are away, copies that are broken, ends in the middle.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::followed::{Followed, texts};
use super::history::walk;
use super::upstream::{Upstream, tree};
use super::*;

#[test]
fn a_remote_that_goes_away_and_comes_back() {
    let upstream = Upstream::new();
    upstream.push(&tree(&[("web.yaml", "one")]));
    let followed = Followed::start(options_of(&upstream));
    followed.snapshot();
    let away = upstream.beside().join("away");
    fs::rename(upstream.path(), &away).expect("rename");
    let said = followed.failure();
    assert!(
        said.starts_with("cannot reach the repository: ") && said.contains("(look at the path"),
        "{said}"
    );
    // It is away for a while: the word is said each time, and nothing else.
    followed.failure();
    fs::rename(&away, upstream.path()).expect("rename");
    let two = upstream.push(&tree(&[("web.yaml", "two")]));
    assert_eq!(
        texts(&followed.snapshot_of(&two)),
        [("web.yaml", "two")].into()
    );
}

#[test]
fn what_was_fetched_holds_at_the_next_start_with_the_remote_away() {
    let upstream = Upstream::new();
    let one = upstream.push(&tree(&[("web.yaml", "one")]));
    let followed = Followed::start(options_of(&upstream));
    followed.snapshot();
    drop(followed);
    fs::rename(upstream.path(), upstream.beside().join("away")).expect("rename");
    let followed = Followed::start(options_of(&upstream));
    let snapshot = followed.snapshot();
    assert_eq!(
        (texts(&snapshot), snapshot.revision.clone()),
        ([("web.yaml", "one")].into(), Some(one))
    );
    followed.failure();
}

/// What is done to each file of a copy.
type Harm = fn(&std::path::Path);

#[test]
fn a_copy_that_is_broken_is_made_anew() {
    let upstream = Upstream::new();
    upstream.push(&tree(&[("web.yaml", "one")]));
    let copy = upstream.beside().join("gitops");
    let breaks: [(&str, Harm); 4] = [
        ("no HEAD", |path| {
            if path.ends_with("HEAD") {
                fs::remove_file(path).expect("remove")
            }
        }),
        ("no objects", |path| {
            if path.to_string_lossy().contains("/objects/") {
                fs::remove_file(path).expect("remove")
            }
        }),
        ("empty objects", |path| {
            if path.to_string_lossy().contains("/objects/") {
                fs::remove_file(path).expect("remove");
                fs::write(path, "").expect("write");
            }
        }),
        ("bad configuration", |path| {
            if path.ends_with("repository/config") {
                fs::write(path, "[[[").expect("write")
            }
        }),
    ];
    for (number, (what, harm)) in breaks.into_iter().enumerate() {
        drop(Followed::start(options_of(&upstream)).snapshot());
        walk(&copy).iter().for_each(|path| harm(path));
        let text = format!("{number}");
        let commit = upstream.push(&tree(&[("web.yaml", &text)]));
        let snapshot = Followed::start(options_of(&upstream)).snapshot_of(&commit);
        assert_eq!(
            texts(&snapshot).into_values().collect::<Vec<_>>(),
            [text.as_str()],
            "{what}"
        );
    }
}

#[test]
fn locks_of_a_git_that_was_killed_are_taken_away() {
    let upstream = Upstream::new();
    upstream.push(&tree(&[("web.yaml", "one")]));
    drop(Followed::start(options_of(&upstream)).snapshot());
    let held = walk(&upstream.beside().join("gitops"))
        .into_iter()
        .find(|path| path.ends_with("refs/ignite/held"))
        .expect("held");
    let repository = held
        .ancestors()
        .nth(3)
        .expect("above the reference")
        .to_owned();
    for lock in [
        "HEAD.lock",
        "config.lock",
        "shallow.lock",
        "packed-refs.lock",
        "refs/ignite/held.lock",
        "refs/ignite/fetched.lock",
    ] {
        fs::write(repository.join(lock), "").expect("write");
    }
    let inode = fs::metadata(&repository)
        .map(|data| std::os::unix::fs::MetadataExt::ino(&data))
        .expect("stat");
    let two = upstream.push(&tree(&[("web.yaml", "two")]));
    assert_eq!(
        texts(&Followed::start(options_of(&upstream)).snapshot_of(&two)),
        [("web.yaml", "two")].into()
    );
    // Repaired, not fetched as a whole once more.
    let now = fs::metadata(&repository)
        .map(|data| std::os::unix::fs::MetadataExt::ino(&data))
        .expect("stat");
    assert_eq!(inode, now);
}

#[test]
fn what_a_fetch_that_was_ended_leaves_is_gone_with_the_next() {
    let upstream = Upstream::new();
    upstream.push(&tree(&[("web.yaml", "one")]));
    let followed = Followed::start(options_of(&upstream));
    followed.snapshot();
    let held = walk(&upstream.beside().join("gitops"))
        .into_iter()
        .find(|path| path.ends_with("refs/ignite/held"))
        .expect("held");
    let packs = held.ancestors().nth(3).expect("above").join("objects/pack");
    fs::create_dir_all(&packs).expect("mkdir");
    let left = packs.join("tmp_pack_x");
    fs::write(&left, "half").expect("write");
    let two = upstream.push(&tree(&[("web.yaml", "two")]));
    followed.snapshot_of(&two);
    assert!(!left.exists());
}

#[test]
fn killed_again_and_again_it_is_right_in_the_end() {
    let upstream = Upstream::new();
    let texts_of = |round: u64| -> Vec<(String, String)> {
        (0..50)
            .map(|n| (format!("{n}.yaml"), format!("{round} {n}")))
            .collect()
    };
    for round in 0..40 {
        let files = texts_of(round);
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .collect();
        upstream.push(&tree(&files));
        // The end kills git wherever it is.
        let followed = Followed::start(options_of(&upstream));
        std::thread::sleep(Duration::from_millis(round * 7 % 150));
        drop(followed);
    }
    let last = upstream.head("main").expect("a commit");
    let snapshot = Followed::start(options_of(&upstream)).snapshot_of(&last);
    assert_eq!(texts(&snapshot).len(), 50);
}

/// Options of a repository on a host that nobody answers for.
fn silent(upstream: &Upstream) -> Options {
    let hosts = upstream.beside().join("hosts");
    fs::write(&hosts, "").expect("write");
    let mut options = options("ssh://192.0.2.1/vms.git", upstream.beside().join("gitops"));
    // 192.0.2.0/24 is for documentation: nobody answers there.
    options.ssh.hosts_file = Some(hosts);
    options
}

#[test]
fn the_end_does_not_wait_for_a_fetch() {
    let upstream = Upstream::new();
    let mut options = silent(&upstream);
    options.remote = Remote::parse(&hanging(&upstream)).expect("an address").0;
    options.timeout = Duration::from_secs(600);
    let followed = Followed::start(options);
    wait_for(&upstream.beside().join("began"));
    let time = followed.end();
    assert!(time < Duration::from_secs(1), "{time:?}");
}

#[test]
fn a_fetch_that_takes_too_long_is_ended_and_said() {
    let upstream = Upstream::new();
    let mut options = silent(&upstream);
    options.remote = Remote::parse(&hanging(&upstream)).expect("an address").0;
    options.timeout = Duration::from_secs(1);
    let followed = Followed::start(options);
    let said = followed.failure();
    assert!(
        said.contains("within 1s (give it more time with --timeout)"),
        "{said}"
    );
}

/// The address of a repository whose reading never ends: a FIFO in the place of its HEAD.
fn hanging(upstream: &Upstream) -> String {
    let path = upstream.path();
    fs::remove_file(path.join("HEAD")).expect("remove");
    let fifo = std::process::Command::new("mkfifo")
        .arg(path.join("HEAD"))
        .status()
        .expect("mkfifo");
    assert!(fifo.success());
    let beside = upstream.beside().to_owned();
    // Opening it for writing returns when git has opened it for reading.
    std::thread::spawn(move || {
        let held = fs::OpenOptions::new().write(true).open(path.join("HEAD"));
        fs::write(beside.join("began"), "").expect("write");
        std::thread::sleep(Duration::from_secs(30));
        drop(held);
    });
    upstream.url()
}

fn wait_for(path: &std::path::Path) {
    for _ in 0..600 {
        if path.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{} does not come", path.display());
}

#[test]
fn what_is_missing_is_said_before_anybody_is_asked() {
    let upstream = Upstream::new();
    let mut ssh = silent(&upstream);
    ssh.ssh.hosts_file = Some("/nowhere/known_hosts".into());
    let said = Followed::start(ssh).failure();
    assert!(said.contains("ssh-keyscan 192.0.2.1"), "{said}");
    let mut https = options(
        "https://192.0.2.1/vms",
        upstream.beside().join("gitops-https"),
    );
    https.credentials = Some(Credentials {
        user: String::new(),
        password: PasswordSource::File("/nowhere/password".into()),
    });
    let said = Followed::start(https).failure();
    assert!(said.contains("/nowhere/password"), "{said}");
}

#[test]
fn what_was_fetched_holds_without_a_file_that_was_named() {
    let upstream = Upstream::new();
    upstream.push(&tree(&[("web.yaml", "one")]));
    let certificate = upstream.beside().join("ca.pem");
    let mut options = options_of(&upstream);
    options.ca_file = Some(certificate.clone());
    fs::write(&certificate, "").expect("write");
    drop(Followed::start(options.clone()).snapshot());
    fs::remove_file(&certificate).expect("remove");
    let followed = Followed::start(options);
    assert_eq!(texts(&followed.snapshot()), [("web.yaml", "one")].into());
    let said = followed.failure();
    assert!(said.contains("certificate of the authority"), "{said}");
    // It is looked for again each time.
    fs::write(&certificate, "").expect("write");
    let two = upstream.push(&tree(&[("web.yaml", "two")]));
    followed.snapshot_of(&two);
}

#[test]
fn a_path_that_git_cannot_be_given_is_refused() {
    let upstream = Upstream::new();
    let mut options = options_of(&upstream);
    options.ca_file = Some("/ca\n.pem".into());
    assert!(matches!(Git::new(options), Err(Error::Path { .. })));
}

#[test]
fn nobody_else_reads_the_copy() {
    let upstream = Upstream::new();
    upstream.push(&tree(&[("web.yaml", "one")]));
    drop(Followed::start(options_of(&upstream)).snapshot());
    let directory = fs::read_dir(upstream.beside().join("gitops"))
        .expect("list")
        .next()
        .expect("one")
        .expect("entry");
    assert_eq!(
        directory.metadata().expect("stat").permissions().mode() & 0o777,
        0o700
    );
}
