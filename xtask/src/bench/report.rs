//! Figures, and the two files they are written to.

use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde::Serialize;

/// What a figure counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// Milliseconds.
    #[serde(rename = "ms")]
    Milliseconds,
    /// Kibibytes.
    #[serde(rename = "KiB")]
    Kibibytes,
    /// System calls.
    #[serde(rename = "calls")]
    Calls,
}

/// One figure, and what it is measured against.
#[derive(Debug, Clone, Serialize)]
pub struct Case {
    bench: String,
    case: String,
    unit: Unit,
    median: f64,
    min: f64,
    max: f64,
    runs: usize,
    /// What it is compared with: its name and median.
    against: Option<(String, f64)>,
    ratio: Option<f64>,
    limit: Option<f64>,
}

impl Case {
    /// The figures `values` of what `case` did.
    pub fn new(bench: &str, case: &str, unit: Unit, values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Self {
            bench: bench.to_owned(),
            case: case.to_owned(),
            unit,
            median: median(&sorted),
            min: sorted.first().copied().unwrap_or_default(),
            max: sorted.last().copied().unwrap_or_default(),
            runs: sorted.len(),
            against: None,
            ratio: None,
            limit: None,
        }
    }

    /// Compares the median with another's: at most `limit` times as much, where there is a limit.
    pub fn against(mut self, other: &Case, limit: impl Into<Option<f64>>) -> Self {
        self.against = Some((other.case.clone(), other.median));
        self.ratio = Some(self.median / other.median);
        self.limit = limit.into();
        self
    }

    /// Compares the median with a fixed figure.
    pub fn at_most(mut self, figure: f64) -> Self {
        self.against = Some(("limit".into(), figure));
        self.ratio = Some(self.median / figure);
        self.limit = Some(1.0);
        self
    }

    /// Whether the ratio is past its limit.
    pub fn is_past_limit(&self) -> bool {
        matches!((self.ratio, self.limit), (Some(ratio), Some(limit)) if ratio > limit)
    }

    fn unit(&self) -> &'static str {
        match self.unit {
            Unit::Milliseconds => "ms",
            Unit::Kibibytes => "KiB",
            Unit::Calls => "calls",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} {:.2} {}",
            self.bench,
            self.case,
            self.median,
            self.unit()
        )?;
        if let (Some((name, figure)), Some(ratio)) = (&self.against, self.ratio) {
            write!(f, ", {ratio:.2} times {name} ({figure:.2})")?;
        }
        match self.limit {
            Some(limit) => write!(f, ", limit {limit}"),
            None => Ok(()),
        }
    }
}

fn median(sorted: &[f64]) -> f64 {
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// Writes the figures for programs and for people.
pub fn write(cases: &[Case]) -> Result<()> {
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../bench"));
    fs::create_dir_all(directory).context("cannot make bench/")?;
    let json = serde_json::to_string_pretty(cases)? + "\n";
    fs::write(directory.join("results.json"), json).context("cannot write results.json")?;
    fs::write(directory.join("RESULTS.md"), table(cases)?).context("cannot write RESULTS.md")
}

fn table(cases: &[Case]) -> Result<String> {
    let mut text = String::from(
        "# Results of `make bench`\n\nMedians; every comparison was measured in the same run on the same machine.\n\n",
    );
    writeln!(text, "{}\n", machine())?;
    text.push_str("| bench | case | median | min | max | runs | against | ratio | limit |\n");
    text.push_str("|---|---|---:|---:|---:|---:|---|---:|---:|\n");
    for case in cases {
        let number = |value: Option<f64>| value.map(|v| format!("{v:.2}")).unwrap_or_default();
        let against = case
            .against
            .as_ref()
            .map(|(name, figure)| format!("{name}: {figure:.2} {}", case.unit()))
            .unwrap_or_default();
        writeln!(
            text,
            "| {} | {} | {:.2} {} | {:.2} | {:.2} | {} | {against} | {} | {} |",
            case.bench,
            case.case,
            case.median,
            case.unit(),
            case.min,
            case.max,
            case.runs,
            number(case.ratio),
            number(case.limit),
        )?;
    }
    Ok(text)
}

/// The processors and the kernel the figures were taken on.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let count = cpuinfo
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown", |(_, model)| model.trim());
    let kernel = read("/proc/sys/kernel/osrelease");
    let release: String = kernel
        .trim()
        .split('-')
        .next()
        .unwrap_or_default()
        .to_owned();
    format!("Machine: {count} x {model}, Linux {release}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_limits() {
        let slow = Case::new("b", "slow", Unit::Milliseconds, &[3.0, 1.0, 2.0]);
        let fast = Case::new("b", "fast", Unit::Milliseconds, &[1.0, 1.0]);
        assert!((slow.median - 2.0).abs() < f64::EPSILON);
        assert!(!slow.clone().against(&fast, 2.0).is_past_limit());
        assert!(slow.clone().against(&fast, 1.9).is_past_limit());
        assert!(!slow.clone().against(&fast, None).is_past_limit());
        assert!(slow.at_most(1.5).is_past_limit());
    }
}
