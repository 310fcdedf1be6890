//! Numbers for Prometheus, in the OpenMetrics text format.
//!
//! | name | what |
//! |---|---|
//! | `ignited_vms{state}` | VMs that are kept |
//! | `ignited_manifests{result}` | files: `ok`, `fault`, `ignored` |
//! | `ignited_actions_total{action,result}` | what was done: `ok`, `failed` |
//! | `ignited_reconcile_duration_seconds` | how long one action took |
//! | `ignited_restarts_total` | VMs started again after they had ended |
//! | `ignited_source_last_success_timestamp_seconds` | when the source was last read |
//! | `ignited_source_errors_total` | how often it could not be |
//! | `ignited_build_info{version}` | 1 |
//! | `process_cpu_seconds_total`, `process_resident_memory_bytes` | the daemon's own |
//! | `ignite_vm_network_{receive,transmit}_{bytes,packets,dropped}_total{uid,name,interface,network}` | as the VM sees it |
//! | `ignite_vm_network_refused_packets_total{uid,name,interface,network}` | what it sent and may not |
//! | `ignite_vm_vmm_{disk_*,net_*,vsock_*,exits}_total{uid,name}` | what its VMM counted; Firecracker does |

mod network;
mod process;
mod vmm;

use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::app::Shared;
use crate::plan::Act;
use crate::status::Document;

/// What a scraper wants to be told as the content type.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds of the duration of one action, in seconds.
const BOUNDS: [f64; 10] = [0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0];

/// Every state a VM may have, so that none is missing where there are none.
const STATES: [&str; 5] = ["created", "starting", "running", "paused", "stopped"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Action {
    action: &'static str,
    result: &'static str,
}

/// The daemon's own numbers.
#[derive(Debug)]
pub struct Metrics {
    vms: Family<State, Gauge>,
    manifests: Family<Outcome, Gauge>,
    actions: Family<Action, Counter>,
    duration: Histogram,
    restarts: Counter,
    source_success: Gauge<f64, AtomicU64>,
    source_errors: Counter,
    cursor: network::Cursor,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            vms: Family::default(),
            manifests: Family::default(),
            actions: Family::default(),
            duration: Histogram::new(BOUNDS),
            restarts: Counter::default(),
            source_success: Gauge::default(),
            source_errors: Counter::default(),
            cursor: network::Cursor::default(),
        }
    }
}

impl Metrics {
    /// An order was carried out, or not.
    pub fn acted(&self, act: Act, worked: bool, took: Duration) {
        let action = act.as_str();
        let result = if worked { "ok" } else { "failed" };
        self.actions.get_or_create(&Action { action, result }).inc();
        self.duration.observe(took.as_secs_f64());
    }

    /// A VM that had ended was started again.
    pub fn restarted(&self) {
        self.restarts.inc();
    }

    /// The source was read.
    pub fn source_read(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        self.source_success
            .set(now.unwrap_or_default().as_secs_f64());
    }

    /// The source could not be read.
    pub fn source_failed(&self) {
        self.source_errors.inc();
    }

    /// How manifests and VMs are.
    pub fn seen(&self, document: &Document) {
        let lines = &document.manifests;
        for state in STATES {
            let vms = lines.iter().filter(|line| line.state == Some(state));
            set(&self.vms.get_or_create(&State { state }), vms.count());
        }
        let faults = lines.iter().filter(|line| line.fault.is_some()).count();
        for (result, count) in [
            ("fault", faults),
            ("ok", lines.len() - faults),
            ("ignored", document.ignored.len()),
        ] {
            set(&self.manifests.get_or_create(&Outcome { result }), count);
        }
    }

    fn register(&self, registry: &mut Registry) {
        let build = Info::new([("version", ignite_program::ProgramVersion::TEXT)]);
        registry.register("ignited_build", "What this is", build);
        registry.register("ignited_vms", "VMs that are kept", self.vms.clone());
        registry.register("ignited_manifests", "Files", self.manifests.clone());
        let actions = self.actions.clone();
        registry.register("ignited_actions", "What was done", actions);
        registry.register(
            "ignited_reconcile_duration_seconds",
            "How long one action took",
            self.duration.clone(),
        );
        registry.register(
            "ignited_restarts",
            "VMs started again after they had ended",
            self.restarts.clone(),
        );
        registry.register(
            "ignited_source_last_success_timestamp_seconds",
            "When the source was last read",
            self.source_success.clone(),
        );
        registry.register(
            "ignited_source_errors",
            "How often the source could not be read",
            self.source_errors.clone(),
        );
    }
}

fn set(gauge: &Gauge, count: usize) {
    gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
}

/// All numbers; those of VMs that are not told by the deadline are left out.
pub fn scrape(shared: &Shared, deadline: Instant) -> String {
    let mut registry = Registry::default();
    shared.metrics.register(&mut registry);
    registry.register_collector(Box::new(process::Process));
    let (traffic, vmms) = network::read(shared, deadline).collectors();
    registry.register_collector(Box::new(traffic));
    registry.register_collector(Box::new(vmms));
    let mut page = String::new();
    text::encode(&mut page, &registry).expect("a String takes everything");
    page
}
