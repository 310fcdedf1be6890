//! Watching a prefix: every change once and in order, across restarts of etcd.

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::transport::Client;
use super::watcher::Watcher;

/// Messages that wait for the receiver before etcd is read no further.
const WAITING: usize = 16;

/// A change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// It was made or changed.
    Put {
        /// The key.
        key: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
        /// The lease it ends with.
        lease: Option<i64>,
        /// The revision of this change.
        revision: i64,
    },
    /// It was removed, or its lease ended.
    Delete {
        /// The key.
        key: Vec<u8>,
        /// The revision of this change.
        revision: i64,
    },
}

/// What a watch tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchMessage {
    /// Changes in their order, the last of them at `revision`.
    Events {
        /// The revision of the last.
        revision: i64,
        /// The changes.
        events: Vec<WatchEvent>,
    },
    /// Changes are lost: etcd forgot them, was set back, or tells too much at once. List again. Nothing
    /// follows.
    Compacted {
        /// The oldest revision kept, the one the store was set back to, or the one of what is too much.
        revision: i64,
    },
}

/// A running watch; it ends when dropped.
#[derive(Debug)]
pub struct Watch {
    messages: mpsc::Receiver<WatchMessage>,
    task: JoinHandle<()>,
}

impl Watch {
    /// The next message; none after [`WatchMessage::Compacted`]. Loses nothing when cancelled.
    pub async fn next(&mut self) -> Option<WatchMessage> {
        self.messages.recv().await
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Client {
    /// Watches all keys that begin with `prefix` from `revision` on (that one included); one that the
    /// store has not nearly reached counts as lost. Failures are logged and the watch is resumed where it broke, for ever. To be called within a runtime.
    pub fn watch(&self, prefix: &str, revision: i64) -> Watch {
        let (sender, messages) = mpsc::channel(WAITING);
        let watcher = Watcher::new(self.clone(), prefix, revision, sender);
        Watch {
            messages,
            task: tokio::spawn(watcher.run()),
        }
    }
}
