//! Sends ethernet frames as they are.

use ignite_host::bpf::Program;
use ignite_host::packet::PacketSocket;

use super::Failure;

/// Sends each frame, given as hexadecimal digits, out of the interface.
pub(super) fn frames(interface: &str, frames: &[&str]) -> Result<(), Failure> {
    let index = std::fs::read_to_string(format!("/sys/class/net/{interface}/ifindex"))?;
    let socket = PacketSocket::open(index.trim().parse()?, &Program::always(0))?;
    for frame in frames {
        socket.send(&hex::decode(frame)?)?;
    }
    Ok(())
}
