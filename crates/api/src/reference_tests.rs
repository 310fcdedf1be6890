use super::*;
use proptest::prelude::*;

const SHA: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn reference(text: &str) -> Reference {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn normalises_as_docker_does() {
    let cases = [
        ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
        (
            "alpine:3.20",
            "docker.io/library/alpine:3.20",
            "alpine:3.20",
        ),
        (
            "library/alpine",
            "docker.io/library/alpine:latest",
            "alpine:latest",
        ),
        (
            "docker.io/alpine",
            "docker.io/library/alpine:latest",
            "alpine:latest",
        ),
        (
            "index.docker.io/weaveworks/ignite-ubuntu",
            "docker.io/weaveworks/ignite-ubuntu:latest",
            "weaveworks/ignite-ubuntu:latest",
        ),
        (
            "localhost/app",
            "localhost/app:latest",
            "localhost/app:latest",
        ),
        (
            "localhost:5000/a/b:v1",
            "localhost:5000/a/b:v1",
            "localhost:5000/a/b:v1",
        ),
        (
            "127.0.0.1:5080/x",
            "127.0.0.1:5080/x:latest",
            "127.0.0.1:5080/x:latest",
        ),
        ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
        ("Registry/x", "Registry/x:latest", "Registry/x:latest"),
        (
            "a__b/c--d.e_f",
            "docker.io/a__b/c--d.e_f:latest",
            "a__b/c--d.e_f:latest",
        ),
    ];
    for (text, canonical, familiar) in cases {
        let reference = reference(text);
        assert_eq!(reference.canonical(), canonical, "{text}");
        assert_eq!(reference.familiar(), familiar, "{text}");
    }
}

#[test]
fn parts() {
    let pinned = reference(&format!("quay.io/a/b:v1@{SHA}"));
    assert_eq!((pinned.registry(), pinned.repository()), ("quay.io", "a/b"));
    assert_eq!((pinned.tag(), pinned.digest()), (Some("v1"), Some(SHA)));
    let untagged = reference(&format!("alpine@{SHA}"));
    assert_eq!((untagged.tag(), untagged.digest()), (None, Some(SHA)));
    assert_eq!(untagged.familiar(), format!("alpine@{SHA}"));
}

#[test]
fn faults_and_hints() {
    let long = "a/".repeat(130) + "b";
    let tag = format!("alpine:{}", "t".repeat(129));
    let id = "e".repeat(64);
    let faults = [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "Alpine",
        "a/B:v1",
        "a:",
        "a:-x",
        "a b",
        "a@sha256:12",
        "a@md5:00",
        "a@",
        "-a",
        "a-",
        "a...b",
        "a___b",
        "reg.example:port/a",
        "reg.example:99999/a",
        "-x.example/a",
        "[::g]/a",
        "https://reg.example/a",
        "é",
        &id,
    ];
    let report: Vec<String> = faults
        .iter()
        .map(|text| {
            let error = text.parse::<Reference>().expect_err(text);
            format!("{error}\n  hint: {}", error.hint().expect("has a hint"))
        })
        .collect();
    insta::assert_snapshot!(report.join("\n"));
    assert!(matches!(
        long.parse::<Reference>(),
        Err(ReferenceError::TooLong { .. })
    ));
    assert!(matches!(
        tag.parse::<Reference>(),
        Err(ReferenceError::Tag { .. })
    ));
}

proptest! {
    #[test]
    fn round_trip(
        registry in "(team/|localhost/|[a-z]{1,8}\\.example/|docker\\.io/|10\\.0\\.0\\.1:[1-9][0-9]{0,3}/)",
        repository in "[a-z0-9]{1,8}(([._]|__|-{1,3})[a-z0-9]{1,8}){0,2}(/[a-z0-9]{1,8}){0,3}",
        tag in "(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,20})?",
        pinned: bool,
    ) {
        let digest = if pinned { format!("@{SHA}") } else { String::new() };
        let parsed = reference(&format!("{registry}{repository}{tag}{digest}"));
        prop_assert_eq!(&reference(&parsed.canonical()), &parsed);
        prop_assert_eq!(&reference(&parsed.familiar()), &parsed);
    }

    #[test]
    fn never_panics_and_round_trips_what_it_takes(text in "[a-zA-Z0-9é:/@.\\[\\]_-]{0,40}") {
        if let Ok(parsed) = text.parse::<Reference>() {
            prop_assert_eq!(reference(&parsed.familiar()), parsed);
        }
    }
}
