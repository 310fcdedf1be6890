//! The descriptors a supervisor waits for.

use std::os::fd::{AsFd, BorrowedFd};

use ignite_host::signal::{PollFd, PollFlags};

use super::Supervisor;
use crate::network::Side;
use ignite_wire::agent::relay::ClientId;

/// With more than that waiting for the agent, clients with programs are not read.
const AGENT_BUSY: usize = 1 << 20;

/// Where something is to be read or can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// Signals to the supervisor.
    Signals,
    /// The VMM's process, when it ended.
    Process,
    /// The process that owns the sandbox, when it ended.
    Holder,
    /// The guest's console.
    Console,
    /// The same the other way.
    ConsoleInput,
    /// What the VMM prints.
    VmmOutput,
    /// The VMM's control stream.
    Vmm,
    /// The agent's stream.
    Agent,
    /// Where agents arrive.
    Arrivals,
    /// A port of the guest's network, by number.
    Port(usize, Side),
    /// The control socket.
    Listener,
    /// A client of the control socket.
    Client(ClientId),
}

impl Supervisor<'_> {
    /// All that is to be waited for now, and the same as descriptors, one for each.
    pub(super) fn sources(&self) -> (Vec<Source>, Vec<PollFd<'_>>) {
        let parts = &self.parts;
        let mut list = List::default();
        list.read(Source::Signals, parts.signals.as_fd());
        list.read(Source::Process, parts.driver.process().pidfd());
        if let Some(holder) = &parts.holder {
            list.read(Source::Holder, holder.as_fd());
        }
        list.read(Source::Console, parts.driver.console().as_fd());
        if self.viewers.input().is_some() {
            list.add(
                Source::ConsoleInput,
                parts.driver.console().input(),
                false,
                true,
            );
        }
        list.read(Source::VmmOutput, parts.vmm_output.as_fd());
        for (control, write) in parts.driver.control() {
            list.both(Source::Vmm, control, write);
        }
        if let Some(stream) = parts.link.stream() {
            list.both(Source::Agent, stream, parts.link.waiting() > 0);
        }
        if let Some(listener) = parts.link.listener() {
            list.read(Source::Arrivals, listener);
        }
        for (number, side, socket) in parts.network.sockets() {
            list.read(Source::Port(number, side), socket);
        }
        list.read(Source::Listener, parts.control.listener());
        let agent_busy = parts.link.waiting() > AGENT_BUSY;
        for (id, stream) in parts.control.clients() {
            let read = !(agent_busy && self.relay.has_channels(id));
            list.add(
                Source::Client(id),
                stream.as_fd(),
                read,
                stream.waiting() > 0,
            );
        }
        list.only(|source| !self.closed.contains(&source) && !self.pace.rests(source))
    }
}

#[derive(Default)]
struct List<'a>(Vec<(Source, PollFd<'a>)>);

impl<'a> List<'a> {
    fn read(&mut self, source: Source, fd: BorrowedFd<'a>) {
        self.add(source, fd, true, false);
    }

    fn both(&mut self, source: Source, fd: BorrowedFd<'a>, write: bool) {
        self.add(source, fd, true, write);
    }

    fn add(&mut self, source: Source, fd: BorrowedFd<'a>, read: bool, write: bool) {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::IN, read);
        flags.set(PollFlags::OUT, write);
        self.0.push((source, PollFd::from_borrowed_fd(fd, flags)));
    }

    fn only(self, heard: impl Fn(Source) -> bool) -> (Vec<Source>, Vec<PollFd<'a>>) {
        let heard = self.0.into_iter().filter(|(source, _)| heard(*source));
        heard.unzip()
    }
}
