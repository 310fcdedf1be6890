//! What a client asks for: the head of one HTTP/1 request, and what it gets.

use super::{Health, metrics};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// All of it.
    Get,
    /// The head of the answer only.
    Head,
}

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It is not HTTP/1.
    Malformed,
    /// Another method.
    Method,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    status: &'static str,
    content_type: &'static str,
    body: String,
}

const TEXT: &str = "text/plain; charset=utf-8";

impl Response {
    /// A line of text.
    pub fn text(status: &'static str, text: &str) -> Self {
        Self {
            status,
            content_type: TEXT,
            body: format!("{text}\n"),
        }
    }

    /// As it goes over the wire; `HEAD` gets no body.
    pub fn bytes(&self, method: Method) -> Vec<u8> {
        let Self {
            status,
            content_type,
            body,
        } = self;
        // RFC 9110 10.2.1: a 405 says what is allowed. Elsewhere it does no harm.
        let mut text = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\
             Allow: GET, HEAD\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
            body.len()
        );
        if method == Method::Get {
            text.push_str(body);
        }
        text.into_bytes()
    }
}

impl Refusal {
    /// What the client gets.
    pub fn response(self) -> Response {
        match self {
            Self::Malformed => Response::text("400 Bad Request", "this is not an HTTP/1 request"),
            Self::Method => Response::text("405 Method Not Allowed", "only GET and HEAD"),
        }
    }
}

/// Reads the request line; fields are of no interest here. The path comes without its query.
pub fn parse(head: &[u8]) -> Result<(Method, &str), Refusal> {
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = std::str::from_utf8(line).map_err(|_| Refusal::Malformed)?;
    let mut words = line.trim_end_matches('\r').split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::Malformed);
    };
    if !version.starts_with("HTTP/1.") {
        return Err(Refusal::Malformed);
    }
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => return Err(Refusal::Method),
    };
    Ok((method, target.split('?').next().unwrap_or(target)))
}

/// Answers for `path`.
pub fn answer(path: &str, health: &Health) -> Response {
    match path {
        "/healthz" => Response::text("200 OK", "ignite-overlay is running"),
        "/readyz" => match health.unready() {
            None => Response::text("200 OK", "ready"),
            Some(reason) => {
                Response::text("503 Service Unavailable", &format!("not ready: {reason}"))
            }
        },
        "/metrics" => Response {
            status: "200 OK",
            content_type: metrics::CONTENT_TYPE,
            body: health.metrics(),
        },
        _ => Response::text("404 Not Found", "there are /healthz, /readyz and /metrics"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_request_line() {
        let table: [(&[u8], _); 7] = [
            (
                b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n",
                Ok((Method::Get, "/readyz")),
            ),
            (
                b"HEAD /metrics?name=x HTTP/1.0\n\n",
                Ok((Method::Head, "/metrics")),
            ),
            (b"POST /healthz HTTP/1.1\r\n\r\n", Err(Refusal::Method)),
            (b"GET /healthz HTTP/2\r\n\r\n", Err(Refusal::Malformed)),
            (b"GET /a b HTTP/1.1\r\n\r\n", Err(Refusal::Malformed)),
            (b"\x16\x03\x01\xff\r\n\r\n", Err(Refusal::Malformed)),
            (b"", Err(Refusal::Malformed)),
        ];
        for (head, expected) in table {
            assert_eq!(parse(head), expected, "{}", head.escape_ascii());
        }
    }
}
