//! The Firecracker driver: its API over a unix socket, hardware virtualisation only.
//!
//! ```text
//!   command  the command line and the machine's description, pure functions
//!   request  what the API can be asked for          answer   how it answers
//!   log      the pipe with its log                  metrics  the pipe with its counters
//!   files    the work directory                     client   the one connection
//!   room     what it sees when confined             jail     what it sees when the jailer confines it
//!   volumes  disks of other people
//!   start    from nothing to a guest that runs      surroundings  where it runs: a room, a jail, the host
//!   mod      the process and its streams
//! ```

pub mod answer;
mod client;
pub mod command;
mod error;
mod files;
mod jail;
mod lines;
pub mod log;
pub mod metrics;
pub mod request;
mod room;
mod start;
mod surroundings;
pub mod version;
mod volumes;

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::Instant;

use ignite_host::process::{Child, Status};
use ignite_wire::agent::VmmCounters;
use serde::Deserialize;

use crate::{Console, Reason, Report, Reports, Request as Asked};
use client::{Answered, Client};
pub use error::Error;
use files::Files;
use jail::Jail;
use log::Trouble;
use request::Request;

/// Bytes of one read of a pipe.
const READ_SIZE: usize = 16 * 1024;

/// Reads of a pipe at one look, so that it keeps nobody waiting.
const MAX_READS: usize = 16;

/// A running Firecracker.
#[derive(Debug)]
pub struct Firecracker {
    process: Child,
    console: Console,
    listener: UnixListener,
    /// None once it is of no use.
    client: Option<Client>,
    log: Pipe,
    log_lines: log::Decoder,
    metrics: Pipe,
    metrics_lines: metrics::Decoder,
    /// What is told at the next look.
    pending: Vec<Report>,
    /// It was asked to end.
    quitting: bool,
    has_balloon: bool,
    files: Files,
    /// What its socket was waited for with: to close it takes the kernel some 10 ms, which nobody waits
    /// for at a start.
    watch: OwnedFd,
    /// Claims and locks of its volumes, and the loop devices among them.
    _volumes: volumes::Held,
    /// Gone with it, after the files in it.
    _jail: Option<Jail>,
}

impl Firecracker {
    pub(crate) fn process(&self) -> &Child {
        &self.process
    }

    pub(crate) fn console(&self) -> &Console {
        &self.console
    }

    /// Where the guest's agent arrives, as often as it likes.
    pub(crate) fn listener(&self) -> &UnixListener {
        &self.listener
    }

    /// What is to be polled, and whether also for being writable.
    pub(crate) fn control(&self) -> Vec<(BorrowedFd<'_>, bool)> {
        let client = self.client.as_ref();
        let client = client.map(|client| (client.as_fd(), client.wants_write()));
        let pipes = [&self.log, &self.metrics];
        let pipes = pipes.into_iter().filter_map(|pipe| pipe.0.as_ref());
        client
            .into_iter()
            .chain(pipes.map(|pipe| (pipe.as_fd(), false)))
            .collect()
    }

    /// When the next look is due though nothing comes.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if !self.pending.is_empty() {
            return Some(Instant::now());
        }
        self.client.as_ref()?.deadline()
    }

    pub(crate) fn counters(&self) -> VmmCounters {
        self.metrics_lines.sums()
    }

    /// Queues a request; what became of it is told by a report.
    pub(crate) fn ask(&mut self, request: Request) {
        let asked = awaited(&request);
        let taken = self
            .client
            .as_mut()
            .is_some_and(|client| client.ask(request));
        if let Some(asked) = asked.filter(|_| !taken) {
            let refused = Err("Firecracker does not answer".to_owned());
            self.pending.push(Report::Answer(asked, refused));
        }
    }

    /// Has it write its metrics and tell of the balloon, unless it was asked to and did not answer yet.
    pub(crate) fn count(&mut self) {
        self.ask_once(Request::FlushMetrics);
        if self.has_balloon {
            self.ask_once(Request::BalloonStatistics);
        }
    }

    fn ask_once(&mut self, request: Request) {
        let asked = |client: &Client| client.has_asked(&request);
        if !self.client.as_ref().is_some_and(asked) {
            self.ask(request);
        }
    }

    /// Ends it. There is nothing to ask for first: what the guest has written is in the host's files,
    /// and the first process of a PID namespace would not hear a gentler signal.
    pub(crate) fn quit(&mut self) {
        const SIGKILL: i32 = 9;
        self.quitting = true;
        // The supervisor kills what does not end, and says so if it cannot.
        let _ = self.process.signal(SIGKILL);
    }

    pub(crate) fn reports(&mut self) -> Reports {
        let mut reports = std::mem::take(&mut self.pending);
        reports.extend(self.read_pipes());
        if let Some(client) = &mut self.client {
            match client.look(Instant::now()) {
                Ok(answered) => reports.extend(answered.into_iter().filter_map(told)),
                Err(error) => {
                    let unanswered = client.unanswered();
                    self.client = None;
                    // That it ends is told by its process.
                    let ends = matches!(error, Error::Closed { .. }) && unanswered.is_empty();
                    if !self.quitting && !ends {
                        reports.extend(given_up(&error, unanswered));
                    }
                }
            }
        }
        Reports {
            reports,
            closed: self.control().is_empty(),
        }
    }

    fn read_pipes(&mut self) -> Vec<Report> {
        let mut said = Vec::new();
        let lines = &mut self.log_lines;
        self.log.read(|bytes| said.extend(lines.push(bytes)));
        let metrics = &mut self.metrics_lines;
        self.metrics.read(|bytes| metrics.push(bytes));
        said.into_iter().map(|line| Report::Said { line }).collect()
    }

    /// What the end of the process means, weighed with the log: the code alone does not tell. The
    /// guest's only way out is a reset; a VMM that was killed says nothing.
    pub(crate) fn ended(&mut self, status: Status) -> Vec<Report> {
        let mut reports = self.read_pipes();
        reports.extend(verdict(status, self.log_lines.trouble(), self.quitting));
        reports
    }
}

fn verdict(status: Status, trouble: Option<&Trouble>, quitting: bool) -> Option<Report> {
    let reset = Report::Shutdown(Reason::GuestReset);
    match (trouble, status) {
        (_, Status::Signal(9)) if quitting => Some(Report::Shutdown(Reason::Quit)),
        (Some(Trouble::Broken { line }), _) => Some(Report::Broken {
            message: line.clone(),
        }),
        (Some(Trouble::TripleFault), Status::Code(0 | 1)) => Some(reset),
        (_, Status::Code(0)) => Some(reset),
        (_, status) => error::meaning(status).map(|meaning| Report::Broken {
            message: format!("Firecracker ended with {status}: {meaning}"),
        }),
    }
}

/// What the answer means, if anybody waits for it or it is worth a word.
fn told((request, answer): Answered) -> Option<Report> {
    let result = if answer.is_success() {
        Ok(())
    } else {
        Err(answer.fault())
    };
    match (awaited(&request), result) {
        (None, Ok(())) if request == Request::BalloonStatistics => {
            balloon(&answer.body).map(|bytes| Report::Balloon { bytes })
        }
        (Some(asked), result) => Some(Report::Answer(asked, result)),
        (None, Ok(())) => None,
        (None, Err(fault)) => Some(Report::Refused {
            message: format!("cannot {}: {fault}", request.purpose()),
        }),
    }
}

/// What the balloon holds, in bytes. Only `actual_mib` is looked at.
fn balloon(statistics: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Statistics {
        actual_mib: u64,
    }
    let statistics: Statistics = serde_json::from_slice(statistics).ok()?;
    statistics.actual_mib.checked_mul(1 << 20)
}

/// The connection is of no use any more: whoever waits for an answer is told.
fn given_up(error: &Error, unanswered: Vec<Request>) -> Vec<Report> {
    let message = chain(error);
    let told = Report::Refused {
        message: message.clone(),
    };
    let asked = unanswered.iter().filter_map(awaited);
    let refused = asked.map(|asked| Report::Answer(asked, Err(message.clone())));
    std::iter::once(told).chain(refused).collect()
}

/// The request as whoever waits for its answer knows it.
fn awaited(request: &Request) -> Option<Asked> {
    match request {
        Request::Pause => Some(Asked::Pause),
        Request::Resume => Some(Asked::Resume),
        Request::LimitDrive { .. } => Some(Asked::LimitDisk),
        Request::Inflate { .. } => Some(Asked::Inflate),
        _ => None,
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// Our end of a pipe; none once the VMM has closed its own.
#[derive(Debug)]
struct Pipe(Option<File>);

impl Pipe {
    /// Takes what is there, a bounded part of it.
    fn read(&mut self, mut take: impl FnMut(&[u8])) {
        let mut buffer = [0; READ_SIZE];
        for _ in 0..MAX_READS {
            let Some(file) = &mut self.0 else {
                return;
            };
            match file.read(&mut buffer) {
                Ok(length) if length > 0 => take(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => self.0 = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_balloon_holds_is_read_from_its_statistics() {
        let statistics = br#"{"target_pages":16384,"actual_pages":512,"target_mib":64,"actual_mib":2,"free_memory":9}"#;
        assert_eq!(balloon(statistics), Some(2 << 20));
        for none in [
            "",
            "{}",
            r#"{"actual_mib":-1}"#,
            r#"{"actual_mib":99999999999999999}"#,
        ] {
            assert_eq!(balloon(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn the_code_alone_does_not_tell() {
        let broken = Trouble::Broken {
            line: "[ERROR] KVM_EXIT_INTERNAL_ERROR".to_owned(),
        };
        let reset = Some(Report::Shutdown(Reason::GuestReset));
        let told = |message: &str| {
            Some(Report::Broken {
                message: message.to_owned(),
            })
        };
        let cases = [
            (Status::Code(0), None, false, reset.clone()),
            (Status::Code(0), None, true, reset.clone()),
            (
                Status::Code(0),
                Some(&broken),
                false,
                told("[ERROR] KVM_EXIT_INTERNAL_ERROR"),
            ),
            (
                Status::Code(1),
                Some(&Trouble::TripleFault),
                false,
                reset.clone(),
            ),
            (Status::Code(0), Some(&Trouble::TripleFault), false, reset),
            (
                Status::Code(148),
                None,
                false,
                told("Firecracker ended with exit code 148: its system call filter ended it"),
            ),
            (
                Status::Signal(9),
                None,
                true,
                Some(Report::Shutdown(Reason::Quit)),
            ),
            (Status::Signal(9), None, false, None),
            (Status::Signal(15), None, false, None),
            (Status::Code(1), None, false, None),
        ];
        for (status, trouble, quitting, expected) in cases {
            assert_eq!(
                verdict(status, trouble, quitting),
                expected,
                "{status} {trouble:?} {quitting}"
            );
        }
    }
}
