//! The files of a source of manifests, several at once, from people.

use std::collections::BTreeSet;

use ignite_api::VmSpec;
use ignite_daemon::desired::{Book, resolve};
use ignite_daemon::source::{File, Snapshot};

/// Most files at once.
const MAX_FILES: usize = 8;

/// Each file, cut off by a NUL, is a VM, something else or a fault; no VM is wanted twice.
pub fn run(bytes: &[u8]) {
    let texts = bytes.split(|byte| *byte == 0).take(MAX_FILES);
    let texts = texts.map(|text| File::Text(String::from_utf8_lossy(text).into_owned()));
    let paths = (0..).map(|number: usize| format!("{number}.yaml"));
    let files: std::collections::BTreeMap<String, File> = paths.zip(texts).collect();
    let count = files.len();
    let snapshot = Snapshot {
        files,
        ..Snapshot::default()
    };
    let mut book = Book::default();
    let defaults = VmSpec::default();
    assert!(book.take(snapshot.clone(), &defaults));
    assert!(!book.take(snapshot, &defaults), "the same is no change");
    let desired = resolve(&book, &[]);
    let meanings = desired.wanted.len() + desired.ignored.len() + desired.faults.len();
    assert_eq!(meanings, count);
    let mut names = BTreeSet::new();
    for name in desired.wanted.values().filter_map(|wanted| wanted.name()) {
        assert!(names.insert(name), "{name} is wanted twice");
    }
    for fault in desired.faults.values() {
        assert!(fault.message.chars().count() <= 2001, "{fault}");
    }
}
