//! Archives of GNU tar's, and ours for it: files with holes in every format it knows, compared with what
//! they were.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use ignite_archive::{Place, Policy, Source, pack, unpack};

/// How GNU tar is asked for each of its formats of files with holes.
const FORMATS: [&[&str]; 4] = [
    &["--format=gnu"],
    &["--format=posix", "--sparse-version=0.0"],
    &["--format=posix", "--sparse-version=0.1"],
    &["--format=posix", "--sparse-version=1.0"],
];

/// Data in so many places is more than a header and two blocks behind it have room for.
const MANY: u64 = 60;

/// Files named by where their holes are.
fn make(tree: &Path) {
    fs::create_dir(tree).expect("mkdir");
    let make = |name: &str, parts: &[(u64, &[u8])], size: u64| {
        let file = File::create(tree.join(name)).expect("create");
        file.set_len(size).expect("set_len");
        for (offset, data) in parts {
            file.write_all_at(data, *offset).expect("write");
        }
    };
    make("all", &[], 20 << 20);
    make("end", &[(0, b"begin")], 3 << 20);
    make("begin", &[((3 << 20) - 3, b"end")], 3 << 20);
    make(
        "middle",
        &[(0, b"begin"), ((1 << 20) + 7, b"end")],
        (1 << 20) + 10,
    );
    let many: Vec<(u64, Vec<u8>)> = (0..MANY)
        .map(|at| (at << 16, vec![at as u8 + 1; 1000 + at as usize]))
        .collect();
    let many: Vec<(u64, &[u8])> = many.iter().map(|(at, data)| (*at, &data[..])).collect();
    make("many", &many, (MANY << 16) + 99);
    make("none", &[(0, &[7; 70_000])], 70_000);
    make("small", &[(0, b"begin"), (200_000, b"end")], 300_000);
}

/// Every file of the one tree is in the other, with its holes.
fn same(one: &Path, other: &Path, how: &str) {
    for entry in fs::read_dir(one).expect("a tree") {
        let name = entry.expect("an entry").file_name();
        let read = |tree: &Path| {
            let mut file = File::open(tree.join(&name)).expect("a file");
            let mut data = Vec::new();
            file.read_to_end(&mut data).expect("its data");
            (data, file.metadata().expect("metadata").blocks())
        };
        let ((data, blocks), (other, other_blocks)) = (read(one), read(other));
        assert_eq!(data.len(), other.len(), "size of {name:?}, {how}");
        assert!(data == other, "content of {name:?}, {how}");
        // Up to one block of the file system more for each part, where its borders are.
        let most = blocks + 8 * (MANY + 2);
        assert!(
            other_blocks <= most,
            "{name:?} takes {other_blocks} blocks, {how}"
        );
    }
}

fn tar(words: &[&str], directory: &Path) {
    let mut command = Command::new("tar");
    let status = command.current_dir(directory).args(words).status();
    assert!(status.expect("GNU tar").success(), "tar {words:?}");
}

#[test]
fn what_gnu_tar_makes_of_holes_is_read() {
    let directory = tempfile::tempdir().expect("tempdir");
    let tree = directory.path().join("tree");
    make(&tree);
    for (number, format) in FORMATS.iter().enumerate() {
        let words = ["-c", "--sparse", "--hole-detection=seek", "-f", "a.tar"];
        tar(&[&words[..], format, &["tree"]].concat(), directory.path());
        let archive = fs::read(directory.path().join("a.tar")).expect("the archive");
        assert!(archive.len() < 1 << 20, "{format:?} has holes");
        let back = directory.path().join(format!("back{number}"));
        let place = Place {
            destination: &back,
            expected: Some(b"tree"),
            whole: false,
            policy: Policy::onto_host(false),
        };
        unpack(&archive[..], &place, &mut |remark| panic!("{remark}")).expect("an archive");
        same(&tree, &back, &format!("{format:?}"));
    }
}

#[test]
fn what_we_make_of_holes_is_read_by_gnu_tar() {
    let directory = tempfile::tempdir().expect("tempdir");
    let tree = directory.path().join("tree");
    make(&tree);
    let source = Source::open(&tree, false).expect("the tree");
    let archive = File::create(directory.path().join("a.tar")).expect("create");
    pack(&source, archive, &mut |remark| panic!("{remark}")).expect("packed");
    let size = fs::metadata(directory.path().join("a.tar"))
        .expect("it")
        .len();
    assert!(size < 1 << 20, "holes are left out: {size}");
    fs::create_dir(directory.path().join("back")).expect("mkdir");
    tar(&["-x", "-f", "../a.tar"], &directory.path().join("back"));
    same(&tree, &directory.path().join("back/tree"), "GNU tar");
}
