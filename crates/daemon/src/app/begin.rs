//! The daemon is built: one of it, with its limits raised, its threads, and its loop.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

use ignite_api::Uid;
use ignite_engine::Engine;
use ignite_host::error::chain;
use ignite_program::Failure;

use super::instance::Instance;
use super::shared::Shared;
use super::supervisors::Supervisors;
use super::turn::Watchdog;
use super::{App, Due, Event, Origin, faults, signals, sources};
use crate::config::Config;
use crate::http;
use crate::source::Source;
use crate::status::StatusFile;
use crate::work::Work;

/// Keeps the VMs of a source until the process is told to end.
pub fn run(config: Config, source: Box<dyn Source>) -> Result<(), Failure> {
    let (sender, events) = channel();
    // Before any other thread starts, so that none gets a signal in its place.
    signals::watch(sender.clone())?;
    let engine = Arc::new(config.engine()?);
    let by = source.name();
    let _instance = Instance::only(&config.directory, &by)?;
    raise_limits();
    let shared = Arc::new(Shared::new(Arc::clone(&engine), sender.clone()));
    let _server = http::serve(&config, Arc::clone(&shared))?;
    tracing::info!("keeping the VMs of {by}");
    let recovering = recover(Arc::clone(&engine), sender.clone())?;
    let now = Instant::now();
    let app = App {
        status: StatusFile::new(config.directory.join("status.json"), &by),
        source: Some(sources::start(source, sender.clone())?),
        supervisors: Supervisors::start(sender.clone())?,
        work: Work::new(by.clone(), sender),
        watchdog: Watchdog::of_environment(now),
        config,
        engine,
        by,
        events,
        shared,
        origin: Origin::default(),
        book: Default::default(),
        desired: Default::default(),
        actual: Default::default(),
        differences: Default::default(),
        compared: Default::default(),
        memories: Default::default(),
        unsettled: Default::default(),
        plan: Default::default(),
        faults: faults::Faults::default(),
        due: Due {
            look: now,
            looked: (now, Duration::ZERO),
            plan: false,
        },
        recovering,
        ending: None,
    };
    app.run();
    Ok(())
}

/// Repairs what died without release, in the background; which VMs may be in need of it. One whose
/// release hangs holds up itself alone.
fn recover(engine: Arc<Engine>, events: Sender<Event>) -> Result<BTreeSet<Uid>, Failure> {
    // What cannot be read now is told below.
    let uids = engine.recoverable().unwrap_or_default();
    thread("recover", move || {
        let over = RecoveryOver(events);
        // Nobody listens any more when the daemon is ending.
        let tell = |uid, done: Result<(), ignite_engine::Error>| {
            if let Err(error) = done {
                tracing::warn!(%uid, "the VM died, and not all it used could be released: {}", chain(&error));
            }
            let _ = over.0.send(Event::Recovered(uid));
        };
        if let Err(error) = engine.recover(&tell) {
            tracing::warn!("VMs that died cannot be repaired: {}", chain(&error));
        }
    })?;
    Ok(uids.into_iter().collect())
}

/// Tells that the recovery is over, however it ends: nothing waits for it any more.
struct RecoveryOver(Sender<Event>);

impl Drop for RecoveryOver {
    fn drop(&mut self) {
        let _ = self.0.send(Event::RecoveryOver);
    }
}

/// A descriptor for each VM that runs: the soft limit is for programs that use select(2).
fn raise_limits() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!("the number of open files stays limited: {error}");
    }
}

/// A thread of the daemon's own.
pub fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(run)
        .map(drop)
        .map_err(|error| {
            let error = ignite_host::error::SystemError::new("start a thread", error);
            Failure::new(error, None)
        })
}

/// The engine anew, as the configuration is now.
pub(super) fn reload(config: &Config) -> Result<Arc<Engine>, Failure> {
    config.engine().map(Arc::new)
}
