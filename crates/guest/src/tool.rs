//! What the guest program does for a client in the place of a program: a third role, told apart by how
//! it is started.
//!
//! ```text
//!   agent --fork, chroot into the image's root, exec of itself--> tool: packs, unpacks, lists
//! ```
//!
//! So files are copied whatever the image holds: no tar, no shell.

mod gather;
mod processes;

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ignite_archive::{Place, Policy, Source, pack, unpack, unpack_into};
use ignite_host::error::chain;
use ignite_host::fs::RootDir;
use ignite_wire::agent::Tool;
use rustix::process::chroot;

use crate::launch::find_user;
use crate::root::Root;
use crate::sys::{self, Strings};
use gather::Gather;

/// What a tool is called, so that [`crate::main`] knows its role.
pub const ARGV0: &str = "@ignite-tool";

/// Bytes moved at once.
const BUFFER: usize = 64 << 10;

/// Bytes taken in before they are written: a file system takes them the faster, the more at once.
const GATHERED: usize = 512 << 10;

/// What to do about a full disk of the VM's.
const NO_ROOM: &str =
    "remove something in the VM, or give it a larger disk: ignite create --size SIZE";

/// What to do about a place in the VM that cannot take an archive.
const NO_PLACE: &str =
    "name a directory that is there, or make it: ignite exec VM -- mkdir -p PATH";

/// Why a tool failed, and what to do about it.
struct Failure(String, Option<String>);

/// Turns this process, whose working directory is the root, into a tool: this program, `itself`, in that
/// root. Returns if that cannot be.
pub fn become_it(tool: &Tool, itself: &File) -> io::Error {
    let prepared = || -> io::Result<(Strings, Strings)> {
        let request = serde_json::to_string(tool).map_err(io::Error::other)?;
        let argv = Strings::new([ARGV0, &request].into_iter())?;
        let env = Strings::new(std::iter::empty::<&str>())?;
        chroot(c".")?;
        Ok((argv, env))
    };
    match prepared() {
        Ok((argv, env)) => sys::execute_open(itself, &argv, &env),
        Err(error) => error,
    }
}

/// Does what the only argument says.
pub fn run() -> ExitCode {
    let request = std::env::args().nth(1).unwrap_or_default();
    let done = match serde_json::from_str(&request) {
        Ok(Tool::Pack { path, follow }) => send(path, follow),
        Ok(Tool::Unpack { path, any }) => receive(path, any),
        Ok(Tool::Processes) => list(),
        Err(error) => Err(Failure(format!("no tool is asked for: {error}"), None)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(message, hint)) => {
            say("error", &message);
            if let Some(hint) = hint {
                say("hint", &hint);
            }
            ExitCode::FAILURE
        }
    }
}

fn send(path: Vec<u8>, follow: bool) -> Result<(), Failure> {
    let source =
        Source::open(&whole(path), follow).map_err(|error| Failure(chain(&error), error.hint()))?;
    let out = stream(io::stdout().as_fd())?;
    let out = BufWriter::with_capacity(BUFFER, out);
    let packed = pack(&source, out, &mut |remark| say("warning", remark));
    match packed {
        Ok(packed) if packed.faults == 0 => Ok(()),
        Ok(packed) => Err(Failure(
            format!("{} could not be copied as it is", counted(packed.faults)),
            Some("the warnings name them, and say why".to_owned()),
        )),
        Err(error) => Err(Failure(format!("nobody reads on: {error}"), None)),
    }
}

fn receive(path: Vec<u8>, any: bool) -> Result<(), Failure> {
    let destination = whole(path);
    let mut reader = BufReader::with_capacity(GATHERED, Gather::new(stream(io::stdin().as_fd())?));
    let policy = Policy::into_guest();
    let mut tell = |remark: &str| say("warning", remark);
    let done = if any {
        let base = std::fs::canonicalize(&destination).map_err(|error| {
            let path = destination.display();
            let failed = format!("cannot use {path}: {error}");
            Failure(failed, Some(NO_PLACE.to_owned()))
        })?;
        if !base.is_dir() {
            let path = destination.display();
            let failed = format!("{path} is not a directory");
            return Err(Failure(failed, Some(NO_PLACE.to_owned())));
        }
        let base = base.strip_prefix("/").unwrap_or(&base).to_owned();
        RootDir::open(Path::new("/"))
            .map_err(Into::into)
            .and_then(|root| unpack_into(&mut reader, root, &base, policy, &mut tell))
    } else {
        let place = Place {
            destination: &destination,
            expected: None,
            whole: true,
            policy,
        };
        unpack(&mut reader, &place, &mut tell)
    };
    done.map_err(failure)?;
    // An archive is followed by what fills its last record: whoever sends that shall not find nobody there.
    let rest = io::copy(&mut reader, &mut io::sink());
    rest.map(drop)
        .map_err(|error| Failure(format!("the archive has no end: {error}"), None))
}

fn list() -> Result<(), Failure> {
    let out = BufWriter::with_capacity(BUFFER, stream(io::stdout().as_fd())?);
    let mut tell = |remark: &str| say("warning", remark);
    processes::list(out, &mut tell).map_err(|error| Failure(error.to_string(), error.hint()))
}

/// An error of unpacking, for who looks at it from outside.
fn failure(error: ignite_archive::Error) -> Failure {
    let hint = if error.is_no_room() {
        Some(NO_ROOM.to_owned())
    } else {
        error.hint()
    };
    Failure(chain(&error), hint)
}

/// A path from the top: relative ones begin in root's home.
fn whole(path: Vec<u8>) -> PathBuf {
    let path = PathBuf::from(std::ffi::OsString::from_vec(path));
    if path.is_absolute() {
        return path;
    }
    let home = Root::open(Path::new("/"))
        .ok()
        .and_then(|root| find_user("", &root).ok())
        .map_or_else(|| PathBuf::from("/root"), |user| user.home.into());
    if path.as_os_str().is_empty() {
        home
    } else {
        home.join(path)
    }
}

fn stream(fd: std::os::fd::BorrowedFd<'_>) -> Result<File, Failure> {
    let fd = fd.try_clone_to_owned();
    fd.map(File::from)
        .map_err(|error| Failure(format!("there is no stream: {error}"), None))
}

fn say(word: &str, text: &str) {
    // Nobody is left to be told that it cannot be told.
    let _ = writeln!(io::stderr(), "{word}: {text}");
}

fn counted(files: u64) -> impl Display {
    match files {
        1 => "1 file".to_owned(),
        more => format!("{more} files"),
    }
}
