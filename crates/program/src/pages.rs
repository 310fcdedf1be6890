//! What is made of a command line as it is declared: completion scripts and man pages.

use std::io;
use std::path::Path;

use clap::{Command, ValueEnum};
use clap_complete::{Shell, generate};

/// Shells with a completion script.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[expect(
    missing_docs,
    reason = "a comment would be help that tells nothing new"
)]
pub enum ShellName {
    Bash,
    Zsh,
    Fish,
}

/// The script by which a shell completes the command lines of `command`.
pub fn completion(mut command: Command, shell: ShellName) -> Vec<u8> {
    let shell = match shell {
        ShellName::Bash => Shell::Bash,
        ShellName::Zsh => Shell::Zsh,
        ShellName::Fish => Shell::Fish,
    };
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    generate(shell, &mut command, name, &mut script);
    script
}

/// Writes a page for the program and one for each command: `ignite-run.1`.
pub fn write_man(command: Command, directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut command = command.disable_help_subcommand(true);
    command.build();
    clap_mangen::generate_to(command, directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_completes_the_program_by_its_name() {
        for shell in [ShellName::Bash, ShellName::Zsh, ShellName::Fish] {
            let command = Command::new("otter").subcommand(Command::new("swim"));
            let script = String::from_utf8(completion(command, shell)).expect("text");
            assert!(
                script.contains("otter") && script.contains("swim"),
                "{script}"
            );
        }
    }
}
