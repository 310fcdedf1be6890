//! The initramfs of a kernel: the guest program as `/init`, and the modules it loads.
//!
//! ```text
//!  kernel/<uid>/drivers.cpio     directories, console, /lib/ignite/modules/[vsock/|late/]NN-name.ko
//!              /initramfs        drivers.cpio + a segment with /init                    (for each guest program)
//!              /initramfs.stamp  what it was made of
//! ```
//!
//! Both segments end on a 4-byte boundary, so that the guest's configuration can follow as a third.
//! Nothing is compressed: the guest would unpack it, one translated instruction after the other.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ignite_host::fs::{self, Lock, read_bounded, write_atomic};
use ignite_wire::cpio;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::kernel::elf::Elf;
use crate::kernel::modules::{Driver, When};

/// File in a kernel's directory: the finished initramfs.
pub const INITRAMFS: &str = "initramfs";
/// File in a kernel's directory: the part that depends on the kernel alone.
pub const DRIVERS: &str = "drivers.cpio";
/// Directory in the guest; modules in it are loaded in the order of their names.
pub const MODULE_DIR: &str = "lib/ignite/modules";
/// The same for modules that carry the agent's stream over vsock, loaded where it goes that way.
pub const VSOCK_MODULE_DIR: &str = "lib/ignite/modules/vsock";
/// The same for modules the guest loads once it is up.
pub const LATE_MODULE_DIR: &str = "lib/ignite/modules/late";

const STAMP: &str = "initramfs.stamp";
/// Held by whoever makes the initramfs or what it is made of.
pub(crate) const LOCK: &str = "initramfs.lock";
/// Raised whenever the same guest program and modules should give another initramfs.
const FORMAT: u32 = 1;
/// The largest guest program taken, in bytes.
const MAX_PROGRAM: u64 = 64 * 1024 * 1024;
/// The largest set of modules taken, in bytes.
const MAX_DRIVERS: u64 = 256 * 1024 * 1024;
/// What each boot finds before the guest program has mounted anything.
const DIRECTORIES: &[&str] = &[
    "dev",
    "proc",
    "sys",
    "run",
    "lib",
    "lib/ignite",
    MODULE_DIR,
    VSOCK_MODULE_DIR,
    LATE_MODULE_DIR,
];

/// Why there is no initramfs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the kernel's directory, or the guest program, cannot be read or written.
    #[error("cannot make the initramfs")]
    File(#[from] fs::Error),
    /// The guest program is not there.
    #[error("cannot find the guest program {}", path.display())]
    NoProgram {
        /// Where it should be.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel's modules are not there.
    #[error("cannot find the modules of the kernel, {}", path.display())]
    NoDrivers {
        /// Where they should be.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The guest program needs a loader and libraries, which a guest has not got.
    #[error("the guest program {} is not a static program", path.display())]
    NotStatic {
        /// The program.
        path: PathBuf,
    },
    /// Something does not fit into the archive.
    #[error("cannot make the initramfs")]
    Archive(#[from] cpio::Error),
}

impl Error {
    /// What the person can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(source) => source.hint(),
            Self::NoProgram { .. } => Some("build and install it with `make install`".to_owned()),
            Self::NoDrivers { .. } => Some(
                "remove the kernel and import it again: ignite kernel rm, ignite kernel import"
                    .to_owned(),
            ),
            Self::NotStatic { .. } => {
                Some("build it with `make`, which links it statically".to_owned())
            }
            Self::Archive(_) => None,
        }
    }
}

/// What an initramfs was made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stamp {
    /// Over format, modules and guest program.
    key: Digest,
    /// The guest program and the modules when last looked at; while they are the same, nothing is read.
    sources: Sources,
    /// Length of the initramfs in bytes.
    length: u64,
}

/// The files it is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sources {
    program: Identity,
    drivers: Identity,
}

/// A file as `stat` sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// The segment with the modules, in loading order, and all but `/init`.
pub fn drivers_segment(drivers: &[Driver]) -> Result<Vec<u8>, Error> {
    let mut writer = cpio::Writer::new();
    for directory in DIRECTORIES {
        writer.directory(directory, 0o755)?;
    }
    // The kernel opens it for init before anything is mounted.
    writer.character_device("dev/console", 0o600, 5, 1)?;
    for (number, driver) in drivers.iter().enumerate() {
        let directory = match driver.when {
            When::Start => MODULE_DIR,
            When::Vsock => VSOCK_MODULE_DIR,
            When::Late => LATE_MODULE_DIR,
        };
        let path = format!("{directory}/{number:02}-{}.ko", driver.name);
        writer.file(&path, 0o644, &driver.bytes)?;
    }
    Ok(writer.finish())
}

/// The initramfs of the kernel in `kernel_dir` with this guest program; made if it is not there or
/// was made of another one, or of other modules. Costs three `stat`s and a small read when it is up to
/// date.
pub fn ensure(kernel_dir: &Path, guest_program: &Path) -> Result<PathBuf, Error> {
    let path = kernel_dir.join(INITRAMFS);
    let now = sources(kernel_dir, guest_program)?;
    if current(kernel_dir).is_some_and(|stamp| stamp.sources == now) {
        return Ok(path);
    }
    let _lock = Lock::exclusive(&kernel_dir.join(LOCK))?;
    let sources = sources(kernel_dir, guest_program)?;
    let stamp = current(kernel_dir);
    if stamp.as_ref().is_some_and(|stamp| stamp.sources == sources) {
        return Ok(path);
    }
    let bytes = read_program(guest_program)?;
    let drivers = read_bounded(&kernel_dir.join(DRIVERS), MAX_DRIVERS)?;
    let key = key(&drivers, &bytes);
    let length = match stamp {
        Some(stamp) if stamp.key == key => stamp.length,
        _ => {
            let initramfs = assemble(drivers, &bytes)?;
            write_atomic(&path, &initramfs, 0o644)?;
            initramfs.len() as u64
        }
    };
    let stamp = Stamp {
        key,
        sources,
        length,
    };
    let text = serde_json::to_vec(&stamp).expect("a stamp is plain data");
    write_atomic(&kernel_dir.join(STAMP), &text, 0o644)?;
    Ok(path)
}

/// The stamp, if the initramfs it speaks of is there.
fn current(kernel_dir: &Path) -> Option<Stamp> {
    let text = read_bounded(&kernel_dir.join(STAMP), 4096).ok()?;
    let stamp: Stamp = serde_json::from_slice(&text).ok()?;
    let found = std::fs::metadata(kernel_dir.join(INITRAMFS)).ok()?;
    (found.len() == stamp.length).then_some(stamp)
}

fn sources(kernel_dir: &Path, guest_program: &Path) -> Result<Sources, Error> {
    let program = std::fs::metadata(guest_program).map_err(|source| Error::NoProgram {
        path: guest_program.to_owned(),
        source,
    })?;
    let path = kernel_dir.join(DRIVERS);
    let drivers = std::fs::metadata(&path).map_err(|source| Error::NoDrivers { path, source })?;
    Ok(Sources {
        program: identity(&program),
        drivers: identity(&drivers),
    })
}

fn identity(found: &Metadata) -> Identity {
    Identity {
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    }
}

fn read_program(path: &Path) -> Result<Vec<u8>, Error> {
    let bytes = read_bounded(path, MAX_PROGRAM)?;
    match Elf::parse(&bytes) {
        Some(elf) if !elf.has_interpreter() => Ok(bytes),
        _ => Err(Error::NotStatic {
            path: path.to_owned(),
        }),
    }
}

fn key(drivers: &[u8], program: &[u8]) -> Digest {
    let parts = format!("{FORMAT} {} {}", Digest::of(drivers), Digest::of(program));
    Digest::of(parts.as_bytes())
}

fn assemble(drivers: Vec<u8>, program: &[u8]) -> Result<Vec<u8>, Error> {
    let mut writer = cpio::Writer::new();
    writer.file("init", 0o755, program)?;
    let mut initramfs = drivers;
    initramfs.extend(writer.finish());
    Ok(initramfs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::elf::sample;

    fn kernel() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("a directory");
        let driver = |name: &str, when| Driver {
            name: name.to_owned(),
            when,
            bytes: b"module".to_vec(),
        };
        let drivers = [
            driver("virtio_ring", When::Start),
            driver("vsock", When::Vsock),
            driver("button", When::Late),
        ];
        let segment = drivers_segment(&drivers).expect("a segment");
        std::fs::write(directory.path().join(DRIVERS), segment).expect("a file");
        let program = directory.path().join("guest");
        std::fs::write(&program, sample::program(false)).expect("a file");
        (directory, program)
    }

    fn contains(bytes: &[u8], text: &str) -> bool {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    }

    #[test]
    fn it_holds_the_program_and_the_modules_and_ends_aligned() {
        let (directory, program) = kernel();
        let path = ensure(directory.path(), &program).expect("an initramfs");
        let bytes = std::fs::read(path).expect("a file");
        for text in [
            "init\0",
            "dev/console\0",
            "lib/ignite/modules/00-virtio_ring.ko\0",
            "lib/ignite/modules/vsock/01-vsock.ko\0",
            "lib/ignite/modules/late/02-button.ko\0",
        ] {
            assert!(contains(&bytes, text), "{text}");
        }
        assert_eq!(bytes.len() % 4, 0);
    }

    #[test]
    fn it_is_made_again_only_of_something_else() {
        let (directory, program) = kernel();
        let inode = |path: &Path| std::fs::metadata(path).expect("there").ino();
        let path = ensure(directory.path(), &program).expect("made");
        let first = inode(&path);
        ensure(directory.path(), &program).expect("up to date");
        assert_eq!(inode(&path), first);

        // The same bytes in another file: looked at, not made again.
        let copy = directory.path().join("copy");
        std::fs::copy(&program, &copy).expect("copied");
        ensure(directory.path(), &copy).expect("up to date");
        assert_eq!(inode(&path), first);

        let mut other = sample::program(false);
        other.push(0);
        std::fs::write(&copy, other).expect("written");
        ensure(directory.path(), &copy).expect("made again");
        assert_ne!(inode(&path), first);

        std::fs::remove_file(&path).expect("removed");
        ensure(directory.path(), &copy).expect("made again");
        assert!(path.exists());

        let second = inode(&path);
        write_atomic(&directory.path().join(DRIVERS), b"others--", 0o644).expect("written");
        ensure(directory.path(), &copy).expect("made again");
        assert_ne!(inode(&path), second);
    }

    #[test]
    fn a_program_that_needs_libraries_is_refused() {
        let (directory, program) = kernel();
        std::fs::write(&program, sample::program(true)).expect("a file");
        let error = ensure(directory.path(), &program).expect_err("not static");
        assert!(matches!(error, Error::NotStatic { .. }), "{error}");
        std::fs::remove_file(&program).expect("removed");
        let error = ensure(directory.path(), &program).expect_err("absent");
        assert!(matches!(error, Error::NoProgram { .. }), "{error}");
        assert!(!directory.path().join(INITRAMFS).exists());
    }
}
