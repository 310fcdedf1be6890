//! `ignite completion`: what shells need to complete command lines.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{Shell, generate};

use crate::args::Cli;
use crate::context::{Context, Outcome};
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  source <(ignite completion bash)
  ignite completion zsh >/usr/local/share/zsh/site-functions/_ignite
  ignite completion fish >~/.config/fish/completions/ignite.fish";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
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

impl Verb for Completion {
    const ABOUT: &'static str = "Print the completion script of a shell";

    fn run(self, context: &Context) -> Outcome {
        let shell = match self.shell {
            ShellName::Bash => Shell::Bash,
            ShellName::Zsh => Shell::Zsh,
            ShellName::Fish => Shell::Fish,
        };
        let mut script = Vec::new();
        generate(shell, &mut Cli::command(), "ignite", &mut script);
        context.terminal.result(&String::from_utf8_lossy(&script))?;
        Ok(0)
    }
}
