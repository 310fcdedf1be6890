//! What passes through the interfaces of the VMs, read when it is asked for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ignite_api::Uid;
use ignite_engine::keep::{Counters, InterfaceCounters};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

use super::vmm::{Vmm, Vmms};
use crate::app::Shared;

/// The name of each number, what it is, and where it stands.
type Family = (&'static str, &'static str, fn(&InterfaceCounters) -> u64);

const FAMILIES: [Family; 7] = [
    ("receive_bytes", "Bytes to the VM", |it| it.rx_bytes),
    ("receive_packets", "Packets to the VM", |it| it.rx_packets),
    (
        "receive_dropped",
        "Packets to the VM that were lost",
        |it| it.rx_dropped,
    ),
    ("transmit_bytes", "Bytes from the VM", |it| it.tx_bytes),
    ("transmit_packets", "Packets from the VM", |it| {
        it.tx_packets
    }),
    (
        "transmit_dropped",
        "Packets from the VM that were lost",
        |it| it.tx_dropped,
    ),
    (
        "refused_packets",
        "Packets from the VM that it may not send",
        |it| it.refused,
    ),
];

/// The numbers of one interface.
#[derive(Debug)]
struct Interface {
    uid: String,
    name: String,
    counters: InterfaceCounters,
}

/// The numbers of all.
#[derive(Debug)]
pub struct Traffic(Vec<Interface>);

/// What passed, and what VMMs counted.
#[derive(Debug, Default)]
pub struct Counted {
    interfaces: Vec<Interface>,
    vmms: Vec<Vmm>,
}

impl Counted {
    fn add(&mut self, uid: Uid, name: &str, counters: Counters) {
        let interfaces = counters.interfaces.into_iter();
        self.interfaces.extend(interfaces.map(|counters| Interface {
            uid: uid.to_string(),
            name: name.to_owned(),
            counters,
        }));
        self.vmms.extend(counters.vmm.map(|counters| Vmm {
            uid: uid.to_string(),
            name: name.to_owned(),
            counters,
        }));
    }

    /// For each of the two what puts it on the page.
    pub fn collectors(self) -> (Traffic, Vmms) {
        (Traffic(self.interfaces), Vmms(self.vmms))
    }
}

/// The first VM that was not asked in time the last time: with it the next one begins, so that VMs
/// that do not answer hide no other for good.
#[derive(Debug, Default)]
pub struct Cursor(Mutex<Option<Uid>>);

impl Cursor {
    /// All VMs, in the order in which they are asked.
    fn order(&self, mut vms: Vec<(Uid, String)>) -> Vec<(Uid, String)> {
        vms.sort_unstable();
        if let Some(first) = *self.lock() {
            let before = vms.partition_point(|(uid, _)| *uid < first);
            vms.rotate_left(before);
        }
        vms
    }

    fn lock(&self) -> MutexGuard<'_, Option<Uid>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks one VM after the other, until the deadline.
pub fn read(shared: &Shared, deadline: Instant) -> Counted {
    let engine = shared.engine();
    let cursor = &shared.metrics.cursor;
    let mut all = Counted::default();
    let mut late = None;
    for (uid, name) in cursor.order(shared.running().to_vec()) {
        if Instant::now() >= deadline {
            tracing::debug!("not every VM was asked for its counters in time");
            late = Some(uid);
            break;
        }
        match engine.counters(uid) {
            Ok(Some(counters)) => all.add(uid, &name, counters),
            Ok(None) => {}
            Err(error) => tracing::debug!(%uid, %error, "it does not say its counters"),
        }
    }
    *cursor.lock() = late;
    all
}

impl Collector for Traffic {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, help, value) in FAMILIES {
            let name = format!("ignite_vm_network_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            for interface in &self.0 {
                let labels = [
                    ("uid", interface.uid.as_str()),
                    ("name", interface.name.as_str()),
                    ("interface", interface.counters.interface.as_str()),
                    ("network", interface.counters.network.as_str()),
                ];
                let counter = ConstCounter::new(value(&interface.counters));
                counter.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_where_the_last_one_stopped() {
        let vm = |number: u64| {
            let uid = format!("{number:016}").parse().expect("16 digits");
            (uid, format!("vm{number}"))
        };
        let cursor = Cursor::default();
        let all = || vec![vm(3), vm(1), vm(2), vm(5)];
        assert_eq!(cursor.order(all()), [vm(1), vm(2), vm(3), vm(5)]);
        *cursor.lock() = Some(vm(3).0);
        assert_eq!(cursor.order(all()), [vm(3), vm(5), vm(1), vm(2)]);
        // It is gone, and so is every one behind it.
        *cursor.lock() = Some(vm(4).0);
        assert_eq!(cursor.order(all()), [vm(5), vm(1), vm(2), vm(3)]);
        *cursor.lock() = Some(vm(6).0);
        assert_eq!(cursor.order(all()), [vm(1), vm(2), vm(3), vm(5)]);
        assert_eq!(cursor.order(Vec::new()), []);
    }
}
