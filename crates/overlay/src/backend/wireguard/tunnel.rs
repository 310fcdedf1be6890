//! One WireGuard device in user space: boringtun's threads, told what to do over a socket of their own.
//!
//! Its traps: a peer that is there already must be removed before it is set, else it panics; what one
//! peer has and the next leaves out is carried over, so each gets a message of its own; and when our end
//! of the socket closes first, a thread spins.

use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use boringtun::device::{DeviceConfig, DeviceHandle};

use super::changes::Changes;
use super::key::KeyPair;
use super::plan::Peer;
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

    /// Makes the changes, or a part of them and then fails. A peer that is to be different is taken away
    /// and added again; one that is to go and not there is fine.
    pub(super) fn change(&self, changes: &Changes<'_>) -> Result<(), Error> {
        let differ = changes.set.iter().map(|(key, _)| *key);
        for key in changes.remove.iter().chain(differ) {
            self.tell(&format!("public_key={}\nremove=true\n", hex(key)))?;
        }
        let mut set = changes.set.iter();
        set.try_for_each(|(key, peer)| self.tell(&self::set(key, peer)))
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
fn set(key: &[u8; 32], peer: &Peer) -> String {
    let mut lines = format!("public_key={}\n", hex(key));
    if let Some(preshared) = &peer.preshared {
        lines += &format!("preshared_key={}\n", hex(&preshared.0));
    }
    if peer.keepalive > 0 {
        lines += &format!("persistent_keepalive_interval={}\n", peer.keepalive);
    }
    lines += &format!("endpoint={}\n", peer.endpoint);
    for subnet in &peer.subnets {
        lines += &format!("allowed_ip={subnet}\n");
    }
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
    use ignite_host::wireguard::Secret;

    #[test]
    fn a_peer_in_the_words_of_the_interface() {
        let mut peer = Peer {
            preshared: None,
            endpoint: "10.99.0.12:51820".parse().expect("an endpoint"),
            subnets: ["10.5.5.0/24".parse().expect("a network")].into(),
            keepalive: 0,
        };
        let key = "ab".repeat(32);
        assert_eq!(
            set(&[0xab; 32], &peer),
            format!("public_key={key}\nendpoint=10.99.0.12:51820\nallowed_ip=10.5.5.0/24\n")
        );
        peer.preshared = Some(Secret([1; 32]));
        peer.keepalive = 25;
        let preshared = "01".repeat(32);
        let more = format!("preshared_key={preshared}\npersistent_keepalive_interval=25\n");
        assert!(set(&[0xab; 32], &peer).contains(&more));
        peer.endpoint = "[fd99::12]:7".parse().expect("an endpoint");
        (peer.subnets).insert("fd00:5:0:5::/64".parse().expect("a network"));
        let both = "endpoint=[fd99::12]:7\nallowed_ip=10.5.5.0/24\nallowed_ip=fd00:5:0:5::/64\n";
        assert!(set(&[0xab; 32], &peer).ends_with(both));
    }
}
