//! The threads that move packets, until they are dropped.
//!
//! ```text
//!   TUN queue 0 --thread--.
//!   TUN queue 1 --thread---+--> one UDP socket --thread--> TUN queue 0
//! ```
//!
//! The kernel keeps a flow on one queue, and one thread takes all that comes in, so nothing is put out
//! of order. What cannot be delivered is dropped, as on any wire.

use std::io::{self, IoSlice};
use std::net::{SocketAddrV4, UdpSocket};
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use ignite_host::datagram::{BATCH, Incoming, Outgoing, send};
use ignite_host::signal::{PollFd, PollFlags, poll};
use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use super::packet::{decrement_ttl, destination, net_unreachable};
use super::segment::{Finished, HEADER, finish};
use super::table::Shared;

/// Bytes of one read: a header, and what a packet can be at most before it is cut.
const READ: usize = HEADER + 65_535;
/// Bytes taken off the device before they are sent; a round may go beyond by one read.
const ROUND: usize = 256 * 1024;

/// The running threads.
#[derive(Debug)]
pub(super) struct Pump {
    stop: Arc<OwnedFd>,
    threads: Vec<JoinHandle<()>>,
}

/// What every thread has.
#[derive(Debug, Clone)]
struct Way {
    socket: Arc<UdpSocket>,
    queue: Arc<OwnedFd>,
    table: Shared,
    /// Bytes of a packet at most.
    mtu: usize,
    /// Can be read once it is over.
    stop: Arc<OwnedFd>,
}

impl Pump {
    /// Starts the threads, on the queues of a TUN device with this MTU.
    pub(super) fn start(
        socket: UdpSocket,
        queues: Vec<OwnedFd>,
        table: &Shared,
        mtu: usize,
    ) -> io::Result<Self> {
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let socket = Arc::new(socket);
        let ways: Vec<Way> = (queues.into_iter())
            .map(|queue| Way {
                socket: Arc::clone(&socket),
                queue: Arc::new(queue),
                table: table.clone(),
                mtu,
                stop: Arc::clone(&stop),
            })
            .collect();
        let mut pump = Self {
            stop,
            threads: Vec::new(),
        };
        let inward = ways.first().cloned();
        for way in ways {
            pump.spawn("udp-out", move || way.outward())?;
        }
        if let Some(way) = inward {
            pump.spawn("udp-in", move || way.inward())?;
        }
        Ok(pump)
    }

    fn spawn(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let thread = Builder::new().name(name.to_owned()).spawn(work)?;
        self.threads.push(thread);
        Ok(())
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        // Nothing but a count of 2^64 could keep it from being written.
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Way {
    /// From the TUN device to the peers.
    fn outward(&self) {
        let mut buffer = vec![0; READ];
        let mut round = Round::default();
        while self.wait(self.queue.as_fd()) {
            round.clear();
            while !round.is_full() {
                let length = match rustix::io::read(&self.queue, &mut *buffer) {
                    Ok(length) => length,
                    Err(Errno::AGAIN | Errno::INTR) => break,
                    // Somebody deleted the device, which polls as ready for ever now.
                    Err(_) => return,
                };
                if let Some((header, packet)) = buffer[..length].split_first_chunk_mut() {
                    self.route(header, packet, &mut round);
                }
            }
            self.send(&round.outgoing());
        }
    }

    /// What becomes of one packet of this node.
    fn route(&self, header: &[u8; HEADER], packet: &mut [u8], round: &mut Round) {
        // Taken for each: a lease that is gone is not used from here on.
        let table = self.table.get();
        let Some(destination) = destination(packet) else {
            return;
        };
        let Some(to) = table.find(destination) else {
            if let Some(answer) = net_unreachable(packet, table.own()) {
                // With `accept_local` off the kernel does not take it; that is the host's choice.
                self.deliver(&answer);
            }
            return;
        };
        if decrement_ttl(packet) {
            round.push(to, header, packet);
        }
    }

    fn send(&self, mut outgoing: &[Outgoing<'_>]) {
        while let Some(first) = outgoing.first() {
            let sent = send(&self.socket, outgoing).unwrap_or_else(|_| {
                // The first one cannot be sent: no way to that node, or too large for the path to it;
                // the next one may go elsewhere. Or it cannot be cut by the kernel on that path.
                self.send_apart(first);
                1
            });
            outgoing = outgoing.get(sent.max(1)..).unwrap_or_default();
        }
    }

    fn send_apart(&self, message: &Outgoing<'_>) {
        let Some(size) = message.segment else {
            return;
        };
        for bytes in message.bytes.chunks(usize::from(size)) {
            let _ = self.socket.send_to(bytes, message.to);
        }
    }

    /// From the peers to the TUN device, whoever they are and wherever it goes: as Flannel does it.
    fn inward(&self) {
        let mut incoming = Incoming::new(self.mtu);
        while self.wait(self.socket.as_fd()) {
            // An error is one of an earlier packet's way, told now.
            let _ = incoming.receive(&self.socket);
            for packet in incoming.datagrams() {
                if destination(packet).is_some() && decrement_ttl(packet) {
                    self.deliver(packet);
                }
            }
        }
    }

    /// Gives the kernel a packet that is whole.
    fn deliver(&self, packet: &[u8]) {
        let parts = [IoSlice::new(&[0; HEADER]), IoSlice::new(packet)];
        let _ = rustix::io::writev(&self.queue, &parts);
    }

    /// Waits until there is something to read; false once it is over.
    fn wait(&self, source: BorrowedFd<'_>) -> bool {
        loop {
            let mut fds = [
                PollFd::new(&source, PollFlags::IN),
                PollFd::new(&self.stop, PollFlags::IN),
            ];
            if poll(&mut fds, None).is_err() || !fds[1].revents().is_empty() {
                return false;
            }
            if !fds[0].revents().is_empty() {
                return true;
            }
        }
    }
}

/// The packets of one round, ready to be sent.
#[derive(Debug, Default)]
struct Round {
    bytes: Vec<u8>,
    packets: Vec<Packet>,
}

/// Bytes to one node: a packet, or several of that size.
#[derive(Debug)]
struct Packet {
    to: SocketAddrV4,
    range: Range<usize>,
    size: Option<usize>,
}

impl Round {
    fn clear(&mut self) {
        self.bytes.clear();
        self.packets.clear();
    }

    fn is_full(&self) -> bool {
        self.bytes.len() >= ROUND || self.packets.len() >= BATCH
    }

    fn push(&mut self, to: SocketAddrV4, header: &[u8; HEADER], packet: &mut [u8]) {
        let start = self.bytes.len();
        let size = match finish(header, packet, &mut self.bytes) {
            Finished::Whole => {
                self.bytes.extend_from_slice(packet);
                None
            }
            Finished::Cut(size) => Some(size),
            Finished::Unusable => return,
        };
        let range = start..self.bytes.len();
        self.packets.push(Packet { to, range, size });
    }

    fn outgoing(&self) -> Vec<Outgoing<'_>> {
        (self.packets.iter())
            .flat_map(|packet| messages(packet, &self.bytes[packet.range.clone()]))
            .collect()
    }
}

/// Cut packets are sent together: as many as one datagram of the kernel can hold.
fn messages<'a>(packet: &Packet, bytes: &'a [u8]) -> impl Iterator<Item = Outgoing<'a>> {
    /// `UDP_MAX_SEGMENTS`
    const SEGMENTS: usize = 64;
    const LARGEST: usize = 65_507;
    let to = packet.to;
    let size = packet.size.unwrap_or(bytes.len()).max(1);
    let together = size * (LARGEST / size).clamp(1, SEGMENTS);
    bytes.chunks(together).map(move |bytes| Outgoing {
        to,
        bytes,
        segment: (u16::try_from(size).ok()).filter(|_| bytes.len() > size),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cut_packets_are_sent_together_as_far_as_they_fit() {
        let packet = |size| Packet {
            to: SocketAddrV4::new([10, 99, 0, 12].into(), 8285),
            range: 0..0,
            size,
        };
        let sent = |size, length: usize| -> Vec<(usize, Option<u16>)> {
            let bytes = vec![0; length];
            messages(&packet(size), &bytes)
                .map(|message| (message.bytes.len(), message.segment))
                .collect()
        };
        assert_eq!(sent(None, 1472), [(1472, None)]);
        assert_eq!(sent(Some(1472), 1472), [(1472, None)]);
        assert_eq!(sent(Some(1000), 2500), [(2500, Some(1000))]);
        // 64 segments, and one left.
        assert_eq!(sent(Some(100), 6500), [(6400, Some(100)), (100, None)]);
        // 44 of 1472 bytes are 64768.
        assert_eq!(
            sent(Some(1472), 65_000),
            [(64_768, Some(1472)), (232, None)]
        );
    }
}
