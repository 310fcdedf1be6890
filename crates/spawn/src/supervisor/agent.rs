//! What the agent says. The guest is hostile: whatever breaks the protocol costs it the link, and
//! nothing else; the VM goes on without `exec`.

use std::time::{Duration, Instant};

use ignite_host::step;
use ignite_wire::agent::{Frame, Message, PowerAction, VERSION};
use ignite_wire::supervisor::Event;

use super::{Source, Supervisor};
use crate::console::one_line;
use crate::end::{Complaint, Verdict};
use crate::log;
use crate::relay::Step;
use crate::stream::Received;

/// How long an agent that said the guest halts may be silent. Longer than after the kernel's own
/// words: the agent may be ended long before the last file system is unmounted.
const HALT_PATIENCE: Duration = Duration::from_secs(30);

/// Longer than a guest that is ready needs until it begins the command, however slow the host.
const MOST_TO_COMPLETE: Duration = Duration::from_secs(3);

impl Supervisor<'_> {
    /// Sends a frame to the agent; false if there is no link.
    pub(super) fn tell_agent(&mut self, frame: &Frame) -> bool {
        if self.closed.contains(&Source::Agent) {
            return false;
        }
        match self.parts.link.send(frame) {
            Ok(()) => true,
            Err(error) => {
                self.drop_link(&error.to_string());
                false
            }
        }
    }

    /// Whether programs can be run in the guest.
    pub(super) fn agent_is_ready(&self) -> bool {
        self.evidence.ready && self.evidence.greeted && !self.closed.contains(&Source::Agent)
    }

    pub(super) fn agent(&mut self) {
        if let Err(error) = self.parts.link.flush() {
            return self.drop_link(&error.to_string());
        }
        let mut frames = Vec::new();
        let received = self.parts.link.receive(&mut frames);
        for frame in frames {
            self.agent_said(frame);
        }
        match received {
            Ok(Received::Open) => {}
            Ok(Received::Closed) if self.closed.contains(&Source::Agent) => {}
            // The VMM has it open as long as it lives.
            Ok(Received::Closed) => {
                self.close(Source::Agent);
                self.agent_gone("the VM has ended");
            }
            Err(error) => self.drop_link(&error.to_string()),
        }
    }

    /// The guest opened or closed the port. What is still in the socket was said before.
    pub(super) fn agent_port(&mut self, open: bool) {
        if open || self.closed.contains(&Source::Agent) {
            return;
        }
        self.agent();
        self.parts.link.restart();
        self.evidence.greeted = false;
        self.agent_gone("the guest's agent went away");
    }

    fn drop_link(&mut self, reason: &str) {
        if !self.closed.contains(&Source::Agent) {
            log::line(&format!("the link to the agent is dropped: {reason}"));
            self.close(Source::Agent);
            self.agent_gone("the link to the guest's agent was lost");
        }
    }

    fn agent_gone(&mut self, reason: &str) {
        for (client, frame) in self.relay.agent_gone(reason) {
            self.tell_client(client, &frame);
        }
    }

    fn agent_said(&mut self, frame: Frame) {
        if self.closed.contains(&Source::Agent) {
            return;
        }
        if frame.channel == 0 {
            return self.said(frame.message);
        }
        match self.relay.agent_said(frame) {
            Step::ToClient(client, frame) => self.tell_client(client, &frame),
            Step::DropLink(reason) => self.drop_link(reason),
            Step::ToAgent(_) | Step::DropClient(..) | Step::Nothing => {}
        }
    }

    /// About the link itself, or the guest as a whole.
    fn said(&mut self, message: Message) {
        self.deadlines.heard();
        match message {
            Message::Hello { version } => self.hello(version),
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

    fn hello(&mut self, version: u32) {
        if version != VERSION {
            return self.drop_link(&format!("it speaks version {version}, not {VERSION}"));
        }
        if self.evidence.greeted {
            // Another agent than before: its programs went with it.
            self.agent_gone("the guest's agent was started anew");
        }
        self.evidence.greeted = true;
    }

    fn ready(&mut self) {
        let ending = self.evidence.verdict.is_some() || self.evidence.lost_holder.is_some();
        if self.evidence.ready || ending {
            return;
        }
        self.evidence.ready = true;
        self.ready = Some(Instant::now());
        self.deadlines.booted();
        if let Err(error) = self.parts.status.running() {
            log::line(&log::chain(&error));
        }
        step::reached(step::Step::SuperviseReady);
        self.parts.notify.send(&Event::Ready);
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
