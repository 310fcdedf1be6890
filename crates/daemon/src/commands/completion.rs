//! `ignited completion`: what shells need to complete command lines.

use std::io::Write as _;

use clap::{Args, CommandFactory};
use ignite_program::{Failure, ShellName, completion};

use crate::args::Cli;

#[derive(Debug, Args)]
pub struct Completion {
    /// Shell
    #[arg(value_enum, default_value = "bash")]
    shell: ShellName,
}

impl Completion {
    /// Prints it.
    pub fn run(self) -> Result<(), Failure> {
        let script = completion(Cli::command(), self.shell);
        std::io::stdout()
            .write_all(&script)
            .map_err(|error| Failure::new(error, None))
    }
}
