//! TUN devices: a network interface whose packets (IP, no Ethernet) a program reads and writes.
//!
//! The interface is not persistent: it goes when the last descriptor closes. With several queues the
//! kernel spreads flows over them, so that each can have a thread of its own.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::error::Context;
use crate::tap::{DEVICE, answer, quieten, set_interface};

pub use crate::error::SystemError as Error;

/// `TUN_F_CSUM`: packets may come without their checksum.
const CHECKSUM: libc::c_uint = 1;
/// `TUN_F_TSO4`: packets may come as one of up to 64 KiB of TCP over IPv4.
const SEGMENTATION: libc::c_uint = 2;

/// What the kernel leaves to the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offload {
    /// Nothing: bare packets, none larger than the MTU.
    Nothing,
    /// Checksums, and the segmentation of TCP over IPv4: every packet, read or written, has
    /// [`Tun::HEADER`] bytes of `struct virtio_net_hdr` before it.
    Tcp4,
}

/// An open TUN device.
#[derive(Debug)]
pub struct Tun {
    queues: Vec<OwnedFd>,
    name: String,
    index: u32,
}

impl Tun {
    /// Bytes before every packet with [`Offload::Tcp4`].
    pub const HEADER: usize = 10;

    /// Makes an interface in the calling thread's network namespace; `%d` in `template` becomes the
    /// first free number. No IPv6 address of its own, not up yet, `queues` (at least one) that never
    /// wait.
    pub fn open(template: &str, queues: usize, offload: Offload) -> Result<Self, Error> {
        let action = || format!("create the TUN device {template}");
        let mut flags = libc::IFF_TUN | libc::IFF_NO_PI;
        if queues > 1 {
            flags |= libc::IFF_MULTI_QUEUE;
        }
        if offload == Offload::Tcp4 {
            flags |= libc::IFF_VNET_HDR;
        }
        let first = device()?;
        // Somebody else's interface of that name must not become ours.
        let name = set_interface(&first, template, flags | libc::IFF_TUN_EXCL).context(action)?;
        let mut all = vec![first];
        for _ in 1..queues {
            let queue = device()?;
            set_interface(&queue, &name, flags).context(action)?;
            all.push(queue);
        }
        if offload == Offload::Tcp4 {
            for queue in &all {
                set_offload(queue).context(action)?;
            }
        }
        let index = quieten(&name).context(action)?;
        Ok(Self {
            queues: all,
            name,
            index,
        })
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interface's index.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Its queues, to read from and write to: one packet a call.
    pub fn into_queues(self) -> Vec<OwnedFd> {
        self.queues
    }
}

fn device() -> Result<OwnedFd, Error> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(DEVICE)
        .context(|| format!("open {DEVICE}"))?;
    let fd = OwnedFd::from(file);
    rustix::io::ioctl_fionbio(&fd, true).context(|| format!("never wait for {DEVICE}"))?;
    Ok(fd)
}

fn set_offload(fd: &OwnedFd) -> io::Result<()> {
    let flags = libc::c_ulong::from(CHECKSUM | SEGMENTATION);
    // SAFETY: the descriptor is open; TUNSETOFFLOAD takes its argument by value.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD, flags) };
    answer(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Netlink;
    use crate::netns::Namespace;

    #[test]
    fn names_are_counted_and_packets_come_bare() {
        let namespace = Namespace::anonymous().expect("namespace");
        namespace
            .run(|| {
                let netlink = Netlink::open().expect("netlink");
                let first = Tun::open("flannel%d", 1, Offload::Nothing).expect("tun");
                let second = Tun::open("flannel%d", 3, Offload::Tcp4).expect("tun");
                assert_eq!((first.name(), second.name()), ("flannel0", "flannel1"));
                assert!(Tun::open("flannel1", 3, Offload::Tcp4).is_err(), "taken");
                let address = "10.5.9.0/32".parse().expect("an address");
                netlink
                    .add_address(first.index(), address)
                    .expect("address");
                netlink.set_up(first.index()).expect("up");
                let route = crate::link::Route::new(
                    "10.5.0.0/16".parse().expect("a network"),
                    None,
                    first.index(),
                );
                netlink.add_route(&route).expect("route");
                assert_eq!(second.into_queues().len(), 3);

                let queues = first.into_queues();
                let mut packet = [0; 2000];
                let empty = rustix::io::read(&queues[0], &mut packet);
                assert_eq!(empty, Err(rustix::io::Errno::AGAIN));
                let socket = std::net::UdpSocket::bind("10.5.9.0:0").expect("bind");
                socket.send_to(b"hello", "10.5.8.1:9").expect("send");
                let length = rustix::io::read(&queues[0], &mut packet).expect("a packet");
                assert_eq!((length, packet[0]), (20 + 8 + 5, 0x45));
                assert_eq!(packet[16..20], [10, 5, 8, 1]);
            })
            .expect("enter");
    }
}
