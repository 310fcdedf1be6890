//! `cp`: files between this host and a VM that runs, through its agent.
//!
//! What is sent is a tar stream, made at one end and unpacked at the other; neither end believes the
//! other's names. The VM's image takes no part in it.

mod answer;
mod channel;
mod error;
mod said;

use std::ffi::OsStr;
use std::io::{self, BufRead, BufWriter, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use ignite_archive::{Place, Policy, Source, pack, unpack};
use ignite_store::Liveness;
use ignite_wire::agent::{ExitStatus, Tool};

use super::control::{Control, plain};
use crate::{Cancel, Engine, Error, Progress, Report};
pub(super) use answer::answer;
use channel::{Channel, Terms};
pub use error::CopyError;

/// Bytes read at once of standard input.
const BUFFER: usize = 64 << 10;

/// The progress' only step.
const STEP: &str = "cp";

/// How to copy.
#[derive(Debug, Clone, Copy)]
pub struct CopyOptions {
    /// Whether owners are kept on this host.
    pub archive: bool,
    /// Whether a symbolic link is followed that the source's path ends in.
    pub follow: bool,
    /// How long the VM may be silent.
    pub patience: Duration,
}

/// What is copied into a VM.
#[derive(Debug)]
pub enum From<'a> {
    /// A file or tree.
    Path(&'a Path),
    /// Any tar stream.
    Archive(BorrowedFd<'a>),
}

/// Where a copy out of a VM goes.
pub enum To<'a> {
    /// To a file, or a directory.
    Path(&'a Path),
    /// As a tar stream.
    Archive(&'a mut dyn Write),
}

/// Who is told of a copy, and who may end it.
#[derive(Clone, Copy)]
pub struct Attendants<'a> {
    /// Hears of what is left out.
    pub report: &'a dyn Report,
    /// Sees the bytes.
    pub progress: &'a dyn Progress,
    /// Calls it off.
    pub cancel: &'a Cancel,
}

impl Engine {
    /// Copies into the VM that `text` means, to `path` in it.
    pub fn copy_in(
        &self,
        text: &str,
        (from, path): (From<'_>, &OsStr),
        options: CopyOptions,
        attendants: Attendants<'_>,
    ) -> Result<(), Error> {
        let source = match from {
            From::Path(from) => Some(Source::open(from, options.follow).map_err(CopyError::from)?),
            From::Archive(_) => None,
        };
        let tool = Tool::Unpack {
            path: path.as_bytes().to_vec(),
            any: source.is_none(),
        };
        let control = self.copying(text)?;
        let total = source.as_ref().and_then(Source::size);
        attended(attendants, options, text, total, |terms| {
            let mut channel = Channel::open(control, tool, terms)?;
            let sent = match (&source, from) {
                (Some(source), _) => send(source, &mut channel, attendants.report),
                (None, From::Archive(input)) => pass_in(input, &mut channel),
                (None, From::Path(_)) => Ok(0),
            };
            finish_in(channel, sent, attendants.report)
        })
    }

    /// Copies `path` out of the VM that `text` means.
    pub fn copy_out(
        &self,
        text: &str,
        (path, to): (&OsStr, To<'_>),
        options: CopyOptions,
        attendants: Attendants<'_>,
    ) -> Result<(), Error> {
        let name = expected(path)?;
        let tool = Tool::Pack {
            path: path.as_bytes().to_vec(),
            follow: options.follow,
        };
        let control = self.copying(text)?;
        attended(attendants, options, text, None, |terms| {
            let mut channel = Channel::open(control, tool, terms)?;
            let taken = match to {
                To::Path(to) => {
                    let place = Place {
                        destination: to,
                        expected: Some(&name),
                        whole: false,
                        policy: Policy::onto_host(options.archive),
                    };
                    let mut tell = |remark: &str| attendants.report.warn(&plain(remark));
                    unpack(&mut channel, &place, &mut tell)
                        .map(drop)
                        .map_err(CopyError::from)
                }
                To::Archive(out) => pass_out(&mut channel, out),
            };
            finish_out(channel, taken, attendants.report)
        })
    }

    /// The supervisor of a VM that runs.
    fn copying(&self, text: &str) -> Result<Control, Error> {
        let uid = self.vms.resolve(text)?;
        if !Liveness::is_held(&self.config.paths, uid)? {
            return Err(Error::NotRunning {
                name: self.vms.get(uid)?.name.to_string(),
            });
        }
        Ok(Control::connect(&self.config.paths.vm_run(uid))?)
    }
}

/// Does the work as a step of the progress.
fn attended(
    attendants: Attendants<'_>,
    options: CopyOptions,
    vm: &str,
    total: Option<u64>,
    work: impl FnOnce(&Terms<'_>) -> Result<(), CopyError>,
) -> Result<(), Error> {
    let terms = Terms {
        cancel: attendants.cancel,
        progress: attendants.progress,
        step: STEP,
        patience: options.patience,
    };
    attendants.progress.begin(STEP, vm, total);
    let done = work(&terms);
    attendants.progress.end(STEP);
    Ok(done?)
}

/// The only name that a VM may send for this path.
fn expected(path: &OsStr) -> Result<Vec<u8>, CopyError> {
    let bytes = path.as_bytes();
    let slashes = !bytes.is_empty() && bytes.iter().all(|byte| *byte == b'/');
    if slashes || bytes == b"." || bytes.ends_with(b"/.") {
        return Ok(b".".to_vec());
    }
    let name = Path::new(path).file_name().map(OsStr::as_bytes);
    name.map(<[u8]>::to_vec).ok_or_else(|| CopyError::NoName {
        path: path.to_string_lossy().into_owned(),
    })
}

/// Sends a file or tree; gives the number of those that are not as they were.
fn send(source: &Source, channel: &mut Channel<'_>, report: &dyn Report) -> io::Result<u64> {
    if source.is_link() {
        report.info(
            "the source is a symbolic link, and is copied as one; -L copies what it leads to",
        );
    }
    let mut tell = |remark: &str| report.warn(&plain(remark));
    let packed = pack(source, BufWriter::with_capacity(BUFFER, channel), &mut tell)?;
    Ok(packed.faults)
}

/// Sends what standard input gives, until it ends or the guest wants no more of it.
fn pass_in(input: BorrowedFd<'_>, channel: &mut Channel<'_>) -> io::Result<u64> {
    let mut buffer = vec![0; BUFFER];
    while channel.wait_with(input)? {
        match rustix::io::read(input, &mut buffer) {
            Ok(0) => return Ok(0),
            Ok(read) => channel.write_all(&buffer[..read])?,
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(io::ErrorKind::BrokenPipe.into())
}

/// Gives standard output what comes.
fn pass_out(channel: &mut Channel<'_>, out: &mut dyn Write) -> Result<(), CopyError> {
    loop {
        let bytes = match channel.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) => return Err(channel.take_failure(error)),
        };
        if bytes.is_empty() {
            return out.flush().map_err(CopyError::Stream);
        }
        let length = bytes.len();
        out.write_all(bytes).map_err(CopyError::Stream)?;
        channel.consume(length);
    }
}

/// Ends a copy into the VM: the guest's word counts for more than that it stopped listening.
fn finish_in(
    mut channel: Channel<'_>,
    sent: io::Result<u64>,
    report: &dyn Report,
) -> Result<(), CopyError> {
    if let Err(error) = &sent
        && channel.exit().is_none()
    {
        return Err(channel.take_failure(io::Error::from(error.kind())));
    }
    channel.end_input()?;
    channel.end()?;
    judge(&mut channel, report)?;
    match sent {
        Ok(0) => Ok(()),
        Ok(faults) => Err(CopyError::Faults { faults }),
        Err(error) => Err(CopyError::Stream(error)),
    }
}

/// Ends a copy out of the VM: what the guest says of itself explains what is missing.
fn finish_out(
    mut channel: Channel<'_>,
    taken: Result<(), CopyError>,
    report: &dyn Report,
) -> Result<(), CopyError> {
    if let Some(failure) = channel.failed() {
        return Err(failure);
    }
    match taken {
        Ok(()) => {
            channel.end()?;
            judge(&mut channel, report)
        }
        Err(error) => {
            if channel.exit().is_some() {
                judge(&mut channel, report)?;
            }
            Err(error)
        }
    }
}

/// What the tool in the guest said, and how it ended.
fn judge(channel: &mut Channel<'_>, report: &dyn Report) -> Result<(), CopyError> {
    let (message, hint) = channel.take_said().end(&mut |text| report.warn(text));
    match channel.exit() {
        Some(ExitStatus::Code { code: 0 }) => Ok(()),
        Some(ExitStatus::NotFound { .. }) => Err(CopyError::Earlier),
        Some(ExitStatus::NotExecutable { message }) => Err(CopyError::Guest {
            message: plain(message),
            hint: None,
        }),
        _ => Err(CopyError::Guest {
            message: message.unwrap_or_else(|| "the work ended without a word".to_owned()),
            hint,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_that_may_come_is_the_paths_own() {
        let of = |path: &str| expected(OsStr::new(path)).ok();
        assert_eq!(of("/etc/passwd"), Some(b"passwd".to_vec()));
        assert_eq!(of("/etc/"), Some(b"etc".to_vec()));
        assert_eq!(of("/etc/."), Some(b".".to_vec()));
        assert_eq!(of("."), Some(b".".to_vec()));
        assert_eq!(of("/"), Some(b".".to_vec()));
        assert_eq!(of("/etc/.."), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn a_guests_words_move_no_cursor() {
        assert_eq!(plain("a\x1b[2Jb\r\u{9b}c"), "a?[2Jb??c");
    }
}
