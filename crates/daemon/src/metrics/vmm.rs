//! What the VMMs counted themselves, where they do.

use ignite_engine::keep::VmmCounters;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;

/// The name of each number, what it is, and where it stands.
type Family = (&'static str, &'static str, fn(&VmmCounters) -> u64);

const FAMILIES: [Family; 15] = [
    ("disk_read_bytes", "Bytes the VM read from disks", |it| {
        it.disk_read_bytes
    }),
    ("disk_written_bytes", "Bytes the VM wrote to disks", |it| {
        it.disk_written_bytes
    }),
    ("disk_reads", "Reads of disks", |it| it.disk_reads),
    ("disk_writes", "Writes to disks", |it| it.disk_writes),
    (
        "disk_throttled",
        "Times a disk waited because of its rate",
        |it| it.disk_throttled,
    ),
    ("disk_errors", "Requests to disks that failed", |it| {
        it.disk_errors
    }),
    ("net_received_bytes", "Bytes the VM received", |it| {
        it.net_received_bytes
    }),
    ("net_sent_bytes", "Bytes the VM sent", |it| {
        it.net_sent_bytes
    }),
    ("net_received_frames", "Frames the VM received", |it| {
        it.net_received_frames
    }),
    ("net_sent_frames", "Frames the VM sent", |it| {
        it.net_sent_frames
    }),
    (
        "net_throttled",
        "Times an interface waited because of its rate",
        |it| it.net_throttled,
    ),
    (
        "net_errors",
        "Failures of interfaces and their taps",
        |it| it.net_errors,
    ),
    (
        "vsock_received_bytes",
        "Bytes the VM received by vsock",
        |it| it.vsock_received_bytes,
    ),
    ("vsock_sent_bytes", "Bytes the VM sent by vsock", |it| {
        it.vsock_sent_bytes
    }),
    (
        "exits",
        "Times a processor was stopped for the VMM to do something",
        |it| it.exits,
    ),
];

/// The numbers of one VM's.
#[derive(Debug)]
pub(super) struct Vmm {
    pub uid: String,
    pub name: String,
    pub counters: VmmCounters,
}

/// The numbers of all.
#[derive(Debug)]
pub struct Vmms(pub(super) Vec<Vmm>);

impl Collector for Vmms {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (name, help, value) in FAMILIES {
            let name = format!("ignite_vm_vmm_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Counter)?;
            for vmm in &self.0 {
                let labels = [("uid", vmm.uid.as_str()), ("name", vmm.name.as_str())];
                let counter = ConstCounter::new(value(&vmm.counters));
                counter.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text;
    use prometheus_client::registry::Registry;

    #[test]
    fn each_number_is_told_of_its_vm() {
        let counters = VmmCounters {
            disk_reads: 3,
            exits: 30,
            ..VmmCounters::default()
        };
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Vmms(vec![Vmm {
            uid: "0123456789abcdef".to_owned(),
            name: "web".to_owned(),
            counters,
        }])));
        let mut page = String::new();
        text::encode(&mut page, &registry).expect("a String takes everything");
        let labels = r#"{uid="0123456789abcdef",name="web"}"#;
        for (name, count) in [("disk_reads", 3), ("disk_writes", 0), ("exits", 30)] {
            let line = format!("ignite_vm_vmm_{name}_total{labels} {count}\n");
            assert!(page.contains(&line), "{line}{page}");
        }
    }
}
