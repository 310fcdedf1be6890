//! What a guest tried to send and may not: asked of its supervisor, and said with what to do.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use ignite_api::{InterfaceStatus, RefusedFrames, RefusedStatus};
use ignite_wire::agent::{Message, Refusals, SupervisorStatus};
use ipnet::IpNet;

use super::control::{Control, Error};

/// A supervisor answers at once, or is not worth waiting for.
const PATIENCE: Duration = Duration::from_secs(1);

/// Addresses named in one hint.
const MAX_NAMED: usize = 4;

/// What the supervisor with this runtime directory says of its VM; none if it does not say.
pub(super) fn ask(run_dir: &Path) -> Option<SupervisorStatus> {
    match status(run_dir) {
        Ok(status) => Some(status),
        Err(error) => {
            tracing::debug!(%error, "the supervisor does not say how the VM is");
            None
        }
    }
}

/// What the supervisor with this runtime directory says of its VM.
pub(crate) fn status(run_dir: &Path) -> Result<SupervisorStatus, Error> {
    Control::connect(run_dir)?.call(Message::Status, PATIENCE, |answer| match answer {
        Message::StatusReply(status) => Some(status),
        _ => None,
    })
}

/// Adds what was counted to the interfaces.
pub(super) fn add(interfaces: &mut [InterfaceStatus], counted: Vec<Refusals>) {
    for refusals in counted {
        let interface = interfaces
            .iter_mut()
            .find(|interface| interface.name == refusals.interface);
        if let Some(interface) = interface.filter(|_| refusals.counts.total() > 0) {
            let frames = RefusedFrames {
                mac: refusals.counts.mac,
                arp: refusals.counts.arp,
                ipv4: refusals.counts.ipv4,
                ipv6: refusals.counts.ipv6,
                neighbour: refusals.counts.neighbour,
                other: refusals.counts.other,
                unread: refusals.counts.unread,
            };
            let refused = status_of(&interface.network, Some(frames), refusals.addresses);
            interface.refused = Some(refused);
        }
    }
}

/// What is to be said of a guest on this network.
pub(super) fn status_of(
    network: &str,
    frames: Option<RefusedFrames>,
    addresses: Vec<IpAddr>,
) -> RefusedStatus {
    RefusedStatus {
        hint: hint(network, &addresses),
        frames,
        addresses,
    }
}

fn hint(network: &str, addresses: &[IpAddr]) -> Option<String> {
    let named: Vec<String> = addresses
        .iter()
        .take(MAX_NAMED)
        .map(ToString::to_string)
        .collect();
    let allowed: Vec<String> = addresses
        .iter()
        .take(MAX_NAMED)
        .map(|address| format!("allow={}", IpNet::from(*address)))
        .collect();
    (!named.is_empty()).then(|| {
        format!(
            "the guest uses {}, which the network did not give it, so nothing of it gets there; if that is meant, create it with --network {network}:{}",
            named.join(", "),
            allowed.join(",")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_hint_is_a_flag_to_use() {
        let hint = hint("lan", &[ip("10.61.9.5"), ip("fd00::5")]).expect("something to say");
        assert!(
            hint.contains("the guest uses 10.61.9.5, fd00::5,"),
            "{hint}"
        );
        assert!(
            hint.ends_with("--network lan:allow=10.61.9.5/32,allow=fd00::5/128"),
            "{hint}"
        );
        assert_eq!(super::hint("lan", &[]), None);
    }

    #[test]
    fn nobody_there_is_no_answer() {
        assert_eq!(ask(Path::new("/nonexistent")), None);
    }
}
