//! `ignite completion`: what shells need to complete command lines, with the names of what there is.

use clap::Args;
use ignite_program::ShellName;

use crate::completing::script;
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

impl Verb for Completion {
    const ABOUT: &'static str = "Print the completion script of a shell";

    fn run(self, context: &Context) -> Outcome {
        let script = script(self.shell)?;
        context.terminal.result(&String::from_utf8_lossy(&script))?;
        Ok(0)
    }
}
