//! The command line as a whole.

use clap::{ArgAction, Parser};

use crate::commands::Command;
use crate::globals::Globals;

const EXAMPLES: &str = "\
Examples:
  ignite run --name web -p 8080:80 nginx   a microVM from an image, port 80 published
  ignite ps                                what runs, with addresses and ports
  ignite exec web -- uname -a              run something in it
  ignite rm -f web                         end it and remove it";

/// Run OCI images as microVMs
#[derive(Debug, Parser)]
#[command(name = "ignite", version, max_term_width = 100, after_help = EXAMPLES, infer_subcommands = false, args_override_self = true)]
pub struct Cli {
    #[command(flatten)]
    pub globals: Globals,

    /// Like --verbose, before the command
    #[arg(short, action = ArgAction::Count, id = "v", help_heading = "Global options", hide_short_help = true)]
    pub verbose: u8,

    #[command(subcommand)]
    pub command: Option<Command>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_program::usage_text;

    #[test]
    fn a_command_line_that_is_not_understood() {
        let words = [
            &["ignite", "pss"] as &[&str],
            &["ignite", "run", "--memroy", "1GB", "a"],
            &["ignite", "run", "--memory", "-1MB", "a"],
            &["ignite", "run", "-p", "80", "a"],
            &["ignite", "run", "--cpus", "many", "a"],
            &["ignite", "--log-level", "loud", "ps"],
            &["ignite", "inspect", "-o", "xml", "a"],
            &["ignite", "rm"],
        ];
        let report: Vec<String> = words
            .iter()
            .map(|words| Cli::try_parse_from(*words).expect_err("a fault"))
            .map(|error| usage_text(&error.render().to_string()))
            .collect();
        insta::assert_snapshot!(report.join("\n\n---\n\n"));
    }
}
