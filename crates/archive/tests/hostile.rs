//! Archives of a VM that lies: nothing but the one name that was asked for comes to be.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use ignite_archive::{Body, Error, Meta, Place, Policy, Source, Writer, pack, unpack};
use ignite_host::fs::Time;

fn meta(mode: u32) -> Meta {
    Meta {
        mode,
        uid: 0,
        gid: 0,
        mtime: Time {
            seconds: 1_600_000_000,
            nanoseconds: 5,
        },
        xattrs: Vec::new(),
    }
}

/// An archive of these entries; files hold `data`.
fn archive(entries: &[(&str, Body<'_>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    for (path, body) in entries {
        writer
            .begin(path.as_bytes(), &meta(0o6755), *body)
            .expect("memory");
        if let Body::File(_) = body {
            writer.data(b"data").expect("memory");
        }
    }
    writer.finish().expect("memory");
    bytes
}

const FILE: Body<'static> = Body::File(4);

/// Onto a host and into a guest alike.
const POLICIES: [Policy; 2] = [Policy::onto_host(false), Policy::into_guest()];

struct Stage {
    directory: tempfile::TempDir,
    policy: Policy,
}

impl Stage {
    /// `there/mine` is the person's.
    fn new() -> Self {
        Self::with(Policy::onto_host(false))
    }

    fn with(policy: Policy) -> Self {
        let directory = tempfile::tempdir().expect("tempdir");
        fs::create_dir(directory.path().join("there")).expect("mkdir");
        fs::write(directory.path().join("there/mine"), "untouched").expect("write");
        Self { directory, policy }
    }

    fn at(&self, path: &str) -> std::path::PathBuf {
        self.directory.path().join(path)
    }

    fn unpack(&self, archive: &[u8]) -> Result<Vec<String>, Error> {
        let there = self.at("there");
        let place = Place {
            destination: &there,
            expected: Some(b"tree"),
            whole: false,
            policy: self.policy,
        };
        let mut told = Vec::new();
        unpack(archive, &place, &mut |text| told.push(text.to_owned())).map(|_| told)
    }

    fn untouched(&self) {
        assert_eq!(fs::read(self.at("there/mine")).expect("it"), b"untouched");
        let names = |path: &Path| {
            let mut names: Vec<_> = fs::read_dir(path)
                .expect("a directory")
                .map(|entry| entry.expect("one").file_name())
                .collect();
            names.retain(|name| name != "tree");
            names
        };
        assert_eq!(names(self.directory.path()), ["there"]);
        assert_eq!(names(&self.at("there")), ["mine"]);
    }
}

#[test]
fn no_lie_leaves_the_tree() {
    let tree = ("tree", Body::Directory);
    let lies: [&[(&str, Body<'_>)]; 11] = [
        &[("mine", FILE)],
        &[("other", Body::Directory)],
        &[tree, ("mine", FILE)],
        &[tree, ("tree/../mine", FILE)],
        &[tree, ("/tree/x", FILE)],
        &[
            tree,
            ("tree/up", Body::Symlink(b"..")),
            ("tree/up/mine", FILE),
        ],
        &[tree, ("tree/h", Body::HardLink(b"tree/../mine"))],
        &[tree, ("tree/h", Body::HardLink(b"mine"))],
        &[("tree", Body::Symlink(b"mine")), ("tree/x", FILE)],
        &[("tree", FILE), ("tree", FILE)],
        &[("tree/deep", FILE)],
    ];
    let everywhere = |lie| POLICIES.map(|policy| (lie, policy));
    for (lie, policy) in lies.into_iter().flat_map(everywhere) {
        let stage = Stage::with(policy);
        assert!(stage.unpack(&archive(lie)).is_err(), "{lie:?}");
        stage.untouched();
    }
    // The top of a tree is its own, whatever else is called so.
    for policy in POLICIES {
        let stage = Stage::with(policy);
        let top = ("tree/top", Body::Symlink(b"/"));
        let through = archive(&[tree, top, ("tree/top/etc/passwd", FILE)]);
        stage.unpack(&through).expect("a file in the tree");
        assert!(stage.at("there/tree/etc/passwd").is_file());
        stage.untouched();
    }
}

/// What a VM sent for one name with an earlier copy is not followed by the next one.
#[test]
fn a_link_of_an_earlier_copy_is_not_followed() {
    for (first, second) in [
        (Body::Symlink(b"elsewhere"), Body::Directory),
        (Body::Symlink(b"mine"), FILE),
        (Body::HardLink(b"mine"), FILE),
    ] {
        let stage = Stage::new();
        fs::create_dir(stage.at("there/elsewhere")).expect("mkdir");
        let came = stage.unpack(&archive(&[("tree", first)]));
        if matches!(first, Body::HardLink(_)) {
            assert!(matches!(came, Err(Error::Unexpected { .. })), "{came:?}");
            continue;
        }
        came.expect("a link");
        let next = archive(&[("tree", second), ("tree/planted", FILE)]);
        let refused = stage.unpack(&next).expect_err("refused");
        assert!(matches!(second, Body::Directory) == matches!(refused, Error::Link { .. }));
        assert_eq!(fs::read(stage.at("there/mine")).expect("it"), b"untouched");
        assert_eq!(
            fs::read_dir(stage.at("there/elsewhere"))
                .expect("it")
                .count(),
            0
        );
    }
}

#[test]
fn a_link_as_the_destination_is_refused_but_with_a_slash() {
    let stage = Stage::new();
    let link = stage.at("link");
    std::os::unix::fs::symlink(stage.at("there"), &link).expect("symlink");
    let mut slash = link.clone().into_os_string();
    slash.push("/");
    for (destination, taken) in [(link.as_os_str(), false), (slash.as_os_str(), true)] {
        for body in [Body::Directory, FILE] {
            let _ = fs::remove_dir(stage.at("there/tree"));
            let place = Place {
                destination: Path::new(destination),
                expected: Some(b"tree"),
                whole: false,
                policy: Policy::onto_host(false),
            };
            let came = unpack(&archive(&[("tree", body)])[..], &place, &mut |_| ());
            assert_eq!(came.is_ok(), taken, "{destination:?}: {came:?}");
        }
    }
}

#[test]
fn nothing_takes_the_place_of_a_pipe() {
    for body in [FILE, Body::Symlink(b"mine")] {
        let stage = Stage::new();
        let pipe = stage.at("there/tree");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).expect("mkfifo");
        let refused = stage
            .unpack(&archive(&[("tree", body)]))
            .expect_err("refused");
        assert!(refused.hint().is_some(), "{refused:?}");
        let kind = fs::symlink_metadata(&pipe).expect("it").file_type();
        assert!(std::os::unix::fs::FileTypeExt::is_fifo(&kind));
    }
}

#[test]
fn links_that_are_there_already_lead_nowhere_either() {
    let stage = Stage::new();
    fs::create_dir(stage.at("there/tree")).expect("mkdir");
    symlink("../mine", stage.at("there/tree/link")).expect("symlink");
    symlink("..", stage.at("there/tree/up")).expect("symlink");
    let through = archive(&[("tree", Body::Directory), ("tree/up/mine", FILE)]);
    assert!(stage.unpack(&through).is_err());
    let over = archive(&[("tree", Body::Directory), ("tree/link", FILE)]);
    stage.unpack(&over).expect("a file in the link's place");
    assert!(
        stage
            .at("there/tree/link")
            .symlink_metadata()
            .expect("it")
            .is_file()
    );
    stage.untouched();
}

#[test]
fn a_guest_gives_nobody_rights_and_makes_no_devices() {
    let stage = Stage::new();
    let bytes = archive(&[
        ("tree", Body::Directory),
        ("tree/file", FILE),
        ("tree/null", Body::CharDevice(1, 3)),
        ("tree/pipe", Body::Fifo),
    ]);
    let told = stage.unpack(&bytes).expect("a tree");
    assert_eq!(told.len(), 2, "{told:?}");
    let file = fs::metadata(stage.at("there/tree/file")).expect("it");
    assert_eq!(file.permissions().mode() & 0o7777, 0o755);
    assert_eq!(file.mtime(), 1_600_000_000);
    assert_eq!(fs::read_dir(stage.at("there/tree")).expect("it").count(), 1);
}

/// One whose length was set before its data came, too.
#[test]
fn a_cut_archive_leaves_no_half_of_a_large_file() {
    let content = vec![7; 2 << 20];
    let mut bytes = Vec::new();
    let mut writer = Writer::new(&mut bytes);
    let body = Body::File(content.len() as u64);
    writer.begin(b"tree", &meta(0o644), body).expect("memory");
    writer.data(&content).expect("memory");
    writer.finish().expect("memory");
    for policy in POLICIES {
        let stage = Stage::with(policy);
        fs::write(stage.at("there/tree"), "old").expect("write");
        for length in [512 + (1 << 20), bytes.len() - 2 * 512 - 1] {
            assert!(stage.unpack(&bytes[..length]).is_err());
            assert_eq!(fs::read(stage.at("there/tree")).expect("it"), b"old");
            stage.untouched();
        }
        stage.unpack(&bytes).expect("the whole file");
        assert!(fs::read(stage.at("there/tree")).expect("it") == content);
    }
}

#[test]
fn a_cut_archive_leaves_no_half_file() {
    let stage = Stage::new();
    fs::write(stage.at("there/tree"), "old").expect("write");
    let bytes = archive(&[("tree", FILE)]);
    // After the header and two bytes of the file.
    assert!(stage.unpack(&bytes[..bytes.len() - 2 * 512 - 510]).is_err());
    assert_eq!(fs::read(stage.at("there/tree")).expect("it"), b"old");
    stage.untouched();
    stage.unpack(&bytes).expect("the whole file");
    assert_eq!(fs::read(stage.at("there/tree")).expect("it"), b"data");
}

#[test]
fn a_tree_is_packed_as_it_is() {
    let stage = Stage::new();
    let source = stage.at("there");
    fs::hard_link(stage.at("there/mine"), stage.at("there/also")).expect("link");
    symlink("/etc/passwd", stage.at("there/link")).expect("symlink");
    fs::write(stage.at("there/zeros"), vec![0; 73 * 4096]).expect("write");
    let mut bytes = Vec::new();
    let source = Source::open(&source, false).expect("it is there");
    let packed = pack(&source, &mut bytes, &mut |text| panic!("{text}")).expect("memory");
    assert_eq!((packed.files, packed.faults), (4, 0));
    let back = tempfile::tempdir().expect("tempdir");
    let place = Place {
        destination: back.path(),
        expected: Some(b"there"),
        whole: false,
        policy: Policy::onto_host(true),
    };
    unpack(&bytes[..], &place, &mut |text| panic!("{text}")).expect("a tree");
    let at = |name: &str| back.path().join("there").join(name);
    assert_eq!(fs::read(at("mine")).expect("it"), b"untouched");
    assert_eq!(
        fs::metadata(at("mine")).expect("it").ino(),
        fs::metadata(at("also")).expect("it").ino()
    );
    assert_eq!(
        fs::read_link(at("link")).expect("it"),
        Path::new("/etc/passwd")
    );
    let zeros = fs::metadata(at("zeros")).expect("it");
    assert_eq!((zeros.len(), zeros.blocks()), (73 * 4096, 0));
}

#[test]
fn extended_attributes_come_along() {
    let stage = Stage::new();
    let flags = rustix::fs::XattrFlags::empty();
    let file = stage.at("there/mine");
    rustix::fs::setxattr(&file, "user.note", b"kept\0as it is", flags).expect("an attribute");
    let source = Source::open(&file, false).expect("a source");
    let mut bytes = Vec::new();
    pack(&source, &mut bytes, &mut |_| ()).expect("an archive");
    for policy in [Policy::onto_host(false), Policy::into_guest()] {
        let copy = stage.at("copy");
        let place = Place {
            destination: &copy,
            expected: None,
            whole: false,
            policy,
        };
        unpack(&bytes[..], &place, &mut |_| ()).expect("a file");
        let mut value = [0; 32];
        let length = rustix::fs::getxattr(&copy, "user.note", &mut value).expect("the attribute");
        assert_eq!(&value[..length], b"kept\0as it is");
        fs::remove_file(copy).expect("remove");
    }
}
