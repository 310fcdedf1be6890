//! The guest's console and those who are attached to it.

use std::io::{self, Write};

use ignite_wire::agent::{Frame, Message, TerminalSize};

use super::{Source, Supervisor, later};
use crate::log;
use crate::viewers::Heard;
use ignite_wire::agent::relay::ClientId;

impl Supervisor<'_> {
    /// A client wants to see the console.
    pub(super) fn attach(&mut self, client: ClientId, channel: u32) {
        let in_use = self.viewers.has(client, channel) || self.relay.is_open(client, channel);
        if in_use {
            log::line("a client is disconnected: a second use of one channel");
            return self.disconnect(client);
        }
        self.viewers.attach(client, channel, !self.evidence.ready);
    }

    /// A client that is attached said something on that channel.
    pub(super) fn viewer_said(&mut self, client: ClientId, frame: Frame) {
        match self.viewers.heard(client, frame) {
            Heard::Input => self.type_in(),
            Heard::Resize(size) => self.resize_console(size),
            Heard::Left | Heard::Nothing => {}
            Heard::Wrong(reason) => {
                log::line(&format!("a client is disconnected: {reason}"));
                self.disconnect(client);
            }
        }
    }

    /// Shows everybody what the guest printed.
    pub(super) fn show(&mut self, bytes: &[u8]) {
        for (client, frame) in self.viewers.printed(bytes) {
            self.tell_client(client, &frame);
        }
    }

    /// Gives the console what it takes now of what was typed.
    pub(super) fn type_in(&mut self) {
        while let Some(bytes) = self.viewers.input() {
            let written = match self.parts.driver.console().write(bytes) {
                Ok(written) if written > 0 => written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if later(&error) => return,
                // The guest is about to end.
                Ok(_) | Err(_) => return self.close(Source::ConsoleInput),
            };
            if let Some((client, frame)) = self.viewers.took(written) {
                self.tell_client(client, &frame);
            }
        }
    }

    /// The last one to say it decides. An agent that is not there yet is told when it is.
    fn resize_console(&mut self, size: TerminalSize) {
        self.console_size = Some(size);
        if self.agent_is_ready() {
            self.tell_console_size();
        }
    }

    /// Tells the agent how large the terminal before the console is, if somebody knows.
    pub(super) fn tell_console_size(&mut self) {
        if let Some(size) = self.console_size {
            self.tell_agent(&Frame::link(Message::Resize(size)));
        }
    }
}
