//! A tree with all that makes trees hard to copy: names of any bytes, links of
//! both kinds, holes, modes, owners, times.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::Failure;

/// Files in a directory.
const IN_ONE: usize = 100;

/// Beginnings of names, over and over.
const NAMES: [&[u8]; 8] = [
    b"plain",
    b"-rf",
    b"two words",
    b"line\nfeed",
    b"caf\xe9 not utf-8",
    b"\xe2\x82\xac",
    b".hidden",
    b"*?[a]$(b)`c`\"'\\",
];

const MODES: [u32; 6] = [0o644, 0o600, 0o755, 0o444, 0o4711, 0o2640];

pub(super) fn make(path: &str, files: usize) -> Result<(), Failure> {
    let top = Path::new(path);
    fs::create_dir(top)?;
    let mut directories = Vec::new();
    for number in 0..files {
        if number % IN_ONE == 0 {
            let directory = top.join(name(number, "directory"));
            fs::create_dir(&directory)?;
            directories.push(directory);
        }
        let directory = directories.last().ok_or("a directory")?;
        one(number, directory, top)?;
    }
    special(top)?;
    for (number, directory) in directories.iter().enumerate() {
        fs::set_permissions(
            directory,
            Permissions::from_mode([0o755, 0o1777, 0o500][number % 3]),
        )?;
        File::open(directory)?.set_modified(time(number))?;
    }
    Ok(())
}

/// One file; some are links.
fn one(number: usize, directory: &Path, top: &Path) -> Result<(), Failure> {
    let path = directory.join(name(number, ""));
    match number % 10 {
        7 => return Ok(symlink(top.join("nowhere"), path)?),
        8 => return Ok(symlink("../../../../../etc/passwd", path)?),
        9 => {
            return Ok(fs::hard_link(
                directory.join(name(number - 1 - 8, "")),
                path,
            )?);
        }
        _ => {}
    }
    let mut file = File::create(&path)?;
    file.write_all(format!("{number} ").repeat(number % 77).as_bytes())?;
    let owner = u32::try_from(number % 5)?;
    chown(&path, Some(owner * 1000), Some(owner * 1000))?;
    file.set_permissions(Permissions::from_mode(MODES[number % MODES.len()]))?;
    Ok(file.set_modified(time(number))?)
}

/// What there is one of: a long path, a long name, a file with holes, an empty directory.
fn special(top: &Path) -> Result<(), Failure> {
    let mut deep: PathBuf = top.into();
    for _ in 0..10 {
        deep.push("d".repeat(100));
    }
    fs::create_dir_all(&deep)?;
    fs::write(deep.join("n".repeat(255)), "deep")?;
    fs::create_dir(top.join("empty"))?;
    let holes = File::create(top.join("holes"))?;
    holes.write_all_at(b"begin", 0)?;
    holes.write_all_at(b"middle", 40 << 20)?;
    holes.set_len(64 << 20)?;
    let large = File::create(top.join("large"))?;
    let piece: Vec<u8> = (0..1_000_003u32).map(|at| (at % 251) as u8).collect();
    large.write_all_at(&piece, 0)?;
    rustix::fs::setxattr(
        top.join("large"),
        "user.note",
        b"kept\0as it is",
        rustix::fs::XattrFlags::empty(),
    )?;
    Ok(())
}

fn name(number: usize, suffix: &str) -> OsString {
    let mut bytes = NAMES[number % NAMES.len()].to_vec();
    bytes.extend_from_slice(format!(" {number}{suffix}").as_bytes());
    OsString::from_vec(bytes)
}

/// Some time before and after the epoch, with a fraction.
fn time(number: usize) -> SystemTime {
    let step = Duration::new(100_000, 123_456_789) * u32::try_from(number).unwrap_or(0);
    match number % 2 {
        0 => SystemTime::UNIX_EPOCH + step,
        _ => SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000) + step,
    }
}
