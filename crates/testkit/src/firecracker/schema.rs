//! Bodies of requests: which fields there are, since when, and what they may hold. Firecracker refuses
//! an unknown field.

use serde_json::Value;

/// A version: two numbers.
pub(super) type Version = (u32, u32);

/// What a field may hold.
#[derive(Debug, Clone, Copy)]
enum Holds {
    Text,
    Flag,
    Number(u64, u64),
    OneOf(&'static [&'static str]),
    Object(&'static [Field]),
}

#[derive(Debug)]
pub(super) struct Field {
    name: &'static str,
    holds: Holds,
    required: bool,
    since: Version,
}

const fn must(name: &'static str, holds: Holds) -> Field {
    Field {
        name,
        holds,
        required: true,
        since: (1, 0),
    }
}

const fn may(name: &'static str, holds: Holds) -> Field {
    Field {
        name,
        holds,
        required: false,
        since: (1, 0),
    }
}

const fn since(version: Version, field: Field) -> Field {
    Field {
        since: version,
        ..field
    }
}

const ANY: Holds = Holds::Number(0, u64::MAX);

const MIB: Holds = Holds::Number(0, 0xffff_ffff);

const BUCKET: &[Field] = &[
    must("size", ANY),
    must("refill_time", ANY),
    may("one_time_burst", ANY),
];
const LIMITER: &[Field] = &[
    may("bandwidth", Holds::Object(BUCKET)),
    may("ops", Holds::Object(BUCKET)),
];

const LOGGER: &[Field] = &[
    may("log_path", Holds::Text),
    may(
        "level",
        Holds::OneOf(&["Off", "Trace", "Debug", "Info", "Warning", "Error"]),
    ),
    may("show_level", Holds::Flag),
    may("show_log_origin", Holds::Flag),
    since((1, 6), may("module", Holds::Text)),
];
const METRICS: &[Field] = &[must("metrics_path", Holds::Text)];
const BOOT_SOURCE: &[Field] = &[
    must("kernel_image_path", Holds::Text),
    may("initrd_path", Holds::Text),
    may("boot_args", Holds::Text),
];
const MACHINE: &[Field] = &[
    must("vcpu_count", Holds::Number(1, 32)),
    must("mem_size_mib", Holds::Number(1, u64::MAX)),
    may("smt", Holds::Flag),
    may("track_dirty_pages", Holds::Flag),
];
const DRIVE: &[Field] = &[
    must("drive_id", Holds::Text),
    must("is_root_device", Holds::Flag),
    may("partuuid", Holds::Text),
    may("is_read_only", Holds::Flag),
    may("path_on_host", Holds::Text),
    may("cache_type", Holds::OneOf(&["Unsafe", "Writeback"])),
    may("io_engine", Holds::OneOf(&["Sync", "Async"])),
    may("rate_limiter", Holds::Object(LIMITER)),
];
const PARTIAL_DRIVE: &[Field] = &[
    must("drive_id", Holds::Text),
    may("path_on_host", Holds::Text),
    may("rate_limiter", Holds::Object(LIMITER)),
];
const INTERFACE: &[Field] = &[
    must("iface_id", Holds::Text),
    must("host_dev_name", Holds::Text),
    may("guest_mac", Holds::Text),
    since((1, 16), may("mtu", Holds::Number(68, 65535))),
    may("rx_rate_limiter", Holds::Object(LIMITER)),
    may("tx_rate_limiter", Holds::Object(LIMITER)),
];
const VSOCK: &[Field] = &[
    must("guest_cid", Holds::Number(3, 0xffff_ffff)),
    must("uds_path", Holds::Text),
    may("vsock_id", Holds::Text),
];
const ENTROPY: &[Field] = &[may("rate_limiter", Holds::Object(LIMITER))];
const BALLOON: &[Field] = &[
    must("amount_mib", MIB),
    must("deflate_on_oom", Holds::Flag),
    may("stats_polling_interval_s", Holds::Number(0, 0xffff)),
    since((1, 14), may("free_page_hinting", Holds::Flag)),
    since((1, 14), may("free_page_reporting", Holds::Flag)),
];
const BALLOON_UPDATE: &[Field] = &[must("amount_mib", MIB)];
const ACTION: &[Field] = &[must(
    "action_type",
    Holds::OneOf(&["FlushMetrics", "InstanceStart", "SendCtrlAltDel"]),
)];
const VM: &[Field] = &[must("state", Holds::OneOf(&["Paused", "Resumed"]))];

/// Fields of the body of this request; `path` without what follows a second slash.
pub(super) fn fields(method: &str, path: &str) -> Option<&'static [Field]> {
    let fields = match (method, path) {
        ("PUT", "/logger") => LOGGER,
        ("PUT", "/metrics") => METRICS,
        ("PUT", "/boot-source") => BOOT_SOURCE,
        ("PUT", "/machine-config") => MACHINE,
        ("PUT", "/drives") => DRIVE,
        ("PATCH", "/drives") => PARTIAL_DRIVE,
        ("PUT", "/network-interfaces") => INTERFACE,
        ("PUT", "/vsock") => VSOCK,
        ("PUT", "/entropy") => ENTROPY,
        ("PUT", "/balloon") => BALLOON,
        ("PATCH", "/balloon") => BALLOON_UPDATE,
        ("PUT", "/actions") => ACTION,
        ("PATCH", "/vm") => VM,
        _ => return None,
    };
    Some(fields)
}

/// What is wrong with a body, in words.
pub(super) fn check(fields: &[Field], body: &Value, version: Version) -> Result<(), String> {
    let object = body.as_object().ok_or("invalid type: expected a struct")?;
    for (name, value) in object {
        let known = fields
            .iter()
            .find(|field| field.name == name && field.since <= version)
            .ok_or_else(|| format!("unknown field `{name}`"))?;
        if !value.is_null() {
            fits(known.holds, value, version).map_err(|error| format!("{name}: {error}"))?;
        }
    }
    let present = |name| object.get(name).is_some_and(|value| !value.is_null());
    match fields
        .iter()
        .find(|field| field.required && !present(field.name))
    {
        Some(field) => Err(format!("missing field `{}`", field.name)),
        None => Ok(()),
    }
}

fn fits(holds: Holds, value: &Value, version: Version) -> Result<(), String> {
    let fits = match holds {
        Holds::Text => value.is_string(),
        Holds::Flag => value.is_boolean(),
        Holds::Number(least, most) => value
            .as_u64()
            .is_some_and(|number| (least..=most).contains(&number)),
        Holds::OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        Holds::Object(fields) => return check(fields, value, version),
    };
    fits.then_some(())
        .ok_or_else(|| format!("invalid value {value}"))
}
