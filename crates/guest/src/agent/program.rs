//! One program run for a client, and its channel.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::time::Instant;

use ignite_host::signal::PollFlags;
use ignite_wire::agent::{Credits, DATA_CHUNK, ExecRequest, ExitStatus, Message, TerminalSize};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::dying::{Dying, is_alive};
use super::wires::{Terminal, Wires};
use crate::launch::{Launch, find_user, start_failure};
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

/// What there is to tell of a program.
pub enum Answer {
    /// The client may send that many bytes more.
    Credit(u32),
    /// The client broke the protocol.
    Error(String),
    /// What it wrote, longer than a message may be.
    Output {
        /// The bytes.
        data: Vec<u8>,
        /// Whether to its error output.
        is_error: bool,
    },
}

/// Bytes of output read at once: a program that writes much waits for its reader, and each such wait is
/// a turn of the processor's.
const OUTPUT_READ: usize = 128 * 1024;

/// A running program.
pub struct Program {
    child: Child,
    /// Readable when the program has ended; also keeps its number from being used again.
    end: OwnedFd,
    wires: Wires,
    credits: Credits,
    status: Option<ExitStatus>,
    /// Nobody listens, and it goes on.
    detached: bool,
}

impl Program {
    /// Starts what a client asks for, in a session of its own; with `null` as input if it wants none.
    /// `itself` is this program, for its tools; one that cannot be looked after is `dying`.
    pub fn start(
        request: &ExecRequest,
        env: &[String],
        root: &Root,
        null: &File,
        itself: &File,
        dying: &mut Dying,
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
            terminal: request.terminal.is_some(),
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
        let terminal = request
            .terminal
            .map(|size| open_terminal(size, user, root))
            .transpose()?;
        let [stdin, stdout, stderr] = match &terminal {
            Some(terminal) => terminal.streams().map_err(|error| no_terminal(&error))?,
            None if request.stdin => [Stdio::piped(), Stdio::piped(), Stdio::piped()],
            None => [nothing(null)?, Stdio::piped(), Stdio::piped()],
        };
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        let mut child = command
            .spawn()
            .map_err(|error| start_failure(program, &error))?;
        // It holds the terminal's streams.
        drop(command);
        match watch(&mut child, terminal) {
            Ok((end, wires)) => Ok(Self {
                child,
                end,
                wires,
                credits: Credits::new(),
                status: None,
                detached: false,
            }),
            Err(error) => {
                dying.kill(child, Instant::now());
                let message = format!("cannot watch {program}: {error}");
                Err(ExitStatus::NotExecutable { message })
            }
        }
    }

    /// What to wait for; output only if there is `room` for it and the client granted some, or nobody
    /// is to get it.
    pub fn streams(&self, room: bool) -> [Option<Stream>; 4] {
        let readable = self.detached || (room && self.credits.available() > 0);
        let output = |stream| (readable && self.descriptor(stream).is_some()).then_some(stream);
        [
            self.wires.is_feeding().then_some(Stream::Stdin),
            output(Stream::Stdout),
            output(Stream::Stderr),
            self.status.is_none().then_some(Stream::End),
        ]
    }

    /// The descriptor of a stream, while it is open.
    pub fn descriptor(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        match stream {
            Stream::End => Some(self.end.as_fd()),
            stream => self.wires.descriptor(stream),
        }
    }

    /// Does what a stream is ready for; gives what there is to tell.
    pub fn serve(&mut self, stream: Stream) -> Option<Answer> {
        match stream {
            Stream::Stdin => self.feed(),
            Stream::Stdout | Stream::Stderr => self.forward(stream),
            Stream::End => {
                self.reap();
                None
            }
        }
    }

    /// Does what the client says on the program's channel. Input is taken, and given to the program when
    /// it is fed, or before it meets anything else.
    pub fn obey(&mut self, message: Message) -> Option<Answer> {
        let other = match message {
            Message::Stdin(data) => return self.take_input(data),
            Message::Credit { bytes } => {
                self.credits.granted(bytes);
                return None;
            }
            other => other,
        };
        let credit = self.feed();
        match other {
            Message::StdinEnd => self.wires.end_input(),
            Message::Signal { number } => self.signal(number),
            Message::Resize(size) => self.wires.resize(size),
            Message::Detach => self.detach(),
            _ => {}
        }
        credit
    }

    /// Gives the program the input it takes now.
    pub fn feed(&mut self) -> Option<Answer> {
        let fed = self.wires.feed();
        self.consumed(fed)
    }

    fn detach(&mut self) {
        self.detached = true;
        if self.status.is_some() {
            self.wires.discard();
        }
    }

    /// Whether it goes on with nobody listening.
    pub fn is_detached(&self) -> bool {
        self.detached
    }

    /// Sends a signal to the program and those it started in its session's first group.
    pub fn signal(&self, number: i32) {
        if self.status.is_none() {
            sys::kill(-Pid::from_child(&self.child).as_raw_nonzero().get(), number);
        }
    }

    /// How the program ended, when it has and its output was all passed on.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.status.clone().filter(|_| self.wires.is_drained())
    }

    /// The next piece of what an ended program left in its pipes.
    pub fn left_over(&mut self) -> Option<Answer> {
        self.status.as_ref()?;
        [Stream::Stdout, Stream::Stderr]
            .into_iter()
            .find_map(|stream| self.serve(stream))
    }

    /// Kills the program: nobody listens any more. It is given back where its end is still to be asked
    /// for: one that waits in the kernel dies when it may.
    pub fn abandon(mut self) -> Option<Child> {
        self.signal(libc::SIGKILL);
        let is_dying = self.status.is_none() && is_alive(&mut self.child);
        is_dying.then_some(self.child)
    }

    fn take_input(&mut self, data: Vec<u8>) -> Option<Answer> {
        if let Err(overrun) = self.credits.received(data.len()) {
            self.signal(libc::SIGKILL);
            return Some(Answer::Error(overrun.to_string()));
        }
        let taken = self.wires.take_input(data);
        self.consumed(taken)
    }

    fn consumed(&mut self, bytes: usize) -> Option<Answer> {
        let grant = self.credits.consumed(bytes)?;
        (!self.detached).then_some(Answer::Credit(grant))
    }

    /// Reads output as far as the client granted.
    fn forward(&mut self, stream: Stream) -> Option<Answer> {
        if self.detached {
            // So that it does not wait for a reader who never comes.
            self.wires.read(stream, DATA_CHUNK, self.status.is_some());
            return None;
        }
        let most = OUTPUT_READ.min(self.credits.available());
        if most == 0 {
            return None;
        }
        let data = self.wires.read(stream, most, self.status.is_some())?;
        self.credits.spend(data.len());
        Some(Answer::Output {
            data,
            is_error: stream == Stream::Stderr,
        })
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
        self.wires.program_ended();
        if self.detached {
            self.wires.discard();
        }
    }
}

/// What tells of its end, and what it is connected to.
fn watch(child: &mut Child, terminal: Option<Terminal>) -> io::Result<(OwnedFd, Wires)> {
    let end = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let wires = match terminal {
        Some(terminal) => Wires::terminal(terminal)?,
        None => Wires::pipes(child)?,
    };
    Ok((end, wires))
}

fn open_terminal(size: TerminalSize, user: &str, root: &Root) -> Result<Terminal, ExitStatus> {
    // Who it is was asked before: the launch stands.
    let owner = find_user(user, root).map_or(0, |user| user.uid);
    Terminal::open(size, owner).map_err(|error| no_terminal(&error))
}

fn no_terminal(error: &io::Error) -> ExitStatus {
    ExitStatus::NotExecutable {
        message: format!(
            "cannot open a terminal in the VM: {error} (has it a devpts file system at /dev/pts?)"
        ),
    }
}

fn nothing(null: &File) -> Result<Stdio, ExitStatus> {
    null.try_clone()
        .map(Stdio::from)
        .map_err(|error| ExitStatus::NotExecutable {
            message: format!("cannot open /dev/null: {error}"),
        })
}
