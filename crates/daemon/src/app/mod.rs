//! The daemon's life: built, run, drained.
//!
//! ```text
//!  signals ----.
//!  source -----+                   .--> look (engine: the VMs as they are)
//!  supervisors +--> Event --> turn-+--> plan --> work, a thread for each order --> Done --> Event
//!  work -------'                   '--> status file, metrics, service manager
//! ```
//! One thread turns; it sleeps until something happens or the next deadline. Nothing it does waits for
//! a guest, a registry or a network.

mod begin;
mod event;
mod faults;
mod instance;
mod look;
mod planning;
mod shared;
mod signals;
mod sources;
mod supervisors;
mod turn;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use ignite_api::{Uid, Vm};
use ignite_engine::Engine;

use crate::config::Config;
use crate::desired::{Book, Desired};
use crate::plan::{Actual, Busy, Differences, Memories, Plan};
use crate::source::Command;
use crate::status::StatusFile;
use crate::work::Work;

pub use begin::{run, thread};
pub use event::Event;
pub use shared::{Health, Shared};

/// Time that work has to end by itself when the daemon is to end.
const DRAIN: Duration = Duration::from_secs(20);

/// Time it has to take back what it began, after that; what is left is found at the next start.
const TAKE_BACK: Duration = Duration::from_secs(10);

/// All that the loop works with.
struct App {
    config: Config,
    engine: Arc<Engine>,
    by: String,
    events: Receiver<Event>,
    /// None when the source was told to end.
    source: Option<Sender<Command>>,
    origin: Origin,
    book: Book,
    desired: Desired,
    actual: Actual,
    differences: Differences,
    /// After which manifest each difference was computed.
    compared: BTreeMap<Uid, Arc<Vm>>,
    memories: Memories,
    work: Work,
    /// VMs that something was done with since the last look.
    unsettled: Busy,
    /// VMs that are repaired first, if they died without release.
    recovering: BTreeSet<Uid>,
    supervisors: supervisors::Supervisors,
    plan: Plan,
    faults: faults::Faults,
    due: Due,
    status: StatusFile,
    shared: Arc<Shared>,
    watchdog: Option<turn::Watchdog>,
    ending: Option<Ending>,
}

/// What is known of the source.
#[derive(Debug, Default)]
struct Origin {
    /// What the manifests are the state of.
    revision: Option<String>,
    /// When they last changed.
    since: Option<jiff::Timestamp>,
    /// Why it could not be read last time.
    error: Option<String>,
    /// What is not right with it.
    warnings: Vec<String>,
    /// Whether it has ever said anything.
    was_heard: bool,
}

/// What is to be done at the next turn.
#[derive(Debug)]
struct Due {
    /// When the VMs are looked at.
    look: Instant,
    /// When the last look was over, and how long it took.
    looked: (Instant, Duration),
    /// Whether a plan is to be made, whatever the time.
    plan: bool,
}

/// The daemon is to end.
#[derive(Debug, Clone, Copy)]
struct Ending {
    /// When work is called off; none when it was.
    call_off: Option<Instant>,
    /// When nothing is waited for any more.
    last: Instant,
}
