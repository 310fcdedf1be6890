//! Pause and resume, and rates changed while the guest runs.
//!
//! ```text
//!            Pause                   the VMM's answer
//!   runs ------------> will stand -------------------> stands still
//!    ^                                                      | Resume, or an order to stop
//!    '--------------- will go on <--------------------------'
//! ```
//!
//! A guest that stands still by order is left so: what it must do by some time waits, and a full disk,
//! which stops it as well, does not set it going again.

use std::time::Instant;

use ignite_vmm::Request;
use ignite_wire::agent::{Frame, Limits, Message};
use ignite_wire::supervisor::Rate;

use super::Supervisor;
use super::balloon::Balloon;
use super::bounds::{After, Step};
use crate::log;
use ignite_wire::agent::relay::ClientId;

/// The disk that `--disk-rate` is about.
const ROOT_DISK: usize = 0;

/// Whether the guest's processors stand still by order.
#[derive(Debug, Default)]
pub(super) struct Standstill {
    /// As last ordered.
    wanted: bool,
    /// As the VMM said last.
    is: bool,
}

impl Standstill {
    /// Whether the guest stands still, or is about to.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// Whether the guest stands still.
    pub fn is(&self) -> bool {
        self.is
    }

    /// Whether this was ordered, and is so.
    pub fn is_settled(&self, paused: bool) -> bool {
        (self.wanted, self.is) == (paused, paused)
    }
}

impl Supervisor<'_> {
    pub(super) fn pause(&mut self, client: ClientId) {
        let ending = self.evidence.stopping || self.evidence.verdict.is_some();
        if ending || !self.evidence.ready {
            let (reason, hint) = match ending {
                true => ("the VM is being stopped", "wait for its end"),
                false => ("the guest is not ready yet", "wait until it has booted"),
            };
            return self.refuse(client, reason, hint);
        }
        if self.standstill.is_settled(true) {
            return self.done(client, false);
        }
        if self.may_ask(client) {
            self.standstill.wanted = true;
            self.deadlines.hold(Instant::now());
            self.parts.driver.pause();
            self.await_answer(Request::Pause, Some(client));
        }
    }

    pub(super) fn resume(&mut self, client: ClientId) {
        if self.standstill.is_settled(false) {
            return self.done(client, false);
        }
        if self.may_ask(client) {
            self.go_on(Some(client));
        }
    }

    /// Lets the guest go on, whoever wants it.
    pub(super) fn go_on(&mut self, client: Option<ClientId>) {
        self.standstill.wanted = false;
        self.parts.driver.resume();
        self.await_answer(Request::Resume, client);
    }

    /// Bounds the network at once, and the disk as soon as the VMM has done it.
    pub(super) fn limit(&mut self, client: ClientId, limits: Limits) {
        if !self.may_ask(client) {
            return;
        }
        let step = self.bounds.step(&limits);
        if step == Step::Busy {
            let reason = "the virtual machine monitor has not answered an earlier change of rates";
            return self.refuse(client, reason, "try again in a moment");
        }
        if let Err(error) = self.parts.network.limit(&limits.interfaces) {
            self.limit_network_again();
            let hint = error.hint().unwrap_or_default();
            return self.refuse(client, &log::chain(&error), &hint);
        }
        let Step::Disk(rate) = step else {
            let changed = self.bounds.hold(limits);
            return self.done(client, changed);
        };
        self.bounds.begin(limits);
        self.limit_disk(rate, Some(client));
    }

    fn limit_disk(&mut self, rate: Option<Rate>, client: Option<ClientId>) {
        self.parts.driver.limit_disk(ROOT_DISK, rate);
        self.await_answer(Request::LimitDisk, client);
    }

    fn after_limit(&mut self, after: After) {
        match after {
            After::Nothing => {}
            After::RestoreNetwork => self.limit_network_again(),
            After::RestoreDisk(rate) => self.limit_disk(rate, None),
        }
    }

    /// After a change that was not made whole.
    fn limit_network_again(&mut self) {
        if let Err(error) = self.parts.network.limit(&self.bounds.holds().interfaces) {
            log::line(&log::chain(&error));
        }
    }

    /// The VMM did, or refused, what it was asked for. What nobody asked for it need not tell.
    pub(super) fn answered(&mut self, request: Request, result: Result<(), String>) {
        let Some(pending) = self.requests.answered(request) else {
            return;
        };
        let was = self.standstill.is;
        let changed = match (request, &result) {
            (Request::Pause, Ok(())) => self.stands_still(true),
            (Request::Resume, Ok(())) => self.stands_still(false),
            (Request::Pause | Request::Resume, Err(_)) => {
                self.standstill.wanted = was;
                false
            }
            (Request::LimitDisk, _) => {
                let after = self.bounds.answered(result.is_ok());
                self.after_limit(after);
                true
            }
            (Request::Inflate, _) => self.balloon_answered(result.is_ok()),
        };
        if !self.standstill.wanted {
            self.deadlines.go_on(Instant::now());
        }
        if let Err(message) = &result {
            log::line(&format!("the VMM refused: {message}"));
        }
        if let Some(client) = pending.client {
            match result {
                Ok(()) => self.done(client, changed),
                Err(message) => {
                    let message = format!("the virtual machine monitor refused: {message}");
                    self.refuse(client, &message, hint(request));
                }
            }
        }
    }

    /// Whether it did not do so before.
    fn stands_still(&mut self, paused: bool) -> bool {
        if std::mem::replace(&mut self.standstill.is, paused) == paused {
            return false;
        }
        let written = match paused {
            true => self.parts.status.paused(),
            false => self.parts.status.running(),
        };
        if let Err(error) = written {
            log::line(&log::chain(&error));
        }
        true
    }

    /// Clients that have waited long enough are told so.
    pub(super) fn give_up(&mut self, now: Instant) {
        while let Some((client, request)) = self.requests.overdue(now) {
            match request {
                Request::LimitDisk => {
                    let after = self.bounds.give_up();
                    self.after_limit(after);
                }
                Request::Inflate => self.balloon.iter_mut().for_each(Balloon::give_up),
                Request::Pause | Request::Resume => {}
            }
            let hint = format!("end it with: ignite kill {}", self.parts.plan.name);
            self.refuse(client, "the virtual machine monitor does not answer", &hint);
        }
    }

    fn may_ask(&mut self, client: ClientId) -> bool {
        if self.requests.is_full() {
            let reason = "too many requests wait for the virtual machine monitor";
            self.refuse(client, reason, "wait for their answers");
            return false;
        }
        true
    }

    fn await_answer(&mut self, request: Request, client: Option<ClientId>) {
        self.requests.push(request, client, Instant::now());
    }

    fn done(&mut self, client: ClientId, changed: bool) {
        self.tell_client(client, &Frame::link(Message::Done { changed }));
    }

    pub(super) fn refuse(&mut self, client: ClientId, message: &str, hint: &str) {
        let answer = Message::Error {
            message: message.to_owned(),
            hint: (!hint.is_empty()).then(|| hint.to_owned()),
        };
        self.tell_client(client, &Frame::link(answer));
    }
}

/// What to do about a refusal, where it may not last.
fn hint(request: Request) -> &'static str {
    match request {
        Request::Inflate => {
            "the guest may not have loaded its driver, virtio_balloon, yet: try again in a moment"
        }
        Request::Pause | Request::Resume | Request::LimitDisk => "",
    }
}
