//! What the agent says. The guest is hostile: whatever breaks the protocol costs it the link, and
//! nothing else; the VM goes on without `exec`.

use std::io;
use std::time::{Duration, Instant};

use ignite_host::step;
use ignite_wire::agent::{Frame, Message, PowerAction, VERSION};
use ignite_wire::supervisor::{COPY_FILES, Event};

use super::pace::Words;
use super::{Source, Supervisor};
use crate::console::one_line;
use crate::end::{Complaint, Verdict};
use crate::journal;
use crate::link::FAREWELL_READS;
use crate::log;
use crate::stream::Received;
use ignite_wire::agent::relay::Step;

/// How long an agent that said the guest halts may be silent. Longer than after the kernel's own
/// words: the agent may be ended long before the last file system is unmounted.
const HALT_PATIENCE: Duration = Duration::from_secs(30);

/// Longer than a guest that is ready needs until it begins the command, however slow the host.
const MOST_TO_COMPLETE: Duration = Duration::from_secs(3);

impl Supervisor<'_> {
    /// Sends a frame to the agent; false if there is no link.
    pub(super) fn tell_agent(&mut self, frame: &Frame) -> bool {
        // Who has not proved to be the agent is no way to reach it.
        let in_vain = self.is_unproven() && self.evidence.ready;
        if !self.parts.link.is_open() || in_vain {
            return false;
        }
        match self.parts.link.send(frame) {
            Ok(()) => true,
            // It takes nothing more, and is being heard out.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => false,
            Err(error) => {
                self.unreachable(&error);
                false
            }
        }
    }

    /// Asks the agent whether it is there.
    pub(super) fn ping_agent(&mut self) {
        self.pings += 1;
        self.tell_agent(&Frame::link(Message::Ping(self.pings)));
    }

    /// Whether programs can be run in the guest.
    pub(super) fn agent_is_ready(&self) -> bool {
        self.evidence.ready && self.evidence.greeted && self.parts.link.is_open()
    }

    pub(super) fn agent(&mut self) {
        if let Err(error) = self.parts.link.flush() {
            return self.unreachable(&error);
        }
        let mut frames = Vec::new();
        let received = self.parts.link.receive(&mut frames);
        for frame in frames {
            self.agent_said(frame);
        }
        match received {
            Ok(Received::Open) => {}
            Ok(Received::Closed) if !self.parts.link.is_open() => {}
            Ok(Received::Closed) => self.agent_closed(),
            Err(error) => self.drop_link(&error.to_string()),
        }
    }

    /// An agent connects. The one before it may have ended with its end not read yet.
    pub(super) fn agent_arrives(&mut self) {
        for _ in 0..FAREWELL_READS {
            if self.parts.link.is_open() {
                self.agent();
            }
        }
        match self.parts.link.accept(self.evidence.greeted) {
            Ok(()) => {}
            Err(error) if passing(&error) => {}
            Err(error) => {
                log::line(&format!("agents are no longer listened to: {error}"));
                self.close(Source::Arrivals);
            }
        }
    }

    /// The agent takes nothing more. One that went away may have said why, which is still to be read.
    fn unreachable(&mut self, error: &io::Error) {
        if !matches!(
            error.kind(),
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
        ) {
            return self.drop_link(&error.to_string());
        }
        for frame in self.parts.link.farewell() {
            self.agent_said(frame);
        }
        if self.parts.link.is_open() {
            self.agent_closed();
        }
    }

    fn agent_closed(&mut self) {
        self.parts.link.close();
        if self.parts.link.is_listening() {
            self.evidence.greeted = false;
            self.agent_gone("the guest's agent went away");
        } else {
            // The VMM has the stream open as long as it lives.
            self.agent_gone("the VM has ended");
        }
    }

    /// The guest opened or closed the port. What is still in the socket was said before.
    pub(super) fn agent_port(&mut self, open: bool) {
        if open || !self.parts.link.is_open() {
            return;
        }
        self.agent();
        self.parts.link.restart();
        self.evidence.greeted = false;
        self.agent_gone("the guest's agent went away");
    }

    fn drop_link(&mut self, reason: &str) {
        if self.is_unproven() {
            return self.send_away(reason);
        }
        if self.parts.link.is_open() {
            log::line(&format!("the link to the agent is dropped: {reason}"));
            self.parts.link.give_up();
            self.agent_gone("the link to the guest's agent was lost");
        }
    }

    /// This is not the agent, which may still come.
    fn send_away(&mut self, reason: &str) {
        if self.parts.link.is_open() {
            log::line(&format!("who came as the agent is sent away: {reason}"));
            self.parts.link.close();
        }
    }

    fn agent_gone(&mut self, reason: &str) {
        self.stopping.forgotten();
        for (client, frame) in self.relay.agent_gone(reason) {
            self.tell_client(client, &frame);
        }
    }

    fn agent_said(&mut self, frame: Frame) {
        if !self.parts.link.is_open() {
            return;
        }
        if !self.is_heard(&frame) {
            return self.send_away("it has not proved what it is");
        }
        if !self.is_unproven() {
            self.heard_agent();
        }
        let words = Words::of(&frame);
        if frame.channel == 0 {
            self.pace.said(words, false);
            return self.said(frame.message);
        }
        let step = self.relay.agent_said(frame);
        self.pace.said(words, matches!(step, Step::ToClient(..)));
        match step {
            Step::ToClient(client, frame) => self.tell_client(client, &frame),
            Step::DropLink(reason) => self.drop_link(reason),
            Step::ToAgent(_) | Step::DropClient(..) | Step::Nothing => {}
        }
    }

    /// Whether a link there is may be anybody's: over vsock, until its agent has said its token.
    fn is_unproven(&self) -> bool {
        self.parts.link.is_listening() && !self.evidence.greeted
    }

    /// Whether this may be said by whoever says it. Any program of the guest may connect where agents
    /// arrive, but none runs before the guest is ready: what hinders that is said without a proof.
    fn is_heard(&self, frame: &Frame) -> bool {
        if !self.is_unproven() {
            return true;
        }
        match frame.message {
            Message::Hello { .. } => true,
            Message::Error { .. } | Message::Ping(_) => frame.channel == 0 && !self.evidence.ready,
            _ => false,
        }
    }

    /// About the link itself, or the guest as a whole.
    fn said(&mut self, message: Message) {
        if !self.is_unproven() {
            self.deadlines.heard();
        }
        match message {
            Message::Hello { version, token } => self.hello(version, &token),
            Message::Ready if self.evidence.greeted => self.ready(),
            Message::Ended { code } => self.command_ended(code),
            Message::Going { action } => self.going(action),
            Message::Ping(number) => {
                self.tell_agent(&Frame::link(Message::Pong(number)));
            }
            Message::Pong(_) => {}
            Message::Error { message, hint } => self.complained(&message, hint.as_deref()),
            _ => self.drop_link("a message that is not an agent's"),
        }
    }

    fn hello(&mut self, version: u32, token: &[u8]) {
        if !self.parts.link.is_agents(token) {
            return self.drop_link("it says another token than the agent's");
        }
        if version != VERSION {
            return self.drop_link(&format!("it speaks version {version}, not {VERSION}"));
        }
        if self.evidence.greeted {
            // Another agent than before: its programs went with it.
            self.agent_gone("the guest's agent was started anew");
        }
        self.evidence.greeted = true;
        self.tell_agent_to_stop();
    }

    fn ready(&mut self) {
        let ending = self.evidence.verdict.is_some() || self.evidence.lost_holder.is_some();
        if self.evidence.ready || ending {
            return;
        }
        self.evidence.ready = true;
        self.ready = Some(Instant::now());
        self.deadlines.booted();
        self.given();
        if let Err(error) = self.parts.status.running() {
            log::line(&log::chain(&error));
        }
        journal::ready(self.parts.plan);
        step::reached(step::Step::SuperviseReady);
        self.viewers.ready();
        self.tell_console_size();
        self.parts.notify.send(&Event::Ready);
    }

    /// A guest that is ready has the files it was to begin with: no later start is to give them again.
    fn given(&self) {
        let plan = self.parts.plan;
        if plan.guest.copy_files.is_none() {
            return;
        }
        match std::fs::remove_file(plan.vm_dir.join(COPY_FILES)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => log::line(&format!(
                "the archive of the VM's files stays, and is copied once more: {error}"
            )),
            _ => step::reached(step::Step::SuperviseGiven),
        }
    }

    /// Before it is ready this is why the guest will never be.
    fn complained(&mut self, message: &str, hint: Option<&str>) {
        let [message, hint] = [message, hint.unwrap_or_default()].map(one_line);
        log::line(&format!("the agent says: {message}"));
        if !self.evidence.ready {
            self.evidence
                .complaint
                .get_or_insert(Complaint { message, hint });
        }
    }

    fn command_ended(&mut self, code: i32) {
        // A guest that is ready completes its root before it begins the command: as slow as it boots, in
        // some part of that time.
        let begun = |ready: Instant| ready + ((ready - self.started) / 4).min(MOST_TO_COMPLETE);
        let after = self
            .ready
            .map(|ready| Instant::now().saturating_duration_since(begun(ready)))
            .unwrap_or_default();
        self.evidence.command.get_or_insert((code, after));
    }

    fn going(&mut self, action: PowerAction) {
        self.evidence.going = Some(action);
        if action == PowerAction::Halt && self.evidence.verdict.is_none() {
            let at = Instant::now() + HALT_PATIENCE;
            self.deadlines.silence(at, Verdict::HaltAnnounced);
        }
    }
}

/// Whether the next arrival may be taken all the same.
fn passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock
            | io::ErrorKind::Interrupted
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}
