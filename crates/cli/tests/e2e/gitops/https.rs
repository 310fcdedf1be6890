//! `git http-backend` behind TLS and a password, on a host's loopback.
//!
//! As much of HTTP as git speaks: one request a connection, its body by length or in chunks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};
use ignite_host::netns::Namespace;
use ignite_testkit::Host;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// `ignite:a s3cret!` in base64.
const AUTHORIZATION: &str = "Basic aWduaXRlOmEgczNjcmV0IQ==";
/// The user that is let in.
pub const USER: &str = "ignite";
/// And the password.
pub const PASSWORD: &str = "a s3cret!";
/// The port.
pub const PORT: u16 = 8443;

/// The server; it ends with the test.
pub struct HttpsGit {
    /// The certificate's authority in PEM.
    pub authority: String,
    is_away: Arc<AtomicBool>,
}

impl HttpsGit {
    /// Serves the repositories in `root`.
    pub fn start(host: &Host, root: &Path) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key)?;
        let namespace = Namespace::open(Path::new(&format!("/proc/{}/ns/net", host.pid())))?;
        let listener = namespace.run(|| TcpListener::bind(("127.0.0.1", PORT)))??;
        let is_away = Arc::new(AtomicBool::new(false));
        let (config, away, root) = (Arc::new(config), Arc::clone(&is_away), root.to_owned());
        std::thread::spawn(move || serve(&listener, &config, &away, &root));
        let authority = made.cert.pem();
        Ok(Self { authority, is_away })
    }

    /// Whether every connection is dropped from now on.
    pub fn be_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::SeqCst);
    }
}

fn serve(listener: &TcpListener, config: &Arc<ServerConfig>, away: &AtomicBool, root: &Path) {
    for stream in listener.incoming().flatten() {
        if away.load(Ordering::SeqCst) {
            continue;
        }
        let (config, root) = (Arc::clone(config), root.to_owned());
        // What goes wrong, git says at its end.
        std::thread::spawn(move || drop(answer(stream, config, root)));
    }
}

fn answer(stream: TcpStream, config: Arc<ServerConfig>, root: PathBuf) -> Result<()> {
    let stream = StreamOwned::new(ServerConnection::new(config)?, stream);
    let mut stream = BufReader::new(stream);
    let request = Request::read(&mut stream)?;
    let response = if request.header("authorization") == Some(AUTHORIZATION) {
        request.run(&root)?
    } else {
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
    };
    let stream = stream.get_mut();
    stream.write_all(&response)?;
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(())
}

/// What git asks.
struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn read(from: &mut impl BufRead) -> Result<Self> {
        let first = line(from)?;
        let mut words = first.split(' ').map(str::to_owned);
        let (method, target) = (
            words.next().context("a method")?,
            words.next().context("a target")?,
        );
        let mut headers = Vec::new();
        loop {
            let line = line(from)?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self {
            method,
            target,
            headers,
            body: Vec::new(),
        };
        request.body = request.read_body(from)?;
        Ok(request)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| known == name);
        header.map(|(_, value)| value.as_str())
    }

    fn read_body(&self, from: &mut impl BufRead) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        if self.header("transfer-encoding") == Some("chunked") {
            loop {
                let length = u64::from_str_radix(&line(from)?, 16)?;
                ensure!(
                    from.take(length).read_to_end(&mut body)? as u64 == length,
                    "cut short"
                );
                line(from)?;
                if length == 0 {
                    return Ok(body);
                }
            }
        }
        let length: u64 = self.header("content-length").unwrap_or("0").parse()?;
        from.take(length).read_to_end(&mut body)?;
        Ok(body)
    }

    /// Asks git, as a web server does (RFC 3875).
    fn run(&self, root: &Path) -> Result<Vec<u8>> {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let mut git = Command::new("git")
            .arg("http-backend")
            .env("GIT_PROJECT_ROOT", root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REMOTE_USER", USER)
            .env("REQUEST_METHOD", &self.method)
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env(
                "CONTENT_TYPE",
                self.header("content-type").unwrap_or_default(),
            )
            .env("CONTENT_LENGTH", self.body.len().to_string())
            .env(
                "HTTP_CONTENT_ENCODING",
                self.header("content-encoding").unwrap_or_default(),
            )
            .env(
                "GIT_PROTOCOL",
                self.header("git-protocol").unwrap_or_default(),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut input = git.stdin.take().context("a pipe")?;
        let body = self.body.clone();
        let writer = std::thread::spawn(move || drop(input.write_all(&body)));
        let output = git.wait_with_output()?;
        // It may have ended without reading all; that is no failure.
        let _ = writer.join();
        let status = output
            .stdout
            .strip_prefix(b"Status: ")
            .map(|rest| rest.split(|b| *b == b'\r').next());
        let status = status
            .flatten()
            .map_or("200 OK".into(), String::from_utf8_lossy);
        let mut response = format!("HTTP/1.1 {status}\r\nConnection: close\r\n").into_bytes();
        response.extend(&output.stdout);
        Ok(response)
    }
}

fn line(from: &mut impl BufRead) -> Result<String> {
    let mut text = String::new();
    from.take(64 << 10).read_line(&mut text)?;
    Ok(text.trim_end().to_owned())
}
