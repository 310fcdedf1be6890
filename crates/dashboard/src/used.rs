//! What a VM uses at a moment, as the page draws it.

use ignite_engine::{Sample, rates};
use serde::Serialize;

/// What a VM uses at a moment. What is not known yet is null: rates need two samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Used {
    /// Processor time, in hundredths of one processor.
    cpu: Option<f64>,
    /// Bytes of the host's memory.
    memory: u64,
    /// The most it may have.
    memory_limit: u64,
    /// Each interface.
    interfaces: Vec<Flow>,
}

/// What passes through an interface, in bytes a second.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Flow {
    /// Name in the guest.
    name: String,
    /// To the guest.
    rx: Option<f64>,
    /// From the guest.
    tx: Option<f64>,
}

impl Used {
    /// By what was counted now, and before if there is something.
    pub fn of(before: Option<&Sample>, now: &Sample) -> Self {
        let usage = before.and_then(|before| rates(before, now));
        let flow = |name: &String| {
            let rates = usage.iter().flat_map(|usage| &usage.interfaces);
            let own = rates.into_iter().find(|it| it.interface == *name);
            Flow {
                name: name.clone(),
                rx: own.map(|own| rounded(own.rx)),
                tx: own.map(|own| rounded(own.tx)),
            }
        };
        Self {
            cpu: usage.as_ref().map(|usage| rounded(usage.cpu_percent)),
            memory: now.memory,
            memory_limit: now.memory_limit,
            interfaces: now
                .interfaces
                .iter()
                .map(|it| flow(&it.interface))
                .collect(),
        }
    }
}

/// Nobody sees more.
fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ignite_engine::keep::InterfaceCounters;
    use std::time::Duration;

    /// A VM that was up so long, sends 10 bytes a second and gets 100.
    pub(crate) fn sample(seconds: u64) -> Sample {
        Sample {
            uid: "0123456789abcdef".parse().expect("a uid"),
            name: "web".parse().expect("a name"),
            uptime: Duration::from_secs(seconds),
            is_paused: false,
            cpus: 1,
            cpu: Duration::from_millis(seconds * 250),
            memory: 64 << 20,
            memory_limit: 128 << 20,
            tasks: None,
            disks: None,
            interfaces: vec![InterfaceCounters {
                interface: "eth0".into(),
                rx_bytes: seconds * 100,
                tx_bytes: seconds * 10,
                ..InterfaceCounters::default()
            }],
        }
    }

    #[test]
    fn rates_need_two_samples() {
        let first = serde_json::to_value(Used::of(None, &sample(1))).expect("plain data");
        let expected = serde_json::json!({
            "cpu": null, "memory": 64 << 20, "memoryLimit": 128 << 20,
            "interfaces": [{ "name": "eth0", "rx": null, "tx": null }],
        });
        assert_eq!(first, expected);
        let second =
            serde_json::to_value(Used::of(Some(&sample(1)), &sample(2))).expect("plain data");
        assert_eq!(second["cpu"], 25.0);
        let flow = serde_json::json!([{ "name": "eth0", "rx": 100.0, "tx": 10.0 }]);
        assert_eq!(second["interfaces"], flow);
    }
}
