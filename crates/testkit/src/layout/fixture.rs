//! An image of three layers in three compressions that holds one of everything
//! an image may hold, and what it comes to.

use std::fs;

use anyhow::{Context as _, Result};

use super::entry::{Entry, Node};
use super::{Compression, Image, Layer};
use crate::place;

/// `cap_net_bind_service=ep` in the kernel's form (capability.h, version 2).
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Where the files are that are compared.
pub const ROOT: &str = "/fixture";

/// The image.
///
/// # Errors
/// If its layers cannot be made.
pub fn image() -> Result<Image> {
    let [bottom, middle, top] = layers()?;
    let layers = vec![
        Layer::of(&bottom, Compression::Gzip)?,
        Layer::of(&middle, Compression::Zstd)?,
        Layer::of(&top, Compression::None)?,
    ];
    Ok(Image::new(&["/bin/testkit-helper", "serve", "80"], layers))
}

/// The programs the image runs.
fn programs() -> Result<Vec<Entry>> {
    let busybox = fs::read("/bin/busybox").context("busybox-static is not installed")?;
    let helper = fs::read(place::helper()?)?;
    Ok(vec![
        Entry::directory("bin"),
        Entry::file("bin/busybox", busybox).mode(0o755),
        Entry::new("bin/sh", Node::Symlink("busybox")),
        Entry::file("bin/testkit-helper", helper).mode(0o755),
        Entry::directory("dev"),
        Entry::directory("etc"),
        Entry::directory("proc"),
        Entry::directory("sys"),
        Entry::directory("run"),
        Entry::directory("tmp").mode(0o1777),
    ])
}

fn kept() -> Vec<Entry> {
    vec![
        Entry::directory("fixture"),
        Entry::file("fixture/plain", "plain\n"),
        Entry::file("fixture/owned", "owned\n")
            .owner(1000, 1001)
            .mode(0o640),
        Entry::file("fixture/setuid", "setuid\n").mode(0o4755),
        Entry::directory("fixture/sticky").mode(0o3777).owner(7, 8),
        Entry::new("fixture/symlink", Node::Symlink("../nowhere/at all")).owner(1000, 1000),
        Entry::new("fixture/sparse", Node::Sparse(32 << 20)),
        Entry::file("fixture/capable", "capable\n")
            .mode(0o755)
            .xattr("security.capability", CAPABILITY),
        Entry::file("fixture/marked", "marked\n").xattr("user.mark", *b"\x00binary\xff"),
        Entry::new("fixture/null", Node::Character(1, 3)).mode(0o666),
        Entry::new("fixture/fifo", Node::Fifo).mode(0o600),
        Entry::file("fixture/name with space and \u{e9}", "unicode\n"),
        Entry::file(&format!("fixture/{}", "long".repeat(60)), "long\n"),
    ]
}

fn linked() -> Vec<Entry> {
    vec![
        Entry::file("fixture/first", "two names\n").mode(0o600),
        Entry::new("fixture/second", Node::Hardlink("fixture/first")),
    ]
}

/// From the bottom up: what is hidden, changed and kept.
fn layers() -> Result<[Vec<Entry>; 3]> {
    let mut bottom = programs()?;
    bottom.extend(kept());
    bottom.extend([
        Entry::file("fixture/removed", "a whiteout takes this\n"),
        Entry::file("fixture/tree/deep/removed", "with its directory\n"),
        Entry::file("fixture/opaque/below", "an opaque directory takes this\n"),
        Entry::file("fixture/changed", "first\n"),
        Entry::file("fixture/becomes-directory", "file\n"),
        Entry::directory("fixture/becomes-file"),
    ]);
    let mut middle = linked();
    middle.extend([
        Entry::whiteout("fixture", "removed"),
        Entry::whiteout("fixture/tree", "deep"),
        Entry::file("fixture/changed", "second\n").mode(0o600),
        Entry::file("fixture/becomes-directory/file", "now below\n"),
        Entry::file("fixture/becomes-file", "now a file\n"),
    ]);
    let top = vec![
        Entry::opaque("fixture/opaque"),
        Entry::file("fixture/opaque/above", "beside the mark\n"),
        Entry::file("fixture/changed", "third\n").mode(0o604),
    ];
    Ok([bottom, middle, top])
}

/// All that is there when every layer is applied.
///
/// # Errors
/// If the programs are missing.
pub fn flattened() -> Result<Vec<Entry>> {
    let mut all = programs()?;
    all.extend(kept());
    all.extend(linked());
    all.extend([
        Entry::directory("fixture/tree"),
        Entry::file("fixture/opaque/above", "beside the mark\n"),
        Entry::file("fixture/changed", "third\n").mode(0o604),
        Entry::file("fixture/becomes-directory/file", "now below\n"),
        Entry::file("fixture/becomes-file", "now a file\n"),
    ]);
    Ok(all)
}
