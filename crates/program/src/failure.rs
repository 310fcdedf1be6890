//! Why a command failed, as a person reads it.
//!
//! ```text
//! error: cannot start VM web
//!   caused by: the network ignite-cni-bridge cannot be attached
//!   caused by: the CNI plugin bridge failed
//! hint: see what it said with: ...
//! ```

use std::error::Error;
use std::fmt::{self, Write};
use std::io;

/// Exit code of a command that failed.
pub const FAILED: u8 = 1;
/// Exit code of a command that was not understood.
pub const USAGE: u8 = 2;
/// Exit code of a command whose reader went away: that of a program ended by `SIGPIPE`.
pub const NO_READER: u8 = 141;

type Source = Box<dyn Error + Send + Sync>;

/// A failure: what failed and why, what to do, and the exit code.
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
            error: error.into(),
            hint,
            code: USAGE,
        }
    }

    /// The same with another exit code.
    pub fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    /// The exit code.
    pub fn code(&self) -> u8 {
        self.code
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The whole text but for what to do.
    pub fn without_hint(&self) -> String {
        render(&*self.error, None)
    }

    /// What failed and why, in one line.
    pub fn line(&self) -> String {
        harmless(&ignite_host::error::chain(&*self.error))
    }

    /// Whether the reader of our output went away, which needs no word.
    pub fn is_silent(&self) -> bool {
        self.error
            .downcast_ref::<io::Error>()
            .is_some_and(is_broken_pipe)
    }
}

fn is_broken_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

impl From<ignite_engine::Error> for Failure {
    fn from(error: ignite_engine::Error) -> Self {
        let hint = error.hint();
        let code = if error.is_usage() { USAGE } else { FAILED };
        Self::new(error, hint).with_code(code)
    }
}

impl From<ignite_engine::configuration::Error> for Failure {
    fn from(error: ignite_engine::configuration::Error) -> Self {
        let hint = error.hint();
        Self::new(error, hint)
    }
}

impl From<ignite_engine::manifest::Error> for Failure {
    fn from(error: ignite_engine::manifest::Error) -> Self {
        let hint = error.hint();
        let code = if error.is_usage() { USAGE } else { FAILED };
        Self::new(error, hint).with_code(code)
    }
}

impl From<ignite_engine::overlay::OverlayError> for Failure {
    fn from(error: ignite_engine::overlay::OverlayError) -> Self {
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

/// Errors of writing our own output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let code = if is_broken_pipe(&error) {
            NO_READER
        } else {
            FAILED
        };
        Self::new(error, None).with_code(code)
    }
}

impl fmt::Display for Failure {
    /// The whole text, last line not ended.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&render(&*self.error, self.hint.as_deref()))
    }
}

/// What failed, the whole chain of causes, and what to do.
pub fn render(error: &dyn Error, hint: Option<&str>) -> String {
    let mut text = format!("error: {}", continued(&error.to_string(), "  "));
    let mut cause = error.source();
    while let Some(error) = cause {
        let line = continued(&error.to_string(), "    ");
        write!(text, "\n  caused by: {line}").expect("a String takes everything");
        cause = error.source();
    }
    if let Some(hint) = hint {
        write!(text, "\nhint: {}", continued(hint, "  ")).expect("a String takes everything");
    }
    harmless(&text)
}

/// Text in which nothing moves a terminal's cursor, or turns what is around it: names of a guest's files,
/// of strangers' manifests and of others may be anywhere in what a person is told.
pub fn harmless(text: &str) -> String {
    let turns = |letter| matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let harmless = |letter: char| match letter {
        '\n' | '\t' => letter,
        _ if letter.is_control() || turns(letter) => '?',
        _ => letter,
    };
    text.chars().map(harmless).collect()
}

/// What clap says of a command line it does not understand, in our own form: its tip is the hint, and
/// where there is none, the way to the help is.
pub fn usage_text(text: &str) -> String {
    const MORE: &str = "For more information, try '--help'.";
    let text = text.trim_end().trim_end_matches(MORE).trim_end();
    let text = text.replace("\n  tip: ", "\nhint: ");
    let text = harmless(&text);
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

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|layer| layer as _)
        }
    }

    #[test]
    fn nothing_in_a_failure_moves_the_cursor() {
        let said = "cannot make a\u{1b}]0;x\u{7}\u{202e}b\r: é\n\tof it";
        let failure = Failure::new(said, Some("see \u{9b}2J".into()));
        assert_eq!(
            failure.to_string(),
            "error: cannot make a?]0;x??b?: é\n  \tof it\nhint: see ?2J"
        );
    }

    #[test]
    fn the_whole_chain_and_the_hint() {
        let error = Layer(
            "cannot start VM web",
            Some(Box::new(Layer(
                "the CNI plugin bridge failed",
                Some(Box::new(Layer(
                    "it said:\nno such device\nand ended\n",
                    None,
                ))),
            ))),
        );
        insta::assert_snapshot!(render(&error, Some("look at the network's file:\nless /etc/cni/net.d/10-ignite.conflist")), @"
        error: cannot start VM web
          caused by: the CNI plugin bridge failed
          caused by: it said:
            no such device
            and ended
        hint: look at the network's file:
          less /etc/cni/net.d/10-ignite.conflist
        ");
        assert_eq!(render(&Layer("alone", None), None), "error: alone");
    }

    #[test]
    fn a_tip_of_claps_is_the_hint() {
        let text = "error: what\n\n  tip: that\n\nFor more information, try '--help'.\n";
        assert_eq!(usage_text(text), "error: what\n\nhint: that");
        let text = "error: what\n\nFor more information, try '--help'.\n";
        assert_eq!(
            usage_text(text),
            "error: what\nhint: see what there is with --help"
        );
    }

    #[test]
    fn what_cannot_be_asked_for_has_an_exit_code_of_its_own() {
        let failure = Failure::usage("no such thing", None);
        assert_eq!(failure.code(), USAGE);
        assert_eq!(failure.line(), "no such thing");
        let failed = Failure::new("it burns", Some("run".into()));
        assert_eq!((failed.code(), failed.hint()), (FAILED, Some("run")));
        assert_eq!(failed.to_string(), "error: it burns\nhint: run");
    }

    #[test]
    fn a_reader_that_went_away_is_no_error_to_speak_of() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.is_silent(), failure.code()), (true, NO_READER));
        assert!(!Failure::from(io::Error::from(io::ErrorKind::StorageFull)).is_silent());
    }
}
