//! One WireGuard device in user space: boringtun's threads, told what to do over a socket of their own.
//!
//! Its traps: a peer that is there already must be removed before it is set, else it panics; what one
//! peer has and the next leaves out is carried over, so each gets a message of its own; and when our end
//! of the socket closes first, a thread spins.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use boringtun::device::{DeviceConfig, DeviceHandle};
use ipnet::IpNet;

use super::key::KeyPair;
use crate::backend::Error;

/// Threads of a device, at most.
const THREADS: usize = 4;
/// It answers at once unless its threads have ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// A device; it goes when this is dropped.
pub(super) struct Tunnel {
    /// Dropped before the socket.
    _handle: DeviceHandle,
    control: UnixStream,
}

/// A node behind the tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its public key.
    pub key: [u8; 32],
    /// The key all nodes share, if the configuration has one.
    pub preshared: Option<[u8; 32]>,
    /// Where its packets go.
    pub endpoint: SocketAddr,
    /// What may be sent to it, and come from it.
    pub subnet: IpNet,
    /// Seconds between packets that keep translations on the way alive; 0 for none.
    pub keepalive: u16,
}

impl Tunnel {
    /// Makes the device `name` in the calling thread's network namespace.
    pub(super) fn open(name: &str, key: &KeyPair, port: u16) -> Result<Self, Error> {
        let (control, theirs) = UnixStream::pair().map_err(Error::Control)?;
        control
            .set_read_timeout(Some(PATIENCE))
            .map_err(Error::Control)?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let config = DeviceConfig {
            n_threads: threads.min(THREADS),
            // One socket for all peers, not one for each.
            use_connected_socket: false,
            use_multi_queue: true,
            uapi_fd: theirs.into_raw_fd(),
        };
        let handle = DeviceHandle::new(name, config).map_err(|source| Error::Userspace {
            name: name.to_owned(),
            source,
        })?;
        let tunnel = Self {
            _handle: handle,
            control,
        };
        let private = hex(&key.private());
        tunnel.tell(&format!("private_key={private}\nlisten_port={port}\n"))?;
        Ok(tunnel)
    }

    /// Adds a peer that is not there.
    pub(super) fn add(&self, peer: &Peer) -> Result<(), Error> {
        self.tell(&set(peer))
    }

    /// Takes a peer away; one that is not there is fine.
    pub(super) fn remove(&self, key: &[u8; 32]) -> Result<(), Error> {
        self.tell(&format!("public_key={}\nremove=true\n", hex(key)))
    }

    fn tell(&self, lines: &str) -> Result<(), Error> {
        self.exchange(lines).map_err(Error::Control)
    }

    fn exchange(&self, lines: &str) -> io::Result<()> {
        (&self.control).write_all(format!("set=1\n{lines}\n").as_bytes())?;
        let mut answer = String::new();
        let mut reader = BufReader::new(&self.control);
        reader.read_line(&mut answer)?;
        // The answer ends with an empty line.
        reader.read_line(&mut String::new())?;
        match answer
            .trim()
            .strip_prefix("errno=")
            .and_then(|text| text.parse().ok())
        {
            Some(0) => Ok(()),
            Some(number) => Err(io::Error::from_raw_os_error(number)),
            None => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl std::fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tunnel").finish_non_exhaustive()
    }
}

/// What sets a peer, in the words of WireGuard's cross-platform interface.
fn set(peer: &Peer) -> String {
    let mut lines = format!("public_key={}\n", hex(&peer.key));
    if let Some(preshared) = &peer.preshared {
        lines += &format!("preshared_key={}\n", hex(preshared));
    }
    if peer.keepalive > 0 {
        lines += &format!("persistent_keepalive_interval={}\n", peer.keepalive);
    }
    lines += &format!("endpoint={}\nallowed_ip={}\n", peer.endpoint, peer.subnet);
    lines
}

fn hex(key: &[u8; 32]) -> String {
    let mut text = String::with_capacity(64);
    for byte in key {
        write!(text, "{byte:02x}").expect("a string takes all");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_in_the_words_of_the_interface() {
        let mut peer = Peer {
            key: [0xab; 32],
            preshared: None,
            endpoint: "10.99.0.12:51820".parse().expect("an endpoint"),
            subnet: "10.5.5.0/24".parse().expect("a network"),
            keepalive: 0,
        };
        let key = "ab".repeat(32);
        assert_eq!(
            set(&peer),
            format!("public_key={key}\nendpoint=10.99.0.12:51820\nallowed_ip=10.5.5.0/24\n")
        );
        peer.preshared = Some([1; 32]);
        peer.keepalive = 25;
        let preshared = "01".repeat(32);
        let more = format!("preshared_key={preshared}\npersistent_keepalive_interval=25\n");
        assert!(set(&peer).contains(&more));
    }
}
