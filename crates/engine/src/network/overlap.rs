//! Whether the default network would take addresses away from the host.
//!
//! It is not written over an equal or more specific route of another interface; a shorter one that
//! covers it is only worth a warning, because the bridge's own route then wins.

use ignite_host::link::Route;
use ipnet::IpNet;

/// A route in the way of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overlap {
    /// Equal or more specific: traffic of one of the two would go to the other.
    Conflict(IpNet, String),
    /// Covers the network; the network's own route is more specific and wins.
    Covered(IpNet, String),
}

/// What the host's routes say against `network` on `bridge`: a conflict first, if there is one.
///
/// `name` gives an interface's name for its index.
pub fn find(
    network: IpNet,
    bridge: &str,
    routes: &[Route],
    name: impl Fn(u32) -> Option<String>,
) -> Option<Overlap> {
    let mut covered = None;
    for route in routes {
        let Some(interface) = route.index.and_then(&name) else {
            continue;
        };
        if interface == bridge || route.destination.prefix_len() == 0 {
            continue;
        }
        if network.contains(&route.destination) {
            return Some(Overlap::Conflict(route.destination, interface));
        }
        if route.destination.contains(&network) {
            covered.get_or_insert(Overlap::Covered(route.destination, interface));
        }
    }
    covered
}
