//! A directory tree made an ext4 file system, without the host's kernel ever mounting it.
//!
//! `mkfs.ext4 -d` does it. What it makes does not depend on the host's `/etc/mke2fs.conf`: every
//! feature is named, so that older guests' kernels can mount it. The guest finds nothing to do in the
//! background (inode tables and journal are ready), and grows it to its disk's size while mounted.

mod extract;
mod measure;

pub use extract::{ExtractError, extract};

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ignite_host::fs::free_space;
use ignite_host::process::{self, Limits, Spec};

use measure::{Layout, Usage};

/// Features that Linux 4.9 and later mount without restrictions; `none` clears the host's defaults.
const FEATURES: &str = "none,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,\
    huge_file,dir_nlink,extra_isize,metadata_csum";
/// What a file system that is written to has besides.
const WRITABLE: &str = ",has_journal,resize_inode";
/// Blocks of the largest disk it can grow to while mounted: 1 TiB.
const LARGEST_BLOCKS: u64 = 1 << 28;
/// Times the file system is made again, larger, when the tree did not fit.
const ATTEMPTS: u32 = 4;

/// How to make it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Volume label, at most 16 bytes; empty for none.
    pub label: String,
    /// Bytes left free in it.
    pub spare: u64,
    /// Nobody will ever write to it: it has no journal, which a guest would load at every mount, and
    /// cannot grow.
    pub read_only: bool,
    /// UUID, and seed of the directory hashes; random if none.
    pub uuid: Option<[u8; 16]>,
}

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Made {
    /// Size of the file system in bytes.
    pub size: u64,
    /// Bytes of it the tree takes up.
    pub content: u64,
}

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tree could not be read, or the file not be made.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// No room for the file system.
    #[error("disk full: {free} bytes are left at {}, {needed} are needed", path.display())]
    DiskFull {
        /// Where.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes needed.
        needed: u64,
    },
    /// `mkfs.ext4` could not be run.
    #[error("cannot run mkfs.ext4")]
    Program(#[from] process::Error),
    /// `mkfs.ext4` failed or took too long.
    #[error("mkfs.ext4 {outcome}: {message}")]
    Failed {
        /// How it ended.
        outcome: String,
        /// What it said.
        message: String,
    },
    /// The free space could not be found out.
    #[error("cannot tell the free space")]
    FreeSpace(#[from] ignite_host::fs::Error),
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::DiskFull { path, .. } => Some(format!(
                "free some space on the file system of {}",
                path.display()
            )),
            Self::Program(source) if source.is_not_found() => {
                Some("install the package e2fsprogs".into())
            }
            Self::Program(source) => source.hint(),
            Self::Failed { .. } => Some("e2fsprogs 1.46 or newer is needed".into()),
            Self::Io { .. } | Self::FreeSpace(_) => None,
        }
    }

    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Makes the new file `out` an ext4 file system that holds `tree`, with owners, modes, times, hard
/// links, devices, holes and extended attributes. Returns its size in bytes; on an error `out` is
/// not there.
pub fn make(tree: &Path, out: &Path, options: &Options) -> Result<u64, Error> {
    make_measured(tree, out, options).map(|made| made.size)
}

/// Bytes `tree` takes up in a file system; none if that is more than `most`, which is soon known.
pub fn content(tree: &Path, most: u64) -> Result<Option<u64>, Error> {
    let usage = Usage::up_to(tree, most).map_err(Error::io("read", tree))?;
    Ok(Some(usage.bytes()).filter(|bytes| *bytes <= most))
}

/// As [`make`], and says how much of it the tree takes up.
pub(crate) fn make_measured(tree: &Path, out: &Path, options: &Options) -> Result<Made, Error> {
    let usage = Usage::of(tree).map_err(Error::io("read", tree))?;
    let root = fs::symlink_metadata(tree).map_err(Error::io("read", tree))?;
    let directory = out.parent().unwrap_or(Path::new("/"));
    let mut result = Ok(Made {
        size: 0,
        content: 0,
    });
    for attempt in 0..ATTEMPTS {
        let layout = Layout::new(usage, options, attempt);
        check_space(directory, usage.bytes())?;
        let arguments = arguments(tree, out, options, &layout, (root.uid(), root.gid()));
        let made = Made {
            size: layout.bytes(),
            content: usage.bytes(),
        };
        result = run(out, &layout, arguments).map(|()| made);
        match &result {
            Err(Error::Failed { message, .. }) if did_not_fit(message) => {
                tracing::debug!(attempt, message, "the tree did not fit");
            }
            _ => break,
        }
    }
    if result.is_err() {
        // It may not be there at all.
        let _ = fs::remove_file(out);
    }
    result.map_err(|error| explain_full(error, directory, usage.bytes()))
}

/// What to tell `mkfs.ext4`.
fn arguments(
    tree: &Path,
    out: &Path,
    options: &Options,
    layout: &Layout,
    root_owner: (u32, u32),
) -> Vec<std::ffi::OsString> {
    let (uid, gid) = root_owner;
    let mut features = FEATURES.to_owned();
    let mut extended = format!("root_owner={uid}:{gid},lazy_itable_init=0");
    let inodes = layout.inodes.to_string();
    let mut arguments: Vec<std::ffi::OsString> = [
        "-q", "-F", "-b", "4096", "-I", "256", "-m", "0", "-N", &inodes,
    ]
    .map(Into::into)
    .into();
    if !options.read_only {
        features.push_str(WRITABLE);
        extended.push_str(&format!(",resize={LARGEST_BLOCKS},lazy_journal_init=0"));
        let journal = format!("size={}", layout.journal_mib);
        arguments.extend(["-J".into(), journal.into()]);
    }
    arguments.extend(["-O".into(), features.into()]);
    if let Some(uuid) = options.uuid {
        let uuid = dashed(uuid);
        extended.push_str(&format!(",hash_seed={uuid}"));
        arguments.extend(["-U".into(), uuid.into()]);
    }
    if !options.label.is_empty() {
        arguments.extend(["-L".into(), options.label.clone().into()]);
    }
    arguments.extend([
        "-E".into(),
        extended.into(),
        "-d".into(),
        tree.into(),
        out.into(),
    ]);
    arguments.push(layout.blocks.to_string().into());
    arguments
}

fn run(out: &Path, layout: &Layout, arguments: Vec<std::ffi::OsString>) -> Result<(), Error> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(out);
    let file = file.map_err(Error::io("create", out))?;
    file.set_len(layout.bytes())
        .map_err(Error::io("size", out))?;
    drop(file);
    let spec = Spec::new("mkfs.ext4")
        .args(arguments)
        .env_clear()
        .env_keep(&["PATH"])
        .env("LC_ALL", "C");
    let limits = Limits {
        time: time_limit(layout.bytes()),
        ..Limits::default()
    };
    let output = process::run(spec, &[], limits)?;
    if output.status.success() {
        return Ok(());
    }
    let outcome = match output.timed_out {
        true => format!("was still busy after {} s", limits.time.as_secs()),
        false => "failed".to_owned(),
    };
    let message = String::from_utf8_lossy(&output.stderr)
        .trim()
        .replace('\n', "; ");
    Err(Error::Failed { outcome, message })
}

/// Ten minutes, and as long as the slowest disk (4 MB/s) needs.
fn time_limit(bytes: u64) -> Duration {
    Duration::from_secs(600 + bytes / 4_000_000)
}

fn check_space(directory: &Path, needed: u64) -> Result<(), Error> {
    let free = free_space(directory)?;
    if free < needed {
        return Err(Error::DiskFull {
            path: directory.to_owned(),
            free,
            needed,
        });
    }
    Ok(())
}

/// The file system itself was too small.
fn did_not_fit(message: &str) -> bool {
    message.contains("Could not allocate")
}

fn explain_full(error: Error, directory: &Path, needed: u64) -> Error {
    let full = match &error {
        Error::Failed { message, .. } => message.contains("No space left on device"),
        Error::Io { source, .. } => source.kind() == io::ErrorKind::StorageFull,
        _ => false,
    };
    match free_space(directory) {
        Ok(free) if full => Error::DiskFull {
            path: directory.to_owned(),
            free,
            needed,
        },
        _ => error,
    }
}

/// `8-4-4-4-12` hexadecimal digits.
fn dashed(uuid: [u8; 16]) -> String {
    let digits = hex::encode(uuid);
    [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_written_with_dashes() {
        let uuid = *b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x99\xaa\xbb\xcc\xdd\xee\xff";
        assert_eq!(dashed(uuid), "00112233-4455-6677-8899-aabbccddeeff");
    }

    #[test]
    fn says_who_owns_the_root_and_how_large_it_may_grow() {
        let options = Options {
            label: "rootfs".into(),
            ..Options::default()
        };
        let layout = Layout::new(Usage::default(), &options, 0);
        let line = arguments(Path::new("/t"), Path::new("/o"), &options, &layout, (5, 6));
        let text = line.join(" ".as_ref()).into_string().expect("text");
        assert!(
            text.contains("-E root_owner=5:6,lazy_itable_init=0,resize=268435456,"),
            "{text}"
        );
        assert!(text.contains(" -L rootfs "), "{text}");
        assert!(
            text.ends_with(&format!(" -d /t /o {}", layout.blocks)),
            "{text}"
        );
    }
}
