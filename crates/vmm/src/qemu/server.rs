//! A server of a directory that runs: what it says, and whether it ends before its time.
//!
//! It ends well when QEMU closes its socket. One that fails before that takes the directory from a guest,
//! which would wait for it forever; so the VM ends, with the server's last words as the reason.

use std::io::{self, ErrorKind, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use ignite_host::process::{Child, Status};

use crate::Report;

/// Bytes of a line that are kept.
const LINE: usize = 300;

/// Lines that are passed on: a guest may provoke more.
const TOLD: u32 = 100;

/// Reads at one look: what a pipe holds, and no more, so that it keeps nobody waiting.
const MAX_READS: usize = 17;

/// A server that runs, or did.
#[derive(Debug)]
pub(super) struct Server {
    directory: PathBuf,
    process: Child,
    words: Words,
    /// It ended, and that was seen.
    over: bool,
}

impl Server {
    /// Of this directory; what it prints comes from `words`.
    pub(super) fn new(directory: PathBuf, process: Child, words: Words) -> Self {
        Self {
            directory,
            process,
            words,
            over: false,
        }
    }

    /// To be polled for being readable: then [`Server::look`] has something to do.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let process = (!self.over).then(|| self.process.pidfd());
        let words = self.words.stream.as_ref().map(AsFd::as_fd);
        process.into_iter().chain(words)
    }

    /// What it said, and at last that it failed, which is told once.
    pub(super) fn look(&mut self, reports: &mut Vec<Report>) -> bool {
        let ended = match self.over {
            true => None,
            false => self.process.try_wait().ok().flatten(),
        };
        // Nothing is said after the end, so it is all there by now.
        let said = self.words.read();
        reports.extend(said.into_iter().map(|line| Report::Said { line }));
        let Some(status) = ended else {
            return false;
        };
        self.over = true;
        if status.success() {
            return false;
        }
        let message = self.failed(status);
        reports.push(Report::Broken { message });
        true
    }

    fn failed(&self, status: Status) -> String {
        let directory = self.directory.display();
        let how = format!("the server of the directory {directory} ended with {status}");
        match self.words.last.as_str() {
            "" => how,
            last => format!("{how}: {last}"),
        }
    }
}

/// What a server prints, line by line.
#[derive(Debug)]
pub(super) struct Words {
    /// Until it is closed.
    stream: Option<PipeReader>,
    /// The line that is not complete.
    line: Vec<u8>,
    /// The last one that was.
    last: String,
    told: u32,
}

impl Words {
    /// With the end to print to.
    pub(super) fn new() -> io::Result<(Self, PipeWriter)> {
        let (stream, writer) = io::pipe()?;
        rustix::io::ioctl_fionbio(&stream, true)?;
        let words = Self {
            stream: Some(stream),
            line: Vec::new(),
            last: String::new(),
            told: 0,
        };
        Ok((words, writer))
    }

    /// Lines that are complete now, and are to be passed on.
    fn read(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut buffer = [0; 4096];
        for _ in 0..MAX_READS {
            let Some(stream) = &mut self.stream else {
                break;
            };
            match stream.read(&mut buffer) {
                Ok(0) => self.close(&mut lines),
                Ok(length) => self.push(&buffer[..length], &mut lines),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.close(&mut lines),
            }
        }
        lines
    }

    fn close(&mut self, lines: &mut Vec<String>) {
        self.stream = None;
        self.end_line(lines);
    }

    fn push(&mut self, bytes: &[u8], lines: &mut Vec<String>) {
        for &byte in bytes {
            match byte {
                b'\n' => self.end_line(lines),
                _ if self.line.len() < LINE => self.line.push(byte),
                _ => {}
            }
        }
    }

    /// Names of a guest's files may be in it: it is made harmless to a terminal.
    fn end_line(&mut self, lines: &mut Vec<String>) {
        let line = String::from_utf8_lossy(&self.line);
        let line: String = line.chars().filter(|c| !c.is_control()).collect();
        self.line.clear();
        if line.is_empty() {
            return;
        }
        if self.told < TOLD {
            self.told += 1;
            lines.push(line.clone());
        }
        self.last = line;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    use ignite_host::process::{self, Spec, Stdio};
    use rustix::event::{PollFd, PollFlags, poll};

    /// A shell in a server's place, after its end.
    fn ended(script: &str) -> Server {
        let (words, writer) = Words::new().expect("a pipe");
        let spec = Spec::new("/bin/sh").args(["-c", script]);
        let process = process::spawn(spec.stderr(Stdio::Fd(writer.into()))).expect("a shell");
        let pidfd = process.pidfd();
        poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).expect("it ends");
        Server::new("/srv/data".into(), process, words)
    }

    #[test]
    fn one_that_fails_is_told_of_once_and_in_its_own_words() {
        let mut server = ended("echo first >&2; printf 'no \\033[2Jway' >&2; exit 3");
        let mut reports = Vec::new();
        assert!(server.look(&mut reports));
        let said = |line: &str| Report::Said { line: line.into() };
        let message =
            "the server of the directory /srv/data ended with exit code 3: no [2Jway".to_owned();
        assert_eq!(
            reports,
            [said("first"), said("no [2Jway"), Report::Broken { message }]
        );
        reports.clear();
        assert!(!server.look(&mut reports));
        assert!(reports.is_empty() && server.descriptors().next().is_none());
    }

    #[test]
    fn one_that_ends_as_it_should_is_no_failure() {
        let mut server = ended("exit 0");
        let mut reports = Vec::new();
        assert!(!server.look(&mut reports));
        assert!(reports.is_empty(), "{reports:?}");
    }

    #[test]
    fn much_that_is_said_is_bounded() {
        let (mut words, mut writer) = Words::new().expect("a pipe");
        let mut told = 0;
        for number in 0..2 * TOLD {
            writeln!(writer, "{number} {}", "x".repeat(2 * LINE)).expect("written");
            let lines = words.read();
            assert!(lines.iter().all(|line| line.len() <= LINE));
            told += lines.len();
        }
        assert_eq!(told, TOLD as usize);
        assert!(words.last.starts_with(&format!("{} x", 2 * TOLD - 1)));
    }
}
