//! One VM, from the start of its VMM to the end: a single thread that waits for descriptors.
//!
//! ```text
//!                .-> ready --.                     the VMM ends
//!   started -----+           +--> stopping ------------> ended
//!                '-----------'        '-- grace over: quit, then SIGKILL
//! ```
//!
//! What is seen is collected as [`Evidence`]; what it means is decided in `end`, when the VMM's
//! process is gone. No descriptor is read so long that others wait, none that may be hostile takes more
//! than its share of a processor, and nothing a guest or a client sends is kept without a bound.

mod agent;
mod attach;
mod balloon;
mod bounds;
mod clients;
mod pace;
mod requests;
mod silence;
mod sources;
mod standstill;
mod stopping;

use std::io::{self, Read};
use std::time::{Duration, Instant};

use ignite_host::process::Watched;
use ignite_host::signal::{Signals, poll};
use ignite_vmm::{Driver, Report};
use ignite_wire::agent::{Limits, TerminalSize};
use ignite_wire::guest::PowerOff;
use ignite_wire::supervisor::{Attachment, Plan};

use crate::console::{LastWords, Log, Tail};
use crate::control::Control;
use crate::deadlines::{Deadlines, Due};
use crate::end::{Evidence, Verdict};
use crate::holder;
use crate::link::Link;
use crate::log;
use crate::network::{Network, Side};
use crate::notify::Notify;
use crate::record::Status;
use crate::viewers::Viewers;
use balloon::Balloon;
use bounds::Bounds;
use ignite_wire::agent::relay::Relay;
use pace::Pace;
use requests::Requests;
use silence::Silence;
use sources::Source;
use standstill::Standstill;
use stopping::Stopping;

/// Grace period of a stop by signal.
const SIGNAL_GRACE: Duration = Duration::from_secs(20);

/// Grace period of a guest that has lost its network.
const HOLDER_GRACE: Duration = Duration::from_secs(10);

/// How long an agent may be silent after the kernel said that it stops.
const LAST_WORDS_PATIENCE: Duration = Duration::from_secs(3);

/// The same where the agent had said that the guest goes, and the machine has no switch: these are the
/// last words of a guest that cannot do more.
const ANNOUNCED_PATIENCE: Duration = Duration::from_millis(300);

/// Bytes of one read of the console.
const CONSOLE_READ: usize = 16 * 1024;

/// Reads of each stream after the VMM ended: more than their sockets hold.
const LAST_READS: usize = 256;

const SIGTERM: i32 = 15;

const ENETDOWN: i32 = 100;

/// What a supervisor works with.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// The running VMM.
    pub driver: Driver,
    /// The way to the agent.
    pub link: Link,
    /// What the VMM prints.
    pub vmm_output: io::PipeReader,
    /// The guest's network.
    pub network: &'a mut Network,
    /// The console's file.
    pub console: Option<Log>,
    /// The control socket.
    pub control: Control,
    /// The process that owns the sandbox, if one does.
    pub holder: Option<Watched>,
    /// The pipe to the engine.
    pub notify: &'a mut Notify,
    /// The VM's status.
    pub status: &'a mut Status,
    /// Signals to the supervisor.
    pub signals: &'a Signals,
}

/// What is left when the VMM has ended.
#[derive(Debug)]
pub struct Remains {
    /// Everything that was seen.
    pub evidence: Evidence,
    /// The console's last lines.
    pub console: Vec<String>,
    /// The control socket, whose clients wait for the end.
    pub control: Control,
    /// Those of them who see the console.
    pub viewers: Viewers,
}

/// The supervisor of one running VM.
#[derive(Debug)]
pub struct Supervisor<'a> {
    parts: Parts<'a>,
    /// Streams that have nothing more to say are not polled.
    closed: Vec<Source>,
    relay: Relay,
    viewers: Viewers,
    /// How large the terminal before the console is, as far as somebody said.
    console_size: Option<TerminalSize>,
    tail: Tail,
    vmm_tail: Tail,
    evidence: Evidence,
    deadlines: Deadlines,
    started: Instant,
    ready: Option<Instant>,
    pings: u64,
    disk_errors: u32,
    standstill: Standstill,
    silence: Silence,
    stopping: Stopping,
    requests: Requests,
    bounds: Bounds,
    pace: Pace,
    balloon: Option<Balloon>,
}

impl<'a> Supervisor<'a> {
    /// Of a VMM that was just started.
    pub fn new(parts: Parts<'a>) -> Self {
        let started = Instant::now();
        let mut deadlines = Deadlines::default();
        let evidence = Evidence {
            switchless: parts.plan.guest.power_off == PowerOff::Reset,
            ..Evidence::default()
        };
        deadlines.boot(started + Duration::from_millis(parts.plan.boot_timeout_ms));
        let bounds = Bounds::new(limits(parts.plan));
        let balloon = parts.plan.machine.balloon.map(Balloon::new);
        Self {
            parts,
            closed: Vec::new(),
            relay: Relay::default(),
            viewers: Viewers::default(),
            console_size: None,
            tail: Tail::default(),
            vmm_tail: Tail::default(),
            evidence,
            deadlines,
            started,
            ready: None,
            pings: 0,
            disk_errors: 0,
            standstill: Standstill::default(),
            silence: Silence::default(),
            stopping: Stopping::default(),
            requests: Requests::default(),
            bounds,
            pace: Pace::new(),
            balloon,
        }
    }

    /// Until the VMM has ended. Only a kernel that refuses to wait makes it fail.
    pub fn run(mut self) -> Result<Remains, ignite_host::error::SystemError> {
        while self.evidence.status.is_none() {
            let now = Instant::now();
            while let Some(due) = self.deadlines.due(now) {
                self.due(due);
            }
            self.wake_network(now);
            self.pace.wake(now);
            if self.parts.driver.deadline().is_some_and(|at| at <= now) {
                self.vmm_reports();
            }
            self.give_up(now);
            let next = [
                self.deadlines.next(),
                self.parts.network.next(),
                self.requests.next(),
                self.silence.next(),
                self.parts.control.next(),
                self.parts.driver.deadline(),
                self.pace.next(),
            ];
            let limit = next
                .into_iter()
                .flatten()
                .min()
                .map(|at| at.saturating_duration_since(now));
            for source in self.wait(limit)? {
                self.handle(source);
                self.pace.done(source, Instant::now());
            }
            let now = Instant::now();
            self.listen_for_agent(now);
            self.parts.control.send_away(now);
        }
        Ok(Remains {
            evidence: self.evidence,
            console: self.tail.lines(),
            control: self.parts.control,
            viewers: self.viewers,
        })
    }

    /// Waits until something is to be read or written; what.
    fn wait(
        &self,
        limit: Option<Duration>,
    ) -> Result<Vec<Source>, ignite_host::error::SystemError> {
        let (sources, mut fds) = self.sources();
        poll(&mut fds, limit)?;
        let ready = sources
            .into_iter()
            .zip(&fds)
            .filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|(source, _)| source).collect())
    }

    fn handle(&mut self, source: Source) {
        match source {
            Source::Signals => self.signal(),
            Source::Process => self.process_ended(),
            Source::Holder => self.holder_ended(),
            Source::Console => self.console(),
            Source::ConsoleInput => self.type_in(),
            Source::VmmOutput => self.vmm_output(),
            Source::Vmm => self.vmm_reports(),
            Source::Agent => self.agent(),
            Source::Arrivals => self.agent_arrives(),
            Source::Port(number, side) => self.port(number, side),
            Source::Listener => {
                if let Err(error) = self.parts.control.accept(Instant::now()) {
                    log::line(&format!("cannot take a connection: {error}"));
                }
            }
            Source::Client(id) => self.client(id),
        }
    }

    fn due(&mut self, due: Due) {
        match due {
            Due::End(verdict) => self.end(verdict),
            Due::Kill => {
                if let Err(error) = self.parts.driver.kill() {
                    log::line(&log::chain(&error));
                }
            }
            Due::Button => self.parts.driver.power_button(),
            Due::Resume if self.standstill.is_wanted() => {}
            Due::Resume => self.go_on(None),
        }
    }

    /// Ends the VMM: it is asked to, so that its disks are whole, and killed a moment later. The
    /// first reason stands.
    fn end(&mut self, verdict: Verdict) {
        if self.evidence.verdict.is_none() {
            log::line(&format!("the VMM is ended: {verdict:?}"));
            self.evidence.verdict = Some(verdict);
            self.parts.driver.quit();
            self.deadlines.quitting(Instant::now());
        }
    }

    fn signal(&mut self) {
        match self.parts.signals.next() {
            Ok(Some(received)) if received.signal == SIGTERM => self.stop(SIGNAL_GRACE),
            Ok(_) => {}
            Err(error) => log::line(&log::chain(&error)),
        }
    }

    /// The container that owned the network is gone, and the interfaces with it. A guest that is about
    /// to end anyway ends as it was to.
    fn holder_ended(&mut self) {
        self.close(Source::Holder);
        let evidence = &self.evidence;
        let ending = evidence.stopping
            || evidence.verdict.is_some()
            || evidence.going.is_some()
            || evidence.shutdown.is_some();
        if let Some(holder) = self.parts.plan.holder.as_ref().filter(|_| !ending) {
            log::line(&holder::message(&holder.container));
            self.evidence.lost_holder = Some(holder.container.clone());
            self.stop(HOLDER_GRACE);
        }
    }

    /// The VMM's process is gone: its last words are read before the end is judged.
    fn process_ended(&mut self) {
        let status = match self.parts.driver.try_wait() {
            Ok(None) => return,
            Ok(status) => status,
            Err(error) => {
                log::line(&log::chain(&error));
                None
            }
        };
        type Reader<'a> = fn(&mut Supervisor<'a>);
        let last: [(Source, Reader<'a>); 4] = [
            (Source::Console, Self::console),
            (Source::VmmOutput, Self::vmm_output),
            (Source::Agent, Self::agent),
            (Source::Vmm, Self::vmm_reports),
        ];
        // An agent may have come and said why it goes.
        self.agent_arrives();
        for (source, read) in last {
            for _ in 0..LAST_READS {
                if self.closed.contains(&source) {
                    break;
                }
                read(self);
            }
        }
        for report in status.map_or_else(Vec::new, |status| self.parts.driver.ended(status)) {
            self.report(report);
        }
        self.evidence.vmm_output = self.vmm_tail.lines();
        // Without a status the process was not ours to wait for, and is gone all the same.
        self.evidence.status = Some(status.unwrap_or(ignite_host::process::Status::Code(0)));
    }

    fn close(&mut self, source: Source) {
        self.closed.push(source);
    }

    fn console(&mut self) {
        if self.viewers.are_waiting() && self.parts.link.is_open() {
            // That the guest is ready was said before what is printed from then on.
            self.agent();
        }
        let mut buffer = [0; CONSOLE_READ];
        match self.parts.driver.console().read(&mut buffer) {
            Ok(0) => self.close(Source::Console),
            Ok(length) => self.printed(&buffer[..length]),
            Err(error) if later(&error) => {}
            Err(_) => self.close(Source::Console),
        }
    }

    fn printed(&mut self, bytes: &[u8]) {
        self.evidence.printed = true;
        if let Some(Err(error)) = self.parts.console.as_mut().map(|log| log.write(bytes)) {
            log::line(&format!("the console cannot be kept at this time: {error}"));
        }
        self.show(bytes);
        if let Some(words) = self.tail.push(bytes) {
            self.last_words(words);
        }
    }

    /// The kernel seems to have said that it stops. A user's program can print the same: only if
    /// the agent does not answer any more is it believed.
    fn last_words(&mut self, words: LastWords) {
        self.evidence.last_words = Some(words);
        if self.evidence.verdict.is_none() && self.evidence.shutdown.is_none() {
            self.ping_agent();
            let patience = match self.evidence.going {
                Some(_) if self.evidence.switchless => ANNOUNCED_PATIENCE,
                _ => LAST_WORDS_PATIENCE,
            };
            let at = Instant::now() + patience;
            self.deadlines.silence(at, Verdict::KernelGone(words));
        }
    }

    fn vmm_output(&mut self) {
        let mut buffer = [0; 4096];
        match self.parts.vmm_output.read(&mut buffer) {
            Ok(0) => self.close(Source::VmmOutput),
            Ok(length) => {
                for line in String::from_utf8_lossy(&buffer[..length]).lines() {
                    log::vmm_line(line);
                }
                self.vmm_tail.push(&buffer[..length]);
            }
            Err(error) if later(&error) => {}
            Err(_) => self.close(Source::VmmOutput),
        }
    }

    fn vmm_reports(&mut self) {
        match self.parts.driver.reports() {
            Ok(reports) => {
                for report in reports.reports {
                    self.report(report);
                }
                if reports.closed {
                    self.close(Source::Vmm);
                }
            }
            Err(error) => {
                log::line(&log::chain(&error));
                self.close(Source::Vmm);
            }
        }
    }

    fn report(&mut self, report: Report) {
        match report {
            Report::Shutdown(reason) => {
                self.evidence.shutdown.get_or_insert(reason);
                self.deadlines.stopped(Instant::now());
            }
            Report::Panicked => self.evidence.panicked = true,
            Report::AgentPort { open } => self.agent_port(open),
            Report::DiskError { device, message } => self.disk_error(&device, &message),
            Report::Balloon { bytes } => {
                if let Some(balloon) = &mut self.balloon {
                    balloon.told(bytes);
                }
            }
            Report::Answer(request, result) => self.answered(request, result),
            Report::Refused { message } => log::line(&format!("the VMM refused: {message}")),
            Report::Broken { message } => self.evidence.broken = Some(message),
            Report::Said { line } => log::line(&line),
        }
    }

    /// A disk without room may have some later: the guest waits, and loses nothing. It is told a few
    /// times only.
    fn disk_error(&mut self, device: &str, message: &str) {
        const TOLD: u32 = 20;
        self.disk_errors = self.disk_errors.saturating_add(1);
        if self.disk_errors <= TOLD {
            log::line(&format!("disk error on {device}: {message}"));
        }
        if self.evidence.verdict.is_none() {
            self.deadlines.disk_failed(Instant::now());
        }
        // A guest that stands still for that says nothing.
        self.silence.explained();
    }

    fn port(&mut self, number: usize, side: Side) {
        if let Err(error) = self.parts.network.hear(number, side, Instant::now()) {
            network_failed(&error);
        }
        self.note_refusals();
    }

    fn wake_network(&mut self, now: Instant) {
        for error in self.parts.network.wake(now) {
            network_failed(&error);
        }
        self.note_refusals();
    }

    /// The first addresses a guest may not use are written down, for `ps`: a handful in its life.
    fn note_refusals(&mut self) {
        if !self.parts.network.take_news() {
            return;
        }
        let refusals = self.parts.network.refusals();
        if let Err(error) = self.parts.status.refused(refusals) {
            log::line(&log::chain(&error));
        }
    }
}

/// What a plan allows.
fn limits(plan: &Plan) -> Limits {
    let of_interface =
        |attachment: &Attachment| Some((attachment.interface.clone(), attachment.rate?));
    Limits {
        interfaces: plan.attachments.iter().filter_map(of_interface).collect(),
        disk: plan.machine.disks.first().and_then(|disk| disk.rate),
    }
}

fn network_failed(error: &ignite_host::error::SystemError) {
    // The tap went with the VMM, whose end is heard of in a moment.
    if error.errno() != Some(ENETDOWN) {
        log::line(&log::chain(error));
    }
}

/// Whether a read that failed will go on later.
fn later(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
