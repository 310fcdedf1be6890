//! What two samples say of the time between them.

use std::time::Duration;

use super::Sample;

/// How fast things went between two samples of one VM.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage {
    /// The time between.
    pub interval: Duration,
    /// Processor time, in hundredths of one processor: more than 100 where several are busy.
    pub cpu_percent: f64,
    /// Bytes a second that disks were read.
    pub disk_read: f64,
    /// Bytes a second that disks were written.
    pub disk_written: f64,
    /// Each interface that both samples have.
    pub interfaces: Vec<InterfaceRates>,
}

/// How fast an interface was, as the VM sees it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InterfaceRates {
    /// Name in the guest.
    pub interface: String,
    /// Bytes a second to the guest.
    pub rx: f64,
    /// Bytes a second from the guest.
    pub tx: f64,
}

/// What two samples say of the time between them; none where they are of two VMs, of two starts of one,
/// or of one instant.
pub fn rates(before: &Sample, after: &Sample) -> Option<Usage> {
    if before.uid != after.uid {
        return None;
    }
    let interval = after.uptime.checked_sub(before.uptime)?;
    let seconds = Some(interval.as_secs_f64()).filter(|seconds| *seconds > 0.0)?;
    // A counter that went back began anew.
    let rate = |before: u64, after: u64| after.saturating_sub(before) as f64 / seconds;
    let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64();
    let disk = |of: fn(&ignite_wire::agent::DiskCounters) -> u64| {
        let both = before.disks.as_ref().zip(after.disks.as_ref());
        both.map_or(0.0, |(before, after)| rate(of(before), of(after)))
    };
    let interfaces = after.interfaces.iter().filter_map(|after| {
        let same = |it: &&crate::keep::InterfaceCounters| it.interface == after.interface;
        let before = before.interfaces.iter().find(same)?;
        Some(InterfaceRates {
            interface: after.interface.clone(),
            rx: rate(before.rx_bytes, after.rx_bytes),
            tx: rate(before.tx_bytes, after.tx_bytes),
        })
    });
    Some(Usage {
        interval,
        cpu_percent: cpu / seconds * 100.0,
        disk_read: disk(|it| it.read_bytes),
        disk_written: disk(|it| it.written_bytes),
        interfaces: interfaces.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keep::InterfaceCounters;
    use ignite_wire::agent::DiskCounters;

    fn sample(seconds: u64) -> Sample {
        let interface = |name: &str| InterfaceCounters {
            interface: name.into(),
            rx_bytes: seconds * 100,
            tx_bytes: seconds * 10,
            ..InterfaceCounters::default()
        };
        Sample {
            uid: "0123456789abcdef".parse().expect("a uid"),
            name: "web".parse().expect("a name"),
            uptime: Duration::from_secs(seconds),
            is_paused: false,
            cpus: 2,
            cpu: Duration::from_millis(seconds * 1500),
            memory: 1,
            memory_limit: 2,
            tasks: None,
            disks: Some(DiskCounters {
                read_bytes: seconds * 4096,
                written_bytes: seconds,
                ..DiskCounters::default()
            }),
            interfaces: vec![interface("eth0"), interface("eth1")],
        }
    }

    #[test]
    fn what_went_on_in_between_counts() {
        let mut before = sample(10);
        before.interfaces.remove(1);
        let usage = rates(&before, &sample(14)).expect("two of one VM");
        let eth0 = InterfaceRates {
            interface: "eth0".into(),
            rx: 100.0,
            tx: 10.0,
        };
        let expected = Usage {
            interval: Duration::from_secs(4),
            cpu_percent: 150.0,
            disk_read: 4096.0,
            disk_written: 1.0,
            interfaces: vec![eth0],
        };
        assert_eq!(usage, expected);
    }

    #[test]
    fn nothing_is_said_of_two_starts_and_of_one_instant() {
        assert_eq!(rates(&sample(10), &sample(10)), None);
        assert_eq!(rates(&sample(10), &sample(3)), None);
        let mut other = sample(11);
        other.uid = "fedcba9876543210".parse().expect("a uid");
        assert_eq!(rates(&sample(10), &other), None);
    }

    #[test]
    fn counters_that_went_back_are_no_rate() {
        let (mut before, after) = (sample(10), sample(11));
        before.disks = Some(DiskCounters {
            read_bytes: u64::MAX,
            ..DiskCounters::default()
        });
        before.cpu = Duration::from_secs(1000);
        let usage = rates(&before, &after).expect("two of one VM");
        assert_eq!((usage.cpu_percent, usage.disk_read), (0.0, 0.0));
        before.disks = None;
        let usage = rates(&before, &after).expect("two of one VM");
        assert_eq!(usage.disk_written, 0.0);
    }
}
