//! A program of the image, made ready to start: environment, user, directory, root.

use std::fmt::Display;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Command;

use ignite_wire::agent::ExitStatus;
use rustix::fs::{FileType, fchown, fstat};
use rustix::io::Errno;
use rustix::process::{chroot, fchdir, ioctl_tiocsctty, setsid};
use rustix::stdio::{stderr, stdin, stdout};
use rustix::termios::isatty;
use rustix::thread::{Gid, Uid, set_thread_gid, set_thread_groups, set_thread_uid};

use crate::execute::{self, Execution};
use crate::root::Root;
use crate::user::{self, User};
use crate::{console, sys};

/// Search path where the image names none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What to run, in terms of the image.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// Program and arguments.
    pub argv: &'a [String],
    /// Environment, `KEY=value`; the later of two equal keys counts.
    pub env: &'a [String],
    /// `user[:group]`; empty for root.
    pub user: &'a str,
    /// Working directory; empty for `/`.
    pub cwd: &'a str,
    /// Whether standard input is a terminal that becomes the session's.
    pub terminal: bool,
}

/// A program whose user, directory and environment are known.
struct Ready {
    user: User,
    groups: Vec<Gid>,
    cwd: OwnedFd,
    terminal: bool,
    execution: Execution,
}

impl Launch<'_> {
    /// The command, for the caller to say where its streams go. Standard input, output and error
    /// apart, all is settled. The process's working directory must be the root's top directory.
    pub fn command(&self, root: &Root) -> Result<Command, ExitStatus> {
        let program = self.program()?;
        let ready = self.ready(program, root)?;
        let mut command = Command::new(program);
        sys::before_exec(&mut command, move || {
            setsid()?;
            Err(ready.enter())
        });
        Ok(command)
    }

    /// Turns this process into the program, in a session that it leads and with the streams it has.
    /// Returns if that cannot be. Its working directory must be the root's top directory.
    pub fn become_it(&self) -> ExitStatus {
        let entered = || {
            let program = self.program()?;
            let root = Root::open(Path::new("."))
                .map_err(|error| not_executable(program, console::chain(&error)))?;
            let ready = self.ready(program, &root)?;
            Ok(start_failure(program, &ready.enter()))
        };
        entered().unwrap_or_else(|refused: ExitStatus| refused)
    }

    fn program(&self) -> Result<&str, ExitStatus> {
        let program = self.argv.first().map(String::as_str);
        program.ok_or_else(|| not_found("no program was named"))
    }

    fn ready(&self, program: &str, root: &Root) -> Result<Ready, ExitStatus> {
        let user = find_user(self.user, root).map_err(|error| not_found(error.to_string()))?;
        let cwd = root.directory(self.cwd).map_err(|error| {
            not_found(format!(
                "cannot enter the working directory {}: {error}",
                self.cwd
            ))
        })?;
        let execution = Execution::new(self.argv, &environment(self.env, &user.home))
            .map_err(|error| start_failure(program, &error))?;
        Ok(Ready {
            groups: user.groups.iter().map(|gid| Gid::from_raw(*gid)).collect(),
            user,
            cwd,
            terminal: self.terminal,
            execution,
        })
    }
}

impl Ready {
    /// Becomes the program; gives why it cannot. Makes system calls only.
    fn enter(&self) -> io::Error {
        match self.become_user() {
            // In the standard library's stead, which would ask a shell to run what is no program.
            Ok(()) => self.execution.execute(),
            Err(errno) => errno.into(),
        }
    }

    fn become_user(&self) -> Result<(), Errno> {
        if self.terminal {
            // A console that cannot control a session still carries text.
            let _ = ioctl_tiocsctty(stdin());
        }
        let (uid, gid) = (Uid::from_raw(self.user.uid), Gid::from_raw(self.user.gid));
        if !uid.is_root() {
            for stream in [stdin(), stdout(), stderr()] {
                own(stream, uid);
            }
        }
        chroot(c".")?;
        fchdir(&self.cwd)?;
        set_thread_groups(&self.groups)?;
        set_thread_gid(gid)?;
        set_thread_uid(uid)
    }
}

/// Lets a user open what a stream of his is connected to by its name, `/dev/stdout` and the terminal's:
/// pipes and terminals, and nothing that others use too. One that cannot be his still carries text.
fn own(stream: BorrowedFd<'_>, uid: Uid) {
    let is_pipe = || {
        let stat = fstat(stream);
        stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
    };
    if isatty(stream) || is_pipe() {
        let _ = fchown(stream, Some(uid), None);
    }
}

/// The user by the root's own files; an image whose files cannot be read still has its root, and
/// numbers.
pub fn find_user(wanted: &str, root: &Root) -> Result<User, user::Error> {
    let read = |path| root.read_text(path).unwrap_or_default();
    user::resolve(wanted, &read("/etc/passwd"), &read("/etc/group"))
}

/// What a failed start means to whoever asked for it.
pub fn start_failure(program: &str, error: &io::Error) -> ExitStatus {
    if error.kind() == io::ErrorKind::NotFound && program.contains(char::is_whitespace) {
        not_found(format!(
            "cannot run {program:?}: there is no such program; for a shell to read it, put sh -c before it"
        ))
    } else if error.kind() == io::ErrorKind::NotFound {
        not_found(format!(
            "cannot run {program}: there is no such program, or its interpreter is missing"
        ))
    } else if error.raw_os_error() == Some(libc::ENOEXEC) {
        not_executable(program, execute::UNKNOWN)
    } else {
        not_executable(program, error)
    }
}

fn not_executable(program: &str, why: impl Display) -> ExitStatus {
    ExitStatus::NotExecutable {
        message: format!("cannot run {program}: {why}"),
    }
}

fn not_found(message: impl Into<String>) -> ExitStatus {
    ExitStatus::NotFound {
        message: message.into(),
    }
}

/// The pairs of an environment, with what every program may expect; each key once.
fn environment<'a>(entries: &'a [String], home: &'a str) -> Vec<(&'a str, &'a str)> {
    let given = entries.iter().filter_map(|entry| entry.split_once('='));
    let expected = [("PATH", DEFAULT_PATH), ("HOME", home), ("TERM", "linux")];
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for (key, value) in expected.into_iter().chain(given) {
        match pairs.iter_mut().find(|(known, _)| *known == key) {
            Some(known) => known.1 = value,
            None if key.is_empty() => {}
            None => pairs.push((key, value)),
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_entries_count() {
        let entries = ["A=1", "PATH=/bin", "=x", "B", "C=d=e"].map(String::from);
        let pairs = environment(&entries, "/root");
        let expected = [
            ("PATH", "/bin"),
            ("HOME", "/root"),
            ("TERM", "linux"),
            ("A", "1"),
            ("C", "d=e"),
        ];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn a_text_file_is_named_as_other_engines_name_it() {
        let text = io::Error::from_raw_os_error(libc::ENOEXEC);
        let ExitStatus::NotExecutable { message } = start_failure("/entry", &text) else {
            panic!("not executable");
        };
        assert!(message.contains("exec format error"), "{message}");
    }

    #[test]
    fn failures_have_the_shells_codes() {
        let missing = io::Error::from_raw_os_error(libc::ENOENT);
        assert_eq!(start_failure("nosuch", &missing).code(), 127);
        let forbidden = io::Error::from_raw_os_error(libc::EACCES);
        assert_eq!(start_failure("/etc/passwd", &forbidden).code(), 126);
    }
}
