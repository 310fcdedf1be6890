//! Ignite's own programs, its configuration, and the tools of others it calls.

use std::path::PathBuf;

use ignite_host::probe::program;

use super::host::{Host, tool};
use super::{ConfigurationFault, Line, Section};
use crate::Config;

const SECTION: Section = Section::Programs;

/// What mends any of them.
const REMEDY: &str = "install Ignite as a whole: `make install`";

/// The version all of them must be of.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A program of ours: its name, the variable that names another one, and what does not work without it;
/// where that is nothing, no VM does.
const OWN: [(&str, &str, Option<&str>); 4] = [
    ("ignite-spawn", "IGNITE_SPAWN", None),
    ("ignite-guest", "IGNITE_GUEST", None),
    ("ignite-cni", "IGNITE_CNI", Some("networks of overlays")),
    ("ignite-overlay", "IGNITE_OVERLAY", Some("overlays")),
];

struct Own {
    name: &'static str,
    needed_for: Option<&'static str>,
    found: Found,
}

/// What there is of a program.
enum Found {
    /// Nothing.
    Nowhere,
    /// A file that does not run, with the reason.
    Broken(PathBuf, String),
    /// A program and what it says of its version.
    There(PathBuf, String),
}

impl Found {
    fn at(path: PathBuf) -> Self {
        match program::version(&path) {
            Ok(version) => Self::There(path, version),
            // Before they were asked for it, some had none to tell.
            Err(error @ program::Error::Untold { .. }) => Self::There(path, error.to_string()),
            Err(error) => Self::Broken(path, ignite_host::error::chain(&error)),
        }
    }
}

pub(super) fn look(_: &Config, host: &Host) -> Vec<Line> {
    let own = OWN.into_iter().map(|(name, variable, needed_for)| Own {
        name,
        needed_for,
        found: crate::config::program(name, variable).map_or(Found::Nowhere, Found::at),
    });
    let mut lines: Vec<Line> = own.map(|own| judge(&own)).collect();
    lines.push(mkfs(tool("mkfs.ext4"), host));
    lines
}

/// The configuration file, which is read before anything else.
pub(super) fn configuration(fault: Option<&ConfigurationFault>) -> Line {
    const NAME: &str = "configuration";
    match fault {
        None => Line::good(SECTION, NAME, "it can be used, or there is none"),
        Some(fault) => {
            let remedy = fault
                .hint
                .as_deref()
                .unwrap_or("correct that file, or take it away");
            Line::missing(SECTION, NAME, &fault.problem, remedy).essential()
        }
    }
}

fn judge(own: &Own) -> Line {
    let missing = |text: String| match own.needed_for {
        None => Line::missing(SECTION, own.name, text, REMEDY).essential(),
        Some(what) => Line::missing(SECTION, own.name, format!("{text}; {what} need it"), REMEDY),
    };
    match &own.found {
        Found::Nowhere => missing("not found".to_owned()),
        Found::Broken(path, why) => missing(format!("{}: {why}", path.display())),
        Found::There(path, version) if *version == format!("{} {VERSION}", own.name) => {
            Line::good(SECTION, own.name, format!("{VERSION}, {}", path.display()))
        }
        Found::There(path, other) => {
            let text = format!("{}: {other}; this is ignite {VERSION}", path.display());
            let costs = "programs of two versions may not understand each other";
            Line::degraded(SECTION, own.name, text, costs).remedy(REMEDY)
        }
    }
}

fn mkfs(found: Option<PathBuf>, host: &Host) -> Line {
    match found {
        Some(path) => Line::good(SECTION, "mkfs.ext4", path.display().to_string()),
        None => Line::missing(
            SECTION,
            "mkfs.ext4",
            "not found; no image can be imported",
            host.install("e2fsprogs", "e2fsprogs"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Verdict, can_run};
    use super::*;

    fn own(needed_for: Option<&'static str>, found: Found) -> Line {
        judge(&Own {
            name: "p",
            needed_for,
            found,
        })
    }

    #[test]
    fn versions_are_equal_or_it_is_told() {
        let there = |version: &str| Found::There("/x/p".into(), version.to_owned());
        let same = own(None, there(&format!("p {VERSION}")));
        assert_eq!(same.verdict(), Verdict::Good);
        let other = own(None, there("p 0.0.0"));
        assert_eq!(other.verdict(), Verdict::Degraded);
        assert!(other.detail().contains("p 0.0.0") && other.detail().contains(VERSION));
    }

    #[test]
    fn what_only_overlays_need_prevents_no_vm() {
        let broken = || Found::Broken("/x/p".into(), "no such file".to_owned());
        assert!(!can_run(&[own(None, Found::Nowhere)]));
        assert!(!can_run(&[own(None, broken())]));
        assert!(can_run(&[own(Some("overlays"), broken())]));
    }

    #[test]
    fn a_configuration_that_cannot_be_used_prevents_vms() {
        assert!(can_run(&[configuration(None)]));
        let fault = ConfigurationFault {
            problem: "no YAML".to_owned(),
            hint: None,
        };
        let line = configuration(Some(&fault));
        assert!(line.remedy_text().is_some() && !can_run(&[line]));
    }
}
