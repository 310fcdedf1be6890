//! A node of the udp backend in the few lines that Flannel's protocol takes: a TUN device and a UDP
//! socket, each packet the payload of one datagram, a hop of its TTL for each passage.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use ignite_host::tun::{Offload, Tun};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::lab::{Lab, Place};

const PORT: u16 = 8285;
const MTU: usize = 1472;

/// A packet of IPv4 as it came in a datagram.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Who sent the datagram.
    pub from: SocketAddr,
    /// Bytes in it.
    pub datagram: usize,
    /// Bytes of the packet by its own words.
    pub length: usize,
    /// Who sent the packet.
    pub source: Ipv4Addr,
    pub ttl: u8,
    /// Its header's checksum is what the header adds up to.
    pub sum_is_right: bool,
}

/// A relay between the device `flannel0` of a place and one peer.
pub struct Relay {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Vec<Seen>>>,
}

impl Relay {
    /// Makes the device, not up, and moves packets between it and the peer.
    pub fn start(lab: &Lab, place: Place, own: &str, peer: &str) -> Self {
        let tun = lab.within(place, || Tun::open("flannel%d", 1, Offload::Nothing));
        let mut queues = tun.expect("a device").into_queues();
        let queue = queues.pop().expect("one queue");
        let socket = lab.socket(place, &format!("{own}:{PORT}"));
        let peer = SocketAddrV4::new(peer.parse().expect("an address"), PORT);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || relay(&queue, &socket, peer, &stopped));
        Self {
            stop,
            thread: Some(thread),
        }
    }

    /// Ends it; what came in datagrams.
    pub fn end(mut self) -> Vec<Seen> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().expect("it ends once");
        thread.join().expect("no panic")
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

fn relay(queue: &OwnedFd, socket: &UdpSocket, peer: SocketAddrV4, stop: &AtomicBool) -> Vec<Seen> {
    socket.set_nonblocking(true).expect("a socket");
    let mut all = Vec::new();
    let mut packet = [0; MTU];
    while !stop.load(Ordering::Relaxed) {
        wait(queue, socket);
        while let Ok(length) = rustix::io::read(queue, &mut packet) {
            if is_ipv4(&packet[..length]) && hop(&mut packet) {
                // The peer may be between two lives.
                let _ = socket.send_to(&packet[..length], peer);
            }
        }
        while let Ok((length, from)) = socket.recv_from(&mut packet) {
            if is_ipv4(&packet[..length]) {
                all.push(seen(&packet[..length], from));
                if hop(&mut packet) {
                    let _ = rustix::io::write(queue, &packet[..length]);
                }
            }
        }
    }
    all
}

fn wait(queue: &OwnedFd, socket: &UdpSocket) {
    let mut both = [
        PollFd::new(queue, PollFlags::IN),
        PollFd::new(socket, PollFlags::IN),
    ];
    let limit = Timespec::try_from(Duration::from_millis(100)).expect("short");
    poll(&mut both, Some(&limit)).expect("two open descriptors");
}

fn is_ipv4(packet: &[u8]) -> bool {
    packet.len() >= 20 && packet[0] >> 4 == 4
}

/// Takes a hop off the TTL, and puts it into the checksum; whether any is left.
fn hop(packet: &mut [u8]) -> bool {
    packet[8] -= 1;
    let (sum, carry) = u16::from_be_bytes([packet[10], packet[11]]).overflowing_add(0x100);
    packet[10..12].copy_from_slice(&(sum + u16::from(carry)).to_be_bytes());
    packet[8] > 0
}

fn seen(packet: &[u8], from: SocketAddr) -> Seen {
    let words = packet[..20].chunks(2);
    let sum: u32 = words
        .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
        .sum();
    Seen {
        from,
        datagram: packet.len(),
        length: u16::from_be_bytes([packet[2], packet[3]]).into(),
        source: Ipv4Addr::new(packet[12], packet[13], packet[14], packet[15]),
        ttl: packet[8],
        sum_is_right: (sum & 0xffff) + (sum >> 16) == 0xffff,
    }
}
