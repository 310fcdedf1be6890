//! What a watch makes of single lines.

use super::*;

fn watcher(next: i64) -> (Watcher, mpsc::Receiver<WatchMessage>) {
    let (sender, receiver) = mpsc::channel(16);
    let settings = super::super::Settings::new(["http://127.0.0.1:1"]);
    let client = Client::new(settings).expect("client");
    let mut watcher = Watcher::new(client, "/p/", next, sender);
    watcher.pause = LONGEST_PAUSE;
    (watcher, receiver)
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("runtime").block_on(future)
}

async fn take(watcher: &mut Watcher, text: &str) -> Result<bool, Error> {
    let endpoint = watcher.client.endpoint(0).clone();
    let reply = watcher.read(&endpoint, text.as_bytes())?;
    Ok(watcher.take(&endpoint, reply).await?.is_some())
}

#[test]
fn events_move_the_revision_on_and_progress_does_too() {
    run(async {
        let (mut watcher, mut told) = watcher(5);
        let created = r#"{"result":{"header":{"revision":"90"},"created":true}}"#;
        assert!(!take(&mut watcher, created).await.expect("created"));
        assert_eq!(watcher.next, 5);
        let events = r#"{"result":{"header":{"revision":"90"},"events":[
            {"kv":{"key":"L2E=","value":"dg==","mod_revision":"4"}},
            {"kv":{"key":"L2E=","value":"dg==","mod_revision":"6","lease":"9"}},
            {"type":"DELETE","kv":{"key":"L2I=","mod_revision":"7"}}]}}"#;
        assert!(!take(&mut watcher, events).await.expect("events"));
        assert_eq!((watcher.next, watcher.pause), (8, FIRST_PAUSE));
        let put = WatchEvent::Put {
            key: b"/a".to_vec(),
            value: b"v".to_vec(),
            lease: Some(9),
            revision: 6,
        };
        let delete = WatchEvent::Delete {
            key: b"/b".to_vec(),
            revision: 7,
        };
        assert_eq!(
            told.recv().await,
            Some(WatchMessage::Events {
                revision: 7,
                events: vec![put, delete]
            })
        );
        let progress = r#"{"result":{"header":{"revision":"90"}}}"#;
        assert!(!take(&mut watcher, progress).await.expect("progress"));
        assert_eq!(watcher.next, 91);
    });
}

#[test]
fn lost_changes_are_told_and_end_it() {
    run(async {
        for (text, revision) in [
            (
                r#"{"result":{"header":{"revision":"90"},"canceled":true,"compact_revision":"50"}}"#,
                50,
            ),
            (
                r#"{"result":{"header":{"revision":"7"},"created":true}}"#,
                7,
            ),
        ] {
            let (mut watcher, mut told) = watcher(40);
            assert!(take(&mut watcher, text).await.expect("lost"));
            assert_eq!(
                told.recv().await,
                Some(WatchMessage::Compacted { revision })
            );
        }
    });
}

#[test]
fn an_error_in_the_stream_or_a_cancellation_is_a_reason_to_resume() {
    run(async {
        let (mut watcher, _told) = watcher(40);
        for text in [
            r#"{"error":{"grpc_code":14,"message":"etcdserver: no leader"}}"#,
            r#"{"result":{"canceled":true,"cancel_reason":"permission denied"}}"#,
            r#"{"result":{"events":[{"type":"OTHER","kv":{}}]}}"#,
            r#"{}"#,
            "[]",
        ] {
            take(&mut watcher, text).await.expect_err(text);
        }
        assert_eq!(watcher.next, 40);
    });
}

#[test]
fn pauses_are_spread() {
    let pause = jittered(Duration::from_secs(4));
    assert!((2.0..4.0).contains(&pause.as_secs_f64()), "{pause:?}");
}
