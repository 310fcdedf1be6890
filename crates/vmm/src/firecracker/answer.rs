//! Firecracker's dialect of HTTP: bytes in, answers out.
//!
//! The connection is kept whatever is asked for, so an answer ends by its length and never by the end
//! of the stream; the status line has no reason; errors of HTTP itself come with a body that is not
//! valid JSON. What a fault says is prose and changes between versions: only the code is looked at.
//!
//! The VMM may be in a guest's hands, so head and body are bounded.

use serde::Deserialize;
use thiserror::Error as ThisError;

use crate::words::one_line;

/// Longest head taken, in bytes; Firecracker's have some hundred.
pub const MAX_HEAD: usize = 8 * 1024;

/// Longest body taken, in bytes.
pub const MAX_BODY: usize = 256 * 1024;

/// Why bytes are no answer.
#[derive(Debug, Clone, PartialEq, Eq, ThisError)]
pub enum Error {
    /// A head without end.
    #[error("an answer's head is longer than {MAX_HEAD} bytes")]
    LongHead,
    /// Not `HTTP/1.x` and a code.
    #[error("an answer begins with {line:?}")]
    StatusLine {
        /// Its first line.
        line: String,
    },
    /// A header line without a colon, or no text.
    #[error("an answer has a malformed header")]
    Header,
    /// A length that is none, or two that differ.
    #[error("an answer has no sound length")]
    Length,
    /// More than a control stream has to say.
    #[error("an answer of {length} bytes is longer than {MAX_BODY}")]
    LongBody {
        /// Bytes announced.
        length: u64,
    },
    /// Firecracker sends no pieces.
    #[error("an answer comes in pieces")]
    Chunked,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub code: u16,
    /// The body, which may be anything.
    pub body: Vec<u8>,
}

impl Answer {
    /// Whether what was asked for was done.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// What the VMM says went wrong, in one bounded line.
    pub fn fault(&self) -> String {
        #[derive(Deserialize)]
        struct Fault {
            #[serde(alias = "error")]
            fault_message: String,
        }
        let text = match serde_json::from_slice(&self.body) {
            Ok(Fault { fault_message }) => fault_message,
            Err(_) => String::from_utf8_lossy(&self.body).into_owned(),
        };
        let line = one_line(&text);
        if line.is_empty() {
            return format!("code {}", self.code);
        }
        format!("{line} (code {})", self.code)
    }
}

/// Takes bytes as they come and gives answers.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// The head of the answer whose body is waited for.
    head: Option<Head>,
}

#[derive(Debug, Clone, Copy)]
struct Head {
    code: u16,
    length: usize,
}

impl Decoder {
    /// Reads `bytes` on; appends the answers they complete to `answers`. After an error nothing that
    /// follows can be understood.
    pub fn push(&mut self, bytes: &[u8], answers: &mut Vec<Answer>) -> Result<(), Error> {
        self.bytes.extend_from_slice(bytes);
        let mut used = 0;
        let result = self.answers(&mut used, answers);
        self.bytes.drain(..used);
        result
    }

    /// Whether part of an answer was read.
    pub fn is_within(&self) -> bool {
        self.head.is_some() || !self.bytes.is_empty()
    }

    fn answers(&mut self, used: &mut usize, answers: &mut Vec<Answer>) -> Result<(), Error> {
        loop {
            let rest = &self.bytes[*used..];
            match self.head {
                Some(Head { code, length }) if rest.len() >= length => {
                    let body = rest[..length].to_vec();
                    *used += length;
                    self.head = None;
                    // 1xx tells of an answer that is still to come.
                    if code >= 200 {
                        answers.push(Answer { code, body });
                    }
                }
                Some(_) => return Ok(()),
                None => {
                    let window = &rest[..rest.len().min(MAX_HEAD)];
                    let Some(end) = window.windows(4).position(|four| four == b"\r\n\r\n") else {
                        if rest.len() >= MAX_HEAD {
                            return Err(Error::LongHead);
                        }
                        return Ok(());
                    };
                    self.head = Some(parse_head(&rest[..end])?);
                    *used += end + 4;
                }
            }
        }
    }
}

fn parse_head(head: &[u8]) -> Result<Head, Error> {
    let head = std::str::from_utf8(head).map_err(|_| Error::Header)?;
    let mut lines = head.split("\r\n");
    let code = parse_status(lines.next().unwrap_or_default())?;
    let mut length = None;
    for line in lines {
        let (name, value) = line.split_once(':').ok_or(Error::Header)?;
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Error::Chunked);
        }
        if name.eq_ignore_ascii_case("content-length") {
            let value = parse_length(value.trim())?;
            if length.is_some_and(|before| before != value) {
                return Err(Error::Length);
            }
            length = Some(value);
        }
    }
    // 204 and 1xx have none whatever they say.
    let length = match code {
        100..200 | 204 => 0,
        _ => length.unwrap_or(0),
    };
    Ok(Head { code, length })
}

/// `HTTP/1.1 204 `, with or without a reason.
fn parse_status(line: &str) -> Result<u16, Error> {
    let bad = || Error::StatusLine {
        line: one_line(line),
    };
    let rest = line.strip_prefix("HTTP/1.").ok_or_else(bad)?;
    let mut words = rest.splitn(3, ' ');
    let version = words.next();
    let code = words.next().unwrap_or_default();
    let sound = matches!(version, Some("0" | "1"))
        && code.len() == 3
        && code.bytes().all(|byte| byte.is_ascii_digit());
    code.parse()
        .ok()
        .filter(|code| sound && (100..600).contains(code))
        .ok_or_else(bad)
}

fn parse_length(text: &str) -> Result<usize, Error> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::Length);
    }
    let length: u64 = text.parse().map_err(|_| Error::Length)?;
    usize::try_from(length)
        .ok()
        .filter(|&length| length <= MAX_BODY)
        .ok_or(Error::LongBody { length })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::LONGEST;
    use proptest::prelude::*;

    /// Answers as Firecracker sends them: no reason, a kept connection, JSON that is none.
    const CONVERSATION: &str = concat!(
        "HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n",
        "HTTP/1.1 200 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\nContent-Type: application/json\r\nContent-Length: 33\r\n\r\n{\"firecracker_version\":\"1.17.0\"}\n",
        "HTTP/1.1 100 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n",
        "HTTP/1.1 400 \r\ncontent-length: 28\r\n\r\n{\"fault_message\":\"no\\ndisk\"}",
        "HTTP/1.1 400 \r\nContent-Length: 52\r\n\r\n{ \"error\": \"Bad method.\nAll previous are dropped.\" }",
        "HTTP/1.1 503 \r\nContent-Length: 40\r\n\r\n{ \"error\": \"Too many open connections\" }",
    );

    fn decode(bytes: &[u8]) -> Result<Vec<Answer>, Error> {
        let mut answers = Vec::new();
        Decoder::default().push(bytes, &mut answers)?;
        Ok(answers)
    }

    #[test]
    fn the_dialect_is_understood() {
        let answers = decode(CONVERSATION.as_bytes()).expect("valid");
        let codes: Vec<u16> = answers.iter().map(|answer| answer.code).collect();
        assert_eq!(codes, [204, 200, 400, 400, 503]);
        assert_eq!(answers[2].fault(), "no disk (code 400)");
        assert_eq!(
            answers[3].fault(),
            "{ \"error\": \"Bad method. All previous are dropped.\" } (code 400)"
        );
        assert_eq!(answers[4].fault(), "Too many open connections (code 503)");
        assert!(answers[1].is_success() && !answers[2].is_success());
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let long = format!("HTTP/1.1 200 \r\nx: {}", "y".repeat(MAX_HEAD));
        let cases = [
            ("SSH-2.0-x\r\n\r\n", "begins with"),
            ("HTTP/2.0 200 \r\n\r\n", "begins with"),
            ("HTTP/1.1 2000 \r\n\r\n", "begins with"),
            ("HTTP/1.1 +20 \r\n\r\n", "begins with"),
            ("HTTP/1.1 200 \r\nx\r\n\r\n", "malformed header"),
            ("HTTP/1.1 200 \r\nContent-Length: -1\r\n\r\n", "length"),
            (
                "HTTP/1.1 200 \r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                "length",
            ),
            (
                "HTTP/1.1 200 \r\nContent-Length: 999999999\r\n\r\n",
                "longer",
            ),
            (
                "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n",
                "pieces",
            ),
            (&long, "longer"),
        ];
        for (text, reason) in cases {
            let error = decode(text.as_bytes()).expect_err(text).to_string();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn a_fault_is_one_bounded_line() {
        let answer = Answer {
            code: 400,
            body: "é\n\u{7}".repeat(9000).into_bytes(),
        };
        assert!(answer.fault().len() < LONGEST + 20);
        let silent = Answer {
            code: 500,
            body: Vec::new(),
        };
        assert_eq!(silent.fault(), "code 500");
    }

    proptest! {
        #[test]
        fn pieces_make_no_difference(cuts in prop::collection::vec(0..CONVERSATION.len(), 0..20)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            cuts.push(CONVERSATION.len());
            let (mut decoder, mut answers, mut from) = (Decoder::default(), Vec::new(), 0);
            for to in cuts {
                decoder.push(&CONVERSATION.as_bytes()[from..to], &mut answers).expect("valid");
                from = to;
            }
            prop_assert_eq!(answers, decode(CONVERSATION.as_bytes()).expect("valid"));
            prop_assert!(!decoder.is_within());
        }

        #[test]
        fn any_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = decode(&bytes);
        }
    }
}
