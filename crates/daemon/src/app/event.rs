//! What wakes the loop.

use ignite_api::Uid;
use tokio::sync::oneshot;

use crate::source::Delivery;
use crate::work::Done;

/// Something happened.
#[derive(Debug)]
pub enum Event {
    /// The source says something.
    Source(Delivery),
    /// The source has ended, though nobody asked it to.
    SourceEnded,
    /// An order was carried out, or not.
    Done(Done),
    /// The supervisor of a VM has ended.
    Ended(Uid),
    /// If that VM died without release, it was repaired, as far as possible.
    Recovered(Uid),
    /// All of them were.
    RecoveryOver,
    /// SIGTERM, SIGINT.
    Terminate,
    /// SIGHUP.
    Reload,
    /// Somebody wants to know whether the loop turns.
    Ping(oneshot::Sender<()>),
}
