//! Trees made file systems, looked at without mounting them.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use ignite_image::ext4::{self, Error, Options};

fn tool(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect(program);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    text
}

fn ask(image: &Path, request: &str) -> String {
    tool("debugfs", &["-R", request, image.to_str().expect("text")])
}

#[test]
fn everything_of_the_tree_is_in_it() {
    let directory = tempfile::tempdir().expect("tempdir");
    let (tree, out) = (
        directory.path().join("tree"),
        directory.path().join("out.ext4"),
    );
    let at = |name: &str| tree.join(name);
    fs::create_dir_all(at("usr/bin")).expect("mkdir");
    fs::write(at("usr/bin/su"), vec![1; 10_000]).expect("write");
    std::os::unix::fs::chown(at("usr/bin/su"), Some(1000), Some(70_000)).expect("chown");
    fs::set_permissions(at("usr/bin/su"), fs::Permissions::from_mode(0o4711)).expect("chmod");
    let capability = [
        1u8, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let flags = rustix::fs::XattrFlags::empty();
    fs::write(at("ping"), "elf").expect("write");
    rustix::fs::lsetxattr(at("ping"), "security.capability", &capability, flags).expect("xattr");
    rustix::fs::lsetxattr(at("ping"), "user.note", b"hello", flags).expect("xattr");
    fs::hard_link(at("ping"), at("pong")).expect("link");
    symlink("/usr/bin/su", at("link")).expect("symlink");
    fs::File::create(at("sparse"))
        .and_then(|file| file.set_len(1 << 40))
        .expect("sparse");
    tool(
        "mknod",
        &[at("null").to_str().expect("text"), "c", "1", "3"],
    );
    std::os::unix::fs::chown(&tree, Some(5), Some(6)).expect("chown");

    let options = Options {
        label: "root".into(),
        spare: 10 << 20,
        uuid: Some([0x42; 16]),
        read_only: false,
    };
    let size = ext4::make(&tree, &out, &options).expect("a file system");
    assert_eq!(fs::metadata(&out).expect("stat").len(), size);
    assert!(
        fs::metadata(&out).expect("stat").blocks() * 512 < 20 << 20,
        "sparse on the host"
    );
    tool("e2fsck", &["-fn", out.to_str().expect("text")]);

    let su = ask(&out, "stat /usr/bin/su");
    assert!(
        su.contains("Mode:  04711") && su.contains("User:  1000   Group: 70000"),
        "{su}"
    );
    let attributes = ask(&out, "ea_list /ping");
    assert!(
        attributes.contains("security.capability (20) = 01 00 00 02 00 20 00"),
        "{attributes}"
    );
    assert!(attributes.contains("user.note (5)"), "{attributes}");
    assert!(ask(&out, "stat /pong").contains("Links: 2"));
    assert!(ask(&out, "stat /link").contains("Fast link dest: \"/usr/bin/su\""));
    assert!(ask(&out, "stat /sparse").contains("Size: 1099511627776"));
    assert!(ask(&out, "stat /null").contains("01:03"));
    let root = ask(&out, "stat /");
    assert!(root.contains("User:     5   Group:     6"), "{root}");

    let header = tool("dumpe2fs", &["-h", out.to_str().expect("text")]);
    let field = |name: &str| {
        let line = header.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {header}"))
            .trim()
            .to_owned()
    };
    assert_eq!(
        field("Filesystem UUID:"),
        "42424242-4242-4242-4242-424242424242"
    );
    assert_eq!(field("Filesystem volume name:"), "root");
    assert!(field("Free blocks:").parse::<u64>().expect("a number") * 4096 >= 10 << 20);
    assert!(field("Filesystem features:").starts_with("has_journal"));
    // Enough for 1 TiB: 128 blocks of descriptors.
    assert!(
        field("Reserved GDT blocks:")
            .parse::<u64>()
            .expect("a number")
            >= 126
    );
    let groups = tool("dumpe2fs", &[out.to_str().expect("text")]);
    let groups: Vec<&str> = groups
        .lines()
        .filter(|line| line.contains("(Blocks "))
        .collect();
    assert!(
        groups.iter().all(|line| line.contains("ITABLE_ZEROED")),
        "{groups:?}"
    );
}

#[test]
fn many_small_files_fit() {
    let directory = tempfile::tempdir().expect("tempdir");
    let tree = directory.path().join("tree");
    for index in 0..3000 {
        let at = tree.join(format!("{}", index % 20));
        fs::create_dir_all(&at).expect("mkdir");
        fs::write(at.join(format!("a-rather-long-file-name-{index}")), "x").expect("write");
    }
    let out = directory.path().join("out.ext4");
    ext4::make(&tree, &out, &Options::default()).expect("a file system");
    tool("e2fsck", &["-fn", out.to_str().expect("text")]);
}

#[test]
fn an_empty_tree_is_a_file_system_too() {
    let directory = tempfile::tempdir().expect("tempdir");
    let (tree, out) = (
        directory.path().join("tree"),
        directory.path().join("out.ext4"),
    );
    fs::create_dir(&tree).expect("mkdir");
    ext4::make(&tree, &out, &Options::default()).expect("a file system");
    tool("e2fsck", &["-fn", out.to_str().expect("text")]);
}

#[test]
fn what_nobody_writes_to_has_no_journal() {
    let directory = tempfile::tempdir().expect("tempdir");
    let (tree, out) = (directory.path().join("tree"), directory.path().join("out"));
    fs::create_dir(&tree).expect("mkdir");
    fs::write(tree.join("file"), "text").expect("write");
    let options = Options {
        read_only: true,
        ..Options::default()
    };
    ext4::make(&tree, &out, &options).expect("a file system");
    let path = out.to_str().expect("text");
    tool("e2fsck", &["-fn", path]);
    let features = tool("dumpe2fs", &["-h", path]);
    assert!(!features.contains("has_journal"), "{features}");
    assert_eq!(tool("debugfs", &["-R", "cat file", path]), "text");
}

#[test]
fn nothing_is_left_of_a_failure() {
    let directory = tempfile::tempdir().expect("tempdir");
    let out = directory.path().join("out.ext4");
    let error = ext4::make(&directory.path().join("missing"), &out, &Options::default());
    assert!(matches!(error, Err(Error::Io { .. })));
    let options = Options {
        label: "a label that is much too long for ext4".into(),
        ..Options::default()
    };
    let tree = directory.path().join("tree");
    fs::create_dir(&tree).expect("mkdir");
    let _ = ext4::make(&tree, &out, &options).map(|_| fs::remove_file(&out));
    assert!(!out.exists());
}
