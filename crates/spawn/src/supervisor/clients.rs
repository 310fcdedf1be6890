//! What clients of the control socket want.

use std::io;
use std::time::Duration;

use ignite_wire::agent::{Frame, Message, SupervisorStatus};

use super::Supervisor;
use super::balloon::Balloon;
use crate::end::Verdict;
use crate::link::FAREWELL_READS;
use crate::log;
use crate::stream::Received;
use ignite_wire::agent::relay::{ClientId, Step, refusal};

impl Supervisor<'_> {
    /// Sends to a client; one that reads too slowly, or is gone, is disconnected.
    pub(super) fn tell_client(&mut self, client: ClientId, frame: &Frame) {
        if !self.parts.control.send(client, frame) {
            self.lost(client);
        }
    }

    /// A client takes nothing more. What it said before holds: it may have left its program alone.
    fn lost(&mut self, id: ClientId) {
        let mut frames = Vec::new();
        if let Some(stream) = self.parts.control.client(id) {
            for _ in 0..FAREWELL_READS {
                match stream.receive(&mut frames) {
                    Ok(Received::Open) => {}
                    Ok(Received::Closed) | Err(_) => break,
                }
            }
        }
        for frame in frames {
            // Nothing begins for who is gone.
            if !matches!(frame.message, Message::Exec(_))
                && let Step::ToAgent(frame) = self.relay.client_said(id, frame)
            {
                self.tell_agent(&frame);
            }
        }
        self.disconnect(id);
    }

    pub(super) fn client(&mut self, id: ClientId) {
        let Some(stream) = self.parts.control.client(id) else {
            return;
        };
        let mut frames = Vec::new();
        let received = stream.flush().and_then(|()| stream.receive(&mut frames));
        if !frames.is_empty() {
            self.parts.control.spoke(id);
        }
        for frame in frames {
            self.client_said(id, frame);
        }
        match received {
            Ok(Received::Open) => {}
            Ok(Received::Closed) => self.disconnect(id),
            Err(error) => {
                // A client that went away while something waited for it is nothing to tell of.
                if error.kind() == io::ErrorKind::Other {
                    log::line(&format!("a client is disconnected: {error}"));
                }
                self.lost(id);
            }
        }
    }

    pub(super) fn disconnect(&mut self, id: ClientId) {
        self.parts.control.disconnect(id);
        self.viewers.gone(id);
        for frame in self.relay.client_gone(id) {
            self.tell_agent(&frame);
        }
    }

    fn client_said(&mut self, id: ClientId, frame: Frame) {
        if frame.channel == 0 {
            return self.request(id, frame.message);
        }
        let begins = matches!(frame.message, Message::Exec(_) | Message::Attach);
        if begins && self.parts.control.is_crowded() {
            let message = Message::Error {
                message: "the VM has as many sessions as it may".to_owned(),
                hint: Some("try again when one of them has ended".to_owned()),
            };
            let channel = frame.channel;
            return self.tell_client(id, &Frame { channel, message });
        }
        if frame.message == Message::Attach {
            return self.attach(id, frame.channel);
        }
        if self.viewers.has(id, frame.channel) {
            return self.viewer_said(id, frame);
        }
        if matches!(frame.message, Message::Exec(_))
            && let Some(message) = self.why_no_program()
        {
            let channel = frame.channel;
            return self.tell_client(id, &Frame { channel, message });
        }
        match self.relay.client_said(id, frame) {
            Step::ToAgent(frame) => {
                self.tell_agent(&frame);
            }
            Step::ToClient(client, frame) => self.tell_client(client, &frame),
            Step::DropClient(client, reason) => {
                log::line(&format!("a client is disconnected: {reason}"));
                self.disconnect(client);
            }
            Step::DropLink(_) | Step::Nothing => {}
        }
    }

    /// Why no program can be run now, if that is so.
    fn why_no_program(&self) -> Option<Message> {
        let name = &self.parts.plan.name;
        let error = |message: &str, hint: Option<String>| {
            let message = message.to_owned();
            Some(Message::Error { message, hint })
        };
        if !self.evidence.ready {
            return error("the guest is not ready yet", None);
        }
        if !self.agent_is_ready() {
            let message = "the guest's agent is gone: programs can be run again after the VM was \
                           started anew";
            return error(message, None);
        }
        if self.standstill.is_wanted() {
            let hint = format!("let it go on with: ignite unpause {name}");
            return error("the VM is paused", Some(hint));
        }
        let is_silent = self.silence.is_given_up();
        is_silent.then(|| self.no_answer())
    }

    /// A request to the supervisor itself.
    fn request(&mut self, id: ClientId, message: Message) {
        match message {
            Message::Stop { grace_ms } => self.stop(Duration::from_millis(grace_ms)),
            Message::Kill => self.end(Verdict::Kill),
            Message::Pause => return self.pause(id),
            Message::Resume => return self.resume(id),
            Message::Limit(limits) => return self.limit(id, limits),
            Message::Balloon { bytes } => return self.inflate(id, bytes),
            // Told as last counted; who asks again soon finds it fresh.
            Message::Status => self.parts.driver.count(),
            Message::Ping(number) => {
                return self.tell_client(id, &Frame::link(Message::Pong(number)));
            }
            _ => {
                let answer = refusal(0, "this is nothing a supervisor can be asked for");
                return self.tell_client(id, &answer);
            }
        }
        let status = SupervisorStatus {
            uid: self.parts.plan.uid.clone(),
            vmm_pid: self
                .parts
                .driver
                .process()
                .pid()
                .try_into()
                .unwrap_or(i32::MAX),
            ready: self.evidence.ready,
            stopping: self.evidence.stopping || self.evidence.verdict.is_some(),
            paused: self.standstill.is(),
            uptime_ms: self
                .started
                .elapsed()
                .as_millis()
                .try_into()
                .unwrap_or(u64::MAX),
            refusals: self.parts.network.refusals(),
            traffic: self.parts.network.traffic(),
            balloon: self.balloon.as_ref().and_then(Balloon::actual),
            vmm: self.parts.driver.counters(),
            disks: self.parts.driver.disks(),
        };
        self.tell_client(id, &Frame::link(Message::StatusReply(status)));
    }
}
