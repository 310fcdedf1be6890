//! What every command has at hand.

use ignite_engine::{Cancel, Config, Engine, Inbox};
use ignite_program::{FAILED, Failure};

use crate::globals::Globals;
use crate::output::Format;
use crate::terminal::{LogWriter, Terminal};

/// Exit code of a command that did its work, or why it did not.
pub type Outcome = Result<u8, Failure>;

/// The global flags and the terminal.
#[derive(Debug)]
pub struct Context {
    pub globals: Globals,
    pub terminal: &'static Terminal,
}

impl Context {
    /// The engine's configuration for verbs that only read: where things are.
    pub fn places(&self) -> Result<Config, Failure> {
        self.globals.places.places()
    }

    /// The engine's configuration as the configuration file has it, and over that the global flags.
    pub fn config(&self) -> Result<Config, Failure> {
        self.globals.places.config()
    }

    /// The engine for verbs that change something.
    pub fn engine(&self) -> Result<Engine, Failure> {
        Ok(Engine::new(self.config()?)?)
    }

    /// The engine for verbs that change networks alone.
    pub fn networks(&self) -> Result<Engine, Failure> {
        Ok(Engine::for_networks(self.config()?)?)
    }

    /// The engine for verbs that only read.
    pub fn reader(&self) -> Result<Engine, Failure> {
        Ok(Engine::reader(self.places()?)?)
    }

    /// A handle that the first Ctrl-C uses, so that what was begun is taken back; the second one ends
    /// the program. To be called before any other thread starts.
    pub fn cancel(&self) -> Result<Cancel, Failure> {
        self.cancel_with_inbox().map(|(cancel, _)| cancel)
    }

    /// The same, and where signals go once there is nothing to take back any more.
    pub fn cancel_with_inbox(&self) -> Result<(Cancel, Inbox), Failure> {
        let cancel = Cancel::new().map_err(std::io::Error::from)?;
        let (handle, terminal) = (cancel.clone(), self.terminal);
        let inbox = ignite_engine::on_termination(move || {
            terminal.stderr("interrupted: taking back what was begun (once more to end at once)\n");
            handle.cancel();
        })?;
        Ok((cancel, inbox))
    }

    /// Does something with each of many objects: a failure with one is told and in the way of no other.
    /// The exit code is that of the failures where they share one.
    pub fn each(&self, names: &[String], act: impl Fn(&str) -> Result<(), Failure>) -> Outcome {
        let mut code = 0;
        for name in names {
            if let Err(failure) = act(name) {
                self.terminal.failure(&failure);
                code = combined(code, failure.code());
            }
        }
        Ok(code)
    }

    /// Prints a result for programs.
    pub fn encode<T: serde::Serialize>(&self, format: Format, value: &T) -> Outcome {
        self.terminal.result(&format.encode(value))?;
        Ok(0)
    }
}

/// The exit code for a failure with `code` after what ended with `before`.
fn combined(before: u8, code: u8) -> u8 {
    match before {
        0 => code,
        same if same == code => code,
        _ => FAILED,
    }
}

/// Sends log lines to the terminal.
pub fn log(globals: &Globals, terminal: &'static Terminal) -> Result<(), Failure> {
    tracing_subscriber::fmt()
        .with_max_level(globals.level()?)
        .with_ansi(terminal.has_colour())
        .with_target(false)
        .with_writer(move || LogWriter(terminal))
        .init();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_program::{NO_READER, USAGE};

    #[test]
    fn failures_keep_the_exit_code_they_share() {
        let of = |codes: &[u8]| codes.iter().copied().fold(0, combined);
        assert_eq!(of(&[]), 0);
        assert_eq!(of(&[USAGE]), USAGE);
        assert_eq!(of(&[USAGE, USAGE]), USAGE);
        assert_eq!(of(&[NO_READER, NO_READER]), NO_READER);
        assert_eq!(of(&[USAGE, FAILED]), FAILED);
        assert_eq!(of(&[FAILED, USAGE, USAGE]), FAILED);
        assert_eq!(of(&[USAGE, NO_READER, USAGE]), FAILED);
    }
}
