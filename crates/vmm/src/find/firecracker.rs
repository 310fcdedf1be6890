//! Firecracker's programs, and the version of the one that is there.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ignite_host::probe::program;
use ignite_host::process;

pub use crate::firecracker::version::Version;

/// A program of a release, as it calls itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Product {
    /// The VMM.
    Firecracker,
    /// What may confine it.
    Jailer,
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Time to tell a version, which takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(3);

/// So long a program that did not tell its version is not asked again.
const GRUDGE: Duration = Duration::from_secs(10);

/// Why there is no Firecracker, or none that can be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is in none of the directories.
    #[error("the program {name} is not found in {}", list(directories))]
    Missing {
        /// The program.
        name: &'static str,
        /// The directories, in order.
        directories: Vec<PathBuf>,
    },
    /// The one that is named cannot be looked at.
    #[error("the program {} cannot be used", path.display())]
    Named {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not tell its version.
    #[error("{} does not tell its version", path.display())]
    Silent {
        /// The program.
        path: PathBuf,
        /// Why.
        source: Arc<program::Error>,
    },
    /// What it tells is no version of the program that is wanted.
    #[error("{} is no {wanted}: it says {said:?}", path.display())]
    Stranger {
        /// What it should be.
        wanted: Product,
        /// The program.
        path: PathBuf,
        /// The beginning of what it says.
        said: String,
    },
    /// It is older than what the driver speaks with.
    #[error("{} is {product} {found}, and the oldest that can be used is {}", path.display(), Version::OLDEST)]
    TooOld {
        /// What it is.
        product: Product,
        /// The program.
        path: PathBuf,
        /// Its version.
        found: Version,
    },
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Missing { .. } => {
                "put it there from https://github.com/firecracker-microvm/firecracker/releases, name \
                 it in the configuration (`firecracker:`, `jailer:`), or choose --vmm qemu"
            }
            Self::Named { .. } => "name another one in the configuration, or none",
            Self::Silent { .. } | Self::Stranger { .. } => {
                "name Firecracker's own program in the configuration (`firecracker:`, `jailer:`)"
            }
            Self::TooOld { .. } => "install a newer release, or choose --vmm qemu",
        };
        Some(text.to_owned())
    }
}

/// The program `name`: the one that is named, else the first one in the directories.
pub(super) fn program(
    name: &'static str,
    named: Option<&Path>,
    directories: &[PathBuf],
) -> Result<PathBuf, Error> {
    match named {
        Some(path) => executable(path).map_err(|source| Error::Named {
            path: path.to_owned(),
            source,
        }),
        None => process::find_program(name, directories).map_err(|_| Error::Missing {
            name,
            directories: directories.to_vec(),
        }),
    }
}

/// The path, if a program is there.
fn executable(path: &Path) -> io::Result<PathBuf> {
    let stat = fs::metadata(path)?;
    match stat.is_file() && stat.mode() & 0o111 != 0 {
        true => Ok(path.to_owned()),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

/// A file: what it is, its path, its time of change in seconds and nanoseconds, its length.
type File = (Product, PathBuf, i64, i64, u64);

/// What a program said, and when.
type Answer = (Result<Version, Untold>, Instant);

/// Why a program's version is not known.
#[derive(Debug, Clone)]
enum Untold {
    Silent(Arc<program::Error>),
    Stranger(Product, String),
}

impl Untold {
    fn of(self, path: &Path) -> Error {
        let path = path.to_owned();
        match self {
            Self::Silent(source) => Error::Silent { path, source },
            Self::Stranger(wanted, said) => Error::Stranger { wanted, path, said },
        }
    }
}

/// The version of a program, which is asked once as long as its file stays the same; one that tells
/// none is asked again after a while.
pub fn version(program: &Path) -> Result<Version, Error> {
    version_of(Product::Firecracker, program)
}

fn version_of(product: Product, program: &Path) -> Result<Version, Error> {
    static KNOWN: Mutex<Option<HashMap<File, Answer>>> = Mutex::new(None);
    // An answer is put in whole, whoever panicked.
    let lock = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let stat = fs::metadata(program).map_err(|source| Error::Named {
        path: program.to_owned(),
        source,
    })?;
    let file = (
        product,
        program.to_owned(),
        stat.mtime(),
        stat.mtime_nsec(),
        stat.len(),
    );
    let known = lock().get_or_insert_default().get(&file).cloned();
    let fresh = |(answer, at): &Answer| answer.is_ok() || at.elapsed() < GRUDGE;
    if let Some((answer, _)) = known.filter(fresh) {
        return answer.map_err(|untold| untold.of(program));
    }
    // Nobody waits at the lock for a program that hangs.
    let answer = ask(product, program);
    let mut known = lock();
    let known = known.get_or_insert_default();
    // The file is replaced once in a while, not without end.
    known.retain(|(_, path, ..), _| path != program);
    known.insert(file, (answer.clone(), Instant::now()));
    answer.map_err(|untold| untold.of(program))
}

/// The version, if it is not too old.
pub(super) fn usable(product: Product, program: &Path) -> Result<Version, Error> {
    match version_of(product, program)? {
        found if found < Version::OLDEST => Err(Error::TooOld {
            product,
            path: program.to_owned(),
            found,
        }),
        version => Ok(version),
    }
}

fn ask(product: Product, program: &Path) -> Result<Version, Untold> {
    let said = program::version_within(program, PATIENCE)
        .map_err(|error| Untold::Silent(Arc::new(error)))?;
    parse(product, &said).ok_or_else(|| Untold::Stranger(product, said.chars().take(80).collect()))
}

/// The version of a first line such as `Firecracker v1.8.0`, `Jailer v1.8.0`.
fn parse(product: Product, said: &str) -> Option<Version> {
    let mut words = said.lines().next()?.split_whitespace();
    (words.next()? == product.to_string()).then_some(())?;
    words.next()?.parse().ok()
}

fn list(directories: &[PathBuf]) -> String {
    let names: Vec<_> = directories
        .iter()
        .map(|directory| directory.display().to_string())
        .collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_tells_the_version() {
        let of = |text| parse(Product::Firecracker, text).map(|version| version.to_string());
        assert_eq!(of("Firecracker v1.8.0\n").as_deref(), Some("1.8.0"));
        let dev = "Firecracker v1.17.0-dev\n\nSupported snapshot data format versions: v9.0.0\n";
        assert_eq!(of(dev).as_deref(), Some("1.17.0"));
        for text in [
            "",
            "\nFirecracker v1.8.0",
            "Firecracker",
            "Firecracker v1.8",
            "Firecracker v1.8.0.1",
            "Firecracker v1.8.99999999999",
            "QEMU emulator version 7.2.0",
        ] {
            assert_eq!(parse(Product::Firecracker, text), None, "{text:?}");
        }
    }

    #[test]
    fn ten_is_more_than_eight() {
        let version = |text: &str| text.parse::<Version>().expect("a version");
        assert!(version("1.10.0") > version("1.8.3"));
        assert!(version("1.7.9") < Version::OLDEST && version("1.8.0-rc") >= Version::OLDEST);
    }

    #[test]
    fn a_program_is_asked_again_when_its_file_is_another() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = super::super::tests::program(
            directory.path(),
            "firecracker",
            "echo x >> $0.asked; echo Firecracker v1.9.1",
        );
        let asked =
            || fs::read_to_string(path.with_extension("asked")).map_or(0, |text| text.len());
        for _ in 0..3 {
            assert_eq!(version(&path).expect("a version").to_string(), "1.9.1");
        }
        assert_eq!(asked(), 2, "one line");
        super::super::tests::program(directory.path(), "firecracker", "echo Firecracker v1.7.0");
        let error = usable(Product::Firecracker, &path)
            .expect_err("replaced by an older one")
            .to_string();
        assert!(
            error.contains("1.7.0") && error.contains("1.8.0"),
            "{error}"
        );
    }

    #[test]
    fn what_says_nothing_of_use_is_refused() {
        let directory = tempfile::tempdir().expect("tempdir");
        let say = |text| super::super::tests::program(directory.path(), "firecracker", text);
        let error = version(&say("head -c 100000 /dev/zero | tr '\\0' y"))
            .expect_err("no version")
            .to_string();
        assert!(
            error.contains("is no Firecracker") && error.len() < 400,
            "{error}"
        );
        let failed = say("echo Firecracker v1.9.0; exit 1");
        let error = version(&failed).expect_err("it failed");
        assert!(matches!(error, Error::Silent { .. }), "{error}");
        let error = version(&directory.path().join("none")).expect_err("absent");
        assert!(matches!(error, Error::Named { .. }), "{error}");
    }

    #[test]
    fn one_that_hangs_costs_its_time_once() {
        let directory = tempfile::tempdir().expect("tempdir");
        let hangs = super::super::tests::program(
            directory.path(),
            "firecracker",
            "echo x >> $0.asked; echo Firecracker v1.9.1; exec sleep 600",
        );
        for _ in 0..2 {
            let error = version(&hangs).expect_err("it does not end");
            assert!(matches!(error, Error::Silent { .. }), "{error}");
        }
        let asked = fs::read_to_string(hangs.with_extension("asked")).expect("asked");
        assert_eq!(asked, "x\n");
    }
}
