//! Every operation, every failure of an endpoint, and logins.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::time::Duration;

use futures_util::future::join_all;
use ignite_overlay::etcd::{Client, Credentials, Error, Settings, WatchMessage, Written};
use rustix::net::{AddressFamily, SocketType};

use crate::server::{Etcd, soon};

const MINUTE: NonZeroU32 = NonZeroU32::new(60).expect("not zero");

#[tokio::test]
async fn keys_are_written_listed_and_removed() {
    let etcd = Etcd::start().await;
    let client = etcd.client();
    let revision = client.put("/p/a", b"one", None).await.expect("put");
    let read = client.get("/p/a").await.expect("get");
    let pair = read.pair.expect("there");
    assert_eq!(
        (pair.value.as_slice(), pair.mod_revision),
        (&b"one"[..], revision)
    );
    assert_eq!(pair.lease, None);
    assert_eq!(client.get("/p/absent").await.expect("get").pair, None);

    let lost = client
        .create_if_absent("/p/a", b"two", None)
        .await
        .expect("txn");
    assert_eq!(lost, Written::No);
    let won = client
        .create_if_absent("/p/b", b"two", None)
        .await
        .expect("txn");
    assert_eq!(
        won,
        Written::Yes {
            revision: revision + 1
        }
    );
    let stale = client
        .replace_if_unchanged("/p/b", revision, b"x", None)
        .await;
    assert_eq!(stale.expect("txn"), Written::No);
    let replaced = client
        .replace_if_unchanged("/p/b", revision + 1, b"three", None)
        .await;
    assert_eq!(
        replaced.expect("txn"),
        Written::Yes {
            revision: revision + 2
        }
    );
    let stale = client.delete_if_unchanged("/p/b", revision + 1).await;
    assert_eq!(stale.expect("txn"), Written::No);
    let deleted = client.delete_if_unchanged("/p/b", revision + 2).await;
    assert!(matches!(deleted.expect("txn"), Written::Yes { .. }));
    assert!(client.delete("/p/a").await.expect("delete"));
    assert!(!client.delete("/p/a").await.expect("delete"));
}

#[tokio::test]
async fn a_long_listing_comes_in_pages_of_one_revision() {
    let etcd = Etcd::start().await;
    let client = etcd.client();
    // Several pages, and neighbours on both sides that are no part of it.
    let keys: Vec<String> = (0..1100).map(|n| format!("/p/{n:04}")).collect();
    for some in keys.chunks(100) {
        let puts = some.iter().map(|key| client.put(key, b"v", None));
        for put in join_all(puts).await {
            put.expect("put");
        }
    }
    client.put("/p", b"", None).await.expect("put");
    let last = client.put("/p0", b"", None).await.expect("put");
    let listing = client.list("/p/").await.expect("list");
    assert_eq!(listing.revision, last);
    let found: Vec<String> = listing.pairs.iter().map(|pair| text(&pair.key)).collect();
    assert_eq!(found, keys);
    assert_eq!(client.list("/none/").await.expect("list").pairs, []);
}

#[tokio::test]
async fn large_values_are_left_out_of_a_listing_and_stop_nothing() {
    const LARGE: usize = 1 << 20;
    let etcd = Etcd::start().await;
    let client = etcd.client();
    // More than a listing may have: by themselves, side by side, and at both ends.
    let sizes: Vec<usize> = (0..300)
        .map(|n| match n {
            0 | 50 | 150..=220 | 299 => LARGE,
            100 => 64 << 10,
            101 => (64 << 10) + 1,
            _ => 300,
        })
        .collect();
    for (n, size) in sizes.iter().enumerate() {
        let (key, value) = (format!("/p/{n:03}"), vec![b'v'; *size]);
        client.put(&key, &value, None).await.expect("put");
    }
    let listing = client.list("/p/").await.expect("list");
    let found = listing.pairs.iter().map(|pair| pair.value.len());
    let left = sizes.iter().map(|size| match size {
        size if *size > 64 << 10 => 0,
        size => *size,
    });
    assert!(found.eq(left));
    assert_eq!(text(&listing.pairs[299].key), "/p/299");
}

#[tokio::test]
async fn leases_are_granted_and_revoked_and_the_cluster_tells_about_itself() {
    let etcd = Etcd::start().await;
    let client = etcd.client();
    let granted = client.grant(MINUTE).await.expect("grant");
    assert_eq!(granted.ttl, 60);
    client.put("/l", b"v", Some(granted.id)).await.expect("put");
    let pair = client.get("/l").await.expect("get").pair.expect("there");
    assert_eq!(pair.lease, Some(granted.id));
    let left = client
        .time_to_live(granted.id)
        .await
        .expect("ttl")
        .expect("alive");
    assert!((55..=60).contains(&left.remaining), "{left:?}");
    assert_eq!((left.granted, left.keys), (60, vec![b"/l".to_vec()]));
    assert!(client.revoke(granted.id).await.expect("revoke"));
    assert!(!client.revoke(granted.id).await.expect("again"));
    assert_eq!(client.time_to_live(granted.id).await.expect("ttl"), None);
    assert_eq!(client.get("/l").await.expect("get").pair, None);
    let dead = client
        .put("/l", b"v", Some(granted.id))
        .await
        .expect_err("dead lease");
    assert!(dead.is_not_found(), "{dead}");

    let version = client.version().await.expect("version");
    assert!(version.server.starts_with("3."), "{version:?}");
    let health = client.health().await;
    assert!(matches!(health[0].healthy, Ok(true)), "{health:?}");
    let members = client.members().await.expect("members");
    assert_eq!((members.len(), members[0].name.as_str()), (1, "test"));
    assert_eq!(members[0].client_urls, [etcd.endpoint()]);
}

#[tokio::test]
async fn the_first_endpoint_that_answers_is_used() {
    let etcd = Etcd::start().await;
    let (mute, _holds) = no_backlog();
    let mut settings = Settings::new([mute.clone(), refused(), etcd.endpoint()]);
    settings.connect_timeout = Duration::from_secs(1);
    let client = Client::new(settings.clone()).expect("client");
    client.put("/k", b"v", None).await.expect("by the third");
    let begun = std::time::Instant::now();
    client.get("/k").await.expect("by the third at once");
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "the last good one comes first"
    );

    settings.endpoints.pop();
    let error = Client::new(settings).expect("client").get("/k").await;
    let Err(Error::NoEndpoint { failures }) = error else {
        panic!("{error:?}");
    };
    assert!(
        matches!(failures[0], Error::ConnectTimedOut { .. }),
        "{failures:?}"
    );
    assert!(
        matches!(failures[1], Error::Unreachable { .. }),
        "{failures:?}"
    );
}

#[tokio::test]
async fn what_is_no_etcd_is_told_apart() {
    let error = ask(&refused()).await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.hint().expect("hint").contains("--listen-client-urls"));
    let error = ask("http://etcd.invalid:2379").await;
    assert!(matches!(error, Error::Unresolved { .. }), "{error:?}");
    let error = ask(&answering(|_| std::thread::sleep(Duration::from_secs(2)))).await;
    assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
    let error = ask(&answering(drop)).await;
    assert!(matches!(error, Error::Broken { .. }), "{error:?}");
    let error = ask(&answering(say(
        "HTTP/1.1 404 Not Found",
        "<html>nothing</html>",
    )))
    .await;
    assert!(
        matches!(&error, Error::NotEtcd { status: 404, .. }),
        "{error:?}"
    );
    let error = ask(&answering(say("HTTP/1.1 302 Found\r\nLocation: /x", ""))).await;
    assert!(
        matches!(&error, Error::NotEtcd { status: 302, .. }),
        "{error:?}"
    );
    let error = ask(&answering(say("HTTP/1.1 200 OK", "hello"))).await;
    assert!(matches!(&error, Error::Malformed { .. }), "{error:?}");
    let error = ask(&answering(pour)).await;
    assert!(matches!(&error, Error::TooLarge { .. }), "{error:?}");
}

#[tokio::test]
async fn logins_are_made_and_renewed() {
    let mut etcd = Etcd::start().await;
    // A login where none is wanted is no error.
    login(&etcd, "right")
        .put("/k", b"v", None)
        .await
        .expect("no users yet");
    for (path, body) in [
        ("/v3/auth/user/add", r#"{"name":"root","password":"right"}"#),
        ("/v3/auth/role/add", r#"{"name":"root"}"#),
        ("/v3/auth/user/grant", r#"{"user":"root","role":"root"}"#),
        ("/v3/auth/enable", "{}"),
    ] {
        let said = etcd.raw(path, body).await;
        assert!(!said.contains("error"), "{path}: {said}");
    }
    let error = etcd.client().get("/k").await.expect_err("nobody");
    assert!(
        matches!(error, Error::Denied { user: None, .. }),
        "{error:?}"
    );
    let error = login(&etcd, "wrong").get("/k").await.expect_err("wrong");
    assert!(
        matches!(&error, Error::Denied { user: Some(user), .. } if user == "root"),
        "{error:?}"
    );

    let client = login(&etcd, "right");
    assert!(client.get("/k").await.expect("right").pair.is_some());
    let mut watch = client.watch("/k", 1);
    let message = soon("an event", watch.next()).await;
    assert!(
        matches!(message, Some(WatchMessage::Events { .. })),
        "{message:?}"
    );
    // A restart makes the tokens there were worthless.
    etcd.restart_as(&login(&etcd, "right")).await;
    client.put("/k", b"w", None).await.expect("logged in anew");
    let message = soon("the event after it", watch.next()).await;
    assert!(
        matches!(message, Some(WatchMessage::Events { .. })),
        "{message:?}"
    );
}

fn login(etcd: &Etcd, password: &str) -> Client {
    let mut settings = Settings::new([etcd.endpoint()]);
    settings.user = Some(Credentials {
        user: "root".into(),
        password: password.into(),
    });
    Client::new(settings).expect("client")
}

async fn ask(endpoint: &str) -> Error {
    let mut settings = Settings::new([endpoint]);
    settings.request_timeout = Duration::from_secs(1);
    let client = Client::new(settings).expect("client");
    client.get("/k").await.expect_err(endpoint)
}

/// An endpoint where nobody listens.
fn refused() -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    format!("http://{}", listener.local_addr().expect("address"))
}

/// An endpoint that takes no further connection, as behind a packet filter.
fn no_backlog() -> (String, impl Sized) {
    let socket =
        rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("socket");
    let any = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
    rustix::net::bind(&socket, &any).expect("bind");
    rustix::net::listen(&socket, 0).expect("listen");
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().expect("address");
    let first = TcpStream::connect(address).expect("the one that fits");
    (format!("http://{address}"), (listener, first))
}

/// An endpoint that treats a connection like this.
fn answering(treat: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind");
    let address = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("accept");
        let _ = stream.read(&mut [0; 4096]).expect("request");
        treat(stream);
    });
    format!("http://{address}")
}

fn say(head: &'static str, body: &'static str) -> impl FnOnce(TcpStream) + Send {
    move |mut stream| {
        let length = body.len();
        let text = format!("{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        stream.write_all(text.as_bytes()).expect("answer");
    }
}

/// An answer without end.
fn pour(mut stream: TcpStream) {
    let head = "HTTP/1.1 500 Oh\r\nContent-Length: 1000000000\r\n\r\n";
    let mut bytes = head.as_bytes().to_vec();
    while stream.write_all(&bytes).is_ok() {
        bytes = vec![b' '; 1 << 16];
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
