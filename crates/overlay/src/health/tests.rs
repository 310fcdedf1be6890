//! The server over real sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{Health, HealthError, Server};

/// Runs `work` beside a server.
fn with_server<F: Future<Output = ()>>(work: impl FnOnce(SocketAddr, Arc<Health>) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("runtime").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let address = listener.local_addr().expect("address");
        let health = Arc::new(Health::new());
        let server = tokio::spawn(Server::new(listener).serve(Arc::clone(&health)));
        work(address, health).await;
        server.abort();
    });
}

/// Sends `request`; all that comes back.
async fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    stream.write_all(request).await.expect("send");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("receive");
    answer
}

async fn get(address: SocketAddr, path: &str) -> (String, String) {
    let answer = ask(
        address,
        format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes(),
    )
    .await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", body.len())),
        "{head}"
    );
    let status = head.lines().next().expect("a status");
    (status.to_owned(), body.to_owned())
}

#[test]
fn says_that_it_runs_and_whether_it_is_ready() {
    with_server(|address, health| async move {
        let ok = "HTTP/1.1 200 OK".to_owned();
        let unavailable = "HTTP/1.1 503 Service Unavailable".to_owned();
        let running = (ok.clone(), "ignite-overlay is running\n".to_owned());
        assert_eq!(get(address, "/healthz").await, running);
        let starting = (unavailable.clone(), "not ready: starting\n".to_owned());
        assert_eq!(get(address, "/readyz").await, starting);
        health.set_ready();
        assert_eq!(get(address, "/readyz").await, (ok, "ready\n".to_owned()));
        health.set_unready("etcd does not answer");
        let lost = (unavailable, "not ready: etcd does not answer\n".to_owned());
        assert_eq!(get(address, "/readyz?verbose").await, lost);
        assert_eq!(get(address, "/").await.0, "HTTP/1.1 404 Not Found");
    });
}

#[test]
fn numbers_for_prometheus() {
    with_server(|address, health| async move {
        let before = get(address, "/metrics").await.1;
        assert!(!before.contains("lease_expiry"), "{before}");
        health.set_ready();
        health.leases.set(3);
        health.events.add(7);
        health.set_lease_expiry(Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000)));
        health.renewals.increment();
        health.entries_reconciled.add(u64::from(u32::MAX) + 1);
        let expected = "\
# HELP ignite_overlay_ready Whether the overlay is usable.
# TYPE ignite_overlay_ready gauge
ignite_overlay_ready 1
# HELP ignite_overlay_leases Leases of other nodes.
# TYPE ignite_overlay_leases gauge
ignite_overlay_leases 3
# HELP ignite_overlay_lease_events_total Words of etcd about leases.
# TYPE ignite_overlay_lease_events_total counter
ignite_overlay_lease_events_total 7
# HELP ignite_overlay_lease_expiry_timestamp_seconds When the own lease ends unless renewed.
# TYPE ignite_overlay_lease_expiry_timestamp_seconds gauge
ignite_overlay_lease_expiry_timestamp_seconds 1700000000
# HELP ignite_overlay_etcd_errors_total Calls to etcd that failed.
# TYPE ignite_overlay_etcd_errors_total counter
ignite_overlay_etcd_errors_total 0
# HELP ignite_overlay_entries_reconciled_total Routes, neighbours and FDB entries put right.
# TYPE ignite_overlay_entries_reconciled_total counter
ignite_overlay_entries_reconciled_total 4294967296
# HELP ignite_overlay_lease_renewals_total Renewals of the own lease.
# TYPE ignite_overlay_lease_renewals_total counter
ignite_overlay_lease_renewals_total{result=\"ok\"} 1
ignite_overlay_lease_renewals_total{result=\"failed\"} 0
";
        assert_eq!(get(address, "/metrics").await.1, expected);
    });
}

#[test]
fn failures_of_etcd_are_those_its_client_counts() {
    let failures = Arc::new(AtomicU64::new(3));
    let health = Health::beside(Arc::clone(&failures));
    failures.fetch_add(2, Ordering::Relaxed);
    assert!(
        health
            .metrics()
            .contains("\nignite_overlay_etcd_errors_total 5\n")
    );
}

#[test]
fn refuses_what_is_no_small_get() {
    with_server(|address, _| async move {
        let head = ask(address, b"HEAD /healthz HTTP/1.1\r\n\r\n").await;
        assert!(
            head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"),
            "{head}"
        );
        let post = ask(
            address,
            b"POST /healthz HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi",
        )
        .await;
        assert!(post.starts_with("HTTP/1.1 405 "), "{post}");
        let noise = ask(address, b"\x16\x03\x01\r\n\r\n").await;
        assert!(noise.starts_with("HTTP/1.1 400 "), "{noise}");
        let large = [b"GET /healthz HTTP/1.1\r\nA: ".as_slice(), &[b'a'; 9000]].concat();
        let large = ask(address, &large).await;
        assert!(large.starts_with("HTTP/1.1 431 "), "{large}");
    });
}

#[test]
fn idle_clients_delay_others_for_a_while_only() {
    with_server(|address, _| async move {
        let mut idle = Vec::new();
        for _ in 0..40 {
            idle.push(TcpStream::connect(address).await.expect("connect"));
        }
        let begun = Instant::now();
        assert_eq!(get(address, "/healthz").await.0, "HTTP/1.1 200 OK");
        assert!(
            begun.elapsed() > Duration::from_secs(3),
            "{:?}",
            begun.elapsed()
        );
    });
}

#[test]
fn port_0_is_off_and_a_taken_port_is_named() {
    with_server(|address, _| async move {
        let off = Server::bind("127.0.0.1:0".parse().expect("address")).await;
        assert!(off.expect("off").is_none());
        let error = Server::bind(address).await.expect_err("taken");
        assert!(matches!(error, HealthError::Listen { .. }));
        let port = address.port().to_string();
        assert!(error.hint().expect("a hint").contains(&port));
    });
}
