//! Why the program failed, as a person reads it; the same form as `ignite`'s.
//!
//! ```text
//! error: cannot keep VMs
//!   caused by: the directory cannot be read
//! hint: ...
//! ```

use std::error::Error;
use std::fmt::Write;
use std::process::ExitCode;

/// Exit code of a command that failed.
const FAILED: u8 = 1;
/// Exit code of a command that was not understood.
const USAGE: u8 = 2;

type Source = Box<dyn Error + Send + Sync>;

/// What failed and why, what to do, and the exit code.
#[derive(Debug)]
pub struct Failure {
    error: Source,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    /// A failure of the work itself.
    pub fn new(error: impl Into<Source>, hint: Option<String>) -> Self {
        Self {
            error: error.into(),
            hint,
            code: FAILED,
        }
    }

    /// A command line that asks for what cannot be.
    pub fn usage(error: impl Into<Source>, hint: Option<String>) -> Self {
        Self {
            code: USAGE,
            ..Self::new(error, hint)
        }
    }

    /// What failed, in one line.
    pub fn line(&self) -> String {
        ignite_host::error::chain(&*self.error)
    }

    /// Tells the person; what the program ends with.
    pub fn report(&self) -> ExitCode {
        eprintln!("{}", self.render());
        ExitCode::from(self.code)
    }

    /// What failed, the whole chain of causes, and what to do.
    fn render(&self) -> String {
        let mut text = format!("error: {}", continued(&self.error.to_string(), "  "));
        let mut cause = self.error.source();
        while let Some(error) = cause {
            let line = continued(&error.to_string(), "    ");
            write!(text, "\n  caused by: {line}").expect("a String takes everything");
            cause = error.source();
        }
        if let Some(hint) = &self.hint {
            let hint = continued(hint, "  ");
            write!(text, "\nhint: {hint}").expect("a String takes everything");
        }
        text
    }
}

impl From<ignite_engine::Error> for Failure {
    fn from(error: ignite_engine::Error) -> Self {
        let hint = error.hint();
        Self::new(error, hint)
    }
}

impl From<ignite_engine::configuration::Error> for Failure {
    fn from(error: ignite_engine::configuration::Error) -> Self {
        let hint = error.hint();
        Self::new(error, hint)
    }
}

impl From<ignite_host::fs::Error> for Failure {
    fn from(error: ignite_host::fs::Error) -> Self {
        let hint = error.hint();
        Self::new(error, hint)
    }
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

/// What clap says of a command line it does not understand, in our own form.
fn usage_text(text: &str) -> String {
    const MORE: &str = "For more information, try '--help'.";
    let text = text.trim_end().trim_end_matches(MORE).trim_end();
    let text = text.replace("\n  tip: ", "\nhint: ");
    if text.contains("\nhint: ") {
        text
    } else {
        format!("{text}\nhint: see what there is with --help")
    }
}

/// Further lines are indented, so that one message stays one block.
fn continued(text: &str, indent: &str) -> String {
    text.trim_end().replace('\n', &format!("\n{indent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_and_the_hint() {
        let cause = std::io::Error::other("it is\non fire");
        let error = ignite_host::error::SystemError::new("open the door", cause);
        let failure = Failure::new(error, Some("run".into()));
        insta::assert_snapshot!(failure.render(), @"
        error: cannot open the door
          caused by: it is
            on fire
        hint: run
        ");
    }

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
