//! Raw disks on real file systems: one that shares blocks, one that does not, one that is full.
//!
//! Each test runs itself again in a mount namespace with a file system of its own, which ends with it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use ignite_vmm::disk::{How, raw};

/// Names the directory with the file system, in the namespace.
const PLACE: &str = "IGNITE_TEST_PLACE";

/// Disks made and removed one after another, and all there at once.
const MANY: usize = 1000;

const MIB: u64 = 1 << 20;

/// Made of `script`, with the directory as `$0`, its mount point `$0/fs`.
const XFS: &str =
    "truncate -s 400M $0/disk; mkfs.xfs -q -m reflink=1 $0/disk; mount -o loop $0/disk $0/fs";
const EXT4: &str = "truncate -s 400M $0/disk; mkfs.ext4 -q $0/disk; mount -o loop $0/disk $0/fs";
const FULL: &str = "mount -t tmpfs -o size=6m tmpfs $0/fs";

/// Runs the test in a namespace with this file system; there, where its directory is.
fn place(test: &str, script: &str) -> Option<PathBuf> {
    if let Some(place) = std::env::var_os(PLACE) {
        return Some(PathBuf::from(place).join("fs"));
    }
    let directory = tempfile::tempdir().expect("tempdir");
    fs::create_dir(directory.path().join("fs")).expect("mkdir");
    let script = format!("{script}; exec \"$1\" --exact {test}");
    let words: [OsString; 6] = [
        "-m".into(),
        "sh".into(),
        "-euc".into(),
        script.into(),
        directory.path().into(),
        std::env::current_exe().expect("we are a program").into(),
    ];
    let status = Command::new("unshare")
        .args(words)
        .env(PLACE, directory.path())
        .status()
        .expect("unshare is part of util-linux");
    assert!(status.success(), "{status}");
    None
}

/// An image with `data` bytes of data in ten times as much room.
fn image(directory: &Path, data: u64) -> PathBuf {
    let path = directory.join("image.ext4");
    let file = File::create(&path).expect("new");
    file.set_len(data * 10).expect("long");
    let bytes = vec![3; data as usize / 4];
    for quarter in 0..4 {
        let at = quarter * data * 5 / 2;
        file.write_all_at(&bytes, at).expect("written");
    }
    file.sync_all().expect("synced");
    path
}

fn make(disk: &Path, image: &Path) -> How {
    let length = fs::metadata(image).expect("stat").len();
    raw::create(disk, image, length * 2, &|| false).expect("made")
}

/// Bytes in use on the file system.
fn used(place: &Path) -> u64 {
    let words = ["--output=used", "-B1"];
    let output = Command::new("df").args(words).arg(place).output();
    let text = String::from_utf8(output.expect("df").stdout).expect("text");
    let number = text.lines().last().expect("a line").trim();
    number.parse().expect("a number")
}

/// Disks that do not touch each other or the image, then `many` of them; `each` bounds what one takes.
fn live(place: &Path, data: u64, many: usize, how: How, each: u64) {
    let image = image(place, data);
    let before = fs::read(&image).expect("read");
    let (one, other) = (place.join("one"), place.join("other"));
    assert_eq!((make(&one, &image), make(&other, &image)), (how, how));
    let disk = fs::OpenOptions::new().write(true).open(&one).expect("open");
    disk.write_all_at(&[4; 4096], 0).expect("written");
    assert!(
        fs::read(&image).expect("read") == before,
        "the image changed"
    );
    assert!(fs::read(&other).expect("read").starts_with(&before));
    let (free, disk) = (used(place), |number: usize| {
        place.join(format!("disk{number}"))
    });
    (0..many).for_each(|number| assert_eq!(make(&disk(number), &image), how));
    let took = used(place).saturating_sub(free);
    assert!(took <= each * many as u64, "{many} disks take {took} bytes");
    for number in 0..many {
        fs::remove_file(disk(number)).expect("removed");
    }
    let left = fs::read_dir(place).expect("list").flatten();
    let left = left.filter(|entry| entry.file_name() != "lost+found");
    assert_eq!(left.count(), 3, "image and two disks");
}

#[test]
fn a_thousand_share_the_images_blocks() {
    if let Some(place) = place("a_thousand_share_the_images_blocks", XFS) {
        // A thousand copies would take 20 GB.
        live(&place, 20 * MIB, MANY, How::Reflink, MIB / 16);
    }
}

#[test]
fn a_thousand_are_copied_without_their_holes() {
    if let Some(place) = place("a_thousand_are_copied_without_their_holes", EXT4) {
        live(&place, MIB / 4, MANY, How::Copy, MIB / 4 + MIB / 32);
    }
}

#[test]
fn a_full_file_system_is_said_and_keeps_nothing() {
    let Some(place) = place("a_full_file_system_is_said_and_keeps_nothing", FULL) else {
        return;
    };
    let image = image(&place, 4 * MIB);
    let disk = place.join("disk");
    let error = raw::create(&disk, &image, 40 * MIB, &|| false).expect_err("4 MB do not fit");
    assert!(error.is_full(), "{error}");
    assert!(error.hint().expect("a hint").contains("free some space"));
    assert_eq!(fs::read_dir(&place).expect("list").count(), 1, "the image");
}
