//! A VM's raw disk, of an image of 1 GB with 300 MB in it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, ensure};
use ignite_testkit::{Host, place};
use ignite_vmm::disk::{How, raw};

use super::{Case, Unit};

const RUNS: usize = 11;
const SIZE: u64 = 1 << 30;
const FILES: u64 = 6000;
const BYTES: u64 = 50_000;

/// At most 5 ms where blocks are shared. A copy is as durable as a shared one, so it is held against
/// `cp --sparse=always` that is synced as well: at most 1.2 times that.
pub fn run() -> Result<Vec<Case>> {
    let directory = place::build("bench/disk");
    fs::create_dir_all(&directory)?;
    let tree = tree(&directory)?;
    let mut cases = copies(&directory, &tree)?;
    cases.push(reflinks(&directory, &tree)?);
    fs::remove_dir_all(&directory)?;
    Ok(cases)
}

fn copies(directory: &Path, tree: &Path) -> Result<Vec<Case>> {
    let image = image(directory, tree)?;
    let disk = directory.join("disk");
    let (mut cp, mut synced, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=RUNS {
        let began = Instant::now();
        by_hand(
            Command::new("cp")
                .arg("--sparse=always")
                .args([&image, &disk]),
        )?;
        let copied = milliseconds(began);
        by_hand(Command::new("sync").arg(&disk))?;
        let durable = milliseconds(began);
        fs::remove_file(&disk)?;
        let own = make(&image, &disk, How::Copy)?;
        if round > 0 {
            cp.push(copied);
            synced.push(durable);
            ours.push(own);
        }
    }
    let case = |name, values: &[f64]| Case::new("disk", name, Unit::Milliseconds, values);
    let cp = case("cp --sparse=always, left to the page cache", &cp);
    let synced = case("cp --sparse=always, sync", &synced);
    let plain = case("raw disk by copy, durable, against cp alone", &ours).against(&cp, None);
    let ours = case("raw disk by copy, durable", &ours).against(&synced, 1.2);
    Ok(vec![cp, synced, plain, ours])
}

fn reflinks(directory: &Path, tree: &Path) -> Result<Case> {
    let host = Host::bare("bench-disk")?;
    let file = directory.join("xfs");
    let script = format!(
        "mkdir /run/xfs; truncate -s 2G {0}; mkfs.xfs -q -m reflink=1 {0}; mount -o loop {0} /run/xfs",
        file.display()
    );
    host.sh(&script).ok()?;
    let inside = format!("/proc/{}/root/run/xfs", host.pid());
    let inside = Path::new(&inside);
    let image = image(inside, tree)?;
    let mut times = Vec::new();
    for _ in 0..=RUNS {
        times.push(make(&image, &inside.join("disk"), How::Reflink)?);
    }
    let times = &times[1..];
    let case = Case::new(
        "disk",
        "raw disk by reflink (xfs)",
        Unit::Milliseconds,
        times,
    );
    Ok(case.at_most(5.0))
}

/// Time of one disk, which is removed again.
fn make(image: &Path, disk: &Path, wanted: How) -> Result<f64> {
    let began = Instant::now();
    let how = raw::create(disk, image, 4 * SIZE, &|| false)?;
    let time = milliseconds(began);
    ensure!(
        how == wanted,
        "the disk was made by {how:?}, not {wanted:?}"
    );
    fs::remove_file(disk)?;
    Ok(time)
}

/// An ext4 of 1 GB as an import makes it: how it lies on the disk counts.
fn image(directory: &Path, tree: &Path) -> Result<PathBuf> {
    let path = directory.join("image");
    File::create(&path)?.set_len(SIZE)?;
    let options = ["-q", "-F", "-b", "4096", "-d"];
    by_hand(Command::new("mkfs.ext4").args(options).args([tree, &path]))?;
    by_hand(Command::new("sync").arg(&path))?;
    Ok(path)
}

/// Files of random bytes, 300 MB in all.
fn tree(directory: &Path) -> Result<PathBuf> {
    let tree = directory.join("tree");
    let mut random = File::open("/dev/urandom")?;
    for number in 0..FILES {
        let folder = tree.join(format!("d{}", number / 100));
        fs::create_dir_all(&folder)?;
        let mut file = File::create(folder.join(format!("f{number}")))?;
        io::copy(&mut (&mut random).take(BYTES), &mut file)?;
    }
    Ok(tree)
}

fn by_hand(command: &mut Command) -> Result<()> {
    let status = command.status()?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(())
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
