//! What a repository may hold that is no manifest, or pretends to be one.

use super::followed::{Followed, texts};
use super::options_of;
use super::upstream::{Node, Tree, Upstream, tree};
use crate::source::File;

fn fault(file: &File) -> &str {
    match file {
        File::Fault(text) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn links_submodules_and_what_is_no_text_are_named_and_skipped() {
    let upstream = Upstream::new();
    upstream.push(&tree(&[("good.yaml", "good")]));
    let mut hostile: Tree = tree(&[
        ("good.yaml", "good"),
        (
            ".gitmodules",
            "[submodule \"m\"]\n\tpath = m\n\turl = /etc\n",
        ),
    ]);
    hostile.insert(b"out.yaml".to_vec(), Node::Link("/etc/passwd"));
    hostile.insert(b"up/vms".to_vec(), Node::Link("../../.."));
    hostile.insert(b"m".to_vec(), Node::Module);
    hostile.insert(b"binary.json".to_vec(), Node::File(vec![0xff, 0xfe]));
    hostile.insert(b"huge.yaml".to_vec(), Node::File(vec![b'x'; 3 << 20]));
    hostile.insert(b"\xff.yaml".to_vec(), Node::File(b"x".to_vec()));
    hostile.insert(
        b".gitattributes".to_vec(),
        Node::File(b"* filter=evil ident export-subst\n".to_vec()),
    );
    upstream.push(&hostile);

    let followed = Followed::start(options_of(&upstream));
    let snapshot = followed.snapshot();
    assert_eq!(texts(&snapshot)["good.yaml"], "good");
    let faults = [
        ("out.yaml", "symbolic link"),
        ("binary.json", "not UTF-8 at byte 0"),
        ("huge.yaml", "3145728 bytes"),
        ("\u{fffd}.yaml", "not UTF-8"),
    ];
    for (path, word) in faults {
        let text = fault(&snapshot.files[path]);
        assert!(text.contains(word), "{path}: {text}");
    }
    assert_eq!(snapshot.files.len(), faults.len() + 1);
    let warnings = [
        "submodules are not looked into: \"m\"",
        "symbolic links are not followed: \"up/vms\"",
    ];
    assert_eq!(snapshot.warnings, warnings);
}

#[test]
fn nothing_of_the_repository_runs_or_is_checked_out() {
    let upstream = Upstream::new();
    let mark = upstream.beside().join("it-ran");
    for hook in [
        "post-checkout",
        "post-merge",
        "reference-transaction",
        "post-update",
    ] {
        let path = upstream.path().join("hooks").join(hook);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
        std::fs::write(
            &path,
            format!("#!/bin/sh\necho {hook} >> {}\n", mark.display()),
        )
        .expect("write");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("chmod");
    }
    upstream.push(&tree(&[("a-name-to-find.yaml", "one")]));
    let _ = std::fs::remove_file(&mark);
    let followed = Followed::start(options_of(&upstream));
    followed.snapshot();
    drop(followed);
    assert!(!mark.exists());
    let files = super::history::walk(&upstream.beside().join("gitops"));
    assert!(
        !files.is_empty()
            && files
                .iter()
                .all(|path| !path.ends_with("a-name-to-find.yaml"))
    );
}

#[test]
fn five_thousand_files() {
    let upstream = Upstream::new();
    let files: Tree = (0..5000)
        .map(|n| {
            (
                format!("{}/{n}.yaml", n % 50).into_bytes(),
                Node::File(format!("vm {n}").into_bytes()),
            )
        })
        .collect();
    upstream.push(&files);
    let followed = Followed::start(options_of(&upstream));
    let snapshot = followed.snapshot();
    assert_eq!(snapshot.files.len(), 5000);
    assert_eq!(texts(&snapshot)["49/4999.yaml"], "vm 4999");
    let mut changed = files;
    changed.insert(b"0/0.yaml".to_vec(), Node::File(b"new".to_vec()));
    let snapshot = followed.snapshot_of(&upstream.push(&changed));
    let news: Vec<&str> = texts(&snapshot)
        .into_values()
        .filter(|text| *text != "(unchanged)")
        .collect();
    assert_eq!(news, ["new"]);
}

#[test]
fn more_manifests_than_are_ever_read_leave_what_holds() {
    let upstream = Upstream::new();
    let one = upstream.push(&tree(&[("web.yaml", "one")]));
    let followed = Followed::start(options_of(&upstream));
    followed.snapshot();
    let much: Tree = (0..70)
        .map(|n| {
            (
                format!("{n}.yaml").into_bytes(),
                Node::File(vec![b'x'; 1 << 20]),
            )
        })
        .collect();
    upstream.push(&much);
    let said = followed.failure();
    assert!(
        said.contains("more than 67108864 bytes in manifests"),
        "{said}"
    );
    upstream.git(&["update-ref", "refs/heads/main", &one], b"");
    assert_eq!(
        texts(&followed.snapshot_of(&one)),
        [("web.yaml", "(unchanged)")].into()
    );
}

#[test]
fn a_tree_that_multiplies_is_refused_with_words_and_not_fetched_again_and_again() {
    let upstream = Upstream::new();
    upstream.push(&tree(&[("good.yaml", "good")]));
    let followed = Followed::start(options_of(&upstream));
    followed.snapshot();
    // Six levels of ten: a million files of one tree each.
    let mut below = upstream.git(&["hash-object", "-w", "--stdin"], b"x");
    let mut kind = "100644 blob";
    for _ in 0..6 {
        let lines: String = (0..10)
            .map(|n| format!("{kind} {below}\t{n}-of-a-rather-long-name\n"))
            .collect();
        below = upstream.git(&["mktree"], lines.as_bytes());
        kind = "040000 tree";
    }
    let commit = upstream.git(&["commit-tree", &below, "-m", "a bomb"], b"");
    upstream.git(&["update-ref", "refs/heads/main", &commit], b"");
    let said = followed.failure();
    assert!(said.contains("holds more than 33554432 bytes"), "{said}");
    assert!(said.contains("(keep the manifests in"), "{said}");
    let fresh = super::history::walk(&upstream.beside().join("gitops"))
        .into_iter()
        .find(|path| path.to_string_lossy().contains("/fresh/"));
    assert_eq!(fresh, None);
}
