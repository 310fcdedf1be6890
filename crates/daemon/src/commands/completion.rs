//! `ignited completion`: what shells need to complete command lines.

use std::io::Write as _;

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{Shell, generate};

use crate::args::Cli;
use crate::failure::Failure;

#[derive(Debug, Args)]
pub struct Completion {
    /// Shell
    #[arg(value_enum, default_value = "bash")]
    shell: ShellName,
}

/// Shells with a completion script.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ShellName {
    Bash,
    Zsh,
    Fish,
}

impl Completion {
    /// Prints it.
    pub fn run(self) -> Result<(), Failure> {
        let shell = match self.shell {
            ShellName::Bash => Shell::Bash,
            ShellName::Zsh => Shell::Zsh,
            ShellName::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        generate(shell, &mut Cli::command(), "ignited", &mut script);
        std::io::stdout()
            .write_all(&script)
            .map_err(|error| Failure::new(error, None))
    }
}
