//! The whole server over real sockets, with a source that knows little and counts how often it is asked.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ignite_api::Uid;
use ignite_engine::{ConsolePiece, ConsolePlace, Sample};

use crate::server::STREAMS;
use crate::source::{Source, State, Trouble};
use crate::{Access, Dashboard, Error, Key, Options, Reach, Stop};

const PATIENCE: Duration = Duration::from_secs(20);
const UID: &str = "0123456789abcdef";

#[derive(Default)]
struct Known {
    looks: AtomicUsize,
}

impl Source for Known {
    fn state(&self) -> Result<State, Trouble> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        Ok(State {
            host: "<b>alpha</b>\n\n".into(),
            ..State::default()
        })
    }

    fn sample(&self, _: Uid) -> Option<Sample> {
        None
    }

    fn vm(&self, _: Uid) -> Result<String, Trouble> {
        Err(Trouble::Gone)
    }

    fn console(&self, _: Uid, place: ConsolePlace) -> Result<ConsolePiece, Trouble> {
        Ok(ConsolePiece {
            bytes: b"<script>alert(1)</script>\x1b[2J".to_vec(),
            next: ConsolePlace {
                file: 7,
                offset: 29,
            },
            follows: place.file == 7,
        })
    }
}

/// A dashboard that runs until dropped.
struct Running {
    address: SocketAddr,
    source: Arc<Known>,
    key: Option<String>,
    stop: Stop,
    thread: Option<JoinHandle<Result<(), Error>>>,
}

impl Running {
    fn new(access: Access) -> Self {
        let source = Arc::new(Known::default());
        let page =
            Dashboard::of(options("127.0.0.1:0", access), source.clone()).expect("a free port");
        let url = page.url();
        let rest = url.strip_prefix("http://").expect("an address");
        let (address, key) = rest.split_once('/').expect("a path");
        Self {
            address: address.parse().expect("an address"),
            key: key.strip_prefix('#').map(str::to_owned),
            source,
            stop: page.stopper(),
            thread: Some(std::thread::spawn(move || page.run())),
        }
    }

    fn open() -> Self {
        Self::new(Access::Everyone)
    }

    /// Sends bytes as they are.
    fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        // A server may answer, and close, before all was sent.
        let _ = stream.write_all(bytes);
        stream
    }

    /// The whole answer to a request.
    fn ask(&self, request: &str) -> String {
        let mut answer = Vec::new();
        // Closed by force is closed too.
        let _ = self.send(request.as_bytes()).read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn get(&self, path: &str) -> String {
        self.ask(&format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n",
            self.address
        ))
    }

    fn looks(&self) -> usize {
        self.source.looks.load(Ordering::SeqCst)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.stop();
        let ended = self.thread.take().map(|thread| thread.join());
        assert!(matches!(ended, Some(Ok(Ok(())))), "it did not end in order");
    }
}

fn options(listen: &str, access: Access) -> Options {
    Options {
        listen: listen.parse().expect("an address"),
        reach: Reach::Loopback,
        access,
    }
}

/// Reads until `word` was said.
fn read_until(stream: &mut TcpStream, word: &str) -> String {
    let (mut said, mut piece) = (String::new(), [0; 4096]);
    while !said.contains(word) {
        match stream.read(&mut piece).expect("it goes on") {
            0 => panic!("it ended without {word}: {said}"),
            length => said += &String::from_utf8_lossy(&piece[..length]),
        }
    }
    said
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "waited for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_page_comes_with_what_keeps_it_to_itself() {
    let page = Running::open().get("/");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    for header in [
        "content-security-policy: default-src 'none'; script-src 'self';",
        "x-content-type-options: nosniff",
        "x-frame-options: DENY",
        "referrer-policy: no-referrer",
        "cache-control: no-store",
        "cross-origin-resource-policy: same-origin",
    ] {
        assert!(page.contains(header), "{header} is not in {page}");
    }
    assert!(!page.to_lowercase().contains("access-control-"), "{page}");
}

#[test]
fn only_who_has_the_key_is_told_of_the_host() {
    let running = Running::new(Access::Key(Key::random().expect("random bytes")));
    let key = running.key.clone().expect("a key in the address");
    let refused = running.get("/api/state");
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
    let as_query = running.get(&format!("/api/state?{key}"));
    assert!(as_query.starts_with("HTTP/1.1 400 "), "{as_query}");
    let request = format!(
        "GET /api/state HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n\r\n"
    );
    assert!(running.ask(&request).starts_with("HTTP/1.1 200 "));
    assert_eq!(running.looks(), 1);
}

#[test]
fn a_console_is_bytes_for_nobody_to_interpret() {
    let answer = Running::open().get(&format!("/api/vms/{UID}/console?file=7&from=3"));
    assert!(
        answer.contains("content-type: application/octet-stream"),
        "{answer}"
    );
    assert!(
        answer.contains("ignite-console-next: 29") && answer.contains("ignite-console-follows: 1"),
        "{answer}"
    );
    assert!(
        answer.ends_with("<script>alert(1)</script>\x1b[2J"),
        "{answer}"
    );
}

#[test]
fn a_vm_that_is_gone_is_not_found() {
    let running = Running::open();
    assert!(
        running
            .get(&format!("/api/vms/{UID}"))
            .starts_with("HTTP/1.1 404 ")
    );
    assert!(running.get("/api/vms/x").starts_with("HTTP/1.1 404 "));
    assert!(running.get("/api/vms/").starts_with("HTTP/1.1 404 "));
}

#[test]
fn strangers_bytes_get_a_short_answer_or_none() {
    let running = Running::open();
    for bytes in [
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx",
        "GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\x16\x03\x01\x02\x00",
        "GET / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
        &format!(
            "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "x".repeat(100_000)
        ),
        &format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
            "A: b\r\n".repeat(5000)
        ),
    ] {
        let answer = running.ask(bytes);
        let shown: String = bytes.chars().take(60).collect();
        assert!(
            !answer.contains("root:") && answer.len() < 4096,
            "{shown}: {answer}"
        );
    }
    assert!(
        running.get("/").starts_with("HTTP/1.1 200 "),
        "it still answers"
    );
}

#[test]
fn who_says_nothing_is_let_go_and_keeps_nobody_from_asking() {
    let running = Running::open();
    let silent: Vec<TcpStream> = (0..100).map(|_| running.send(b"GET / HT")).collect();
    assert!(running.get("/").starts_with("HTTP/1.1 200 "));
    drop(silent);
}

#[test]
fn nobody_is_asked_while_nobody_looks_and_all_share_one_look() {
    let running = Running::open();
    let request = format!(
        "GET /api/events HTTP/1.1\r\nHost: {}\r\n\r\n",
        running.address
    );
    assert_eq!(running.looks(), 0);
    let mut streams: Vec<TcpStream> = (0..4).map(|_| running.send(request.as_bytes())).collect();
    for stream in &mut streams {
        let said = read_until(stream, "event: point\n");
        assert!(said.contains("event: history\ndata: ["), "{said}");
        // A host's name with line breaks does not end the event.
        assert!(
            said.contains(r#"event: state"#) && said.contains(r#""host":"<b>alpha</b>\n\n""#),
            "{said}"
        );
    }
    // Four streams, each with a moment: had each asked by itself, there would be four looks a second.
    let (before, begun) = (running.looks(), Instant::now());
    read_until(&mut streams[0], "event: point\n");
    let most = begun.elapsed().as_secs() as usize + 2;
    assert!(
        running.looks() - before <= most,
        "{} looks",
        running.looks()
    );
    drop(streams);
    let mut last = (running.looks(), Instant::now());
    wait_for("the looks to cease", || {
        let looks = running.looks();
        if looks != last.0 {
            last = (looks, Instant::now());
        }
        last.1.elapsed() > Duration::from_secs(3)
    });
}

#[test]
fn streams_are_bounded_and_a_slow_one_costs_nothing() {
    let running = Running::open();
    let request = format!(
        "GET /api/events HTTP/1.1\r\nHost: {}\r\n\r\n",
        running.address
    );
    let mut streams: Vec<TcpStream> = (0..STREAMS)
        .map(|_| running.send(request.as_bytes()))
        .collect();
    for stream in &mut streams {
        read_until(stream, "event: history\n");
    }
    let refused = running.ask(&request);
    assert!(refused.starts_with("HTTP/1.1 503 "), "{refused}");
    drop(streams.pop());
    wait_for("a place", || {
        let mut stream = running.send(request.as_bytes());
        let mut head = [0; 12];
        stream.read_exact(&mut head).is_ok() && head == *b"HTTP/1.1 200"
    });
}

#[test]
fn the_end_tells_the_streams() {
    let running = Running::open();
    let request = format!(
        "GET /api/events HTTP/1.1\r\nHost: {}\r\n\r\n",
        running.address
    );
    let mut stream = running.send(request.as_bytes());
    read_until(&mut stream, "event: point\n");
    drop(running);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("its end");
    assert!(
        rest.ends_with(b"0\r\n\r\n"),
        "{}",
        String::from_utf8_lossy(&rest)
    );
}

#[test]
fn a_port_that_is_taken_is_told_with_what_to_do() {
    let running = Running::open();
    let again = Dashboard::of(
        options(&running.address.to_string(), Access::Everyone),
        running.source.clone(),
    );
    let error = again.err().expect("it is taken");
    assert!(
        error.to_string().contains(&running.address.to_string()),
        "{error}"
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("--listen")));
}
