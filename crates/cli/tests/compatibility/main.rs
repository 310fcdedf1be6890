//! The page about Weave Ignite: every one of its tests is there, every command and flag, and every test
//! of ours that the page names exists.

mod commands;

use std::fs;
use std::path::{Path, PathBuf};

/// Its end-to-end tests.
const THEIRS: &[&str] = &[
    "TestIgniteRunWithDockerAndDockerBridge",
    "TestIgniteRunWithDockerAndCNI",
    "TestIgniteRunWithContainerdAndCNI",
    "TestCurlWithDockerAndDockerBridge",
    "TestCurlWithDockerAndCNI",
    "TestCurlWithContainerdAndCNI",
    "TestIDPrefixCurlWithDockerAndDockerBridge",
    "TestIDPrefixCurlWithDockerAndCNI",
    "TestIDPrefixCurlWithContainerdAndCNI",
    "TestRunWithoutName",
    "TestVolumeWithDockerAndDockerBridge",
    "TestVolumeWithDockerAndCNI",
    "TestVolumeWithContainerdAndCNI",
    "TestVMLifecycleWithDockerAndDockerBridge",
    "TestVMLifecycleWithDockerAndCNI",
    "TestVMLifecycleWithContainerdAndCNI",
    "TestVMProviderSwitch",
    "TestVMStartNonDefaultProvider",
    "TestVMStopStartDefaultProviders",
    "TestVMExecInteractive",
    "TestVMpsWithOutdatedStatus",
    "TestCopyFileFromHostToVM",
    "TestCopySymlinkedFileFromHostToVM",
    "TestCopyFileFromVMToHost",
    "TestCopyDirectoryFromHostToVM",
    "TestCopyDirectoryFromVMToHost",
    "TestConfigFile",
    "TestImportTinyImage",
    "TestDockerImportImage",
    "TestPullFromAuthRegistry",
    "TestPortmapCleanup",
    "TestOneExtraInterface",
    "TestMultipleInterface",
    "TestMultipleInterfaceImplicit",
    "TestIgnitedDaemon",
    "TestRunGitops",
    "TestConcurrentVMCreation",
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The page's rows: their tests, the verdict, ours.
fn rows() -> Vec<[String; 3]> {
    let page = read("../../docs/compatibility.md");
    let rows = page.lines().filter(|line| line.starts_with("| Test"));
    rows.map(|line| {
        let mut cells = line
            .trim_matches('|')
            .split(" | ")
            .map(|cell| cell.trim().to_owned());
        std::array::from_fn(|_| cells.next().unwrap_or_default())
    })
    .collect()
}

#[test]
fn every_one_of_their_tests_has_one_row() {
    let rows = rows();
    let listed: Vec<&str> = rows
        .iter()
        .flat_map(|[theirs, ..]| theirs.split(", "))
        .collect();
    for test in THEIRS {
        let times = listed.iter().filter(|listed| *listed == test).count();
        assert_eq!(times, 1, "{test}");
    }
    assert_eq!(listed.len(), THEIRS.len(), "{listed:?}");
}

#[test]
fn every_test_of_ours_is_there() {
    for [theirs, verdict, ours] in rows() {
        let names: Vec<&str> = ours.split('`').skip(1).step_by(2).collect();
        let needed = verdict.starts_with("kept") || verdict.starts_with("translated");
        assert!(!names.is_empty() || !needed, "{theirs} has no test");
        for name in names {
            assert!(exists(name), "{theirs}: there is no test {name}");
        }
    }
}

#[test]
fn whatever_else_differs_has_a_test_that_is_there() {
    let page = read("../../docs/compatibility.md");
    let (_, rest) = page.split_once("## What else differs").expect("a section");
    let section = rest.split("\n## ").next().unwrap_or(rest);
    let rows: Vec<&str> = section
        .lines()
        .filter(|line| line.starts_with("| "))
        .collect();
    assert!(rows.len() > 2, "{section}");
    // The first is the head.
    for row in &rows[1..] {
        let tests = row
            .trim_matches('|')
            .rsplit(" | ")
            .next()
            .unwrap_or_default();
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test: {row}");
        for name in names {
            assert!(exists(name), "there is no test {name}: {row}");
        }
    }
}

/// Whether there is such a test: `module::name` below the end-to-end tests, or, for a unit test,
/// `crate/file.rs::name` below `crates/` (the file below the crate's `src`).
fn exists(test: &str) -> bool {
    let (module, function) = test.rsplit_once("::").expect("a module and a name");
    sources(module).iter().any(|path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        text.contains(&format!("fn {function}()")) && text.contains("#[test]")
    })
}

/// Where the tests of a module may be.
fn sources(module: &str) -> [PathBuf; 2] {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    if let Some((name, file)) = module.split_once('/') {
        let root = own.with_file_name(name);
        return [root.join("src").join(file), root.join(file)];
    }
    let path = own.join("tests/e2e").join(module.replace("::", "/"));
    [path.with_extension("rs"), path.join("mod.rs")]
}
