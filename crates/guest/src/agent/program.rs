//! One program run for a client, and its channel.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};

use ignite_host::signal::PollFlags;
use ignite_wire::agent::{Credits, DATA_CHUNK, ExecRequest, ExitStatus, Message};
use rustix::io::{Errno, read, write};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::launch::{Launch, start_failure};
use crate::root::Root;
use crate::{sys, tool};

/// A descriptor of a program to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Room for input.
    Stdin,
    /// Output.
    Stdout,
    /// Error output.
    Stderr,
    /// The end of the program.
    End,
}

impl Stream {
    /// What to wait for.
    pub fn flags(self) -> PollFlags {
        match self {
            Self::Stdin => PollFlags::OUT,
            Self::Stdout | Self::Stderr | Self::End => PollFlags::IN,
        }
    }
}

/// A running program.
pub struct Program {
    child: Child,
    /// Readable when the program has ended; also keeps its number from being used again.
    end: OwnedFd,
    input: Option<Input>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    credits: Credits,
    status: Option<ExitStatus>,
}

/// Input on its way to the program.
struct Input {
    pipe: OwnedFd,
    waiting: Vec<u8>,
    ended: bool,
}

impl Program {
    /// Starts what a client asks for, in a session of its own; with `null` as input if it wants none.
    /// `itself` is this program, for its tools.
    pub fn start(
        request: &ExecRequest,
        env: &[String],
        root: &Root,
        null: &File,
        itself: &File,
    ) -> Result<Self, ExitStatus> {
        let env: Vec<String> = env.iter().chain(&request.env).cloned().collect();
        let ExecRequest {
            argv, user, cwd, ..
        } = request;
        let launch = Launch {
            argv,
            env: &env,
            user,
            cwd,
            terminal: false,
        };
        let program = match &request.tool {
            Some(_) => tool::ARGV0,
            None => argv.first().map_or("", String::as_str),
        };
        let mut command = match &request.tool {
            Some(tool) => {
                tool::command(tool, itself).map_err(|error| start_failure(program, &error))?
            }
            None => launch.command(root)?,
        };
        let stdin = if request.stdin {
            Stdio::piped()
        } else {
            nothing(null)?
        };
        command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let child = command
            .spawn()
            .map_err(|error| start_failure(program, &error))?;
        Self::watch(child).map_err(|error| ExitStatus::NotExecutable {
            message: format!("cannot watch {program}: {error}"),
        })
    }

    fn watch(mut child: Child) -> io::Result<Self> {
        let end = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
        let input = child
            .stdin
            .take()
            .map(OwnedFd::from)
            .map(nonblocking)
            .transpose()?;
        let stdout = child
            .stdout
            .take()
            .map(OwnedFd::from)
            .map(nonblocking)
            .transpose()?;
        let stderr = child
            .stderr
            .take()
            .map(OwnedFd::from)
            .map(nonblocking)
            .transpose()?;
        let input = input.map(|pipe| Input {
            pipe,
            waiting: Vec::new(),
            ended: false,
        });
        let credits = Credits::new();
        Ok(Self {
            child,
            end,
            input,
            stdout,
            stderr,
            credits,
            status: None,
        })
    }

    /// What to wait for; output only if there is `room` for it and the client granted some.
    pub fn streams(&self, room: bool) -> [Option<Stream>; 4] {
        let readable = room && self.credits.available() > 0;
        let waiting = self
            .input
            .as_ref()
            .is_some_and(|input| !input.waiting.is_empty());
        [
            waiting.then_some(Stream::Stdin),
            (readable && self.stdout.is_some()).then_some(Stream::Stdout),
            (readable && self.stderr.is_some()).then_some(Stream::Stderr),
            self.status.is_none().then_some(Stream::End),
        ]
    }

    /// The descriptor of a stream, while it is open.
    pub fn descriptor(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        match stream {
            Stream::Stdin => self.input.as_ref().map(|input| input.pipe.as_fd()),
            Stream::Stdout => self.stdout.as_ref().map(AsFd::as_fd),
            Stream::Stderr => self.stderr.as_ref().map(AsFd::as_fd),
            Stream::End => Some(self.end.as_fd()),
        }
    }

    /// Does what a stream is ready for; gives what there is to tell.
    pub fn serve(&mut self, stream: Stream) -> Option<Message> {
        match stream {
            Stream::Stdin => self.feed(),
            Stream::Stdout => self.forward(stream).map(Message::Stdout),
            Stream::Stderr => self.forward(stream).map(Message::Stderr),
            Stream::End => {
                self.reap();
                None
            }
        }
    }

    /// Does what the client says on the program's channel.
    pub fn obey(&mut self, message: Message) -> Option<Message> {
        match message {
            Message::Stdin(data) => self.take_input(data),
            Message::StdinEnd => {
                self.end_input();
                None
            }
            Message::Signal { number } => {
                self.signal(number);
                None
            }
            Message::Credit { bytes } => {
                self.credits.granted(bytes);
                None
            }
            _ => None,
        }
    }

    /// Sends a signal to the program and those it started in its session's first group.
    pub fn signal(&self, number: i32) {
        if self.status.is_none() {
            sys::kill(-Pid::from_child(&self.child).as_raw_nonzero().get(), number);
        }
    }

    /// How the program ended, when it has and its output was all passed on.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.status
            .clone()
            .filter(|_| self.stdout.is_none() && self.stderr.is_none())
    }

    /// The next piece of what an ended program left in its pipes.
    pub fn left_over(&mut self) -> Option<Message> {
        self.status.as_ref()?;
        [Stream::Stdout, Stream::Stderr]
            .into_iter()
            .find_map(|stream| self.serve(stream))
    }

    /// Kills the program: nobody listens any more.
    pub fn abandon(mut self) {
        self.signal(libc::SIGKILL);
        if self.status.is_none() {
            // Killed, so this is over at once.
            let _ = self.child.wait();
        }
    }

    fn take_input(&mut self, data: Vec<u8>) -> Option<Message> {
        if let Err(overrun) = self.credits.received(data.len()) {
            self.signal(libc::SIGKILL);
            return Some(Message::Error {
                message: overrun.to_string(),
                hint: None,
            });
        }
        match &mut self.input {
            Some(input) if !input.ended => {
                input.waiting.extend_from_slice(&data);
                self.feed()
            }
            // The program closed its input, or never had one.
            _ => self.consumed(data.len()),
        }
    }

    fn end_input(&mut self) {
        if let Some(input) = &mut self.input {
            input.ended = true;
            if input.waiting.is_empty() {
                self.input = None;
            }
        }
    }

    /// Gives the program what input it takes; a grant if one is due.
    fn feed(&mut self) -> Option<Message> {
        let input = self.input.as_mut()?;
        let consumed = match write(&input.pipe, &input.waiting) {
            Ok(count) => {
                input.waiting.drain(..count);
                if input.waiting.is_empty() && input.ended {
                    self.input = None;
                }
                count
            }
            Err(Errno::AGAIN | Errno::INTR) => 0,
            Err(_) => {
                let lost = input.waiting.len();
                self.input = None;
                lost
            }
        };
        self.consumed(consumed)
    }

    fn consumed(&mut self, bytes: usize) -> Option<Message> {
        self.credits
            .consumed(bytes)
            .map(|bytes| Message::Credit { bytes })
    }

    /// Reads output as far as the client granted. Once the program has ended, an empty pipe is the
    /// end of it: others may hold it open, but what the program itself wrote has been read.
    fn forward(&mut self, stream: Stream) -> Option<Vec<u8>> {
        let granted = self.credits.available();
        if granted == 0 {
            return None;
        }
        let ended = self.status.is_some();
        let pipe = if stream == Stream::Stdout {
            &mut self.stdout
        } else {
            &mut self.stderr
        };
        let mut data = vec![0; DATA_CHUNK.min(granted)];
        match read(pipe.as_ref()?, &mut data) {
            Ok(count) if count > 0 => {
                data.truncate(count);
                self.credits.spend(count);
                return Some(data);
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if !ended => {}
            _ => *pipe = None,
        }
        None
    }

    fn reap(&mut self) {
        let status = match self.child.try_wait() {
            Ok(None) => return,
            Ok(Some(status)) => match (status.code(), status.signal()) {
                (Some(code), _) => ExitStatus::Code { code },
                (None, Some(number)) => ExitStatus::Signal { number },
                (None, None) => return,
            },
            Err(error) => ExitStatus::NotExecutable {
                message: format!("lost sight of the program: {error}"),
            },
        };
        self.status = Some(status);
        self.input = None;
    }
}

fn nothing(null: &File) -> Result<Stdio, ExitStatus> {
    null.try_clone()
        .map(Stdio::from)
        .map_err(|error| ExitStatus::NotExecutable {
            message: format!("cannot open /dev/null: {error}"),
        })
}

fn nonblocking(pipe: OwnedFd) -> io::Result<OwnedFd> {
    rustix::io::ioctl_fionbio(&pipe, true)?;
    Ok(pipe)
}
