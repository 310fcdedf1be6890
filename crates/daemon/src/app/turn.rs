//! The loop: an event or a deadline, then whatever is due.

use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use ignite_host::service::notify;

use super::{App, DRAIN, Ending, Event, TAKE_BACK, begin};
use crate::source::{Command, Delivery};
use crate::status;

/// What the service manager wants to hear, and when: sd_watchdog_enabled(3).
#[derive(Debug)]
pub struct Watchdog {
    period: Duration,
    next: Instant,
}

impl Watchdog {
    /// What the environment asks for.
    pub fn of_environment(now: Instant) -> Option<Self> {
        let microseconds: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
        let period = Duration::from_micros(microseconds / 2);
        (!period.is_zero()).then_some(Self { period, next: now })
    }

    fn feed(&mut self, now: Instant) {
        if self.next <= now {
            self.next = now + self.period;
            say("WATCHDOG=1");
        }
    }
}

/// Tells the service manager, if there is one.
fn say(state: &str) {
    if let Err(error) = notify(state) {
        tracing::warn!("the service manager cannot be told: {error}");
    }
}

impl App {
    /// Turns until the daemon is told to end, and has ended its work.
    pub(super) fn run(mut self) {
        while !self.is_over() {
            let wait = self.deadline().saturating_duration_since(Instant::now());
            match self.events.recv_timeout(wait) {
                Ok(event) => {
                    self.handle(event);
                    while let Ok(event) = self.events.try_recv() {
                        self.handle(event);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.turn(Instant::now());
        }
        tracing::info!("ended; the VMs go on");
    }

    /// When something is due though nothing happens.
    fn deadline(&self) -> Instant {
        let ending = self.ending.map(|it| it.call_off.unwrap_or(it.last));
        let watchdog = self.watchdog.as_ref().map(|watchdog| watchdog.next);
        let looks = self.origin.was_heard && self.ending.is_none();
        let due = looks.then_some(self.due.look);
        let wake = self.plan.wake.filter(|_| looks);
        [ending, watchdog, due, wake, self.status.due()]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| Instant::now() + Duration::from_secs(3600))
    }

    fn handle(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Source(delivery) => self.delivered(delivery),
            Event::SourceEnded if self.ending.is_none() => {
                self.delivered(Delivery::Unreachable("what reads it has ended".into()));
            }
            Event::SourceEnded => {}
            Event::Done(done) => self.done(done, now),
            Event::Ended(uid) => {
                tracing::debug!(%uid, "a VM has ended");
                self.look_soon(now);
            }
            Event::Recovered(uid) => {
                self.recovering.remove(&uid);
                self.look_soon(now);
            }
            Event::RecoveryOver => {
                self.recovering.clear();
                self.look_soon(now);
            }
            Event::Terminate => self.terminate(now),
            Event::Reload => self.reload(now),
            Event::Ping(answer) => {
                // Who asked may have gone away.
                let _ = answer.send(());
            }
        }
    }

    fn delivered(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Snapshot(snapshot) => {
                if self.origin.error.take().is_some() {
                    tracing::info!("{} can be read again", self.by);
                    self.due.plan = true;
                }
                for warning in &snapshot.warnings {
                    if !self.origin.warnings.contains(warning) {
                        tracing::warn!("{warning}");
                    }
                }
                self.origin.warnings.clone_from(&snapshot.warnings);
                let revision = snapshot.revision.clone();
                let changed = self.book.take(snapshot, self.engine.vm_defaults());
                if changed || !self.origin.was_heard || self.origin.revision != revision {
                    self.origin.since = Some(jiff::Timestamp::now());
                    self.due.plan = true;
                }
                self.origin.revision = revision;
                self.shared.metrics.source_read();
                self.heard();
            }
            Delivery::Unreachable(error) => {
                if self.origin.error.as_ref() != Some(&error) {
                    tracing::error!("{} cannot be read: {error}", self.by);
                }
                self.origin.error = Some(error);
                self.shared.metrics.source_failed();
                self.due.plan = true;
                self.heard();
            }
        }
    }

    /// The first word of the source: VMs are looked at from now on.
    fn heard(&mut self) {
        if !self.origin.was_heard {
            self.origin.was_heard = true;
            self.look();
            self.plan(Instant::now());
            say("READY=1");
        }
    }

    fn turn(&mut self, now: Instant) {
        if self.origin.was_heard && self.ending.is_none() {
            if self.due.look <= now {
                self.look();
            }
            if self.due.plan || self.plan.wake.is_some_and(|wake| wake <= now) {
                self.plan(now);
            }
        }
        if let Some(ending) = &mut self.ending
            && ending.call_off.is_some_and(|at| at <= now)
        {
            ending.call_off = None;
            tracing::warn!("work is called off, and what it began taken back");
            self.work.call_off_all();
        }
        if let Some(text) = self.status.due_text(now) {
            // Whoever sees the file change may ask for the same at once.
            self.shared.set_status(&text);
            self.status.write(&text);
            if let Some(source) = &self.source {
                // A source that has ended is told elsewhere.
                let _ = source.send(Command::Status(text));
            }
        }
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.feed(now);
        }
    }

    /// Says how things are: status file, metrics, health.
    pub(super) fn tell(&mut self, now: Instant) {
        let document = status::document(&status::View {
            by: &self.by,
            revision: self.origin.revision.as_deref(),
            since: self.origin.since,
            error: self.origin.error.as_deref(),
            warnings: &self.origin.warnings,
            desired: &self.desired,
            actual: &self.actual,
            faults: self.faults.now(),
            attempts: &self.plan.attempts,
            memories: &self.memories,
            work: &self.work,
            now,
        });
        self.shared.metrics.seen(&document);
        self.status.set(document, now);
        self.shared.set_health(super::Health {
            was_heard: self.origin.was_heard,
            unreachable: self.origin.error.clone(),
            oldest: self.work.oldest(),
        });
        if self.watchdog.is_some() {
            say(&format!("STATUS={}", self.status.line()));
        }
    }

    fn terminate(&mut self, now: Instant) {
        tracing::info!(
            "ending: what was begun is ended first, at most {DRAIN:?} long (once more to end at once)"
        );
        say("STOPPING=1");
        self.source = None;
        self.ending = Some(Ending {
            call_off: Some(now + DRAIN),
            last: now + DRAIN + TAKE_BACK,
        });
    }

    fn is_over(&self) -> bool {
        self.ending.is_some_and(|ending| {
            self.work.is_idle() || ending.call_off.is_none() && ending.last <= Instant::now()
        })
    }

    /// The configuration anew, and everything looked at.
    fn reload(&mut self, now: Instant) {
        tracing::info!("reloading");
        say(&reloading());
        match begin::reload(&self.config) {
            Ok(engine) => {
                self.shared.set_engine(engine.clone());
                self.engine = engine;
            }
            Err(failure) => {
                tracing::error!("the configuration stays as it was: {}", failure.line());
            }
        }
        if let Some(source) = &self.source {
            // A source that has ended is told elsewhere.
            let _ = source.send(Command::Rescan);
        }
        self.compared.clear();
        self.look_soon(now);
        say("READY=1");
    }
}

/// With the time that belongs to it: sd_notify(3), `Type=notify-reload`.
fn reloading() -> String {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let microseconds = time.tv_sec * 1_000_000 + time.tv_nsec / 1000;
    format!("RELOADING=1\nMONOTONIC_USEC={microseconds}")
}
