//! The processes of a guest, as its agent lists them: a JSON object on each line.
//!
//! What a process calls itself is its own choice, and the guest's word for all the rest: a list is
//! bounded, and holds no character that would move a cursor or turn the direction of a line.

use serde::{Deserialize, Serialize};

/// More processes than any list holds.
pub const MAX_PROCESSES: usize = 4096;

/// Longest command that is kept, in bytes; what is behind is cut off.
pub const MAX_COMMAND: usize = 512;

/// Longest name of a user.
pub const MAX_USER: usize = 64;

/// Longest list, in bytes.
pub const MAX_LIST: usize = MAX_PROCESSES * 2048;

/// One process.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Process {
    /// Its number in the guest.
    pub pid: u32,
    /// The number of the one that started it.
    pub parent: u32,
    /// Who it runs as: a name of the guest's, or the number.
    pub user: String,
    /// Milliseconds it used of a processor.
    pub time_ms: u64,
    /// Milliseconds since it was started.
    pub age_ms: u64,
    /// Bytes of memory it holds, with what it shares.
    pub memory: u64,
    /// Whether it is a thread of the guest's kernel.
    pub kernel: bool,
    /// Program and arguments; the name in brackets where there are none.
    pub command: String,
}

/// Why a list cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// One of its lines.
    #[error("line {number} is no process")]
    Line {
        /// Beginning with 1.
        number: usize,
        /// Why not.
        source: serde_json::Error,
    },
    /// There is no end of it.
    #[error("it is longer than {MAX_PROCESSES} processes")]
    TooMany,
}

impl Process {
    /// Its line, ended.
    pub fn to_line(&self) -> serde_json::Result<String> {
        Ok(serde_json::to_string(&self.clone().harmless())? + "\n")
    }

    /// The same, with nothing in it that a terminal obeys, and no longer than it may be.
    fn harmless(self) -> Self {
        Self {
            user: harmless(&self.user, MAX_USER),
            command: harmless(&self.command, MAX_COMMAND),
            ..self
        }
    }
}

/// Reads a list, in the order of its lines.
pub fn parse(bytes: &[u8]) -> Result<Vec<Process>, Error> {
    let mut processes = Vec::new();
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    for (index, line) in lines.filter(|(_, line)| !line.is_empty()) {
        if processes.len() == MAX_PROCESSES {
            return Err(Error::TooMany);
        }
        let process: Process = serde_json::from_slice(line).map_err(|source| Error::Line {
            number: index + 1,
            source,
        })?;
        processes.push(process.harmless());
    }
    Ok(processes)
}

/// Text with what is not to be seen spelt out, cut off before it is longer than `most` bytes.
fn harmless(text: &str, most: usize) -> String {
    let mut harmless = String::new();
    for letter in text.chars() {
        let before = harmless.len();
        if letter.is_control() || turns(letter) {
            harmless.extend(letter.escape_default());
        } else {
            harmless.push(letter);
        }
        if harmless.len() > most {
            harmless.truncate(before);
            break;
        }
    }
    harmless
}

/// Whether a character has no shape of its own, and changes where others are seen.
fn turns(letter: char) -> bool {
    matches!(letter,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn process(command: &str) -> Process {
        Process {
            pid: 7,
            parent: 1,
            user: "app".into(),
            time_ms: 120,
            age_ms: 5000,
            memory: 4096,
            kernel: false,
            command: command.into(),
        }
    }

    #[test]
    fn a_list_is_read_as_it_was_written() {
        let all = [process("sleep 1000"), process("[kthreadd]")];
        let text: String = all
            .iter()
            .map(|it| it.to_line().expect("plain data"))
            .collect();
        assert_eq!(parse(text.as_bytes()).expect("our own"), all);
        assert!(parse(b"").expect("nothing").is_empty());
    }

    #[test]
    fn hostile_names_are_spelt_out() {
        let line = process("\u{1b}[2Jrm\n\u{9b}\u{202e}é").to_line();
        let read = parse(line.expect("plain data").as_bytes()).expect("a process");
        assert_eq!(
            read[0].command, "\\u{1b}[2Jrm\\n\\u{9b}\\u{202e}é",
            "{read:?}"
        );
        // Whoever writes it without our care gains nothing.
        let read = parse(br#"{"pid":1,"command":"\u001b]0;x\u0007","user":"\r"}"#);
        let read = read.expect("a process").remove(0);
        assert_eq!(
            (read.command.as_str(), read.user.as_str()),
            ("\\u{1b}]0;x\\u{7}", "\\r")
        );
    }

    #[test]
    fn a_list_has_bounds() {
        let long = parse(
            process(&"é".repeat(9999))
                .to_line()
                .expect("data")
                .as_bytes(),
        );
        assert_eq!(long.expect("a process")[0].command.len(), MAX_COMMAND);
        let line = process("x").to_line().expect("data");
        let full = line.repeat(MAX_PROCESSES);
        assert_eq!(parse(full.as_bytes()).expect("full").len(), MAX_PROCESSES);
        assert!(matches!(
            parse((full + &line).as_bytes()),
            Err(Error::TooMany)
        ));
        let widest = Process {
            pid: u32::MAX,
            parent: u32::MAX,
            user: "\\".repeat(MAX_USER),
            time_ms: u64::MAX,
            age_ms: u64::MAX,
            memory: u64::MAX,
            kernel: false,
            command: "\"".repeat(MAX_COMMAND),
        };
        let widest = widest.to_line().expect("data");
        assert!(widest.len() * MAX_PROCESSES <= MAX_LIST, "{}", widest.len());
    }

    #[test]
    fn what_is_no_process_is_named_by_its_line() {
        let error = parse(b"{\"pid\":1}\n\nPID USER\n").expect_err("a table");
        assert_eq!(error.to_string(), "line 3 is no process");
        for text in ["[]x", "{\"pid\":-1}", "{\"pid\":\"1\"}", "7"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_names_come_out_harmless(user in any::<String>(), command in any::<String>()) {
            let line = Process { user, ..process(&command) }.to_line().expect("plain data");
            let read = parse(line.as_bytes()).expect("our own");
            prop_assert_eq!(read.len(), 1);
            prop_assert!(!read[0].command.contains(|it: char| it.is_control() || turns(it)));
            prop_assert_eq!(read[0].to_line().expect("plain data"), line);
        }
    }
}
