//! The text exposition format of Prometheus, version 0.0.4.
//!
//! | `ignite_overlay_` and | unit | what |
//! |---|---|---|
//! | `ready` | 0 or 1 | whether the overlay is usable |
//! | `leases` | leases | of other nodes, known now |
//! | `lease_events_total` | events | words of etcd about leases, the own one included; a listing is one |
//! | `lease_expiry_timestamp_seconds` | seconds since 1970 | when the own lease ends; absent where it never does |
//! | `lease_renewals_total{result}` | renewals | of the own lease, `ok` and `failed` |
//! | `etcd_errors_total` | calls | to a member of etcd that failed, and watches that broke |
//! | `entries_reconciled_total` | entries | routes, neighbours and FDB entries of `vxlan` and `host-gw` that others had changed, and were put right |
//!
//! All of them begin at 0 with the agent. Packets are counted by the kernel, at the overlay's device.

use std::sync::atomic::Ordering;

use super::Health;

/// What Prometheus wants to be told as the content type.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const PREFIX: &str = "ignite_overlay";

#[derive(Clone, Copy)]
enum Kind {
    Counter,
    Gauge,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        }
    }
}

/// All numbers of `health`.
pub fn text(health: &Health) -> String {
    let mut text = String::new();
    let mut plain = |kind, name, help, value| family(&mut text, kind, name, help, &[("", value)]);
    let ready = u64::from(health.unready().is_none());
    plain(
        Kind::Gauge,
        "ready",
        "Whether the overlay is usable.",
        ready,
    );
    plain(
        Kind::Gauge,
        "leases",
        "Leases of other nodes.",
        health.leases.get(),
    );
    plain(
        Kind::Counter,
        "lease_events_total",
        "Words of etcd about leases.",
        health.events.get(),
    );
    if let Some(expiry) = health.expiry_seconds() {
        plain(
            Kind::Gauge,
            "lease_expiry_timestamp_seconds",
            "When the own lease ends unless renewed.",
            expiry,
        );
    }
    plain(
        Kind::Counter,
        "etcd_errors_total",
        "Calls to etcd that failed.",
        health.etcd_errors.load(Ordering::Relaxed),
    );
    plain(
        Kind::Counter,
        "entries_reconciled_total",
        "Routes, neighbours and FDB entries put right.",
        health.entries_reconciled.get(),
    );
    family(
        &mut text,
        Kind::Counter,
        "lease_renewals_total",
        "Renewals of the own lease.",
        &[
            ("{result=\"ok\"}", health.renewals.get()),
            ("{result=\"failed\"}", health.renewals_failed.get()),
        ],
    );
    text
}

/// One metric: its help, its type, and a sample for each set of labels.
fn family(text: &mut String, kind: Kind, name: &str, help: &str, samples: &[(&str, u64)]) {
    text.push_str(&format!("# HELP {PREFIX}_{name} {help}\n"));
    text.push_str(&format!("# TYPE {PREFIX}_{name} {}\n", kind.name()));
    for (labels, value) in samples {
        text.push_str(&format!("{PREFIX}_{name}{labels} {value}\n"));
    }
}
