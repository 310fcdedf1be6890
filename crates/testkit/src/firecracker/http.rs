//! Firecracker's side of HTTP: requests out of bytes, answers into bytes.

use serde_json::{Value, json};

/// Bytes a request's body may have (`--http-api-max-payload-size`).
pub const MAX_BODY: usize = 51_200;

/// Bytes a request's head may have.
const MAX_HEAD: usize = 8 * 1024;

const HEADERS: &str = "Server: Firecracker API\r\nConnection: keep-alive\r\n";

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// `GET`, `PUT`, `PATCH` or `DELETE`.
    pub method: String,
    /// The path.
    pub path: String,
    /// The body; empty if there is none.
    pub body: Vec<u8>,
}

impl Call {
    /// Method and path.
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// What a request for an action wants done.
    pub fn action(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        Some(body.get("action_type")?.as_str()?.to_owned())
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Done, and nothing to say.
    Done,
    /// Done, and this is what was asked for.
    Value(Value),
    /// Refused, in words.
    Fault(String),
    /// Not understood as HTTP.
    Malformed(String),
    /// A connection too many.
    Busy,
    /// The body may come.
    Continue,
}

impl Reply {
    /// As bytes: no reason behind the code, no length where there is no body, and for what HTTP
    /// itself refuses a body with a raw line break in its string.
    pub fn encode(&self) -> Vec<u8> {
        let (code, body) = match self {
            Self::Done => return format!("HTTP/1.1 204 \r\n{HEADERS}\r\n").into_bytes(),
            Self::Continue => return format!("HTTP/1.1 100 \r\n{HEADERS}\r\n").into_bytes(),
            Self::Value(value) => (200, value.to_string()),
            Self::Fault(message) => (400, json!({ "fault_message": message }).to_string()),
            Self::Malformed(message) => (
                400,
                format!(
                    "{{ \"error\": \"{message}\nAll previous unanswered requests will be dropped.\" }}"
                ),
            ),
            Self::Busy => (
                503,
                "{ \"error\": \"Too many open connections\" }".to_owned(),
            ),
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {code} \r\n{HEADERS}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        (head + &body).into_bytes()
    }
}

/// Takes bytes as they come and gives requests, or what is to be answered at once.
#[derive(Debug, Default)]
pub struct Parser {
    bytes: Vec<u8>,
    /// A head that said its body waits for a word, which was given.
    invited: bool,
}

impl Parser {
    /// Reads `bytes` on.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next request that is whole; an answer if it is none that is taken.
    pub fn take(&mut self) -> Option<Result<Call, Reply>> {
        match self.parse() {
            Ok(Some((call, used))) => {
                self.bytes.drain(..used);
                self.invited = false;
                Some(Ok(call))
            }
            Ok(None) => None,
            Err(Reply::Continue) => {
                self.invited = true;
                Some(Err(Reply::Continue))
            }
            Err(reply) => {
                self.bytes.clear();
                Some(Err(reply))
            }
        }
    }

    fn parse(&self) -> Result<Option<(Call, usize)>, Reply> {
        let malformed = |text: &str| Reply::Malformed(text.to_owned());
        let Some(end) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            if self.bytes.len() > MAX_HEAD {
                return Err(malformed("The head is too long."));
            }
            return Ok(None);
        };
        let head = std::str::from_utf8(&self.bytes[..end])
            .map_err(|_| malformed("The head is no text."))?;
        let mut lines = head.split("\r\n");
        let (method, path) = request_line(lines.next().unwrap_or_default())?;
        let head = headers(lines)?;
        if head.length > MAX_BODY {
            return Err(malformed("The body is too long."));
        }
        let from = end + 4;
        let Some(body) = self.bytes.get(from..from + head.length) else {
            if head.expects && !self.invited {
                return Err(Reply::Continue);
            }
            return Ok(None);
        };
        let call = Call {
            method: method.to_owned(),
            path: path.to_owned(),
            body: body.to_vec(),
        };
        Ok(Some((call, from + head.length)))
    }
}

fn request_line(line: &str) -> Result<(&str, &str), Reply> {
    let words: Vec<&str> = line.split(' ').collect();
    let [method, path, version] = words[..] else {
        return Err(Reply::Malformed("Invalid HTTP request.".to_owned()));
    };
    // HTTP/1.0 is taken, and the connection kept all the same.
    if !["HTTP/1.0", "HTTP/1.1"].contains(&version) {
        return Err(Reply::Malformed("Invalid HTTP version.".to_owned()));
    }
    if !["GET", "PUT", "PATCH", "DELETE"].contains(&method) {
        return Err(Reply::Malformed("Invalid HTTP method.".to_owned()));
    }
    Ok((method, path))
}

#[derive(Default)]
struct Head {
    length: usize,
    expects: bool,
}

fn headers<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Head, Reply> {
    let mut head = Head::default();
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| Reply::Malformed("Invalid HTTP header.".to_owned()))?;
        let value = value.trim();
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                head.length = value
                    .parse()
                    .map_err(|_| Reply::Malformed("Invalid content length.".to_owned()))?;
            }
            "transfer-encoding" => {
                return Err(Reply::Malformed(
                    "Unsupported transfer encoding.".to_owned(),
                ));
            }
            "accept-encoding" if value.contains("identity;q=0") => {
                return Err(Reply::Malformed("Unsupported encoding.".to_owned()));
            }
            "expect" => head.expects = value == "100-continue",
            _ => {}
        }
    }
    Ok(head)
}
