//! Servers that are no engine, or one that means harm.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use ignite_docker::{ApiVersion, Docker, Error, Holder, Reason};
use ignite_host::http;
use rustix::thread::set_thread_res_uid;
use tempfile::TempDir;

const PING: &str = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK";

/// A server that does `talk` with each connection, after it has read the request; it gets the path.
struct Server {
    directory: TempDir,
}

impl Server {
    fn new(mut talk: impl FnMut(&str, UnixStream) + Send + 'static) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(directory.path().join("socket")).expect("bind");
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let head = head(&mut stream);
                talk(head.split(' ').nth(1).unwrap_or_default(), stream);
            }
        });
        Self { directory }
    }

    /// One that greets as an engine does, and answers everything else with `body`.
    fn engine(status: &'static str, body: &'static str) -> Self {
        Self::new(move |path, mut stream| {
            let answer = match path {
                "/_ping" => PING.to_owned(),
                _ => format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                ),
            };
            // The client may have hung up.
            let _ = stream.write_all(answer.as_bytes());
        })
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    fn refused(&self) -> Error {
        Docker::at(&self.socket()).expect_err("no engine")
    }

    fn docker(&self) -> Docker {
        Docker::at(&self.socket()).expect("it greets")
    }
}

fn head(stream: &mut UnixStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read == 1) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// What comes of a server that answers everything with these bytes.
fn greeted(answer: &'static [u8]) -> Error {
    let server = Server::new(move |_, mut stream| drop(stream.write_all(answer)));
    server.refused()
}

/// Asserts that it has a hint that names this.
fn advises(error: &Error, word: &str) {
    let hint = error.hint().unwrap_or_default();
    assert!(hint.contains(word), "{error}: {hint:?}");
}

#[test]
fn versions_are_negotiated_or_refused() {
    let with = |version: &'static str| {
        Server::new(move |_, mut stream| {
            let answer = PING.replace("1.41", version);
            drop(stream.write_all(answer.as_bytes()));
        })
    };
    assert_eq!(with("1.41").docker().version(), ApiVersion::new(1, 41));
    assert_eq!(with("1.99").docker().version(), ApiVersion::OURS);

    let error = with("1.12").refused();
    assert!(error.to_string().contains("1.12"), "{error}");
    assert!(error.to_string().contains("1.25"), "{error}");
    advises(&error, "update the Docker Engine");
    for version in ["99999999999.1", "new", "", "1.41\u{7f}"] {
        let error = with(version).refused();
        let no_version = matches!(error, Error::Version { .. } | Error::Http { .. });
        assert!(no_version, "{version:?}: {error:?}");
        advises(&error, "is it the Docker Engine");
    }
}

#[test]
fn another_server_is_told_from_an_engine() {
    let error = greeted(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK");
    assert!(matches!(error, Error::Version { .. }), "{error:?}");
    advises(&error, "1.13");
    let error =
        greeted(b"HTTP/1.1 404 Not Found\r\nContent-Length: 19\r\n\r\n404 page not found\n");
    assert!(error.to_string().contains("404 page not found"), "{error}");
    let moved = b"HTTP/1.1 301 Moved\r\nLocation: http://far/\r\nContent-Length: 0\r\n\r\n";
    assert!(matches!(greeted(moved), Error::Refused { status: 301, .. }));
    for garbage in [&b"SSH-2.0-x\r\n"[..], b"\0\0\0\0\0", b""] {
        let error = greeted(garbage);
        let source = matches!(
            error,
            Error::Http {
                source: http::Error::NotHttp { .. },
                ..
            }
        );
        assert!(source, "{error:?}");
        advises(&error, "is it the Docker Engine");
    }
}

#[test]
fn a_greeting_without_end_is_cut() {
    for (start, more) in [
        (
            "HTTP/1.1 200 OK\r\n",
            "X-More: aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\n\r\n",
            "OKOKOKOKOKOKOKOKOKOKOKOK",
        ),
    ] {
        let server = Server::new(move |_, mut stream| {
            let mut going = stream.write_all(start.as_bytes());
            while going.is_ok() {
                going = stream.write_all(more.repeat(100).as_bytes());
            }
        });
        let error = server.refused();
        let cut = matches!(
            error,
            Error::Http {
                source: http::Error::TooLong { .. },
                ..
            }
        );
        assert!(cut, "{error:?}");
    }
}

#[test]
fn a_greeting_that_drips_ends_with_the_time() {
    let server = Server::new(|_, mut stream| {
        let mut going = stream.write_all(b"HTTP/1.1 200 OK\r\nX-Drip: ");
        while going.is_ok() {
            thread::sleep(Duration::from_millis(100));
            going = stream.write_all(b".");
        }
    });
    let error = server.refused();
    let late = matches!(
        error,
        Error::Http {
            source: http::Error::TimedOut { .. },
            ..
        }
    );
    assert!(late, "{error:?}");
    advises(&error, "hangs or is busy");
}

#[test]
fn nonsense_after_a_good_greeting_is_not_believed() {
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "{\"Id\":7}",
        "[[[[[[[[[[",
        "{\"Id\":\"0123\",\"Name\":\"/x\",\"State\":{\"Running\":true,\"Pid\":99999999999},\"Config\":{\"Image\":\"x\"}}",
    ] {
        let docker = Server::engine("200 OK", body);
        let error = docker.docker().inspect("x").expect_err("nonsense");
        assert!(
            matches!(error, Error::Malformed { .. }),
            "{body}: {error:?}"
        );
        advises(&error, "journalctl -u docker");
    }
    let server = Server::engine("200 OK", "{\"Id\":\"../../images/x\"}");
    let error = server.docker().list("ignite.uid").expect_err("no list");
    assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
}

#[test]
fn nested_without_end_is_no_reason_to_fall_over() {
    let deep: &'static str = String::leak("[".repeat(500_000));
    let server = Server::engine("200 OK", deep);
    let error = server.docker().list("ignite.uid").expect_err("no list");
    assert!(matches!(error, Error::Malformed { .. }), "{error:?}");
}

#[test]
fn a_refusal_keeps_the_engines_words_and_gets_a_hint() {
    let taken = "{\"message\":\"Bind for 0.0.0.0:80 failed: port is already allocated\"}";
    let server = Server::engine("500 Internal Server Error", taken);
    let error = server.docker().start("x").expect_err("refused");
    assert_eq!(error.reason(), Some(Reason::PortTaken));
    let text = error.to_string();
    assert!(
        text.contains("port is already allocated") && text.contains("500"),
        "{text}"
    );
    advises(&error, "another port");

    let old =
        "{\"message\":\"client version 1.41 is too old. Minimum supported API version is 1.60\"}";
    let server = Server::engine("400 Bad Request", old);
    let error = server.docker().list("x").expect_err("refused");
    assert_eq!(error.reason(), Some(Reason::ApiTooOld));
    advises(&error, "update Ignite");
}

#[test]
fn an_engine_that_greets_and_hangs_is_given_up_after_one_request() {
    let (heard, requests) = mpsc::channel();
    let mut kept = Vec::new();
    let server = Server::new(move |path, mut stream| {
        if path == "/_ping" {
            return drop(stream.write_all(PING.as_bytes()));
        }
        drop(heard.send(path.to_owned()));
        kept.push(stream);
    });
    let docker = server.docker().within(Duration::from_millis(200));
    let error = docker.remove("x").expect_err("no answer");
    let late = matches!(
        error,
        Error::Http {
            source: http::Error::TimedOut { .. },
            ..
        }
    );
    assert!(late, "{error:?}");
    let requests: Vec<String> = requests.try_iter().collect();
    assert_eq!(requests, ["/v1.41/containers/x?v=true&force=true"]);
}

#[test]
fn what_is_called_off_is_not_waited_for_but_for_a_container_that_is_made() {
    let created = r#"{"Id":"ID"}"#.replace("ID", &"f0".repeat(32));
    let mut kept = Vec::new();
    let server = Server::new(move |path, mut stream| match path {
        "/_ping" => drop(stream.write_all(PING.as_bytes())),
        "/v1.41/containers/create?name=x" => {
            let length = created.len();
            let answer =
                format!("HTTP/1.1 201 Created\r\nContent-Length: {length}\r\n\r\n{created}");
            drop(stream.write_all(answer.as_bytes()));
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
        _ => kept.push(stream),
    });
    let (over, writer) = std::io::pipe().expect("a pipe");
    drop(writer);
    let docker = server.docker().until(Arc::new(over.into()));
    let error = docker.start("x").expect_err("called off");
    let called_off = matches!(
        error,
        Error::Http {
            source: http::Error::CalledOff { .. },
            ..
        }
    );
    assert!(called_off, "{error:?}");
    let holder = Holder {
        name: "x".into(),
        mac: "02:42:0a:3d:00:02".parse().expect("a MAC"),
        ports: Vec::new(),
        labels: BTreeMap::new(),
    };
    docker.create("image", &holder).expect("its id is needed");
}

#[test]
fn an_image_that_goes_while_it_is_made_is_one_to_make_again() {
    let server = Server::new(|path, mut stream| {
        let answer = match path {
            "/_ping" => PING,
            "/v1.41/images/load?quiet=true" => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            _ => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        };
        // What is sent is not read: the client may have heard first.
        let _ = stream.write_all(answer.as_bytes());
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let error = server.docker().ensure_holder_image("/bin/true".as_ref());
    let error = error.expect_err("it is gone");
    assert_eq!(error.reason(), Some(Reason::NoSuchImage), "{error:?}");
    advises(&error, "try again");
}

#[test]
fn where_there_is_a_holder_no_image_is_even_looked_for() {
    let list = r#"[{"Id":"ID","Names":["/x"],"State":"created"}]"#;
    let body = list.replace("ID", &"f0".repeat(32));
    let (heard, requests) = mpsc::channel();
    let server = Server::new(move |path, mut stream| {
        drop(heard.send(path.to_owned()));
        let answer = match path {
            "/_ping" => PING.to_owned(),
            _ => format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        };
        let _ = stream.write_all(answer.as_bytes());
    });
    server
        .docker()
        .prune_holder_images()
        .expect("nothing to do");
    let requests: Vec<String> = requests.try_iter().collect();
    assert!(
        matches!(&requests[..], [ping, list] if ping == "/_ping" && list.contains("/containers/json")),
        "{requests:?}"
    );
}

#[test]
fn names_that_lead_elsewhere_are_not_sent() {
    let server = Server::engine("200 OK", "{}");
    let error = server.docker().start("../images/x").expect_err("no name");
    assert!(matches!(error, Error::Name { .. }), "{error:?}");
}

#[test]
fn an_absent_engine_is_one_to_start() {
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("socket");
    let error = Docker::at(&socket).expect_err("nothing there");
    assert!(error.is_absent());
    advises(&error, "systemctl start docker");
    drop(UnixListener::bind(&socket).expect("bind"));
    let error = Docker::at(&socket).expect_err("nobody there");
    assert!(error.is_absent());
    advises(&error, "systemctl start docker");
}

#[test]
fn a_socket_of_others_is_forbidden() {
    let server = Server::engine("200 OK", "{}");
    let mode = |path: &Path, mode| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(path, permissions).expect("chmod");
    };
    mode(server.directory.path(), 0o755);
    mode(&server.socket(), 0o600);
    let socket = server.socket();
    // Its own thread, which ends as nobody.
    let tried = thread::spawn(move || {
        let nobody = rustix::process::Uid::from_raw(65534);
        set_thread_res_uid(nobody, nobody, nobody).expect("root may");
        Docker::at(&socket)
    });
    let error = tried.join().expect("no panic").expect_err("not ours");
    let forbidden = matches!(
        error,
        Error::Http {
            source: http::Error::Forbidden { .. },
            ..
        }
    );
    assert!(forbidden, "{error:?}");
    assert!(!error.is_absent());
    advises(&error, "group");
}
