//! What passed through a VM's interfaces, and what its VMM counted, asked of its supervisor.

use ignite_api::Uid;
use ignite_store::{Liveness, NetworkRecord};
use ignite_wire::agent::{SupervisorStatus, Traffic};

use super::{Counters, InterfaceCounters};
use crate::vm::refusals;
use crate::{Engine, Error};

impl Engine {
    /// What was counted of a running VM; none where it does not run. A supervisor that does not answer within a second is an error.
    pub fn counters(&self, uid: Uid) -> Result<Option<Counters>, Error> {
        if !Liveness::is_held(&self.config.paths, uid)? {
            return Ok(None);
        }
        let status = match refusals::status(&self.config.paths.vm_run(uid)) {
            Ok(status) => status,
            // It ended since.
            Err(_) if !Liveness::is_held(&self.config.paths, uid)? => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(Counters {
            vmm: status.vmm,
            interfaces: counters(&status, &self.vms.network(uid)?),
        }))
    }
}

/// The host's words as the VM's: what goes into the tap comes out of the guest's interface.
pub(crate) fn counters(
    status: &SupervisorStatus,
    network: &NetworkRecord,
) -> Vec<InterfaceCounters> {
    let refused = |interface: &str| {
        let refusals = status.refusals.iter().find(|it| it.interface == interface);
        refusals.map_or(0, |refusals| refusals.counts.total())
    };
    let on = |interface: &str| {
        let made = network.attachments.iter();
        let made = made.filter(|made| made.interface == interface);
        made.map(|made| made.network.clone())
            .next()
            .unwrap_or_default()
    };
    let counters = |traffic: &Traffic| InterfaceCounters {
        interface: traffic.interface.clone(),
        network: on(&traffic.interface),
        rx_bytes: traffic.to_guest.bytes,
        rx_packets: traffic.to_guest.packets,
        rx_dropped: traffic.to_guest.lost,
        tx_bytes: traffic.from_guest.bytes,
        tx_packets: traffic.from_guest.packets,
        tx_dropped: traffic.from_guest.lost,
        refused: refused(&traffic.interface),
    };
    status.traffic.iter().map(counters).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_wire::agent::{Passed, Refusals};
    use ignite_wire::refused::Counts;

    #[test]
    fn what_is_refused_belongs_to_its_interface() {
        let traffic = |interface: &str, bytes| Traffic {
            interface: interface.into(),
            to_guest: Passed {
                bytes,
                packets: 2,
                lost: 1,
            },
            from_guest: Passed {
                bytes: 7,
                packets: 1,
                lost: 0,
            },
        };
        let status = SupervisorStatus {
            traffic: vec![traffic("eth0", 10), traffic("eth1", 20)],
            refusals: vec![Refusals {
                interface: "eth1".into(),
                counts: Counts {
                    arp: 3,
                    ..Counts::default()
                },
                ..Refusals::default()
            }],
            ..SupervisorStatus::default()
        };
        let all = counters(&status, &NetworkRecord::default());
        assert_eq!(all.len(), 2);
        assert_eq!(
            (all[0].rx_bytes, all[0].rx_packets, all[0].rx_dropped),
            (10, 2, 1)
        );
        assert_eq!((all[0].tx_bytes, all[0].refused), (7, 0));
        assert_eq!((all[1].rx_bytes, all[1].refused), (20, 3));
    }
}
