//! What Firecracker can be asked for: each request as a value, with its method, path and body.
//!
//! Only fields the oldest supported version knows are sent, since an unknown one is an error; what a
//! later version adds is an option that is set where the version has it.

use ignite_wire::supervisor::Rate;
use serde_json::{Value, json};

/// The context identifier of every guest; the first that is not reserved.
const GUEST_CID: u32 = 3;

/// How often the guest is asked for statistics of its memory, in seconds. None of them are used, but
/// without them Firecracker does not tell what the balloon holds.
const STATISTICS_INTERVAL_S: u16 = 3600;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Which version is this?
    Version,
    /// Write metrics to this pipe.
    Metrics {
        /// The pipe, as the VMM sees it.
        path: String,
    },
    /// Boot this.
    BootSource {
        /// The uncompressed kernel, as the VMM sees it.
        kernel: String,
        /// The initramfs, likewise.
        initramfs: String,
        /// The kernel's arguments.
        arguments: String,
    },
    /// The machine itself.
    Machine {
        /// Virtual processors, 1 to 32.
        cpus: u32,
        /// Memory in MiB.
        memory_mib: u64,
    },
    /// A disk. The guest names disks in the order of these requests.
    Drive {
        /// Its number, from 0.
        number: usize,
        /// A raw file, as the VMM sees it.
        path: String,
        /// Whether the guest may only read.
        read_only: bool,
        /// How fast it may be read and written.
        rate: Option<Rate>,
    },
    /// A network interface.
    Interface {
        /// Its number, from 0.
        number: usize,
        /// Name of the tap, which must be there.
        tap: String,
        /// MAC address.
        mac: String,
        /// MTU in bytes, where the version can tell it to the guest.
        mtu: Option<u32>,
    },
    /// The vsock device.
    Vsock {
        /// Its socket, as the VMM sees it.
        path: String,
    },
    /// The source of random numbers.
    Entropy,
    /// The balloon.
    Balloon {
        /// How much of the guest's memory it takes from the start on, in MiB.
        amount_mib: u64,
        /// Whether the guest gives back what it frees as well, where the version can do that.
        reporting: bool,
    },
    /// Start the guest.
    Start,
    /// Press Ctrl, Alt and Del.
    CtrlAltDel,
    /// Write metrics now.
    FlushMetrics,
    /// Stop the processors.
    Pause,
    /// Let the processors go on.
    Resume,
    /// Bound how fast a disk may be read and written, or take the bound away.
    LimitDrive {
        /// Its number.
        number: usize,
        /// The bound.
        rate: Option<Rate>,
    },
    /// Have the balloon take so much.
    Inflate {
        /// In MiB.
        amount_mib: u64,
    },
    /// How much does the balloon hold?
    BalloonStatistics,
}

/// Method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GET`
    Get,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
}

impl Method {
    /// As HTTP has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
        }
    }
}

impl Request {
    /// The method.
    pub fn method(&self) -> Method {
        match self {
            Self::Version | Self::BalloonStatistics => Method::Get,
            Self::Pause | Self::Resume | Self::LimitDrive { .. } | Self::Inflate { .. } => {
                Method::Patch
            }
            _ => Method::Put,
        }
    }

    /// The path.
    pub fn path(&self) -> String {
        match self {
            Self::Version => "/version".to_owned(),
            Self::Metrics { .. } => "/metrics".to_owned(),
            Self::BootSource { .. } => "/boot-source".to_owned(),
            Self::Machine { .. } => "/machine-config".to_owned(),
            Self::Drive { number, .. } | Self::LimitDrive { number, .. } => {
                format!("/drives/{}", drive_id(*number))
            }
            Self::Interface { number, .. } => {
                format!("/network-interfaces/{}", interface_id(*number))
            }
            Self::Vsock { .. } => "/vsock".to_owned(),
            Self::Entropy => "/entropy".to_owned(),
            Self::Balloon { .. } | Self::Inflate { .. } => "/balloon".to_owned(),
            Self::BalloonStatistics => "/balloon/statistics".to_owned(),
            Self::Start | Self::CtrlAltDel | Self::FlushMetrics => "/actions".to_owned(),
            Self::Pause | Self::Resume => "/vm".to_owned(),
        }
    }

    /// The body, if there is one.
    pub fn body(&self) -> Option<Value> {
        let body = match self {
            Self::Version | Self::BalloonStatistics => return None,
            Self::Metrics { path } => json!({ "metrics_path": path }),
            Self::BootSource {
                kernel,
                initramfs,
                arguments,
            } => json!({
                "kernel_image_path": kernel, "initrd_path": initramfs, "boot_args": arguments,
            }),
            Self::Machine { cpus, memory_mib } => {
                json!({ "vcpu_count": cpus, "mem_size_mib": memory_mib })
            }
            Self::Drive { .. } => return Some(self.drive()),
            Self::Interface { .. } => return Some(self.interface()),
            Self::Vsock { path } => json!({ "guest_cid": GUEST_CID, "uds_path": path }),
            Self::Entropy => json!({}),
            Self::Balloon { .. } => return Some(self.balloon()),
            Self::Inflate { amount_mib } => json!({ "amount_mib": amount_mib }),
            Self::Start => json!({ "action_type": "InstanceStart" }),
            Self::CtrlAltDel => json!({ "action_type": "SendCtrlAltDel" }),
            Self::FlushMetrics => json!({ "action_type": "FlushMetrics" }),
            Self::Pause => json!({ "state": "Paused" }),
            Self::Resume => json!({ "state": "Resumed" }),
            Self::LimitDrive { number, rate } => json!({
                "drive_id": drive_id(*number),
                "rate_limiter": { "bandwidth": bucket(*rate) },
            }),
        };
        Some(body)
    }

    fn drive(&self) -> Value {
        let Self::Drive {
            number,
            path,
            read_only,
            rate,
        } = self
        else {
            return Value::Null;
        };
        // None is the root device: the guest's own configuration names its root, and what Firecracker
        // would add to the kernel's arguments is for guests without. Their order stays.
        let mut body = json!({
            "drive_id": drive_id(*number),
            "is_root_device": false,
            "is_read_only": read_only,
            "path_on_host": path,
        });
        if !read_only {
            // The default takes a guest's flush for nothing.
            body["cache_type"] = json!("Writeback");
        }
        if rate.is_some() {
            body["rate_limiter"] = json!({ "bandwidth": bucket(*rate) });
        }
        body
    }

    fn interface(&self) -> Value {
        let Self::Interface {
            number,
            tap,
            mac,
            mtu,
        } = self
        else {
            return Value::Null;
        };
        let mut body = json!({
            "iface_id": interface_id(*number), "host_dev_name": tap, "guest_mac": mac,
        });
        if let Some(mtu) = mtu {
            body["mtu"] = json!(mtu);
        }
        body
    }

    fn balloon(&self) -> Value {
        let Self::Balloon {
            amount_mib,
            reporting,
        } = self
        else {
            return Value::Null;
        };
        let mut body = json!({
            "amount_mib": amount_mib,
            "deflate_on_oom": true,
            "stats_polling_interval_s": STATISTICS_INTERVAL_S,
        });
        if *reporting {
            body["free_page_reporting"] = json!(true);
        }
        body
    }

    /// The whole request as it is sent. The connection is kept: Firecracker never closes one.
    pub fn encode(&self) -> Vec<u8> {
        let body = self.body().map(|body| body.to_string());
        let mut text = format!(
            "{} {} HTTP/1.1\r\nHost: localhost\r\n",
            self.method().as_str(),
            self.path()
        );
        if let Some(body) = &body {
            let length = body.len();
            text.push_str(&format!(
                "Content-Type: application/json\r\nContent-Length: {length}\r\n"
            ));
        }
        text.push_str("\r\n");
        text.push_str(body.as_deref().unwrap_or_default());
        text.into_bytes()
    }

    /// What it asks for, to be read after "cannot".
    pub fn purpose(&self) -> String {
        match self {
            Self::Version => "ask Firecracker for its version".to_owned(),
            Self::Metrics { .. } => "have Firecracker write metrics".to_owned(),
            Self::BootSource { .. } => "give Firecracker the kernel".to_owned(),
            Self::Machine { .. } => "give Firecracker the machine's size".to_owned(),
            Self::Drive { number, .. } => format!("give Firecracker disk {number}"),
            Self::Interface { number, .. } => {
                format!("give Firecracker network interface {number}")
            }
            Self::Vsock { .. } => "give Firecracker the agent's socket".to_owned(),
            Self::Entropy => "give Firecracker a source of random numbers".to_owned(),
            Self::Balloon { .. } => "give Firecracker the balloon".to_owned(),
            Self::Inflate { .. } => "change the balloon".to_owned(),
            Self::BalloonStatistics => "ask Firecracker for the balloon's size".to_owned(),
            Self::Start => "start the guest".to_owned(),
            Self::CtrlAltDel => "press the guest's Ctrl-Alt-Del".to_owned(),
            Self::FlushMetrics => "have Firecracker write its metrics now".to_owned(),
            Self::Pause => "pause the guest".to_owned(),
            Self::Resume => "let the guest go on".to_owned(),
            Self::LimitDrive { number, .. } => format!("change the rate of disk {number}"),
        }
    }
}

/// Letters, digits and underscores only.
fn drive_id(number: usize) -> String {
    format!("disk{number}")
}

fn interface_id(number: usize) -> String {
    format!("net{number}")
}

/// The shortest time in which a bucket fills. Firecracker looks at an empty one again after 100 ms: one
/// that fills sooner would earn nothing for the rest of that time. And it waits for as many whole
/// milliseconds as are missing, where none is for ever: requests must not be about as large as a bucket.
const LEAST_REFILL_MS: u128 = 1000;

/// A token bucket: `size` bytes, full again after `refill_time` milliseconds. One of no size is no
/// limit.
///
/// The time is what the burst takes, rounded up to whole milliseconds and a second at least, and the
/// size what passes in that time: so the rate is kept for any burst, and the burst is never less than a
/// second's worth.
fn bucket(rate: Option<Rate>) -> Value {
    let Some(rate) = rate else {
        return json!({ "size": 0, "refill_time": 0 });
    };
    let speed = u128::from(rate.bytes_per_second.max(1));
    let milliseconds = (u128::from(rate.burst) * 1000)
        .div_ceil(speed)
        .max(LEAST_REFILL_MS);
    let size = (speed * milliseconds).div_ceil(1000);
    // Firecracker counts nanoseconds in 64 bits; the specification's numbers have a sign.
    let bounded = |number: u128| u64::try_from(number.min(i64::MAX as u128 / 1_000_000));
    let [size, milliseconds] = [
        u64::try_from(size.min(i64::MAX as u128)),
        bounded(milliseconds),
    ]
    .map(|number| number.expect("it was just bounded"));
    json!({ "size": size, "refill_time": milliseconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(bytes_per_second: u64, burst: u64) -> Option<Rate> {
        Some(Rate {
            bytes_per_second,
            burst,
        })
    }

    #[test]
    fn a_request_is_framed_by_its_length() {
        let text = String::from_utf8(Request::Pause.encode()).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("PATCH /vm HTTP/1.1\r\n"), "{head}");
        assert!(head.ends_with(&format!("Content-Length: {}", body.len())));
        let text = String::from_utf8(Request::Version.encode()).expect("text");
        assert_eq!(text, "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }

    #[test]
    fn buckets_keep_the_rate_and_hold_a_second_of_it() {
        let cases = [
            (rate(1_000_000, 100_000), 1_000_000, 1000),
            (rate(1_000_000, 2_500_000), 2_500_000, 2500),
            (rate(65_536, 6553), 65_536, 1000),
            (rate(3, 4), 5, 1334),
            (rate(0, 0), 1, 1000),
            (None, 0, 0),
        ];
        for (rate, size, refill) in cases {
            assert_eq!(
                bucket(rate),
                json!({ "size": size, "refill_time": refill }),
                "{rate:?}"
            );
        }
        let huge = bucket(rate(u64::MAX, u64::MAX));
        assert_eq!(huge["size"], json!(i64::MAX));
    }

    #[test]
    fn only_disks_that_can_be_written_flush() {
        let drive = |read_only| Request::Drive {
            number: 0,
            path: "/disk0".to_owned(),
            read_only,
            rate: None,
        };
        let body = |read_only| drive(read_only).body().expect("a body");
        assert_eq!(body(false)["cache_type"], "Writeback");
        assert_eq!(body(true).get("cache_type"), None);
    }
}
