//! Against servers that say what a test tells them to.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread;

use tempfile::TempDir;

use super::*;

/// A server for one connection: it reads a request's head and hands the connection over.
fn serve(talk: impl FnOnce(String, UnixStream) + Send + 'static) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("socket");
    let listener = UnixListener::bind(&socket).expect("bind");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accept");
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
            head.push(byte[0]);
        }
        talk(String::from_utf8_lossy(&head).into_owned(), stream);
    });
    (directory, socket)
}

/// What comes of a server that answers with these bytes and hangs up.
fn answered(bytes: &'static [u8]) -> Result<Answer, Error> {
    let (_directory, socket) = serve(move |_, mut stream| {
        // The client may have heard enough.
        let _ = stream.write_all(bytes);
    });
    get().send(&socket)
}

/// What comes of a server that says `start`, and then `more` for ever.
fn endless(start: &'static [u8], more: &'static [u8]) -> Result<Answer, Error> {
    let (_directory, socket) = serve(move |_, mut stream| {
        let _ = stream.write_all(start);
        while stream.write_all(more).is_ok() {}
    });
    get().send(&socket)
}

fn get() -> Request {
    Request::new(Method::GET, "/_ping")
}

#[test]
fn sends_what_was_asked_for_and_returns_the_answer() {
    let (_directory, socket) = serve(|head, mut stream| {
        let mut body = [0; 5];
        stream.read_exact(&mut body).expect("the body");
        assert_eq!(&body, b"hello");
        let answer = format!("HTTP/1.1 404 No\r\nX-Is: there\r\n\r\n{head}");
        stream.write_all(answer.as_bytes()).expect("write");
    });
    let answer = Request::new(Method::POST, "/v1.41/things?name=x")
        .body("text/plain", b"hello".to_vec())
        .send(&socket)
        .expect("an answer");
    assert_eq!(answer.status, 404);
    assert_eq!(answer.headers["x-is"], "there");
    let head = String::from_utf8_lossy(&answer.body).to_lowercase();
    assert!(
        head.starts_with("post /v1.41/things?name=x http/1.1\r\n"),
        "{head}"
    );
    for line in [
        "host: localhost",
        "content-type: text/plain",
        "content-length: 5",
    ] {
        assert!(head.contains(line), "{head}");
    }
}

#[test]
fn says_why_there_is_no_connection() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("socket");
    let error = get().send(&socket).expect_err("nothing is there");
    assert!(matches!(error, Error::Absent { .. }), "{error:?}");
    let below_a_file = Path::new("/etc/passwd/socket");
    let error = get().send(below_a_file).expect_err("nothing can be there");
    assert!(matches!(error, Error::Absent { .. }), "{error:?}");
    drop(UnixListener::bind(&socket).expect("bind"));
    let error = get().send(&socket).expect_err("nobody is there");
    assert!(matches!(error, Error::NobodyListens { .. }), "{error:?}");
    let long = directory.path().join("x".repeat(200));
    let error = get().send(&long).expect_err("no name of a socket");
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
}

#[test]
fn a_server_that_says_nothing_or_drips_is_left_in_time() {
    let limit = Duration::from_millis(200);
    let late = |talk: fn(UnixStream)| {
        let (_directory, socket) = serve(move |_, stream| talk(stream));
        let error = get().deadline(limit).send(&socket).expect_err("no answer");
        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    };
    late(|mut stream| drop(stream.read(&mut [0])));
    late(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        while stream.write_all(b".").is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    });
}

#[test]
fn a_full_queue_is_waited_for_until_the_time_is_over() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("socket");
    let listener = rustix::net::socket(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        None,
    )
    .expect("a socket");
    let address = rustix::net::SocketAddrUnix::new(&socket).expect("short enough");
    rustix::net::bind(&listener, &address).expect("bind");
    rustix::net::listen(&listener, 0).expect("listen");
    let _first = UnixStream::connect(&socket).expect("the one place");
    let limit = Duration::from_millis(100);
    let error = get().deadline(limit).send(&socket).expect_err("no place");
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
}

#[test]
fn answers_without_end_are_cut() {
    let line: &[u8] = b"X-More: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n";
    for (start, more) in [
        (&b"HTTP/1.1 200 OK\r\n"[..], line),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", &[b'a'; 4096]),
        (b"HTTP/1.1 200 OK\r\n\r\n", &[b'a'; 4096]),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"4\r\naaaa\r\n",
        ),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551614\r\n\r\n",
            &[b'a'; 4096],
        ),
    ] {
        let error = endless(start, more).expect_err("too much");
        assert!(matches!(error, Error::TooLong { .. }), "{error:?}");
    }
}

#[test]
fn the_limit_is_the_callers() {
    let bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour";
    for (limit, taken) in [(4, true), (3, false)] {
        let (_directory, socket) = serve(move |_, mut stream| {
            let _ = stream.write_all(bytes);
        });
        assert_eq!(get().limit(limit).send(&socket).is_ok(), taken);
    }
}

#[test]
fn what_is_not_http_is_said_to_be_so() {
    for bytes in [
        &b""[..],
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\0\xff\x80garbage",
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    ] {
        let error = answered(bytes).expect_err("no answer");
        assert!(matches!(error, Error::NotHttp { .. }), "{error:?}");
    }
}

#[test]
fn a_path_that_is_none_is_refused_unsent() {
    let request = Request::new(Method::GET, "/a b");
    let error = request.send(Path::new("/nowhere")).expect_err("a space");
    assert!(matches!(error, Error::Path { .. }), "{error:?}");
}

#[test]
fn what_is_called_off_is_not_waited_for() {
    let (heard, waiting) = std::sync::mpsc::channel();
    let (_directory, socket) = serve(move |_, stream| heard.send(stream).expect("we wait"));
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let stop = Some(Arc::new(OwnedFd::from(reader)));
    let request = get().until(stop.clone());
    let asked = thread::spawn(move || request.send(&socket));
    let _stream = waiting.recv().expect("it was asked");
    assert!(!asked.is_finished());
    // Readable: nobody will write any more.
    drop(writer);
    let error = asked.join().expect("no panic").expect_err("no answer");
    assert!(matches!(error, Error::CalledOff { .. }), "{error:?}");

    let (_directory, socket) = serve(|_, _| {});
    let error = get().until(stop).send(&socket).expect_err("it is over");
    assert!(matches!(error, Error::CalledOff { .. }), "{error:?}");
}
