//! What the stand-in has in common with the real program, request by request.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use ignite_testkit::firecracker::Server;
use ignite_vmm::firecracker::answer::{Answer, Decoder};

use super::place::PATIENCE;

/// A server that turns while `work` talks to it.
fn serving(work: impl FnOnce(&mut dyn FnMut() -> Client)) {
    let directory = tempfile::tempdir().expect("tempdir");
    let path = directory.path().join("api.sock");
    let mut server = Server::bind(&path, (1, 16), Vec::new()).expect("free");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                server.turn().expect("no fault is scripted");
                std::thread::yield_now();
            }
        });
        let _over = SetAtEnd(&over);
        work(&mut || Client::new(&path, directory.path().into()));
    });
}

/// So that the server ends with a test that fails, too.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct Client {
    stream: UnixStream,
    decoder: Decoder,
    directory: PathBuf,
}

impl Client {
    fn new(path: &std::path::Path, directory: PathBuf) -> Self {
        let stream = UnixStream::connect(path).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self {
            stream,
            decoder: Decoder::default(),
            directory,
        }
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("room");
    }

    /// The next bytes as they come.
    fn raw(&mut self) -> String {
        let mut buffer = [0; 4096];
        let length = self.stream.read(&mut buffer).expect("in time");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    fn answers(&mut self, number: usize) -> Vec<Answer> {
        let mut answers = Vec::new();
        while answers.len() < number {
            let bytes = self.raw();
            assert!(!bytes.is_empty(), "closed");
            self.decoder
                .push(bytes.as_bytes(), &mut answers)
                .expect("the dialect");
        }
        answers
    }

    fn ask(&mut self, method: &str, path: &str, body: &str) -> Answer {
        let directory = self.directory.to_string_lossy().into_owned();
        let body = body.replace("DIR", &directory);
        let length = body.len();
        self.send(
            format!("{method} {path} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}")
                .as_bytes(),
        );
        self.answers(1).remove(0)
    }

    fn code(&mut self, method: &str, path: &str, body: &str) -> u16 {
        self.ask(method, path, body).code
    }
}

#[test]
fn answers_have_no_reason_and_connections_are_kept() {
    serving(|connect| {
        let mut client = connect();
        client.send(b"PUT /entropy HTTP/1.0\r\nConnection: close\r\nCONTENT-LENGTH: 2\r\n\r\n{}");
        let answer = client.raw();
        assert!(answer.starts_with("HTTP/1.1 204 \r\n"), "{answer}");
        assert!(
            !answer.to_lowercase().contains("content-length"),
            "{answer}"
        );
        client.send(b"GET /version HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n");
        let answers = client.answers(2);
        assert_eq!(answers[0].body, b"{\"firecracker_version\":\"1.16.0\"}");
        assert!(String::from_utf8_lossy(&answers[1].body).contains("Not started"));
    });
}

#[test]
fn what_http_refuses_is_no_json_and_the_connection_lives() {
    serving(|connect| {
        let mut client = connect();
        for request in [
            "POST /entropy HTTP/1.1\r\n\r\n",
            "PUT /entropy HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nAccept-Encoding: identity;q=0\r\n\r\n",
            "PUT /entropy HTTP/1.1\r\nContent-Length: 51201\r\n\r\n",
            "nonsense\r\n\r\n",
        ] {
            client.send(request.as_bytes());
            let answer = client.answers(1).remove(0);
            assert_eq!(answer.code, 400, "{request}");
            assert!(serde_json::from_slice::<serde_json::Value>(&answer.body).is_err());
        }
        assert_eq!(client.code("GET", "/version", ""), 200);
        client.send(b"PUT /entropy HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
        assert!(client.raw().starts_with("HTTP/1.1 100 \r\n"));
        client.send(b"{}");
        assert_eq!(client.answers(1)[0].code, 204);
    });
}

#[test]
fn ten_connections_are_served_and_the_eleventh_is_told() {
    serving(|connect| {
        let mut clients: Vec<Client> = (0..10).map(|_| connect()).collect();
        for client in &mut clients {
            assert_eq!(client.code("GET", "/version", ""), 200);
        }
        let mut eleventh = connect();
        let answer = eleventh.answers(1).remove(0);
        assert_eq!(answer.code, 503);
        assert!(answer.fault().starts_with("Too many open connections"));
        drop(clients.pop());
        drop(eleventh);
    });
}

#[test]
fn bodies_are_looked_at() {
    serving(|connect| {
        let mut client = connect();
        for (path, body) in [
            ("/machine-config", "{\"vcpu_count\":33,\"mem_size_mib\":1}"),
            ("/machine-config", "{\"vcpu_count\":1}"),
            (
                "/machine-config",
                "{\"vcpu_count\":1,\"mem_size_mib\":1,\"x\":1}",
            ),
            ("/machine-config", "[]"),
            ("/machine-config", "{"),
            ("/vsock", "{\"guest_cid\":3,\"uds_path\":7}"),
            (
                "/drives/a-b",
                "{\"drive_id\":\"a-b\",\"is_root_device\":false,\"path_on_host\":\"/dev/null\"}",
            ),
            (
                "/drives/a",
                "{\"drive_id\":\"b\",\"is_root_device\":false,\"path_on_host\":\"/dev/null\"}",
            ),
            (
                "/drives/a",
                "{\"drive_id\":\"a\",\"is_root_device\":false,\"path_on_host\":\"/nonexistent\"}",
            ),
            (
                "/drives/a",
                "{\"drive_id\":\"a\",\"is_root_device\":false,\"path_on_host\":\"/dev/null\",\"cache_type\":\"writeback\"}",
            ),
            ("/actions", "{\"action_type\":\"Start\"}"),
            ("/metrics", "{\"metrics_path\":\"/nonexistent/metrics\"}"),
            ("/unknown", "{}"),
        ] {
            let answer = client.ask("PUT", path, body);
            assert_eq!(answer.code, 400, "{path} {body}");
            assert!(
                answer.body.starts_with(b"{\"fault_message\""),
                "{path} {body}"
            );
        }
    });
}

#[test]
fn what_may_be_asked_depends_on_the_start() {
    const START: &str = "{\"action_type\":\"InstanceStart\"}";
    const FLUSH: &str = "{\"action_type\":\"FlushMetrics\"}";
    const PAUSE: &str = "{\"state\":\"Paused\"}";
    const KERNEL: &str = "{\"kernel_image_path\":\"DIR/kernel\"}";
    serving(|connect| {
        let mut client = connect();
        let write = |client: &Client, name: &str, text: &str| {
            std::fs::write(client.directory.join(name), text).expect("write");
        };
        write(&client, "metrics", "");
        assert_eq!(client.code("PUT", "/actions", FLUSH), 400);
        assert_eq!(client.code("PATCH", "/vm", PAUSE), 400);
        assert_eq!(client.code("PUT", "/actions", START), 400, "no kernel");
        assert_eq!(client.code("PUT", "/boot-source", KERNEL), 400, "no file");
        write(&client, "kernel", "MZ is no format");
        assert_eq!(client.code("PUT", "/boot-source", KERNEL), 204);
        assert_eq!(client.code("PUT", "/actions", START), 400, "no ELF");
        write(&client, "kernel", "\x7fELF");
        assert_eq!(client.code("PUT", "/boot-source", KERNEL), 204, "put right");
        let metrics = "{\"metrics_path\":\"DIR/metrics\"}";
        assert_eq!(client.code("PUT", "/metrics", metrics), 204);
        assert_eq!(client.code("PUT", "/metrics", metrics), 400, "once");
        let vsock = "{\"guest_cid\":3,\"uds_path\":\"DIR/vsock\"}";
        assert_eq!(client.code("PUT", "/vsock", vsock), 204);
        assert_eq!(client.code("PUT", "/vsock", vsock), 400, "in use");
        assert_eq!(client.code("PUT", "/actions", START), 204);
        for (path, body) in [
            ("/actions", START),
            ("/boot-source", KERNEL),
            ("/metrics", metrics),
            ("/vsock", vsock),
            ("/entropy", "{}"),
            ("/machine-config", "{\"vcpu_count\":1,\"mem_size_mib\":1}"),
        ] {
            assert_eq!(client.code("PUT", path, body), 400, "{path}");
        }
        for _ in 0..2 {
            assert_eq!(client.code("PATCH", "/vm", PAUSE), 204);
            assert_eq!(client.code("PUT", "/actions", FLUSH), 204, "while paused");
        }
        assert_eq!(client.code("PATCH", "/vm", "{\"state\":\"Resumed\"}"), 204);
    });
}
