//! A process of the agent's that becomes a program, or says why it cannot.
//!
//! ```text
//!   agent --fork--> child: its streams and a session, no descriptor of the agent's else;
//!                   user, directory, root, exec --> the program
//!         <-------- why not, over a pipe that an exec closes
//! ```
//!
//! Whatever looks at the image's files does so in the child: they may lie on a disk or a share that does
//! not answer, and the agent waits for nobody.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use ignite_wire::agent::ExitStatus;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, WaitOptions, WaitStatus, pidfd_open, setsid, waitpid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use super::dying::Dying;
use crate::sys;

/// Longest reason that is passed on: a pipe holds it, whatever becomes of it in JSON.
const MAX_REASON: usize = 8 << 10;

/// A process that runs, or has ended.
pub struct Child {
    pid: Pid,
    /// Readable when it has ended.
    end: OwnedFd,
    /// Where it says why it became no program.
    reason: OwnedFd,
    status: Option<ExitStatus>,
}

impl Child {
    /// Starts one with these `streams` that does `become_program`, which returns only if it cannot. It
    /// finds none of the agent's descriptors open but those to `keep`. One that cannot be looked after
    /// is `dying`.
    pub fn start(
        streams: &[OwnedFd; 3],
        keep: &[BorrowedFd<'_>],
        dying: &mut Dying,
        become_program: impl FnOnce() -> ExitStatus,
    ) -> io::Result<Self> {
        let (reason, tell) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&reason, true)?;
        let pid = sys::fork(|| {
            let kept: Vec<BorrowedFd<'_>> = keep.iter().copied().chain([tell.as_fd()]).collect();
            let status = match prepare(streams, &kept) {
                Ok(()) => become_program(),
                Err(error) => ExitStatus::NotExecutable {
                    message: format!("cannot prepare a process: {error}"),
                },
            };
            say_why(tell, status);
        })?;
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(end) => Ok(Self {
                pid,
                end,
                reason,
                status: None,
            }),
            Err(errno) => {
                dying.kill(pid, Instant::now());
                Err(errno.into())
            }
        }
    }

    /// Readable when it has ended.
    pub fn end(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }

    /// Sends a signal to it, and to those it started that are in its group.
    pub fn signal(&self, number: i32) {
        if self.status.is_none() {
            sys::kill_group(self.pid, number);
        }
    }

    /// Looks whether it has ended.
    pub fn look(&mut self) {
        if self.status.is_none() {
            self.status = match waitpid(Some(self.pid), WaitOptions::NOHANG) {
                Ok(None) => None,
                Ok(Some((_, status))) => Some(self.refusal().unwrap_or_else(|| ended(status))),
                Err(errno) => Some(lost(errno)),
            };
        }
    }

    /// How it ended, when that was seen.
    pub fn status(&self) -> Option<&ExitStatus> {
        self.status.as_ref()
    }

    /// Looks after it no more; its number, unless it has ended.
    pub fn leave(mut self) -> Option<Pid> {
        self.look();
        self.status.is_none().then_some(self.pid)
    }

    /// What it said before it ended, if it became no program.
    fn refusal(&self) -> Option<ExitStatus> {
        let mut said = Vec::new();
        let mut reason = File::from(self.reason.try_clone().ok()?);
        // Others may hold the pipe open for a moment, forked in this one: what there is is all there is.
        let _ = reason.read_to_end(&mut said);
        serde_json::from_slice(&said).ok()
    }
}

/// In the child: what it needs is where a program expects it, and all else is closed. What it holds while
/// it waits for a share would be held for others too, the ends of their pipes among it.
fn prepare(streams: &[OwnedFd; 3], keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let [stdin, stdout, stderr] = streams;
    dup2_stdin(stdin)?;
    dup2_stdout(stdout)?;
    dup2_stderr(stderr)?;
    sys::close_all_but(keep);
    setsid()?;
    Ok(())
}

fn say_why(to: OwnedFd, mut status: ExitStatus) {
    if let ExitStatus::NotFound { message } | ExitStatus::NotExecutable { message } = &mut status {
        message.truncate(message.floor_char_boundary(MAX_REASON));
    }
    let text = serde_json::to_vec(&status).unwrap_or_default();
    // Nobody is left to be told that it cannot be told.
    let _ = File::from(to).write_all(&text);
}

fn ended(status: WaitStatus) -> ExitStatus {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => ExitStatus::Code { code },
        (None, Some(number)) => ExitStatus::Signal { number },
        (None, None) => lost("it ended in no way there is"),
    }
}

fn lost(why: impl Display) -> ExitStatus {
    ExitStatus::NotExecutable {
        message: format!("lost sight of the program: {why}"),
    }
}

#[cfg(test)]
pub mod tests {
    use std::time::Duration;

    use rustix::io::{read, write};
    use rustix::process::{getpid, getsid};
    use rustix::stdio::{stdin, stdout};

    use super::*;

    /// Its streams, and our ends of them.
    fn streams() -> ([OwnedFd; 3], [File; 3]) {
        let pipe = || pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
        let [(stdin, to), (from, stdout), (from_error, stderr)] = [pipe(), pipe(), pipe()];
        let ours = [to, from, from_error].map(File::from);
        ([stdin, stdout, stderr], ours)
    }

    fn wait(child: &mut Child) -> ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            child.look();
            match child.status() {
                Some(status) => return status.clone(),
                None => assert!(Instant::now() < deadline, "it does not end"),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn refusing(message: String) -> ExitStatus {
        let (streams, _ours) = streams();
        let refused = || ExitStatus::NotFound { message };
        let child = Child::start(&streams, &[], &mut Dying::default(), refused);
        wait(&mut child.expect("a child"))
    }

    #[test]
    fn why_it_became_no_program_is_heard() {
        let message = "there is none".to_owned();
        let expected = ExitStatus::NotFound {
            message: message.clone(),
        };
        assert_eq!(refusing(message), expected);
    }

    /// A reason that no pipe would hold does not keep it from ending.
    #[test]
    fn a_reason_has_an_end() {
        for letter in ["\0", "ä"] {
            let refused = refusing(letter.repeat(1 << 20));
            let message = refused.message().expect("a reason");
            assert!(letter.repeat(MAX_REASON).starts_with(message));
            assert!(message.len() > MAX_REASON - 4, "{}", message.len());
        }
    }

    #[test]
    fn it_has_its_streams_a_session_and_nothing_else_of_ours() {
        let (streams, [mut to, mut from, _from_error]) = streams();
        let [kept, other] = [(); 2].map(|()| File::open("/dev/null").expect("null"));
        let look = || {
            let mut said = [0; 5];
            let is_open = |fd: BorrowedFd<'_>| rustix::io::fcntl_getfd(fd).is_ok();
            let leads = getsid(None) == Ok(getpid());
            let heard = read(stdin(), &mut said) == Ok(5) && said == *b"hello";
            let right = leads && heard && is_open(kept.as_fd()) && !is_open(other.as_fd());
            let told = write(stdout(), if right { b"right" } else { b"wrong" });
            ExitStatus::Code {
                code: if told == Ok(5) { 7 } else { 8 },
            }
        };
        let child = Child::start(&streams, &[kept.as_fd()], &mut Dying::default(), look);
        drop(streams);
        to.write_all(b"hello").expect("it reads");
        let mut said = String::new();
        from.read_to_string(&mut said).expect("it writes");
        assert_eq!(said, "right");
        let status = wait(&mut child.expect("a child"));
        assert_eq!(status, ExitStatus::Code { code: 7 });
    }

    #[test]
    fn a_signal_reaches_one_that_has_made_no_group_yet() {
        let (streams, _ours) = streams();
        for _ in 0..20 {
            let child = Child::start(&streams, &[], &mut Dying::default(), || {
                loop {
                    std::thread::sleep(Duration::from_secs(60));
                }
            });
            let mut child = child.expect("a child");
            child.signal(libc::SIGTERM);
            let number = libc::SIGTERM;
            assert_eq!(wait(&mut child), ExitStatus::Signal { number });
        }
    }

    /// One that lives as long as its input is open, as a killed one does that waits in the kernel; and
    /// that input.
    pub fn waiting() -> (Pid, File) {
        let (streams, [input, ..]) = streams();
        let child = Child::start(&streams, &[], &mut Dying::default(), || {
            while read(stdin(), &mut [0; 1]).is_err() {}
            ExitStatus::Code { code: 0 }
        });
        let left = child.expect("a child").leave();
        (left.expect("it lives"), input)
    }
}
