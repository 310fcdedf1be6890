//! Overlays between hosts: their agents and etcd, as `ignite overlay status` sees them.

use std::time::{Duration, Instant};

use super::ask::ask;
use super::host::Host;
use super::{Line, Section};
use crate::overlay::{OverlayError, OverlayName, OverlayStatus};
use crate::{Config, Engine};

const SECTION: Section = Section::Overlay;

/// For an agent and an etcd that are well.
const LIMIT: Duration = Duration::from_secs(6);

/// So many overlays are asked.
const MAX: usize = 8;

/// What is seen of one overlay.
enum Seen {
    /// Its agent's subnet and backend, and its troubles with their remedies, the gravest first.
    Status {
        subnet: Option<String>,
        backend: Option<String>,
        troubles: Vec<(String, String)>,
    },
    /// It cannot be looked at.
    Failed(String, Option<String>),
    /// Nothing in time.
    Silent,
}

pub(super) fn look(config: &Config, host: &Host) -> Vec<Line> {
    if !host.is_root {
        return vec![Line::hidden(
            SECTION,
            "overlay",
            "not looked at: that takes root",
        )];
    }
    let engine = match Engine::reader(config.clone()) {
        Ok(engine) => engine,
        Err(error) => {
            let seen = Seen::Failed(ignite_host::error::chain(&error), error.hint());
            return vec![judge("overlay", "", &seen)];
        }
    };
    let asked: Vec<_> = engine
        .overlays()
        .into_iter()
        .take(MAX)
        .map(|name| (name.clone(), ask(status(config.clone(), name))))
        .collect();
    if asked.is_empty() {
        return vec![Line::good(SECTION, "overlay", "not used")];
    }
    let deadline = Instant::now() + LIMIT;
    let lines = asked.into_iter().map(|(name, asked)| {
        let seen = asked.until(deadline).unwrap_or(Seen::Silent);
        judge(&format!("overlay {name}"), &name.flag(), &seen)
    });
    lines.collect()
}

fn status(config: Config, name: OverlayName) -> impl FnOnce() -> Seen {
    move || {
        let engine = match Engine::reader(config) {
            Ok(engine) => engine,
            Err(error) => return Seen::Failed(ignite_host::error::chain(&error), error.hint()),
        };
        seen(engine.overlay_status(&name, false))
    }
}

fn seen(status: Result<OverlayStatus, OverlayError>) -> Seen {
    match status {
        Ok(OverlayStatus { checkup, .. }) => Seen::Status {
            subnet: checkup.node.subnet.map(|subnet| subnet.to_string()),
            backend: checkup.node.backend,
            troubles: checkup
                .troubles
                .into_iter()
                .map(|trouble| (trouble.text, trouble.remedy))
                .collect(),
        },
        Err(error) => Seen::Failed(ignite_host::error::chain(&error), error.hint()),
    }
}

fn judge(name: &str, flag: &str, seen: &Seen) -> Line {
    const COSTS: &str = "VMs on it may not reach, or not be reached by, those of other hosts";
    let see = || format!("see `ignite overlay status{flag}`");
    match seen {
        Seen::Status {
            subnet,
            backend,
            troubles,
        } => {
            let subnet = subnet.as_deref().unwrap_or("no subnet");
            let backend = backend.as_deref().unwrap_or("no backend");
            match troubles.first() {
                None => Line::good(
                    SECTION,
                    name,
                    format!("{subnet}, {backend}, agent and etcd are well"),
                ),
                Some((text, remedy)) => {
                    let more = match troubles.len() - 1 {
                        0 => String::new(),
                        more => format!(" (and {more} more: {})", see()),
                    };
                    Line::degraded(
                        SECTION,
                        name,
                        format!("{subnet}, {backend}: {text}{more}"),
                        COSTS,
                    )
                    .remedy(remedy)
                }
            }
        }
        Seen::Failed(why, hint) => {
            Line::degraded(SECTION, name, why, COSTS).remedy(hint.clone().unwrap_or_else(see))
        }
        Seen::Silent => {
            let text = format!("no answer within {} s", LIMIT.as_secs());
            Line::degraded(SECTION, name, text, COSTS).remedy(see())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn the_gravest_trouble_is_told_with_its_remedy() {
        let status = |troubles: &[(&str, &str)]| Seen::Status {
            subnet: Some("10.5.1.0/24".into()),
            backend: Some("vxlan".into()),
            troubles: troubles
                .iter()
                .map(|(text, remedy)| ((*text).to_owned(), (*remedy).to_owned()))
                .collect(),
        };
        let well = judge("overlay flannel", "", &status(&[]));
        assert_eq!(well.verdict(), Verdict::Good);
        let ill = judge(
            "overlay x",
            " --name x",
            &status(&[("agent away", "start it"), ("b", "c")]),
        );
        assert_eq!(ill.verdict(), Verdict::Degraded);
        assert_eq!(ill.remedy_text(), Some("start it"));
        assert!(
            ill.detail()
                .contains("and 1 more: see `ignite overlay status --name x`")
        );
        assert_eq!(
            judge("overlay x", "", &Seen::Silent).verdict(),
            Verdict::Degraded
        );
    }
}
