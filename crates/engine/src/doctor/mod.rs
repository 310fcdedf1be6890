//! `ignite doctor`: what this host can do, a line for each thing.
//!
//! ```text
//!   probes of the host --.
//!   VMM, programs --------+--> facts --> judgement --> lines: good, degraded, missing
//!   networks, records ---'     (a thread for each section, with a deadline)
//! ```
//! Nothing is changed and nothing is left. A section looks first and judges then: its judgement is a
//! function of what was seen, and of nothing else. Whatever is broken or silent costs the lines of its
//! own section at most.

mod ask;
mod confinement;
mod docker;
mod host;
mod kernel;
mod leftovers;
mod line;
mod networks;
mod overlay;
mod plugins;
mod processor;
mod programs;
mod resources;
mod vmm;

use std::time::{Duration, Instant};

pub use line::{Line, Section, Verdict};

use crate::Config;
use ask::ask;
use host::Host;

/// Time for all of it.
const LIMIT: Duration = Duration::from_secs(8);

/// What is wrong with the configuration file, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationFault {
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What looks at a section, and judges it.
type Look = fn(&Config, &Host) -> Vec<Line>;

/// The sections in their order, each with the name of a line that stands for all where none came.
const SECTIONS: [(Section, Look); 10] = [
    (Section::Processor, processor::look),
    (Section::Vmm, vmm::look),
    (Section::Programs, programs::look),
    (Section::Kernel, kernel::look),
    (Section::Confinement, confinement::look),
    (Section::Plugins, plugins::look),
    (Section::Networks, networks::look),
    (Section::Docker, docker::look),
    (Section::Overlay, overlay::look),
    (Section::Resources, resources::look),
];

/// Looks at this host, within some seconds. `fault` is what is wrong with the configuration file, where
/// `config` is what holds without one.
pub fn doctor(config: &Config, fault: Option<&ConfigurationFault>) -> Vec<Line> {
    let deadline = Instant::now() + LIMIT;
    let mut config = config.clone();
    // A plugin that is silent is ended before its section is given up.
    config.cni.bounds.other = LIMIT / 2;
    let host = ask(Host::read).until(Instant::now() + LIMIT / 8);
    let host = host.unwrap_or(Host::UNKNOWN);
    let leftovers: (Section, Look) = (Section::Leftovers, leftovers::look);
    let asked: Vec<_> = SECTIONS
        .into_iter()
        .chain([leftovers])
        .map(|(section, look)| {
            let config = config.clone();
            (section, ask(move || look(&config, &host)))
        })
        .collect();
    let mut lines = vec![programs::configuration(fault)];
    for (section, asked) in asked {
        let found = asked.until(deadline);
        lines.extend(found.unwrap_or_else(|| vec![silent(section)]));
    }
    lines.sort_by_key(Line::section);
    lines
}

/// Whether a VM could be run on a host of which these lines were found.
pub fn can_run(lines: &[Line]) -> bool {
    !lines.iter().any(Line::prevents)
}

fn silent(section: Section) -> Line {
    const NAME: &str = "answer";
    let text = format!("no answer within {} s", LIMIT.as_secs());
    let remedy =
        "see what hangs: a file system, a plugin, a socket; `ignite doctor` once more tells";
    match section {
        // Where no VMM is known, none is known to run a VM.
        Section::Vmm => Line::missing(section, NAME, text, remedy).essential(),
        _ => Line::degraded(section, NAME, text, "nothing is known of this section").remedy(remedy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_every_vm_needs_prevents_them() {
        let missing = || Line::missing(Section::Kernel, "vxlan", "none", "none");
        assert!(can_run(&[missing()]));
        assert!(!can_run(&[missing(), missing().essential()]));
        assert!(can_run(&[silent(Section::Docker)]));
        assert!(!can_run(&[silent(Section::Vmm)]));
    }

    #[test]
    fn a_host_with_nothing_has_lines_all_the_same() {
        let root = tempfile::tempdir().expect("tempdir");
        let config = Config {
            paths: ignite_store::Paths::under(root.path()),
            ..Config::default()
        };
        let fault = ConfigurationFault {
            problem: "it is no YAML".to_owned(),
            hint: None,
        };
        let lines = doctor(&config, Some(&fault));
        let sections: std::collections::BTreeSet<Section> =
            lines.iter().map(Line::section).collect();
        assert_eq!(sections.len(), SECTIONS.len() + 1);
        assert!(!can_run(&lines), "the configuration is broken");
        assert_eq!(std::fs::read_dir(root.path()).expect("list").count(), 0);
    }
}
