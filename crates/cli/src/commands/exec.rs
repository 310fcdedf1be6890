//! `ignite exec`: run something in a VM.

use std::io::{stderr, stdout};
use std::os::fd::AsFd;

use clap::Args;
use ignite_api::EnvVar;
use ignite_engine::{ExecRequest, ExecStreams, ExitStatus};
use ignite_program::{Failure, NO_READER};

use crate::context::{Context, Outcome};
use crate::terminal::Outlet;
use crate::values;
use crate::verb::Verb;

/// Exit code where `exec` failed itself.
const EXEC_FAILED: u8 = 125;

const EXAMPLES: &str = "\
Examples:
  ignite exec web -- ls -l /
  ignite exec -e MODE=test -w /srv web make check
  tar c . | ignite exec web -- tar x -C /srv

Standard input, output and error are the program's own. The exit code is the program's; 125 if
it could not be asked for, 126 if it could not be executed, 127 if it was not found.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Exec {
    /// VM, by name, uid, or the beginning of either
    vm: String,

    /// Program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    command: Vec<String>,

    /// Environment variable; NAME alone takes its value from here (repeatable)
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = values::env)]
    env: Vec<EnvVar>,

    /// User and group in the VM, names or numbers
    #[arg(short, long, value_name = "USER[:GROUP]", default_value = "root")]
    user: String,

    /// Working directory in the VM
    #[arg(short, long, value_name = "DIR", default_value = "/")]
    workdir: String,
}

impl Verb for Exec {
    const ABOUT: &'static str = "Run a program in a VM that runs";

    fn run(self, context: &Context) -> Outcome {
        self.exec(context)
            .map_err(|failure| failure.with_code(EXEC_FAILED))
    }
}

impl Exec {
    fn exec(self, context: &Context) -> Outcome {
        let request = ExecRequest {
            argv: self.command,
            env: self.env.iter().map(ToString::to_string).collect(),
            user: self.user,
            cwd: self.workdir,
            stdin: true,
            tool: None,
        };
        let engine = context.engine()?;
        let (stdin, mut stderr) = (std::io::stdin(), stderr().lock());
        let mut stdout = Outlet::new(stdout().lock());
        let streams = ExecStreams {
            stdin: Some(stdin.as_fd()),
            stdout: &mut stdout,
            stderr: &mut stderr,
        };
        let ended = engine.exec(&self.vm, request, streams);
        if stdout.is_gone() {
            return Ok(NO_READER);
        }
        let status = ended?;
        drop((stdout, stderr));
        if let ExitStatus::NotFound { message } | ExitStatus::NotExecutable { message } = &status {
            context
                .terminal
                .failure(&Failure::new(message.clone(), None));
        }
        Ok(u8::try_from(status.code()).unwrap_or(u8::MAX))
    }
}
