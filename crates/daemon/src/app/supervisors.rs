//! The supervisors of VMs that run: their end is an event.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ignite_api::Uid;
use ignite_host::process::Watched as Process;
use ignite_program::Failure;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;

use super::Event;
use super::begin::thread;

/// Ends told at once.
const BATCH: usize = 64;

/// Those that are watched.
#[derive(Debug, Clone)]
pub struct Supervisors(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    epoll: OwnedFd,
    watched: Mutex<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    next: u64,
    /// A closed descriptor leaves the epoll set by itself.
    processes: BTreeMap<u64, (Uid, Process)>,
    uids: BTreeSet<Uid>,
}

impl Supervisors {
    /// Watches none yet; ends are told to `events`.
    pub fn start(events: Sender<Event>) -> Result<Self, Failure> {
        let epoll = epoll::create(CreateFlags::CLOEXEC).map_err(|error| {
            let error = ignite_host::error::SystemError::new("watch processes", error);
            Failure::new(error, None)
        })?;
        let inner = Arc::new(Inner {
            epoll,
            watched: Mutex::default(),
        });
        let watched = Arc::clone(&inner);
        thread("supervisors", move || watched.tell(&events))?;
        Ok(Self(inner))
    }

    /// Whether this one is watched.
    pub fn has(&self, uid: Uid) -> bool {
        self.0.lock().uids.contains(&uid)
    }

    /// Watches one more.
    pub fn add(&self, uid: Uid, process: Process) -> Result<(), Errno> {
        let mut watched = self.0.lock();
        watched.next += 1;
        let token = watched.next;
        let data = EventData::new_u64(token);
        let flags = EventFlags::IN | EventFlags::ONESHOT;
        epoll::add(&self.0.epoll, &process, data, flags)?;
        watched.processes.insert(token, (uid, process));
        watched.uids.insert(uid);
        Ok(())
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Watched> {
        // Each change is complete: a panic elsewhere leaves it good.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, events: &Sender<Event>) {
        loop {
            let mut ready = Vec::with_capacity(BATCH);
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut ready),
                None,
            ) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => {
                    tracing::error!("ends of VMs are not noticed any more at once: {error}");
                    return;
                }
            }
            for event in ready {
                let mut watched = self.lock();
                let Some((uid, _)) = watched.processes.remove(&event.data.u64()) else {
                    continue;
                };
                watched.uids.remove(&uid);
                drop(watched);
                if events.send(Event::Ended(uid)).is_err() {
                    return;
                }
            }
        }
    }
}
