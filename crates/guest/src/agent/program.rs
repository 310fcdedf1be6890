//! One program run for a client: its process.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use ignite_wire::agent::{ExecRequest, ExitStatus, Message, TerminalSize};
use rustix::process::Pid;

use super::child::Child;
use super::dying::Dying;
use super::talk::{Answer, Stream, Talk};
use super::wires::{Streams, Terminal, Wires};
use crate::launch::{Launch, start_failure};
use crate::tool;

/// A program that runs, or a process on its way to it.
pub struct Program {
    child: Child,
    talk: Talk,
}

impl Program {
    /// Starts what a client asks for, in a session of its own; with `null` as input if it wants none.
    /// `itself` is this program, for its tools; one that cannot be looked after is `dying`.
    pub fn start(
        request: &ExecRequest,
        env: &[String],
        null: &File,
        itself: &File,
        dying: &mut Dying,
    ) -> Result<Self, ExitStatus> {
        let program = match &request.tool {
            Some(_) => tool::ARGV0,
            None => request.argv.first().map_or("", String::as_str),
        };
        let failed = |error: io::Error| start_failure(program, &error);
        let (wires, streams) = match request.terminal {
            Some(size) => on_terminal(size)?,
            None => Wires::pipes(request.stdin, null).map_err(failed)?,
        };
        let child = match &request.tool {
            Some(tool) => Child::start(&streams, &[itself.as_fd()], dying, || {
                failed(tool::become_it(tool, itself))
            }),
            None => {
                let env: Vec<String> = env.iter().chain(&request.env).cloned().collect();
                let launch = Launch {
                    argv: &request.argv,
                    env: &env,
                    user: &request.user,
                    cwd: &request.cwd,
                    terminal: request.terminal.is_some(),
                };
                Child::start(&streams, &[], dying, || launch.become_it())
            }
        };
        Ok(Self {
            child: child.map_err(failed)?,
            talk: Talk::new(wires),
        })
    }

    /// What to wait for; output only if there is `room` for it.
    pub fn streams(&self, room: bool) -> [Option<Stream>; 4] {
        self.talk.streams(room)
    }

    /// The descriptor of a stream, while it is open.
    pub fn descriptor(&self, stream: Stream) -> Option<BorrowedFd<'_>> {
        match stream {
            Stream::End => Some(self.child.end()),
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
        self.child.signal(number);
    }

    /// How the program ended, when it has and its output was all passed on.
    pub fn ended(&self) -> Option<ExitStatus> {
        let status = self.child.status().filter(|_| self.talk.is_drained());
        status.cloned()
    }

    /// The next piece of what an ended program left in its pipes.
    pub fn left_over(&mut self) -> Option<Answer> {
        self.talk.left_over()
    }

    /// Kills the program: nobody listens any more. It is given back where its end is still to be asked
    /// for: one that waits in the kernel dies when it may.
    pub fn abandon(self) -> Option<Pid> {
        self.signal(libc::SIGKILL);
        self.child.leave()
    }

    fn reap(&mut self) {
        self.child.look();
        if self.child.status().is_some() {
            self.talk.program_ended();
        }
    }
}

fn on_terminal(size: TerminalSize) -> Result<(Wires, Streams), ExitStatus> {
    Terminal::open(size)
        .and_then(Wires::terminal)
        .map_err(|error| no_terminal(&error))
}

fn no_terminal(error: &io::Error) -> ExitStatus {
    ExitStatus::NotExecutable {
        message: format!(
            "cannot open a terminal in the VM: {error} (has it a devpts file system at /dev/pts?)"
        ),
    }
}
