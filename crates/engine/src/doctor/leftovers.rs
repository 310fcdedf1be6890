//! What VMs that are gone left on this host, and records nobody can read.

use super::host::Host;
use super::{Line, Section};
use crate::network::manage::Garbage;
use crate::{Config, Engine, Error};

const SECTION: Section = Section::Leftovers;

/// So many are named.
const NAMED: usize = 3;

struct Facts {
    /// Names of VMs that died and were not repaired since.
    dead: Vec<String>,
    garbage: Garbage,
}

pub(super) fn look(config: &Config, host: &Host) -> Vec<Line> {
    if !host.is_root {
        return ["dead vms", "leftovers"]
            .map(|name| Line::hidden(SECTION, name, "not looked for: that takes root"))
            .to_vec();
    }
    match facts(config) {
        Ok(facts) => judge(&facts),
        Err(error) => vec![unseen(ignite_host::error::chain(&error), error.hint())],
    }
}

fn facts(config: &Config) -> Result<Facts, Error> {
    let engine = Engine::reader(config.clone())?;
    let dead = engine.dead_vms(None)?;
    Ok(Facts {
        dead: dead.into_iter().map(|vm| vm.name).collect(),
        garbage: engine.look_for_garbage()?,
    })
}

fn judge(facts: &Facts) -> Vec<Line> {
    let released = facts.garbage.released.iter();
    let released: Vec<String> = released
        .map(|one| format!("{} {}", one.kind.as_str(), one.text))
        .collect();
    let mut lines = vec![
        left("dead vms", &facts.dead, "what they had stays taken"),
        left(
            "leftovers",
            &released,
            "addresses, rules, namespaces or disk space stay taken",
        ),
    ];
    lines.extend(
        facts
            .garbage
            .failures
            .first()
            .map(|error| unseen(ignite_host::error::chain(error), error.hint())),
    );
    lines
}

fn left(name: &str, left: &[String], costs: &str) -> Line {
    if left.is_empty() {
        return Line::good(SECTION, name, "none");
    }
    let named = &left[..left.len().min(NAMED)];
    let more = match left.len() > NAMED {
        true => ", ...",
        false => "",
    };
    let text = format!("{}: {}{more}", left.len(), named.join(", "));
    Line::degraded(SECTION, name, text, costs).remedy("ignite network gc")
}

fn unseen(why: String, hint: Option<String>) -> Line {
    let hint = hint.unwrap_or_else(|| "see `ignite network gc --dry-run`".to_owned());
    Line::degraded(SECTION, "unseen", why, "not all of what is left is known").remedy(hint)
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::network::manage::{GarbageKind, Released};

    #[test]
    fn what_gc_would_release_is_told_with_the_command() {
        let mut facts = Facts {
            dead: vec![],
            garbage: Garbage::default(),
        };
        let clean = judge(&facts);
        assert!(clean.iter().all(|line| line.verdict() == Verdict::Good));
        facts.dead.push("web".into());
        let leases = ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"];
        facts
            .garbage
            .released
            .extend(leases.map(|address| Released {
                kind: GarbageKind::Lease,
                network: None,
                container_id: "ignite-0".into(),
                text: address.into(),
            }));
        let lines = judge(&facts);
        assert_eq!(lines[0].detail(), "1: web");
        assert!(lines[1].detail().starts_with("4: lease 10.0.0.2,"));
        assert!(
            lines[1].detail().ends_with(", ..."),
            "{}",
            lines[1].detail()
        );
        assert!(
            lines
                .iter()
                .all(|line| line.remedy_text() == Some("ignite network gc"))
        );
    }
}
