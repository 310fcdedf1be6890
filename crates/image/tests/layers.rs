//! Layers as archives hold them, and what becomes of them on disk.

mod common;

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use common::{Fields, Tar, chain, gzip, layer, unpack};
use ignite_image::layer::{EntryError, Error, Limits};
use ignite_image::{Digest, Progress, Silent, unpack_layers};

fn root() -> tempfile::TempDir {
    tempfile::tempdir().expect("tempdir")
}

fn text(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap_or_else(|error| panic!("{:?}: {error}", path.as_ref()))
}

#[test]
fn every_kind_of_entry_is_made_as_it_is_described() {
    let root = root();
    let at = |name: &str| root.path().join(name);
    // CAP_NET_RAW, permitted and effective; a line feed is among its bytes.
    let capability = [
        1, 0, 0, 2, 0, b'\n', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let tar = Tar::new()
        .entry(Fields {
            name: "./",
            kind: b'5',
            mode: 0o751,
            ..Fields::default()
        })
        .entry(Fields {
            name: "sticky/",
            kind: b'5',
            mode: 0o1777,
            owner: (3, 4),
            ..Fields::default()
        })
        .entry(Fields {
            name: "sticky/su",
            mode: 0o4755,
            owner: (1, 2),
            data: b"x",
            ..Fields::default()
        })
        .hard_link("other", "./sticky/su")
        .symlink("link", "/etc/passwd")
        .entry(Fields {
            name: "null",
            kind: b'3',
            mode: 0o666,
            device: (1, 3),
            ..Fields::default()
        })
        .entry(Fields {
            name: "disk",
            kind: b'4',
            mode: 0o660,
            device: (259, 300),
            ..Fields::default()
        })
        .entry(Fields {
            name: "pipe",
            kind: b'6',
            mode: 0o600,
            ..Fields::default()
        })
        .entry(Fields {
            name: "ping",
            mode: 0o755,
            data: b"elf",
            pax: &[
                ("SCHILY.xattr.security.capability", &capability),
                ("SCHILY.xattr.user.note", b"hello"),
                ("mtime", b"1234567890.25"),
                ("uid", b"3000000000"),
            ],
            ..Fields::default()
        })
        .done();
    unpack(root.path(), &[tar]).expect("an honest layer");
    let stat = |name: &str| fs::symlink_metadata(at(name)).expect(name);
    assert_eq!(stat("").mode() & 0o7777, 0o751);
    assert_eq!(
        (
            stat("sticky").mode() & 0o7777,
            stat("sticky").uid(),
            stat("sticky").gid()
        ),
        (0o1777, 3, 4)
    );
    assert_eq!(
        (
            stat("other").mode() & 0o7777,
            stat("other").uid(),
            stat("other").gid()
        ),
        (0o4755, 1, 2)
    );
    assert_eq!(stat("other").ino(), stat("sticky/su").ino());
    assert_eq!(
        stat("sticky").mtime(),
        1_600_000_000,
        "although a file was made in it"
    );
    assert_eq!(
        fs::read_link(at("link")).expect("link"),
        Path::new("/etc/passwd")
    );
    assert_eq!(stat("link").mtime(), 1_600_000_000);
    assert!(
        stat("null").file_type().is_char_device() && stat("disk").file_type().is_block_device()
    );
    assert_eq!(stat("disk").rdev(), rustix::fs::makedev(259, 300));
    assert!(stat("pipe").file_type().is_fifo());
    assert_eq!(
        (stat("ping").mtime(), stat("ping").mtime_nsec()),
        (1_234_567_890, 250_000_000)
    );
    assert_eq!(stat("ping").uid(), 3_000_000_000);
    let mut value = [0; 64];
    let length =
        rustix::fs::lgetxattr(at("ping"), "security.capability", &mut value[..]).expect("xattr");
    assert_eq!(&value[..length], capability);
    let length = rustix::fs::lgetxattr(at("ping"), "user.note", &mut value[..]).expect("xattr");
    assert_eq!(&value[..length], b"hello");
}

#[test]
fn whiteouts_hide_what_is_below_and_only_that() {
    let root = root();
    let lower = Tar::new()
        .directory("a")
        .file("a/1", b"")
        .file("a/2", b"")
        .directory("b")
        .file("b/lower", b"")
        .directory("b/sub")
        .file("b/sub/lower", b"")
        .file(".wh.b", b"a whiteout in the lowest layer hides nothing")
        .done();
    let upper = Tar::new()
        .file("a/.wh.1", b"")
        .file("b/new", b"")
        .file("b/sub/new", b"")
        // After what the same layer adds: that stays.
        .file("b/.wh..wh..opq", b"")
        .file("b/.wh.new", b"")
        .file("missing/.wh.x", b"")
        .done();
    unpack(root.path(), &[lower, upper]).expect("layers");
    let is_there = |name: &str| root.path().join(name).exists();
    assert!(!is_there("a/1") && is_there("a/2"));
    assert!(!is_there("b/lower") && is_there("b/new"));
    assert!(!is_there("b/sub/lower") && is_there("b/sub/new"));
    assert!(!is_there("missing"), "nothing is made for a whiteout");
    assert!(!is_there("b/.wh.new") && !is_there("b/.wh..wh..opq"));
}

#[test]
fn a_later_entry_takes_the_place_of_an_earlier_one() {
    let root = root();
    let lower = Tar::new()
        .directory("d")
        .file("d/x", b"")
        .file("f", b"old")
        .symlink("l", "d")
        .done();
    let upper = Tar::new()
        .file("d", b"file")
        .directory("f")
        .file("f/y", b"")
        .directory("l")
        .file("l/z", b"")
        .done();
    unpack(root.path(), &[lower, upper]).expect("layers");
    assert_eq!(text(root.path().join("d")), "file");
    assert!(root.path().join("f/y").exists());
    assert!(
        root.path().join("l/z").exists(),
        "a directory replaces a link, as with other engines"
    );
    assert!(
        fs::symlink_metadata(root.path().join("l"))
            .expect("l")
            .is_dir()
    );
}

#[test]
fn links_inside_the_image_are_followed() {
    let root = root();
    let lower = Tar::new()
        .directory("usr/")
        .directory("usr/lib")
        .symlink("lib", "usr/lib")
        .directory("run")
        .directory("var")
        .symlink("var/run", "/run")
        .symlink("usr/back", "../var/../lib")
        .done();
    let upper = Tar::new()
        .file("lib/a", b"a")
        .file("var/run/b", b"b")
        .file("usr/back/deep/c", b"c")
        .hard_link("lib/d", "lib/a")
        .done();
    unpack(root.path(), &[lower, upper]).expect("layers");
    assert_eq!(text(root.path().join("usr/lib/a")), "a");
    assert_eq!(text(root.path().join("run/b")), "b");
    assert_eq!(text(root.path().join("usr/lib/deep/c")), "c");
    assert_eq!(text(root.path().join("usr/lib/d")), "a");
}

/// Unpacks a hostile tar in a directory whose surroundings must not change.
fn refused(tar: Tar) -> (EntryError, String) {
    let outer = root();
    let tree = outer.path().join("tree");
    fs::create_dir(&tree).expect("mkdir");
    fs::write(outer.path().join("secret"), "untouched").expect("write");
    let error = unpack(&tree, &[tar.done()]).expect_err("a hostile tar");
    assert_eq!(text(outer.path().join("secret")), "untouched");
    assert_eq!(
        fs::read_dir(outer.path()).expect("list").count(),
        2,
        "nothing outside"
    );
    let text = chain(&error);
    assert!(error.hint().is_some(), "{text}");
    match error {
        Error::Entry { source, layer, .. } => {
            assert_eq!(layer, "layer-0");
            (source, text)
        }
        other => panic!("{other}"),
    }
}

#[test]
fn an_entry_that_would_leave_the_image_is_refused() {
    let (error, text) = refused(Tar::new().file("../secret", b"x"));
    assert!(matches!(error, EntryError::ParentDirectory), "{text}");
    assert!(
        text.contains("\"../secret\"") && text.contains("layer-0"),
        "{text}"
    );
    let (error, text) = refused(Tar::new().file("a/../../secret", b"x"));
    assert!(matches!(error, EntryError::ParentDirectory), "{text}");
    let (error, text) = refused(Tar::new().file("/etc/cron.d/x", b"x"));
    assert!(matches!(error, EntryError::Absolute), "{text}");
    for target in [
        "..",
        "../..",
        "../../../../tmp",
        "a/../..",
        "/nowhere/outside",
    ] {
        let tar = Tar::new()
            .directory("a")
            .symlink("out", target)
            .file("out/secret", b"x");
        let (error, text) = refused(tar);
        assert!(
            matches!(error, EntryError::LinkLeaves { .. }),
            "{target}: {text}"
        );
        assert!(text.contains("\"out\""), "{text}");
    }
    let tar = Tar::new()
        .symlink("one", "two")
        .symlink("two", "..")
        .file("one/secret", b"x");
    assert!(matches!(refused(tar).0, EntryError::LinkLeaves { .. }));
    let tar = Tar::new().symlink("loop", "loop").file("loop/x", b"x");
    assert!(matches!(refused(tar).0, EntryError::LinkLoop));
    for target in ["../secret", "/etc/passwd", "a/../../secret"] {
        let (error, text) = refused(Tar::new().hard_link("x", target));
        assert!(
            matches!(error, EntryError::HardLinkOutside { .. }),
            "{text}"
        );
    }
    let (error, text) = refused(Tar::new().hard_link("x", "missing"));
    assert!(
        matches!(error, EntryError::HardLinkMissing { .. }),
        "{text}"
    );
    let tar = Tar::new().symlink("up", "..").hard_link("x", "up/secret");
    assert!(matches!(refused(tar).0, EntryError::LinkLeaves { .. }));
    assert!(matches!(
        refused(Tar::new().file(".wh...", b"")).0,
        EntryError::Whiteout
    ));
    let tar = Tar::new().file("f", b"").file("f/x", b"");
    assert!(matches!(refused(tar).0, EntryError::NotDirectory(_)));
}

#[test]
fn a_link_that_leads_out_does_no_harm_by_itself() {
    let root = root();
    let tar = Tar::new()
        .symlink("out", "../../../etc")
        .symlink("abs", "/etc")
        .done();
    let replaced = Tar::new().file("out", b"a file now").done();
    unpack(root.path(), &[tar, replaced]).expect("nothing goes through it");
    assert_eq!(text(root.path().join("out")), "a file now");
}

#[test]
fn reads_what_gnu_tar_writes() {
    let source = root();
    let at = |name: &str| source.path().join(name);
    let long = "directory-with-a-long-name/".repeat(9);
    fs::create_dir_all(at(&long)).expect("mkdir");
    fs::write(at(&format!("{long}file")), "deep").expect("write");
    std::os::unix::fs::symlink(format!("{long}file"), at("link")).expect("symlink");
    let sparse = fs::File::create(at("sparse")).expect("create");
    sparse.set_len(50 << 20).expect("size");
    for part in 0..60u64 {
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", part * 800_000).expect("write");
    }
    let formats: [&[&str]; 6] = [
        &["--format=gnu"],
        &["--format=gnu", "-S"],
        &["--format=posix"],
        &["--format=posix", "-S", "--sparse-version=0.0"],
        &["--format=posix", "-S", "--sparse-version=0.1"],
        &["--format=posix", "-S", "--sparse-version=1.0"],
    ];
    for format in formats {
        let tar = Command::new("tar")
            .args(format)
            .arg("-C")
            .arg(source.path())
            .args(["-cf", "-", "."])
            .output();
        let tar = tar.expect("GNU tar").stdout;
        let root = root();
        unpack(root.path(), &[tar]).unwrap_or_else(|error| panic!("{format:?}: {}", chain(&error)));
        assert_eq!(text(root.path().join("link")), "deep", "{format:?}");
        let (made, original) = (root.path().join("sparse"), at("sparse"));
        assert!(
            fs::read(&made).expect("read") == fs::read(original).expect("read"),
            "{format:?}"
        );
        if format.contains(&"-S") {
            let blocks = fs::metadata(&made).expect("stat").blocks();
            assert!(
                blocks * 512 < 5 << 20,
                "{format:?}: holes were filled, {blocks} blocks"
            );
        }
    }
}

#[test]
fn packed_layers_and_their_digests() {
    let tar = Tar::new().file("a", &[7; 100_000]).done();
    let zstd = zstd::encode_all(&tar[..], 3).expect("zstd");
    for stored in [tar.clone(), gzip(&tar), zstd] {
        let root = root();
        let mut one = layer(0, stored.clone());
        one.digest = Some(Digest::of(&stored));
        one.size = Some(stored.len() as u64);
        one.diff_id = Some(Digest::of(&tar));
        let done = unpack_layers(
            &mut std::iter::once(one),
            root.path(),
            &Limits::default(),
            &Silent,
        );
        assert_eq!(done.expect("a layer").bytes, 100_000);
        assert_eq!(fs::read(root.path().join("a")).expect("read"), [7; 100_000]);
    }
}

#[test]
fn damaged_layers_are_told_apart() {
    let tar = Tar::new().file("a", &[7; 1_000_000]).done();
    let stored = gzip(&tar);
    let unpacked = |bytes: Vec<u8>, size: usize, diff_id: Digest| {
        let root = root();
        let mut one = layer(0, bytes);
        one.digest = Some(Digest::of(&stored));
        one.size = Some(size as u64);
        one.diff_id = Some(diff_id);
        let done = unpack_layers(
            &mut std::iter::once(one),
            root.path(),
            &Limits::default(),
            &Silent,
        );
        done.expect_err("damage")
    };
    let diff_id = Digest::of(&tar);
    let cut = stored[..stored.len() / 2].to_vec();
    assert!(matches!(
        unpacked(cut, stored.len(), diff_id),
        Error::CutShort { .. }
    ));
    let mut changed = stored.clone();
    changed[500] ^= 1;
    assert!(matches!(
        unpacked(changed, stored.len(), diff_id),
        Error::WrongDigest { .. }
    ));
    let longer = [stored.clone(), vec![0; 100]].concat();
    assert!(matches!(
        unpacked(longer, stored.len(), diff_id),
        Error::TooLong { .. }
    ));
    let other = Digest::of(b"other");
    assert!(matches!(
        unpacked(stored.clone(), stored.len(), other),
        Error::WrongDiffId { .. }
    ));
    let root = root();
    let error = unpack(
        root.path(),
        &[b"not a tar at all, whatever it is called".repeat(50)],
    );
    assert!(matches!(error, Err(Error::Tar { .. })));
    let cut = Tar::new().file("a", &[7; 5000]).done()[..2000].to_vec();
    let text = chain(&unpack(root.path(), &[cut]).expect_err("cut"));
    assert!(text.contains("too early"), "{text}");
}

#[test]
fn bombs_are_bounded() {
    let root = root();
    let limited = |limits: Limits, tar: Vec<u8>| {
        let mut layers = std::iter::once(layer(0, gzip(&tar)));
        unpack_layers(&mut layers, root.path(), &limits, &Silent).expect_err("a bound")
    };
    let many = (0..50)
        .fold(Tar::new(), |tar, index| tar.file(&format!("f{index}"), b""))
        .done();
    let limits = Limits {
        entries: 20,
        ..Limits::default()
    };
    assert!(matches!(
        limited(limits, many),
        Error::Limit {
            limit: 20,
            unit: "entries"
        }
    ));
    let large = Tar::new().file("zeros", &vec![0; 3 << 20]).done();
    let limits = Limits {
        bytes: 1 << 20,
        ..Limits::default()
    };
    assert!(matches!(
        limited(limits, large),
        Error::Limit { unit: "bytes", .. }
    ));
    // An extended header that says it is 100 GB: refused by its size, before it is read.
    let mut header = Tar::new()
        .entry(Fields {
            name: "pax",
            kind: b'x',
            ..Fields::default()
        })
        .done();
    let mut fields = tar::Header::from_byte_slice(&header[..512]).clone();
    fields.set_size(100_000_000_000);
    fields.set_cksum();
    header[..512].copy_from_slice(fields.as_bytes());
    let text = chain(&unpack(root.path(), &[header]).expect_err("a bound"));
    assert!(text.contains("larger than"), "{text}");
}

struct Called;

impl Progress for Called {
    fn begin(&self, _: &str, _: &str, _: Option<u64>) {}
    fn advance(&self, _: &str, _: u64) {}
    fn end(&self, _: &str) {}
    fn cancelled(&self) -> bool {
        true
    }
}

#[test]
fn stops_when_called_off() {
    let root = root();
    let mut layers = std::iter::once(layer(0, Tar::new().file("a", b"").done()));
    let result = unpack_layers(&mut layers, root.path(), &Limits::default(), &Called);
    assert!(matches!(result, Err(Error::Cancelled)));
}
