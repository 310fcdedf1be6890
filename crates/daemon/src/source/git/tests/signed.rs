//! Commits that must be signed.

use std::fs;
use std::process::Command;

use super::followed::{Followed, texts};
use super::upstream::{Upstream, tree};
use super::*;

fn run(program: &str, words: &[&str]) {
    let output = Command::new(program).args(words).output().expect(program);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {words:?}: {said}");
}

/// An ssh key of this name beside the repository; its path.
fn key(upstream: &Upstream, name: &str) -> String {
    let path = upstream.beside().join(name).display().to_string();
    run(
        "ssh-keygen",
        &[
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-C",
            "one@example.org",
            "-f",
            &path,
        ],
    );
    path
}

fn sign_with_ssh(key: &str) -> [String; 3] {
    [
        "gpg.format=ssh".to_owned(),
        format!("user.signingKey={key}"),
        "-S".to_owned(),
    ]
}

fn commit(upstream: &Upstream, text: &str, options: &[String]) -> String {
    let parent = upstream.head("main");
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    upstream.commit(&tree(&[("web.yaml", text)]), parent.as_deref(), &options)
}

#[test]
fn only_signers_that_are_allowed_by_ssh_key() {
    let upstream = Upstream::new();
    let (ours, theirs) = (key(&upstream, "ours"), key(&upstream, "theirs"));
    let allowed = upstream.beside().join("allowed signers");
    let public = fs::read_to_string(format!("{ours}.pub")).expect("read");
    fs::write(
        &allowed,
        format!("one@example.org namespaces=\"git\" {public}"),
    )
    .expect("write");
    let mut options = options_of(&upstream);
    options.signers = Some(Signers {
        allowed: Some(allowed),
        gpg_home: None,
    });

    commit(&upstream, "zero", &[]);
    let followed = Followed::start(options.clone());
    let said = followed.failure();
    assert!(
        said.contains("is not signed as it must be: it has no signature (sign it"),
        "{said}"
    );
    let one = commit(&upstream, "one", &sign_with_ssh(&ours));
    assert_eq!(
        texts(&followed.snapshot_of(&one)),
        [("web.yaml", "one")].into()
    );

    commit(&upstream, "two", &sign_with_ssh(&theirs));
    let said = followed.failure();
    assert!(said.contains("is not signed as it must be"), "{said}");
    drop(followed);
    // What is held at the next start is the last commit that was good.
    let followed = Followed::start(options);
    let snapshot = followed.snapshot();
    assert_eq!(
        (texts(&snapshot), snapshot.revision.clone()),
        ([("web.yaml", "one")].into(), Some(one))
    );
    followed.failure();
}

#[test]
fn what_was_fetched_before_signatures_were_asked_for_is_not_taken() {
    let upstream = Upstream::new();
    commit(&upstream, "zero", &[]);
    let mut options = options_of(&upstream);
    drop(Followed::start(options.clone()).snapshot());
    let allowed = upstream.beside().join("allowed");
    fs::write(&allowed, "").expect("write");
    options.signers = Some(Signers {
        allowed: Some(allowed),
        gpg_home: None,
    });
    Followed::start(options).failure();
}

#[test]
fn only_signers_whose_gpg_key_is_there() {
    let upstream = Upstream::new();
    let mut homes = Vec::new();
    for name in ["ours", "theirs"] {
        let home = upstream.beside().join(name);
        fs::create_dir(&home).expect("mkdir");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(&home, mode).expect("chmod");
        let home = home.display().to_string();
        let words = [
            "--homedir",
            &home,
            "--batch",
            "--passphrase",
            "",
            "--quick-gen-key",
            "one@example.org",
            "ed25519",
            "sign",
            "never",
        ];
        run("gpg", &words);
        let program = upstream.beside().join(format!("gpg-{name}"));
        fs::write(
            &program,
            format!("#!/bin/sh\nexec gpg --homedir {home} \"$@\"\n"),
        )
        .expect("write");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&program, mode).expect("chmod");
        homes.push((home, format!("gpg.program={}", program.display())));
    }
    let sign = |who: usize| {
        [
            homes[who].1.clone(),
            "user.signingKey=one@example.org".to_owned(),
            "-S".to_owned(),
        ]
    };
    let mut options = options_of(&upstream);
    options.signers = Some(Signers {
        allowed: None,
        gpg_home: Some(homes[0].0.clone().into()),
    });
    let one = commit(&upstream, "one", &sign(0));
    let followed = Followed::start(options);
    assert_eq!(followed.snapshot().revision, Some(one));
    commit(&upstream, "two", &sign(1));
    let said = followed.failure();
    assert!(
        said.contains("is not signed as it must be") && said.contains("No public key"),
        "{said}"
    );
    for (home, _) in &homes {
        // The agents that were started for the keys.
        run("gpgconf", &["--homedir", home, "--kill", "all"]);
    }
}
