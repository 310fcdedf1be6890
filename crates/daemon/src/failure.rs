//! Why the program ends, told on standard error.

use std::process::ExitCode;

use ignite_program::{Failure, USAGE, usage_text};

/// Tells the person; what the program ends with.
pub fn report(failure: &Failure) -> ExitCode {
    eprintln!("{failure}");
    ExitCode::from(failure.code())
}

/// What clap has to say: help and version to standard output, faults to standard error.
pub fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // Nobody is left to be told that it could not be written.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
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
