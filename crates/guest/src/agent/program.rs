//! One program run for a client: its process.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};
use std::time::Instant;

use ignite_wire::agent::{ExecRequest, ExitStatus, Message, TerminalSize};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::dying::{Dying, is_alive};
use super::talk::{Answer, Stream, Talk};
use super::wires::{Terminal, Wires};
use crate::launch::{Launch, find_user, start_failure};
use crate::root::Root;
use crate::{sys, tool};

/// A running program.
pub struct Program {
    child: Child,
    /// Readable when the program has ended; also keeps its number from being used again.
    end: OwnedFd,
    talk: Talk,
    status: Option<ExitStatus>,
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
                talk: Talk::new(wires),
                status: None,
            }),
            Err(error) => {
                dying.kill(child, Instant::now());
                let message = format!("cannot watch {program}: {error}");
                Err(ExitStatus::NotExecutable { message })
            }
        }
    }

    /// What to wait for; output only if there is `room` for it.
    pub fn streams(&self, room: bool) -> [Option<Stream>; 4] {
        self.talk.streams(room)
    }

    /// The descriptor of a stream, while it is open.
    pub fn descriptor(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        match stream {
            Stream::End => Some(self.end.as_fd()),
            stream => self.talk.descriptor(stream),
        }
    }

    /// Does what a stream is ready for; gives what there is to tell.
    pub fn serve(&mut self, stream: Stream) -> Option<Answer> {
        if stream == Stream::End {
            self.reap();
        }
        self.talk.serve(stream)
    }

    /// Does what the client says on the program's channel.
    pub fn obey(&mut self, message: Message) -> Option<Answer> {
        let signal = match message {
            Message::Signal { number } => Some(number),
            _ => None,
        };
        let answer = self.talk.obey(message);
        let fault = matches!(answer, Some(Answer::Error(_))).then_some(libc::SIGKILL);
        if let Some(number) = signal.or(fault) {
            self.signal(number);
        }
        answer
    }

    /// Gives the program the input it takes now.
    pub fn feed(&mut self) -> Option<Answer> {
        self.talk.feed()
    }

    /// Whether it goes on with nobody listening.
    pub fn is_detached(&self) -> bool {
        self.talk.is_detached()
    }

    /// Sends a signal to the program and those it started in its session's first group.
    pub fn signal(&self, number: i32) {
        if self.status.is_none() {
            sys::kill(-Pid::from_child(&self.child).as_raw_nonzero().get(), number);
        }
    }

    /// How the program ended, when it has and its output was all passed on.
    pub fn ended(&self) -> Option<ExitStatus> {
        self.status.clone().filter(|_| self.talk.is_drained())
    }

    /// The next piece of what an ended program left in its pipes.
    pub fn left_over(&mut self) -> Option<Answer> {
        self.talk.left_over()
    }

    /// Kills the program: nobody listens any more. It is given back where its end is still to be asked
    /// for: one that waits in the kernel dies when it may.
    pub fn abandon(mut self) -> Option<Child> {
        self.signal(libc::SIGKILL);
        let is_dying = self.status.is_none() && is_alive(&mut self.child);
        is_dying.then_some(self.child)
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
        self.talk.program_ended();
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
