//! Watches: across restarts, after compaction, behind silent connections.

use std::time::Duration;

use ignite_overlay::etcd::{Client, Settings, Watch, WatchEvent, WatchMessage};

use crate::gate::Gate;
use crate::server::{Etcd, soon};

async fn next(watch: &mut Watch) -> WatchMessage {
    soon("a message", watch.next()).await.expect("not ended")
}

/// The values of the next puts, and nothing else between them.
async fn values(watch: &mut Watch, count: usize) -> Vec<String> {
    let mut values = Vec::new();
    while values.len() < count {
        let WatchMessage::Events { events, .. } = next(watch).await else {
            panic!("changes are lost");
        };
        values.extend(events.into_iter().map(|event| match event {
            WatchEvent::Put { value, .. } => String::from_utf8_lossy(&value).into_owned(),
            WatchEvent::Delete { .. } => "gone".into(),
        }));
    }
    values
}

async fn quiet(watch: &mut Watch) {
    let more = tokio::time::timeout(Duration::from_millis(300), watch.next()).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test]
async fn every_change_is_told_once_across_a_restart() {
    let mut etcd = Etcd::start().await;
    let client = etcd.client();
    let revision = client.put("/w/a", b"1", None).await.expect("put");
    client.put("/other", b"x", None).await.expect("put");
    client.delete("/w/a").await.expect("delete");
    let mut watch = client.watch("/w/", revision);
    assert_eq!(values(&mut watch, 2).await, ["1", "gone"]);
    etcd.restart().await;
    client.put("/w/a", b"2", None).await.expect("put");
    client.put("/w/b", b"3", None).await.expect("put");
    assert_eq!(values(&mut watch, 2).await, ["2", "3"]);
    quiet(&mut watch).await;
}

#[tokio::test]
async fn what_happened_while_cut_off_is_told_later() {
    let etcd = Etcd::start().await;
    let gate = Gate::before(etcd.port()).await;
    let direct = etcd.client();
    let client = Client::new(Settings::new([gate.endpoint.clone()])).expect("client");
    let revision = direct.put("/w/a", b"1", None).await.expect("put");
    let mut watch = client.watch("/w/", revision);
    assert_eq!(values(&mut watch, 1).await, ["1"]);
    gate.cut();
    direct.put("/w/a", b"2", None).await.expect("put");
    direct.put("/w/a", b"3", None).await.expect("put");
    quiet(&mut watch).await;
    gate.open();
    assert_eq!(values(&mut watch, 2).await, ["2", "3"]);
}

#[tokio::test]
async fn compaction_while_cut_off_is_told_and_ends_it() {
    let etcd = Etcd::start().await;
    let gate = Gate::before(etcd.port()).await;
    let direct = etcd.client();
    let client = Client::new(Settings::new([gate.endpoint.clone()])).expect("client");
    let revision = direct.put("/w/a", b"1", None).await.expect("put");
    let mut watch = client.watch("/w/", revision);
    assert_eq!(values(&mut watch, 1).await, ["1"]);
    gate.cut();
    direct.put("/w/a", b"2", None).await.expect("put");
    let last = direct.put("/w/a", b"3", None).await.expect("put");
    direct.compact(last).await.expect("compact");
    gate.open();
    assert_eq!(
        next(&mut watch).await,
        WatchMessage::Compacted { revision: last }
    );
    assert_eq!(soon("the end", watch.next()).await, None);
}

#[tokio::test]
async fn a_store_that_was_set_back_is_noticed() {
    let mut etcd = Etcd::start().await;
    let client = etcd.client();
    let mut revision = 0;
    for value in 0..20_u8 {
        revision = client
            .put("/w/a", &[b'0' + value], None)
            .await
            .expect("put");
    }
    let mut watch = client.watch("/w/", revision);
    values(&mut watch, 1).await;
    etcd.stop();
    etcd.wipe();
    etcd.restart().await;
    let message = next(&mut watch).await;
    assert!(
        matches!(message, WatchMessage::Compacted { revision: back } if back < revision),
        "{message:?}"
    );
}

#[tokio::test]
async fn a_silent_endpoint_that_does_not_serve_is_left() {
    let etcd = Etcd::start().await;
    let gate = Gate::before(etcd.port()).await;
    let direct = etcd.client();
    let mut settings = Settings::new([gate.endpoint.clone(), etcd.endpoint()]);
    settings.idle = Duration::from_millis(200);
    settings.request_timeout = Duration::from_millis(500);
    let client = Client::new(settings).expect("client");
    let revision = direct.put("/w/a", b"1", None).await.expect("put");
    let mut watch = client.watch("/w/", revision);
    assert_eq!(values(&mut watch, 1).await, ["1"]);
    // Silence of one that serves is fine.
    quiet(&mut watch).await;
    gate.freeze();
    direct.put("/w/a", b"2", None).await.expect("put");
    assert_eq!(values(&mut watch, 1).await, ["2"]);
}
