//! Hostile paths against a real file system.

use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use super::*;

struct Fixture {
    _directory: tempfile::TempDir,
    outside: PathBuf,
    inside: PathBuf,
    root: RootDir,
}

/// A root with a neighbour that nothing may touch.
fn fixture() -> Fixture {
    let directory = tempfile::tempdir().expect("tempdir");
    let inside = directory.path().join("root");
    let outside = directory.path().join("outside");
    std::fs::create_dir(&inside).expect("mkdir");
    std::fs::create_dir(&outside).expect("mkdir");
    std::fs::write(outside.join("secret"), "secret").expect("write");
    Fixture {
        root: RootDir::open(&inside).expect("open"),
        inside,
        outside,
        _directory: directory,
    }
}

fn p(text: &str) -> &Path {
    Path::new(text)
}

fn write(root: &RootDir, path: &str, text: &str) {
    let mut file = root.create_file(p(path), 0o644).expect("create");
    file.write_all(text.as_bytes()).expect("write");
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path)
        .expect("stat")
        .permissions()
        .mode()
        & 0o7777
}

#[test]
fn makes_what_an_archive_holds() {
    let fixture = fixture();
    let Fixture { root, inside, .. } = &fixture;
    root.create_dir_all(p("/usr/lib/x"), 0o750).expect("mkdir");
    root.create_dir_all(p("./usr/lib"), 0o700)
        .expect("there is fine");
    write(root, "usr/lib/x/file", "text");
    root.symlink(OsStr::new("x/file"), p("usr/lib/link"))
        .expect("symlink");
    root.hardlink(p("usr/lib/x/file"), p("usr/second"))
        .expect("hard link");
    root.mknod(p("usr/null"), Kind::CharDevice, 0o666, (1, 3))
        .expect("device");
    root.mknod(p("usr/pipe"), Kind::Fifo, 0o600, (0, 0))
        .expect("pipe");

    assert_eq!(
        (mode(&inside.join("usr")), mode(&inside.join("usr/lib/x"))),
        (0o755, 0o750)
    );
    assert_eq!(
        std::fs::read(inside.join("usr/lib/link")).expect("read"),
        b"text"
    );
    assert_eq!(
        std::fs::metadata(inside.join("usr/second"))
            .expect("stat")
            .nlink(),
        2
    );
    let device = std::fs::metadata(inside.join("usr/null")).expect("stat");
    assert!(device.file_type().is_char_device());
    assert_eq!(
        (device.rdev(), mode(&inside.join("usr/null"))),
        (0x103, 0o666)
    );
    assert_eq!(root.kind(p("usr/pipe")).expect("kind"), Some(Kind::Fifo));
    assert_eq!(root.read_link(p("usr/lib/link")).expect("read"), "x/file");
    let mut text = String::new();
    root.open_file(p("usr/second"))
        .expect("open")
        .read_to_string(&mut text)
        .expect("read");
    assert_eq!(text, "text");
    let mut names: Vec<_> = root
        .list(p("usr"))
        .expect("list")
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    names.sort();
    assert_eq!(names, ["lib", "null", "pipe", "second"]);
}

#[test]
fn sets_properties_of_the_entry_itself() {
    let fixture = fixture();
    let Fixture { root, inside, .. } = &fixture;
    write(root, "file", "");
    root.symlink(OsStr::new("file"), p("link"))
        .expect("symlink");
    let time = Time {
        seconds: 1_000_000_000,
        nanoseconds: 5,
    };
    for path in ["file", "link"] {
        root.set_owner(p(path), 12, 34).expect("owner");
        root.set_mode(p(path), 0o4711).expect("mode");
        root.set_times(p(path), time).expect("times");
    }
    root.set_xattr(p("file"), OsStr::new("user.ignite"), b"value")
        .expect("xattr");
    let error = root
        .set_xattr(p("link"), OsStr::new("user.ignite"), b"x")
        .expect_err("not on links");
    assert!(error.to_string().contains("root/link"), "{error}");
    for path in ["file", "link"] {
        let found = std::fs::symlink_metadata(inside.join(path)).expect("stat");
        assert_eq!((found.uid(), found.gid()), (12, 34), "{path}");
        assert_eq!(
            (found.mtime(), found.mtime_nsec()),
            (1_000_000_000, 5),
            "{path}"
        );
    }
    assert_eq!(mode(&inside.join("file")), 0o4711);
    let mut value = Vec::with_capacity(16);
    rustix::fs::lgetxattr(
        inside.join("file"),
        "user.ignite",
        rustix::buffer::spare_capacity(&mut value),
    )
    .expect("getxattr");
    assert_eq!(value, b"value");
}

#[test]
fn the_root_itself_has_properties_too() {
    let fixture = fixture();
    let Fixture { root, inside, .. } = &fixture;
    for (path, bits) in [(".", 0o711), ("/", 0o700), ("./", 0o755)] {
        root.create_dir_all(p(path), 0o755).expect("there");
        root.set_mode(p(path), bits).expect("mode");
        assert_eq!(mode(inside), bits);
    }
}

#[test]
fn links_on_the_way_stay_inside() {
    let fixture = fixture();
    let Fixture {
        root,
        inside,
        outside,
        ..
    } = &fixture;
    root.create_dir_all(p("usr/bin"), 0o755).expect("mkdir");
    root.symlink(OsStr::new("usr/bin"), p("bin"))
        .expect("symlink");
    write(root, "bin/sh", "shell");
    assert!(inside.join("usr/bin/sh").exists());
    root.create_dir_all(p("bin"), 0o755)
        .expect("a link to a directory is one");

    // Absolute and climbing targets lead to the root, not to the host.
    root.symlink(outside.as_os_str(), p("absolute"))
        .expect("symlink");
    root.symlink(OsStr::new("../../../../../.."), p("up"))
        .expect("symlink");
    assert!(
        root.create_file(p("absolute/secret"), 0o644)
            .expect_err("absent")
            .is_not_found()
    );
    write(root, "up/here", "");
    assert!(inside.join("here").exists());
    let below = outside.strip_prefix("/").expect("absolute").join("x");
    root.create_dir_all(&below, 0o755).expect("mkdir");
    write(root, "absolute/x/file", "");
    assert!(inside.join(&below).join("file").exists());
    assert_eq!(std::fs::read_dir(outside).expect("list").count(), 1);
}

#[test]
fn climbing_paths_stay_inside() {
    let fixture = fixture();
    let Fixture {
        root,
        inside,
        outside,
        ..
    } = &fixture;
    write(root, "../../escaped", "");
    assert!(inside.join("escaped").exists());
    root.create_dir_all(p("../../b"), 0o755).expect("mkdir");
    let missing = root.create_dir_all(p("a/../../b"), 0o755);
    assert!(
        matches!(missing, Err(Error::NoName { .. })),
        "a is not there"
    );
    assert!(inside.join("b").is_dir());
    for path in ["..", "a/.."] {
        assert!(matches!(
            root.create_file(p(path), 0o644),
            Err(Error::NoName { .. })
        ));
        assert!(matches!(root.remove(p(path)), Err(Error::NoName { .. })));
    }
    assert_eq!(
        std::fs::read_dir(outside.parent().expect("parent"))
            .expect("list")
            .count(),
        2
    );
}

#[test]
fn the_last_component_is_never_followed() {
    let fixture = fixture();
    let Fixture { root, outside, .. } = &fixture;
    let secret = outside.join("secret");
    root.symlink(secret.as_os_str(), p("link"))
        .expect("symlink");
    assert!(root.create_file(p("link"), 0o644).is_err());
    assert!(root.open_file(p("link")).is_err());
    root.set_owner(p("link"), 1, 1).expect("the link's own");
    root.hardlink(p("link"), p("second"))
        .expect("the link's second name");
    assert_eq!(root.kind(p("second")).expect("kind"), Some(Kind::Symlink));
    assert!(root.hardlink(p("../outside/secret"), p("third")).is_err());
    root.remove(p("link")).expect("remove");
    let found = std::fs::metadata(&secret).expect("there");
    assert_eq!((found.uid(), found.nlink()), (0, 1));
}

#[test]
fn removes_trees_without_following() {
    let fixture = fixture();
    let Fixture {
        root,
        inside,
        outside,
        ..
    } = &fixture;
    root.create_dir_all(p("tree/a/b"), 0o755).expect("mkdir");
    write(root, "tree/a/b/file", "");
    root.symlink(outside.as_os_str(), p("tree/a/link"))
        .expect("symlink");
    root.remove(p("tree")).expect("remove");
    root.remove(p("tree")).expect("gone is fine");
    root.remove(p("no/such/place")).expect("gone is fine");
    assert!(!inside.join("tree").exists());
    assert!(outside.join("secret").exists());
}

#[test]
fn what_replaces_a_directory_is_seen() {
    let fixture = fixture();
    let Fixture { root, inside, .. } = &fixture;
    root.create_dir_all(p("d/sub"), 0o755).expect("mkdir");
    root.create_dir_all(p("other"), 0o755).expect("mkdir");
    write(root, "d/sub/one", "");
    root.remove(p("d/sub")).expect("remove");
    root.symlink(OsStr::new("../other"), p("d/sub"))
        .expect("symlink");
    write(root, "d/sub/two", "");
    assert!(inside.join("other/two").exists());
    root.remove(p("d")).expect("remove");
    assert!(
        root.create_file(p("d/sub/three"), 0o644)
            .expect_err("gone")
            .is_not_found()
    );
}

#[test]
fn a_file_in_the_way_is_told() {
    let fixture = fixture();
    let Fixture { root, .. } = &fixture;
    write(root, "file", "");
    assert!(root.create_dir_all(p("file"), 0o755).is_err());
    assert!(root.create_dir_all(p("file/below"), 0o755).is_err());
    assert_eq!(root.kind(p("file/below")).expect("kind"), None);
    let error = root.create_file(p("file"), 0o644).expect_err("taken");
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
}

#[test]
fn a_new_file_has_its_name_when_it_is_whole() {
    let fixture = fixture();
    let names = || {
        let list = fixture.root.list(p("")).expect("list");
        list.into_iter().map(|entry| entry.name).collect::<Vec<_>>()
    };
    let begin = |text: &str| {
        let new = fixture.root.new_file(p("file")).expect("begin");
        (&mut new.file()).write_all(text.as_bytes()).expect("write");
        new
    };
    drop(begin("given up"));
    assert!(names().is_empty());
    begin("first").finish().expect("finish");
    let second = begin("second");
    let read = || std::fs::read_to_string(fixture.inside.join("file")).expect("read");
    assert_eq!(read(), "first");
    second.finish().expect("in the place of the first");
    assert_eq!((read().as_str(), names().len()), ("second", 1));
    // A link is replaced, not followed; a directory stays.
    std::fs::remove_file(fixture.inside.join("file")).expect("remove");
    std::os::unix::fs::symlink(fixture.outside.join("secret"), fixture.inside.join("file"))
        .expect("symlink");
    begin("third").finish().expect("in the place of the link");
    assert_eq!(read(), "third");
    let secret = std::fs::read_to_string(fixture.outside.join("secret")).expect("read");
    assert_eq!(secret, "secret");
    std::fs::create_dir(fixture.inside.join("directory")).expect("mkdir");
    let over = fixture.root.new_file(p("directory")).expect("begin");
    assert!(over.finish().is_err());
    assert_eq!(names().len(), 2);
}

#[test]
fn a_link_swapped_in_takes_no_mode_to_its_target() {
    let Fixture {
        root,
        inside,
        outside,
        ..
    } = &fixture();
    let secret = outside.join("secret");
    let before = mode(&secret);
    let place = root.place(p("file")).expect("a place");
    std::os::unix::fs::symlink(&secret, inside.join("file")).expect("symlink");
    let refused = root.chmod_place(&place, p("file"), 0o4777);
    assert!(refused.is_err());
    assert_eq!(mode(&secret), before);
}

/// A process of this number that was killed may have left any of them.
#[test]
fn a_left_over_temporary_file_is_in_nobody_s_way() {
    let fixture = fixture();
    write(&fixture.root, "file", "old");
    for count in 0..1000 {
        write(
            &fixture.root,
            &format!(".ignite-{}-{count}", std::process::id()),
            "",
        );
    }
    let new = fixture.root.new_file(p("file")).expect("begin");
    (&mut new.file()).write_all(b"new").expect("write");
    new.finish().expect("in the place of the old");
    let read = std::fs::read_to_string(fixture.inside.join("file")).expect("read");
    assert_eq!(read, "new");
}

#[test]
fn a_root_is_no_link_unless_a_slash_says_so() {
    let fixture = fixture();
    let link = fixture.inside.join("link");
    std::os::unix::fs::symlink(&fixture.outside, &link).expect("symlink");
    let error = RootDir::open_no_link(&link).expect_err("a link");
    assert_eq!(error.kind(), std::io::ErrorKind::NotADirectory, "{error}");
    for path in [link.join(""), link.join("."), fixture.outside.clone()] {
        let root = RootDir::open_no_link(&path).expect("the directory");
        assert_eq!(root.kind(p("secret")).expect("looked"), Some(Kind::File));
    }
}
