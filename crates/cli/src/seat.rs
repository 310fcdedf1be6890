//! Where a person sits during a session: keyboard, screen, and what leaves it.

use std::io::{IsTerminal, stderr, stdin, stdout};
use std::os::fd::AsFd;

use clap::Args;
use ignite_api::DetachKeys;
use ignite_engine::{Ended, ExecStreams, ExitStatus, Inbox, Local, Onlooker, Report, Terminal};
use ignite_program::{Failure, NO_READER};

use crate::context::{Context, Outcome};
use crate::raw::{self, Raw};
use crate::terminal::Outlet;
use crate::values;

/// Exit code where a session failed, and not what ran in it.
pub const SESSION_FAILED: u8 = 125;

/// The flag of every session.
#[derive(Debug, Args)]
pub struct DetachArgs {
    /// Keys to detach with, or none; the session goes on [default: ctrl-p,ctrl-q]
    #[arg(
        long,
        value_name = "KEYS",
        allow_hyphen_values = true,
        value_parser = values::DETACH_KEYS
    )]
    detach_keys: Option<DetachKeys>,
}

/// What a session shows and hears here.
#[derive(Debug)]
pub struct Seat {
    /// Whether input is read at all.
    stdin: bool,
    /// Whether the input is a terminal, which is to be in raw mode.
    terminal: bool,
    is_console: bool,
    keys: DetachKeys,
    inbox: Inbox,
}

/// Fails where our input is no terminal.
pub fn wants_terminal() -> Result<(), Failure> {
    if stdin().is_terminal() {
        return Ok(());
    }
    Err(Failure::new(
        "the input device is not a TTY",
        Some("leave out -t where input comes from a pipe or a file".to_owned()),
    ))
}

/// The terminal we are at, if our input is one.
pub fn onlooker() -> Onlooker {
    let size = ignite_engine::terminal_size(stdin().as_fd());
    let terminal = size.filter(|_| stdin().is_terminal()).map(|size| Terminal {
        size,
        name: std::env::var("TERM").unwrap_or_default(),
    });
    Onlooker { terminal }
}

impl Seat {
    /// Before a program that has a `terminal`, or none.
    pub fn of_program(terminal: bool, keys: DetachKeys, inbox: Inbox) -> Self {
        Self {
            stdin: true,
            terminal,
            is_console: false,
            keys,
            inbox,
        }
    }

    /// Before a console, at which may be typed.
    pub fn of_console(stdin: bool, keys: DetachKeys, inbox: Inbox) -> Self {
        let terminal = stdin && std::io::stdin().is_terminal();
        Self {
            stdin,
            terminal,
            is_console: true,
            keys,
            inbox,
        }
    }

    /// Signals for somebody who has nothing to take back. To be called before other threads start.
    pub fn signals() -> Result<Inbox, Failure> {
        Ok(Inbox::new(raw::restore)?)
    }

    /// Sits through a session. `vm` is for the words of a person who left, and of one whose VM ended.
    pub fn sit(
        self,
        context: &Context,
        vm: &str,
        session: impl FnOnce(ExecStreams<'_>, Local<'_>) -> Result<Ended, ignite_engine::Error>,
    ) -> Outcome {
        self.inbox.take(raw::restore);
        let input = stdin();
        let mut out = Outlet::new(stdout().lock());
        let mut err = Outlet::new(stderr());
        let raw = self.terminal.then(Raw::enter).transpose()?;
        let streams = ExecStreams {
            stdin: self.stdin.then_some(input.as_fd()),
            stdout: &mut out,
            stderr: &mut err,
        };
        let local = Local {
            terminal: self.terminal.then_some(input.as_fd()),
            detach: Some(&self.keys),
            signals: Some(&self.inbox),
        };
        let ended = session(streams, local);
        drop(raw);
        if out.is_gone() || err.is_gone() {
            return Ok(NO_READER);
        }
        drop(out);
        Ok(match ended? {
            Ended::Exit(status) => told(context, &status),
            Ended::Detached => {
                context.terminal.info(&match self.is_console {
                    true => format!(
                        "detached; it goes on in VM {vm}, whose console is shown by: ignite attach {vm}"
                    ),
                    false => format!(
                        "detached; the program goes on in VM {vm}, where nobody hears it: ignite top {vm}"
                    ),
                });
                0
            }
            Ended::Signal(number) => code(128 + number),
        })
    }
}

/// The exit code of what ended; what kept it from starting is said.
fn told(context: &Context, status: &ExitStatus) -> u8 {
    if let Some(message) = status.message() {
        context
            .terminal
            .failure(&Failure::new(message.to_owned(), None));
    }
    code(status.code())
}

fn code(number: i32) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

impl DetachArgs {
    /// The keys that hold here.
    pub fn keys(self, engine: &ignite_engine::Engine) -> DetachKeys {
        self.detach_keys
            .unwrap_or_else(|| engine.detach_keys().clone())
    }
}
