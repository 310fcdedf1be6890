//! Short-lived programs: fed, read and waited for within limits.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::{Child, Error, Spec, Status, Stdio, spawn};
use crate::signal::poll;

/// What a program may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time until its whole process group is killed.
    pub time: Duration,
    /// Bytes of standard output that are kept.
    pub stdout_bytes: usize,
    /// Bytes of standard error that are kept.
    pub stderr_bytes: usize,
}

impl Default for Limits {
    /// A minute, 4 MiB of output, 64 KiB of messages.
    fn default() -> Self {
        Self {
            time: Duration::from_secs(60),
            stdout_bytes: 4 << 20,
            stderr_bytes: 64 << 10,
        }
    }
}

/// What became of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended; by signal 9 where it ran out of time.
    pub status: Status,
    /// Standard output, cut at the limit.
    pub stdout: Vec<u8>,
    /// Standard error, cut at the limit.
    pub stderr: Vec<u8>,
    /// Whether something was cut.
    pub truncated: bool,
    /// Whether it was killed for its time, or because it was to stop.
    pub timed_out: bool,
}

/// After a kill the kernel ends a process at once, unless a device holds it.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// For the processes a killed program left behind, which were killed as well.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(1);
/// What a pipe may still hold when the program has ended (`fs.pipe-max-size`).
const PIPE_CAPACITY: usize = 1 << 20;

/// Runs the program to its end, giving it `stdin` and keeping what it prints; the three streams of
/// `spec` are not used.
///
/// It leads a process group (or session) of its own; all of it is killed when the time is over, or
/// when the program is killed by a signal: what it began must not go on without it. When the program
/// itself has ended, what it printed is taken, and a process it left behind that holds the pipes is
/// not waited for. Input is a file in memory, so nothing waits for it to be read.
pub fn run(spec: Spec, stdin: &[u8], limits: Limits) -> Result<Output, Error> {
    run_stoppable(spec, stdin, limits, None)
}

/// The same, killed as if its time were over when `stop` becomes readable, or its other end closes.
pub fn run_until(
    spec: Spec,
    stdin: &[u8],
    limits: Limits,
    stop: BorrowedFd<'_>,
) -> Result<Output, Error> {
    run_stoppable(spec, stdin, limits, Some(stop))
}

fn run_stoppable(
    spec: Spec,
    stdin: &[u8],
    limits: Limits,
    stop: Option<BorrowedFd<'_>>,
) -> Result<Output, Error> {
    let program = spec.program().to_owned();
    let prepare = |step| {
        let program = program.clone();
        move |source: io::Error| Error::start(&program, Some(step), source)
    };
    let (out_read, out_write) = pipe().map_err(prepare("make a pipe"))?;
    let (err_read, err_write) = pipe().map_err(prepare("make a pipe"))?;
    let input = input(stdin).map_err(prepare("keep its input"))?;
    let spec = spec
        .stdin(input)
        .stdout(Stdio::Fd(out_write))
        .stderr(Stdio::Fd(err_write))
        .process_group();
    let child = spawn(spec)?;
    let mut streams = [
        Stream::new(out_read, limits.stdout_bytes),
        Stream::new(err_read, limits.stderr_bytes),
    ];
    let followed = follow(&child, &mut streams, limits.time, stop);
    let ended = match followed {
        Ok(Ended::ByItself) => end_of(&child).map(|status| (status, false)),
        Ok(Ended::OutOfTime) => kill(&child).map(|status| (status, true)),
        Err(error) => {
            // The failure to follow it is what the caller must hear of.
            let _ = kill(&child);
            Err(error)
        }
    };
    let (status, timed_out) = ended?;
    for stream in &mut streams {
        stream
            .read_ready(PIPE_CAPACITY)
            .map_err(|source| child.error("read the output of", source))?;
    }
    let [stdout, stderr] = streams;
    Ok(Output {
        status,
        truncated: stdout.truncated || stderr.truncated,
        stdout: stdout.kept,
        stderr: stderr.kept,
        timed_out,
    })
}

enum Ended {
    ByItself,
    OutOfTime,
}

/// Reads until the program has ended, the time is over, or it is to stop.
fn follow(
    child: &Child,
    streams: &mut [Stream; 2],
    limit: Duration,
    stop: Option<BorrowedFd<'_>>,
) -> Result<Ended, Error> {
    let deadline = Instant::now() + limit;
    loop {
        let mut fds: Vec<PollFd<'_>> = vec![PollFd::from_borrowed_fd(child.pidfd(), PollFlags::IN)];
        fds.extend(stop.map(|stop| PollFd::from_borrowed_fd(stop, PollFlags::IN)));
        let open = streams.iter().filter_map(|stream| stream.fd.as_ref());
        fds.extend(open.map(|fd| PollFd::new(fd, PollFlags::IN)));
        let left = deadline.saturating_duration_since(Instant::now());
        let ready =
            poll(&mut fds, Some(left)).map_err(|error| child.error("follow", error.source))?;
        let ended = !fds[0].revents().is_empty();
        let stopped = stop.is_some() && !fds[1].revents().is_empty();
        for stream in streams.iter_mut() {
            stream
                .read_ready(PIPE_CAPACITY)
                .map_err(|source| child.error("read the output of", source))?;
        }
        if ended {
            return Ok(Ended::ByItself);
        }
        // Output without end must not hide the time.
        if ready == 0 || stopped || Instant::now() >= deadline {
            return Ok(Ended::OutOfTime);
        }
    }
}

/// How a program that has ended did so; what it left behind ends with it if a signal killed it.
fn end_of(child: &Child) -> Result<Status, Error> {
    if !matches!(child.peek()?, Some(Status::Signal(_))) {
        return child.wait();
    }
    child.kill_group()?;
    let status = child.wait()?;
    let deadline = Instant::now() + ORPHAN_PATIENCE;
    while child.has_group() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(status)
}

fn kill(child: &Child) -> Result<Status, Error> {
    child.kill_group()?;
    child
        .wait_timeout(KILL_PATIENCE)?
        .ok_or_else(|| child.error("end", io::ErrorKind::TimedOut))
}

/// Standard input as a descriptor: a file in memory, or `/dev/null` if there is none.
fn input(bytes: &[u8]) -> io::Result<Stdio> {
    if bytes.is_empty() {
        return Ok(Stdio::Null);
    }
    crate::fs::memfd("stdin", bytes)
        .map(Stdio::Fd)
        .map_err(|error| error.source)
}

/// A pipe whose reading end does not block.
fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&read, true)?;
    Ok((read, write))
}

/// One stream of output.
struct Stream {
    /// None once it came to its end.
    fd: Option<OwnedFd>,
    kept: Vec<u8>,
    limit: usize,
    truncated: bool,
}

impl Stream {
    fn new(fd: OwnedFd, limit: usize) -> Self {
        Self {
            fd: Some(fd),
            kept: Vec::new(),
            limit,
            truncated: false,
        }
    }

    /// Takes what is there, at most `most` bytes.
    fn read_ready(&mut self, most: usize) -> io::Result<()> {
        let mut buffer = [0; 16 * 1024];
        let mut taken = 0;
        while taken < most {
            let Some(fd) = &self.fd else { break };
            match rustix::io::read(fd, &mut buffer) {
                Ok(0) => self.fd = None,
                Ok(length) => {
                    taken += length;
                    self.keep(&buffer[..length]);
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.limit - self.kept.len();
        self.kept.extend(&bytes[..bytes.len().min(room)]);
        self.truncated |= bytes.len() > room;
    }
}
