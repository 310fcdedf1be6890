//! `ignite exec`: run something in a VM.

use std::path::PathBuf;

use clap::Args;
use ignite_engine::{ExecRequest, Report};
use ignite_program::{Failure, USAGE};

use crate::context::{Context, Outcome};
use crate::seat::{self, DetachArgs, SESSION_FAILED, Seat};
use crate::values::{self, Passed};
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite exec web -- ls -l /
  ignite exec -it web -- sh
  ignite exec -e MODE=test -w /srv web make check
  tar c . | ignite exec web -- tar x -C /srv

Standard input, output and error are the program's own. The exit code is the program's; 125 if
Ignite failed, 126 if it could not be executed, 127 if it was not found.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Exec {
    /// VM, by name, uid, or the beginning of either
    vm: String,

    /// Program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    command: Vec<String>,

    /// Give the program a terminal: the one this command is run at
    #[arg(short, long)]
    tty: bool,

    /// Taken, and not needed: input is always passed on
    #[arg(short, long)]
    interactive: bool,

    /// Environment variable; NAME alone takes its value from here (repeatable)
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = values::env)]
    env: Vec<Passed>,

    /// User and group in the VM, names or numbers
    #[arg(short, long, value_name = "USER[:GROUP]", default_value = "root")]
    user: String,

    /// Working directory in the VM
    #[arg(short, long, value_name = "DIR", default_value = "/")]
    workdir: String,

    #[command(flatten)]
    detach: DetachArgs,

    /// Taken from older scripts, and not used
    #[arg(long, value_name = "FILE", hide = true)]
    identity: Option<PathBuf>,

    /// Taken from older scripts, and not used
    #[arg(long, value_name = "SECONDS", hide = true)]
    timeout: Option<u32>,
}

impl Verb for Exec {
    const ABOUT: &'static str = "Run a program in a VM that runs";

    fn run(self, context: &Context) -> Outcome {
        self.exec(context).map_err(|failure| match failure.code() {
            USAGE => failure,
            _ => failure.with_code(SESSION_FAILED),
        })
    }
}

impl Exec {
    fn exec(self, context: &Context) -> Outcome {
        self.check()?;
        let inbox = Seat::signals()?;
        let terminal = self
            .tty
            .then(|| seat::onlooker().terminal.unwrap_or_default());
        let named = terminal
            .as_ref()
            .filter(|terminal| !terminal.name.is_empty())
            .map(|terminal| format!("TERM={}", terminal.name));
        let given = values::passed(self.env);
        let given = given.iter().map(ToString::to_string);
        let request = ExecRequest {
            argv: self.command,
            env: named.into_iter().chain(given).collect(),
            user: self.user,
            cwd: self.workdir,
            stdin: true,
            terminal: terminal.map(|terminal| terminal.size),
            tool: None,
        };
        if self.identity.is_some() || self.timeout.is_some() {
            context
                .terminal
                .warn("--identity and --timeout are not used: a VM's agent needs no key");
        }
        let engine = context.engine()?;
        let seat = Seat::of_program(self.tty, self.detach.keys(&engine), inbox);
        seat.sit(context, &self.vm, |streams, local| {
            engine.exec_at(&self.vm, request, streams, local)
        })
    }

    /// What can be told of the flags alone.
    fn check(&self) -> Result<(), Failure> {
        if self.interactive && self.vm.contains('/') {
            return Err(Failure::usage(
                format!("-i takes no key, and {} is no VM", self.vm),
                Some("leave out the key: a VM's agent needs none".to_owned()),
            ));
        }
        if self.tty {
            seat::wants_terminal()
        } else {
            Ok(())
        }
    }
}
