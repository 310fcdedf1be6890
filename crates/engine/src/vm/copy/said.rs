//! What the tool in the guest says on standard error: a word and a text on each line.
//!
//! ```text
//!  warning: "a/b": left out: a socket          any number of them, of which so many bytes are kept
//!  error: cannot write "a/c": no space left
//!  hint: make room                             the last of each counts
//! ```

use crate::vm::control::plain;

/// Bytes of warnings that are kept.
const MOST: usize = 64 << 10;

/// Bytes of one line that are looked at.
const LONGEST: usize = 8 << 10;

#[derive(Default)]
pub(super) struct Said {
    warnings: Vec<String>,
    /// Bytes of them.
    kept: usize,
    /// Warnings that are not.
    more: u64,
    error: Option<String>,
    hint: Option<String>,
    /// The line that is not at its end yet.
    line: Vec<u8>,
}

impl Said {
    pub(super) fn take(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            let room = LONGEST.saturating_sub(self.line.len()).min(text.len());
            self.line.extend_from_slice(&text[..room]);
            if ends {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        match line.split_once(": ") {
            Some(("warning", _)) if self.kept >= MOST => self.more += 1,
            Some(("warning", text)) => {
                // Its place in the list has a size too.
                self.kept += text.len() + size_of::<String>();
                self.warnings.push(plain(text));
            }
            Some(("error", text)) => self.error = Some(plain(text)),
            Some(("hint", text)) => self.hint = Some(plain(text)),
            _ => {}
        }
    }

    /// Tells the warnings, and gives the error with its hint.
    pub(super) fn end(mut self, tell: &mut dyn FnMut(&str)) -> (Option<String>, Option<String>) {
        self.end_line();
        for warning in &self.warnings {
            tell(warning);
        }
        if self.more > 0 {
            tell(&format!("there are {} more warnings", self.more));
        }
        (self.error, self.hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_heard_behind_any_number_of_warnings() {
        let mut said = Said::default();
        for number in 0..100_000 {
            said.take(format!("warning: file {number}: left ").as_bytes());
            said.take(b"out\n");
        }
        said.take(b"error: no room\nhint: make");
        said.take(b" some");
        let mut told = Vec::new();
        let (error, hint) = said.end(&mut |text| told.push(text.to_owned()));
        assert_eq!(error.as_deref(), Some("no room"));
        assert_eq!(hint.as_deref(), Some("make some"));
        assert_eq!(told[0], "file 0: left out");
        let more = 100_000 - (told.len() - 1);
        assert_eq!(
            told.last(),
            Some(&format!("there are {more} more warnings"))
        );
    }

    #[test]
    fn what_a_guest_says_is_bounded() {
        let mut said = Said::default();
        for _ in 0..10_000 {
            said.take(&[b'x'; 4096]);
            said.take(b"warning: \n");
        }
        said.take(&[b'\n'; 1 << 20]);
        for _ in 0..1_000_000 {
            said.take(b"warning: \n");
        }
        assert!(said.line.len() <= LONGEST && said.warnings.len() <= MOST);
    }
}
