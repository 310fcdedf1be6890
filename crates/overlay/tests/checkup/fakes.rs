//! Endpoints that are something else, on loopback.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ignite_overlay::checkup::Place;
use ignite_overlay::etcd::Settings;

use crate::{kinds, now, told};

/// The first byte of TLS.
const HANDSHAKE: u8 = 0x16;

/// Answers every request so, until the test ends.
fn serve(answer: String) -> String {
    serve_after(Duration::ZERO, answer)
}

/// The same, each answer after some time.
fn serve_after(pause: Duration, answer: String) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::sleep(pause);
            // Who hangs up early has what it wanted.
            let _ = reply(stream, &answer);
        }
    });
    format!("http://127.0.0.1:{port}")
}

fn reply(mut stream: TcpStream, answer: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    // The head of a request is all that is waited for, and the first bytes of TLS.
    while request.first() != Some(&HANDSHAKE) && !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            length => request.extend_from_slice(&buffer[..length]),
        }
    }
    stream.write_all(answer.as_bytes())
}

fn place(endpoint: String) -> Place {
    Place {
        etcd: Settings::new([endpoint]),
        prefix: "/p".to_owned(),
        status_file: PathBuf::from("/nonexistent/status.json"),
        entrance: None,
    }
}

#[test]
fn another_clock() {
    let body = r#"{"header":{"revision":"1"}}"#;
    let head = |date: &str| {
        format!(
            "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    };
    let found = now(&place(serve(head("Sun, 06 Nov 1994 08:49:37 GMT"))));
    assert_eq!(
        kinds(&found),
        ["agent-not-running", "clock-skew", "no-configuration"]
    );
    let text = told(&found, "clock-skew");
    assert!(
        text.contains("behind that of this host: certificates"),
        "{text}"
    );
    let skew = found["etcd"][0]["clockSkewSeconds"]
        .as_i64()
        .expect("a number");
    assert!(skew < -900_000_000, "{skew}");
    let found = now(&place(serve(head("no date"))));
    assert!(found["etcd"][0]["clockSkewSeconds"].is_null());
}

#[test]
fn others_than_etcd() {
    let tls = "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
    let found = now(&place(serve(tls.to_owned())));
    assert_eq!(kinds(&found), ["agent-not-running", "tls-mismatch"]);
    assert!(told(&found, "tls-mismatch").contains("write the endpoint with https://"));
    let other = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno";
    let endpoint = serve(other.to_owned());
    let found = now(&place(endpoint.clone()));
    assert_eq!(kinds(&found), ["agent-not-running", "not-etcd"]);
    let found = now(&place(endpoint.replace("http:", "https:")));
    assert_eq!(kinds(&found), ["agent-not-running", "tls-mismatch"]);
    assert!(told(&found, "tls-mismatch").contains("speaks no TLS"));
    // Its connections are taken by the kernel, and nobody looks at them.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    for scheme in ["http", "https"] {
        let found = now(&place(format!("{scheme}://127.0.0.1:{port}")));
        assert_eq!(kinds(&found), ["agent-not-running", "etcd-silent"]);
    }
}

#[test]
fn an_etcd_that_takes_its_time_for_each_answer_is_silent() {
    let body = r#"{"header":{"revision":"1"}}"#;
    let length = body.len();
    let answer =
        format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
    let endpoint = serve_after(Duration::from_millis(2500), answer);
    let begun = Instant::now();
    let found = now(&place(endpoint));
    assert_eq!(kinds(&found), ["agent-not-running", "etcd-silent"]);
    let taken = begun.elapsed();
    assert!(taken < Duration::from_secs(15), "{taken:?}");
}

#[test]
fn the_entrance() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut place = place("http://127.0.0.1:1".to_owned());
    place.entrance = Some(format!("localhost:{port}"));
    let open = ["agent-not-running", "etcd-refused"];
    assert_eq!(kinds(&now(&place)), open);
    drop(listener);
    let found = now(&place);
    assert!(told(&found, "entrance-unreachable").contains("refuses connections"));
}
