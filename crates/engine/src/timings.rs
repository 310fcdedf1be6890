//! Where the time of a `run` went, by phase.

use std::time::{Duration, Instant};

use serde::Serialize;

/// One phase of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Phase {
    /// What was done: `disk`, `sandbox`, `cni bridge`, ...
    pub name: String,
    /// How long it took.
    pub duration: Duration,
    /// Whether the time was spent in the processes of CNI plugins.
    pub plugin: bool,
}

/// The phases of one operation, in order.
#[derive(Debug, Clone)]
pub struct Timings {
    begun: Instant,
    last: Instant,
    phases: Vec<Phase>,
}

impl Default for Timings {
    fn default() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            last: now,
            phases: Vec::new(),
        }
    }
}

impl Timings {
    /// Begins to count now.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the phase `name`, which began where the last one ended.
    pub fn end(&mut self, name: &str) {
        let now = Instant::now();
        self.phases.push(Phase {
            name: name.to_owned(),
            duration: now - self.last,
            plugin: false,
        });
        self.last = now;
    }

    /// Ends the phase `name` in which CNI plugins ran: their time is listed by plugin, ours under `name`.
    pub fn end_with_plugins(&mut self, name: &str, plugins: &[(String, Duration)]) {
        let now = Instant::now();
        let theirs: Duration = plugins.iter().map(|(_, duration)| *duration).sum();
        self.phases
            .extend(plugins.iter().map(|(plugin, duration)| Phase {
                name: format!("cni {plugin}"),
                duration: *duration,
                plugin: true,
            }));
        self.phases.push(Phase {
            name: name.to_owned(),
            duration: (now - self.last).saturating_sub(theirs),
            plugin: false,
        });
        self.last = now;
    }

    /// The phases so far.
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// Time since the beginning.
    pub fn total(&self) -> Duration {
        self.last - self.begun
    }

    /// From the VMM's start until the agent was ready.
    pub fn boot(&self) -> Duration {
        let boots = self.phases.iter().filter(|phase| phase.name == BOOT);
        boots.map(|phase| phase.duration).sum()
    }

    /// Time spent in the processes of CNI plugins.
    pub fn plugins(&self) -> Duration {
        self.phases
            .iter()
            .filter(|p| p.plugin)
            .map(|p| p.duration)
            .sum()
    }
}

/// Timings for programs: milliseconds by phase.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimingsReport {
    /// Each phase in order.
    pub phases: Vec<PhaseReport>,
    /// From the beginning to the VMM's start, without the processes of CNI plugins.
    pub own_until_vmm_ms: f64,
    /// In the processes of CNI plugins.
    pub plugins_ms: f64,
    /// From the VMM's start until the agent was ready.
    pub boot_ms: f64,
    /// All of it.
    pub total_ms: f64,
}

/// One phase for programs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PhaseReport {
    /// Its name.
    pub name: String,
    /// Milliseconds.
    pub ms: f64,
}

/// The phase that begins with the VMM's start.
const BOOT: &str = "boot";

impl Timings {
    /// Where the time went, for programs.
    pub fn report(&self) -> TimingsReport {
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        let boot = self.boot();
        TimingsReport {
            phases: self
                .phases
                .iter()
                .map(|phase| PhaseReport {
                    name: phase.name.clone(),
                    ms: ms(phase.duration),
                })
                .collect(),
            own_until_vmm_ms: ms(self
                .total()
                .saturating_sub(boot)
                .saturating_sub(self.plugins())),
            plugins_ms: ms(self.plugins()),
            boot_ms: ms(boot),
            total_ms: ms(self.total()),
        }
    }

    /// Where the time went, for people: a name and milliseconds.
    pub fn lines(&self) -> Vec<(String, f64)> {
        let report = self.report();
        let mut lines: Vec<(String, f64)> = report
            .phases
            .into_iter()
            .map(|phase| (phase.name, phase.ms))
            .collect();
        lines.push((
            "until the VMM, without plugins".into(),
            report.own_until_vmm_ms,
        ));
        lines.push(("CNI plugins".into(), report.plugins_ms));
        lines.push(("total".into(), report.total_ms));
        lines
    }
}
