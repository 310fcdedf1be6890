//! Why the program ends, told on standard error.

use std::process::ExitCode;

use clap::CommandFactory;
use ignite_program::{Failure, USAGE, suggest_visible, usage_text};

use crate::args::Cli;

/// Tells the person; what the program ends with.
pub fn report(failure: &Failure) -> ExitCode {
    eprintln!("{failure}");
    ExitCode::from(failure.code())
}

/// What clap has to say: help and version to standard output, faults to standard error.
pub fn refuse(mut error: clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Nobody is left to be told that it could not be written.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let words: Vec<String> = std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let mut root = Cli::command();
    root.build();
    suggest_visible(&mut error, &root, words.iter().map(String::as_str));
    eprintln!("{}", usage_text(&error.render().to_string()));
    ExitCode::from(USAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_that_is_not_understood() {
        use clap::Parser;
        let error = crate::args::Cli::try_parse_from(["ignited", "deamon"]).expect_err("a fault");
        let text = usage_text(&error.render().to_string());
        assert!(
            text.starts_with("error: ") && text.contains("\nhint: "),
            "{text}"
        );
    }
}
