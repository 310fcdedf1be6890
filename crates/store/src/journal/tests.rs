//! The journal through rotations and crashes.

use std::io::Write as _;

use proptest::prelude::*;

use super::*;
use crate::Paths;

fn happening(number: usize) -> Happening {
    let uid = "0123456789abcdef".parse().expect("a uid");
    let name = "web".parse().expect("a name");
    Happening::now("die", uid, name).with("number", number)
}

fn numbers(found: &[Happening]) -> Vec<usize> {
    let number = |it: &Happening| it.attributes["number"].parse().expect("a number");
    found.iter().map(number).collect()
}

fn host() -> (tempfile::TempDir, Paths) {
    let root = tempfile::tempdir().expect("tempdir");
    let paths = Paths::under(root.path());
    std::fs::create_dir_all(&paths.data).expect("made");
    (root, paths)
}

#[test]
fn what_is_written_is_read_once() {
    let (_root, paths) = host();
    let (journal, mut reader) = (Journal::new(&paths), Reader::new(&paths));
    assert_eq!(reader.read().expect("nothing there"), []);
    let first = happening(0);
    journal.append(&first).expect("written");
    assert_eq!(reader.read().expect("read"), [first]);
    assert_eq!(reader.read().expect("read"), []);
    let of_vm = Journal::of_vm(&paths.vm("0123456789abcdef".parse().expect("a uid")));
    of_vm
        .expect("a host")
        .append(&happening(1))
        .expect("written");
    assert_eq!(numbers(&reader.read().expect("read")), [1]);
}

#[test]
fn two_rotations_lose_nothing_for_who_follows() {
    let (_root, paths) = host();
    let journal = Journal::new(&paths).bounded(1000);
    let mut follower = Reader::new(&paths);
    let write = |from: usize, to: usize| {
        for number in from..to {
            journal.append(&happening(number)).expect("written");
        }
    };
    write(0, 3);
    assert_eq!(numbers(&follower.read().expect("read")), [0, 1, 2]);
    // A line has some 120 bytes: more than one file, less than three.
    write(3, 20);
    assert_eq!(
        numbers(&follower.read().expect("read")),
        (3..20).collect::<Vec<_>>()
    );
    assert!(!follower.has_lost());
    let late = numbers(&Reader::new(&paths).read().expect("read"));
    assert_eq!(late.last(), Some(&19));
    assert!(late.len() > 8 && late.is_sorted(), "{late:?}");
}

#[test]
fn who_was_away_for_too_long_is_told_so_once() {
    let (_root, paths) = host();
    let journal = Journal::new(&paths).bounded(1000);
    let write = |from: usize, to: usize| {
        for number in from..to {
            journal.append(&happening(number)).expect("written");
        }
    };
    let mut early = Reader::new(&paths);
    assert_eq!(early.read().expect("nothing there"), []);
    write(0, 3);
    let mut follower = Reader::new(&paths);
    assert_eq!(follower.read().expect("read").len(), 3);
    write(3, 60);
    for reader in [&mut early, &mut follower] {
        let found = numbers(&reader.read().expect("read"));
        assert!(found.last() == Some(&59) && found.len() < 57, "{found:?}");
        assert!(reader.has_lost());
        nothing_more_is_said(reader);
    }
    // What was before one came was never promised.
    let mut late = Reader::new(&paths);
    assert!(!late.read().expect("read").is_empty());
    assert!(!late.has_lost());
}

fn nothing_more_is_said(reader: &mut Reader) {
    assert_eq!(reader.read().expect("read"), []);
    assert!(!reader.has_lost());
}

/// A version before had files without a number.
#[test]
fn a_file_without_a_number_is_read() {
    let (_root, paths) = host();
    let mut line = serde_json::to_vec(&happening(0)).expect("plain data");
    line.push(b'\n');
    std::fs::write(paths.data.join(FILE), line).expect("written");
    let (journal, mut reader) = (Journal::new(&paths).bounded(1000), Reader::new(&paths));
    assert_eq!(numbers(&reader.read().expect("read")), [0]);
    for number in 1..10 {
        journal.append(&happening(number)).expect("written");
    }
    let found = numbers(&reader.read().expect("read"));
    assert_eq!(found, (1..10).collect::<Vec<_>>());
    assert!(!reader.has_lost());
}

#[test]
fn the_older_file_is_read_first_though_nothing_was_there_before() {
    let (_root, paths) = host();
    let journal = Journal::new(&paths).bounded(1000);
    let mut reader = Reader::new(&paths);
    assert_eq!(reader.read().expect("nothing there"), []);
    for number in 0..10 {
        journal.append(&happening(number)).expect("written");
    }
    assert!(paths.data.join(OLDER).exists());
    assert_eq!(
        numbers(&reader.read().expect("read")),
        (0..10).collect::<Vec<_>>()
    );
}

#[test]
fn a_torn_line_spoils_no_other() {
    let (_root, paths) = host();
    let (journal, mut reader) = (Journal::new(&paths), Reader::new(&paths));
    journal.append(&happening(0)).expect("written");
    std::fs::OpenOptions::new()
        .append(true)
        .open(paths.data.join(FILE))
        .and_then(|mut file| file.write_all(b"{\"time\":\"20"))
        .expect("torn");
    assert_eq!(numbers(&reader.read().expect("read")), [0]);
    journal.append(&happening(1)).expect("written");
    assert_eq!(numbers(&reader.read().expect("read")), [1]);
}

#[test]
fn a_line_without_end_is_not_kept() {
    let (mut lines, mut found) = (Lines::default(), Vec::new());
    for _ in 0..100 {
        lines.push(&[b'x'; 1000], &mut found);
    }
    let mut text = b"\n".to_vec();
    text.extend(serde_json::to_vec(&happening(7)).expect("plain data"));
    text.push(b'\n');
    lines.push(&text, &mut found);
    assert_eq!(numbers(&found), [7]);
}

proptest! {
    #[test]
    fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        Lines::default().push(&bytes, &mut Vec::new());
    }
}
