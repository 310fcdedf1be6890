//! A registry on loopback that breaks as a test tells it to.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::image::Image;

/// How a path answers.
#[derive(Clone)]
pub enum Answer {
    Bytes(Vec<u8>),
    Status(u16, String),
    /// The connection breaks after so many bytes, each time; the rest can be asked for.
    Breaks(Vec<u8>, usize),
    /// As `Breaks`, from a server that always begins at the start.
    NoRanges(Vec<u8>, usize),
    /// Endless.
    Endless,
    /// Headers, then nothing for a long time.
    Silent,
}

pub struct Server {
    pub address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    answers: HashMap<String, Answer>,
    requests: Vec<String>,
    /// `Authorization` every request must have, and the challenge otherwise.
    login: Option<(String, String)>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("an address").to_string();
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        let server = Self { address, state };
        server.set("/v2/", Answer::Bytes(b"{}".to_vec()));
        server
    }

    pub fn set(&self, path: &str, answer: Answer) {
        self.state
            .lock()
            .expect("state")
            .answers
            .insert(path.into(), answer);
    }

    pub fn require_login(&self, authorization: &str, challenge: &str) {
        let login = Some((authorization.into(), challenge.into()));
        self.state.lock().expect("state").login = login;
    }

    /// Request lines so far, with the `Range` header where there is one.
    pub fn requests(&self, part: &str) -> Vec<String> {
        let state = self.state.lock().expect("state");
        state
            .requests
            .iter()
            .filter(|line| line.contains(part))
            .cloned()
            .collect()
    }

    pub fn blob_path(digest: &ignite_image::Digest) -> String {
        format!("/v2/team/app/blobs/{digest}")
    }

    /// Serves `image` as `team/app:v1`.
    pub fn publish(&self, image: &Image) {
        for (digest, bytes) in &image.blobs {
            self.set(&Self::blob_path(digest), Answer::Bytes(bytes.clone()));
        }
        let manifest = image.blobs[&image.manifest].clone();
        for name in ["v1".to_owned(), image.manifest.to_string()] {
            self.set(
                &format!("/v2/team/app/manifests/{name}"),
                Answer::Bytes(manifest.clone()),
            );
        }
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    // One request a connection; a TLS handshake has no line and ends here.
    let mut line = String::new();
    if reader.read_line(&mut line).is_err() || !line.contains(" HTTP/1.1") {
        return;
    }
    let mut offset = 0;
    let mut authorization = String::new();
    let mut body = 0;
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).is_err() || header.trim().is_empty() {
            break;
        }
        let (name, value) = header
            .trim()
            .split_once(": ")
            .unwrap_or((header.trim(), ""));
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let start = value.trim_start_matches("bytes=").trim_end_matches('-');
                offset = start.parse().expect("an offset");
            }
            "authorization" => authorization = value.to_owned(),
            "content-length" => body = value.parse().expect("a length"),
            _ => {}
        }
    }
    let mut sent = vec![0; body];
    let _ = std::io::Read::read_exact(&mut reader, &mut sent);
    let path = line.split(' ').nth(1).expect("a path").to_owned();
    let (answer, login) = {
        let mut state = state.lock().expect("state");
        let record = format!(
            "{} {offset} {}",
            line.trim(),
            String::from_utf8_lossy(&sent)
        );
        state.requests.push(record);
        let bare = path.split('?').next().unwrap_or_default();
        (state.answers.get(bare).cloned(), state.login.clone())
    };
    if let Some((expected, challenge)) = login
        && path.starts_with("/v2/")
        && authorization != expected
    {
        let head = format!(
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: {challenge}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
        let _ = stream.write_all(head.as_bytes());
        return;
    }
    let _ = reply(&mut stream, answer, offset);
}

fn reply(stream: &mut TcpStream, answer: Option<Answer>, offset: usize) -> std::io::Result<()> {
    let not_found = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
    match answer.unwrap_or(Answer::Status(404, not_found.into())) {
        Answer::Bytes(bytes) => part(stream, &bytes, offset, usize::MAX),
        Answer::Breaks(bytes, limit) => part(stream, &bytes, offset, limit),
        Answer::NoRanges(bytes, limit) => part(stream, &bytes, 0, limit),
        Answer::Status(status, body) => write!(
            stream,
            "HTTP/1.1 {status} No\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        ),
        Answer::Endless => {
            write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")?;
            loop {
                stream.write_all(&[b' '; 65536])?;
            }
        }
        Answer::Silent => {
            write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n"
            )?;
            std::thread::sleep(std::time::Duration::from_secs(60));
            Ok(())
        }
    }
}

fn part(stream: &mut TcpStream, bytes: &[u8], offset: usize, limit: usize) -> std::io::Result<()> {
    if offset > 0 && offset >= bytes.len() {
        return write!(
            stream,
            "HTTP/1.1 416 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    let rest = &bytes[offset..];
    let status = if offset > 0 {
        "206 Partial Content"
    } else {
        "200 OK"
    };
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n",
        rest.len()
    )?;
    if offset > 0 {
        write!(
            stream,
            "Content-Range: bytes {offset}-{}/{}\r\n",
            bytes.len() - 1,
            bytes.len()
        )?;
    }
    stream.write_all(b"\r\n")?;
    stream.write_all(&rest[..rest.len().min(limit)])
}
