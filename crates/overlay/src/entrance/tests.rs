//! Conversations on loopback, good ones and bad ones.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::client::join_at;
use super::message::Reason;
use super::*;
use crate::dial::closed_port;
use crate::pki::{Authority, AuthorityFiles, Facts, Profile, Token, Usage, Validity};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const HOST: &str = "127.0.0.1";

/// An overlay's entrance; ends with the test.
struct Entrance {
    _directory: TempDir,
    files: AuthorityFiles,
    port: u16,
    server: JoinHandle<()>,
}

impl Drop for Entrance {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Entrance {
    async fn open() -> Self {
        Self::with(|files| {
            files
                .create(&["first".into()], &[], SystemTime::now())
                .expect("create");
        })
        .await
    }

    /// One with the files this makes.
    async fn with(make: impl FnOnce(&AuthorityFiles)) -> Self {
        let directory = tempfile::tempdir().expect("tempdir");
        let files = AuthorityFiles::new(directory.path().join("authority"));
        make(&files);
        let server = Server::bind(Settings {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            authority: files.directory().to_owned(),
            endpoints: vec!["https://first:2379".into()],
        });
        let server = server.await.expect("bind");
        let port = server.local_addr().expect("address").port();
        Self {
            _directory: directory,
            files,
            port,
            server: tokio::spawn(server.serve()),
        }
    }

    fn token(&self) -> Token {
        let authority = self.files.authority().expect("authority");
        let fingerprint = &authority.facts().fingerprint;
        let tokens = self.files.tokens();
        tokens
            .issue(fingerprint, HOUR, SystemTime::now())
            .expect("token")
    }

    async fn join(&self, token: &Token) -> Result<Joined, JoinError> {
        join(HOST, self.port, token, "second").await
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect((HOST, self.port))
            .await
            .expect("connect")
    }
}

/// What went wrong, which always has a hint.
fn failed(joined: Result<Joined, JoinError>) -> JoinError {
    let error = joined.expect_err("it does not join");
    assert!(error.hint().is_some(), "{error}");
    error
}

fn reason(joined: Result<Joined, JoinError>) -> Reason {
    match failed(joined) {
        error @ JoinError::Token { reason, .. } => {
            let hint = error.hint().expect("hint");
            assert_eq!(
                hint,
                "make a new one on 127.0.0.1: ignite overlay token new"
            );
            reason
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_host_with_a_token_gets_a_clients_certificate_once() {
    let entrance = Entrance::open().await;
    let token = entrance.token();
    let joined = join(HOST, entrance.port, &token, " bad name\n")
        .await
        .expect("join");
    assert_eq!(joined.endpoints, ["https://first:2379"]);
    assert!(joined.is_reached_by("FIRST") && joined.is_reached_by("[::1]"));
    assert!(!joined.is_reached_by("second") && !joined.is_reached_by("10.0.0.1"));
    let facts = Facts::of_pem(&joined.certificate).expect("facts");
    assert_eq!(facts.common_name.as_deref(), Some("bad-name"));
    let authority = entrance.files.authority().expect("authority");
    assert_eq!(facts.not_after, authority.facts().not_after);
    assert!(facts.not_before < SystemTime::now() - HOUR + DAY / 24 / 60);
    assert_eq!(reason(entrance.join(&token).await), Reason::Used);
    assert!(!format!("{joined:?}").contains("PRIVATE"));
}

#[tokio::test]
async fn tokens_that_are_not_good_are_refused_each_with_its_reason() {
    let entrance = Entrance::open().await;
    let tokens = entrance.files.tokens();
    let authority = entrance.token().authority();
    let old = SystemTime::now() - 2 * HOUR;
    let expired = tokens.issue(&authority, HOUR, old).expect("token");
    assert_eq!(reason(entrance.join(&expired).await), Reason::Expired);
    let revoked = entrance.token();
    tokens.revoke(&revoked.id()).expect("revoke");
    assert_eq!(reason(entrance.join(&revoked).await), Reason::Unknown);
    let stranger = Token::generate(&authority).expect("token");
    assert_eq!(reason(entrance.join(&stranger).await), Reason::Unknown);
    let mut wrong = entrance.token().reveal();
    wrong.replace_range(13..45, &"0".repeat(32));
    let wrong = wrong.parse().expect("the form is right");
    assert_eq!(reason(entrance.join(&wrong).await), Reason::Unknown);
}

#[tokio::test]
async fn a_token_is_not_shown_to_another_authority() {
    let (one, other) = (Entrance::open().await, Entrance::open().await);
    let token = one.token();
    let error = failed(other.join(&token).await);
    assert!(
        matches!(error, JoinError::WrongAuthority { .. }),
        "{error:?}"
    );
    // It did not arrive there, and is as good as before.
    one.join(&token).await.expect("join");
}

#[tokio::test]
async fn a_node_of_the_overlay_cannot_pass_for_its_first_host() {
    let entrance = Entrance::open().await;
    let token = entrance.token();
    let joined = entrance.join(&entrance.token()).await.expect("join");
    // It has the authority's certificate to show, but is a client only.
    let impostor = Entrance::with(|files| {
        files.create(&[], &[], SystemTime::now()).expect("create");
        let pair = files.etcd();
        for (path, text) in [
            (files.ca(), &joined.authority),
            (pair.certificate, &joined.certificate),
            (pair.key, &joined.key),
        ] {
            std::fs::write(path, text).expect("write");
        }
    });
    let error = failed(impostor.await.join(&token).await);
    let JoinError::WrongAuthority { reason, .. } = &error else {
        panic!("{error:?}");
    };
    assert!(reason.contains("not one of a server"), "{reason}");
    entrance
        .join(&token)
        .await
        .expect("the token was not shown");
}

#[tokio::test]
async fn clocks_that_differ_are_told() {
    let entrance = Entrance::open().await;
    let token = entrance.token();
    let now = SystemTime::now();
    for ours in [now - 2 * HOUR, now + 3660 * DAY] {
        let error = failed(join_at(HOST, entrance.port, &token, "second", ours).await);
        let JoinError::Clock { theirs, .. } = error else {
            panic!("{error:?}");
        };
        let difference = theirs.duration_since(now).unwrap_or_default();
        assert!(difference < HOUR, "{difference:?}");
    }
    // Half an hour is nothing.
    let late = join_at(HOST, entrance.port, &token, "second", now - HOUR / 2).await;
    late.expect("join, with the token that is still good");
}

/// Files that are over: the authority's certificate, or only etcd's.
fn over(files: &AuthorityFiles, authority_ends: SystemTime) {
    std::fs::create_dir_all(files.directory()).expect("mkdir");
    let begun = SystemTime::now() - 30 * DAY;
    let validity = Validity {
        from: begun,
        to: authority_ends,
    };
    let authority = Authority::create("old", validity).expect("authority");
    let key = files.directory().join("ca.key");
    authority.save(&files.ca(), &key).expect("save");
    let issued = authority.issue(&Profile {
        common_name: "old".into(),
        names: vec!["first".into()],
        addresses: Vec::new(),
        usage: Usage::Server,
        validity: Validity {
            from: begun,
            to: begun + DAY,
        },
    });
    let (issued, pair) = (issued.expect("issue"), files.etcd());
    std::fs::write(pair.certificate, issued.certificate).expect("write");
    std::fs::write(pair.key, issued.key).expect("write");
}

#[tokio::test]
async fn certificates_that_are_over_are_told_apart() {
    let now = SystemTime::now();
    let both = Entrance::with(|files| over(files, now - DAY)).await;
    let error = failed(both.join(&both.token()).await);
    assert!(
        matches!(error, JoinError::AuthorityExpired { .. }),
        "{error:?}"
    );
    // One whose own clock is behind is told by the first host.
    let token = both.token();
    let behind = join_at(HOST, both.port, &token, "second", now - 30 * DAY + HOUR);
    let error = failed(behind.await);
    assert!(
        matches!(error, JoinError::AuthorityExpired { .. }),
        "{error:?}"
    );

    let one = Entrance::with(|files| over(files, now + DAY)).await;
    let token = one.token();
    let error = failed(one.join(&token).await);
    assert!(
        matches!(error, JoinError::ServerExpired { .. }),
        "{error:?}"
    );
    // Made anew, it is shown without a restart.
    let made = one.files.create(&[], &[], now).expect("create");
    assert!(made.etcd && !made.authority);
    one.join(&token).await.expect("join");
}

#[tokio::test]
async fn those_who_are_no_entrance_are_told_apart() {
    let token = Token::generate(&"ab".repeat(32)).expect("token");
    let at = async |host: &str, port| failed(join(host, port, &token, "second").await);
    let nobody = at(HOST, closed_port()).await;
    assert!(
        matches!(nobody, JoinError::ConnectionRefused { .. }),
        "{nobody:?}"
    );
    assert!(nobody.hint().expect("hint").contains("--insecure"));
    let unknown = at("no such host", 1).await;
    assert!(
        matches!(unknown, JoinError::Unresolved { .. }),
        "{unknown:?}"
    );
    for answer in [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b""] {
        let listener = TcpListener::bind((HOST, 0)).await.expect("bind");
        let port = listener.local_addr().expect("address").port();
        let plain = async {
            let (mut stream, _) = listener.accept().await.expect("accept");
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer).await;
        };
        let (error, ()) = tokio::join!(at(HOST, port), plain);
        assert!(matches!(error, JoinError::NotTls { .. }), "{error:?}");
    }
    let silent = JoinError::dial("h:2378".into(), crate::dial::DialError::TimedOut);
    assert!(
        silent
            .hint()
            .expect("hint")
            .contains("port 2378/tcp must be open")
    );
}

#[tokio::test]
async fn trouble_of_the_first_host_is_told_and_costs_no_token() {
    let entrance = Entrance::open().await;
    let token = entrance.token();
    let key = entrance.files.directory().join("ca.key");
    let kept = std::fs::read(&key).expect("read");
    std::fs::write(&key, "junk").expect("write");
    let error = failed(entrance.join(&token).await);
    let JoinError::Rejected { message, .. } = error else {
        panic!("{error:?}");
    };
    assert!(
        message.contains("see the log") && !message.contains("ca.key"),
        "{message}"
    );
    std::fs::write(&key, kept).expect("write");
    entrance.join(&token).await.expect("join");

    // Without a certificate there is no conversation, and no end of the server.
    let bare = Entrance::with(|_| ()).await;
    let error = failed(bare.join(&token).await);
    assert!(matches!(error, JoinError::NotTls { .. }), "{error:?}");
    bare.files
        .create(&[], &[], SystemTime::now())
        .expect("create");
    bare.join(&bare.token()).await.expect("join");
}

/// A client that trusts the entrance and talks HTTP with it: status and text.
async fn talk(entrance: &Entrance, request: &[u8]) -> (u16, String) {
    let config = super::verify::client_config(&entrance.token());
    let address: std::net::IpAddr = Ipv4Addr::LOCALHOST.into();
    let mut stream = tokio_rustls::TlsConnector::from(config)
        .connect(address.into(), entrance.connect().await)
        .await
        .expect("handshake");
    // Who is refused in the middle of his words may not get rid of the rest.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).unwrap_or_default();
    (status.parse().unwrap_or(0), answer)
}

fn post(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST /v1/join HTTP/1.1\r\nHost: e\r\nContent-Length: {length}\r\n\r\n{body}").into()
}

#[tokio::test]
async fn what_is_no_request_to_join_is_answered_with_a_reason() {
    let entrance = Entrance::open().await;
    let (status, about) = talk(&entrance, b"GET /v1/ HTTP/1.1\r\nHost: e\r\n\r\n").await;
    assert!(status == 200 && about.contains("\"now\":"), "{about}");
    let damaged = entrance.token().reveal();
    let damaged = format!(
        r#"{{"token":"{}","request":"","host":"","version":""}}"#,
        &damaged[1..]
    );
    let good = entrance.token().reveal();
    let no_request = format!(r#"{{"token":"{good}","request":"x","host":"h","version":""}}"#);
    let huge = format!(
        "POST /v1/join HTTP/1.1\r\nHost: e\r\nX: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    for (request, expected) in [
        (post("junk"), 400),
        (post("{}"), 400),
        (post(&damaged), 400),
        (post(&no_request), 400),
        (post(&" ".repeat(17 << 10)), 413),
        (huge.into_bytes(), 431),
        (b"GET /v1/join HTTP/1.1\r\nHost: e\r\n\r\n".to_vec(), 405),
        (b"GET /etc/passwd HTTP/1.1\r\nHost: e\r\n\r\n".to_vec(), 404),
        (b"\0\0\0\0\r\n\r\n".to_vec(), 400),
    ] {
        let (status, answer) = talk(&entrance, &request).await;
        assert_eq!(status, expected, "{answer}");
    }
    entrance
        .join(&good.parse().expect("token"))
        .await
        .expect("it still serves");
}

#[tokio::test]
async fn strangers_who_are_slow_or_talk_nonsense_leave_it_serving() {
    let entrance = Entrance::open().await;
    let mut slow = Vec::new();
    // More than there are places: silent, half a greeting, and no TLS at all.
    for number in 0..48 {
        let mut stream = entrance.connect().await;
        let words: &[u8] = match number % 3 {
            0 => b"",
            1 => &[22, 3, 1, 2, 0, 1],
            _ => b"GET / HTTP/1.1\r\n\r\n",
        };
        stream.write_all(words).await.expect("write");
        slow.push(stream);
    }
    let begun = std::time::Instant::now();
    entrance.join(&entrance.token()).await.expect("join");
    assert!(
        begun.elapsed() < Duration::from_secs(25),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn a_port_that_is_taken_is_waited_for() {
    let taken = TcpListener::bind((HOST, 0)).await.expect("bind");
    let address: SocketAddr = taken.local_addr().expect("address");
    let directory = tempfile::tempdir().expect("tempdir");
    let files = AuthorityFiles::new(directory.path());
    files.create(&[], &[], SystemTime::now()).expect("create");
    let server = tokio::spawn(run(Settings {
        address,
        authority: directory.path().to_owned(),
        endpoints: vec!["https://first:2379".into()],
    }));
    tokio::time::sleep(Duration::from_millis(100)).await;
    drop(taken);
    let authority = files.authority().expect("authority");
    let tokens = files.tokens();
    let token = tokens.issue(&authority.facts().fingerprint, HOUR, SystemTime::now());
    let token = token.expect("token");
    let joined = async {
        loop {
            match join(HOST, address.port(), &token, "second").await {
                Err(JoinError::ConnectionRefused { .. }) => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                other => return other,
            }
        }
    };
    let joined = tokio::time::timeout(Duration::from_secs(60), joined).await;
    joined.expect("in time").expect("join");
    server.abort();
}
