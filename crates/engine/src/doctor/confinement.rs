//! What a VMM is confined with.

use std::ops::Range;

use ignite_host::probe::cgroup::Cgroups;
use ignite_host::probe::{accounts, confinement};

use ignite_api::VmmUsers;

use super::host::Host;
use super::{Line, Section};
use crate::Config;

const SECTION: Section = Section::Confinement;

/// The controllers that bound a VMM.
const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];

struct Facts {
    cgroups: Cgroups,
    seccomp: Option<bool>,
    landlock: Option<u32>,
    users: Range<u32>,
    owners: Vec<String>,
}

pub(super) fn look(config: &Config, host: &Host) -> Vec<Line> {
    let users = range(config.vmm_users);
    let facts = Facts {
        cgroups: Cgroups::read(),
        seccomp: confinement::has_seccomp(),
        landlock: confinement::landlock(),
        owners: accounts::owners(&users),
        users,
    };
    judge(&facts, host)
}

fn judge(facts: &Facts, host: &Host) -> Vec<Line> {
    vec![
        cgroups(&facts.cgroups),
        seccomp(facts.seccomp, host),
        landlock(facts.landlock),
        users(&facts.users, &facts.owners),
    ]
}

/// The users VMMs run as, one for each VM. No account should have any of them.
fn range(users: VmmUsers) -> Range<u32> {
    users.first()..users.first().saturating_add(users.count())
}

fn cgroups(found: &Cgroups) -> Line {
    const NAME: &str = "cgroup";
    let kind = match (&found.v2, found.v1.is_empty()) {
        (Some(_), true) => "version 2",
        (Some(_), false) => "versions 1 and 2",
        (None, false) => "version 1",
        (None, true) => "not mounted",
    };
    let (there, absent): (Vec<&str>, Vec<&str>) =
        CONTROLLERS.into_iter().partition(|name| found.has(name));
    if absent.is_empty() {
        return Line::good(SECTION, NAME, format!("{kind}: {}", there.join(", ")));
    }
    let text = match there.is_empty() {
        true => kind.to_owned(),
        false => format!("{kind}: {}, but no {}", there.join(", "), absent.join(", ")),
    };
    let costs = format!("nothing bounds a VMM's {}", absent.join(", "));
    Line::degraded(SECTION, NAME, text, costs).remedy(
        "mount -t cgroup2 none /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1",
    )
}

fn seccomp(found: Option<bool>, host: &Host) -> Line {
    match found {
        Some(true) => Line::good(SECTION, "seccomp", "filters"),
        // Without a filter no VMM is started.
        Some(false) => {
            let remedy = host.kernel_with("CONFIG_SECCOMP_FILTER");
            Line::missing(SECTION, "seccomp", "this kernel has none", remedy).essential()
        }
        None => Line::degraded(
            SECTION,
            "seccomp",
            "/proc does not say",
            "no VM starts if this kernel has none",
        )
        .remedy("mount -t proc proc /proc"),
    }
}

fn landlock(version: Option<u32>) -> Line {
    match version {
        Some(version) => Line::good(SECTION, "landlock", format!("version {version}")),
        None => Line::degraded(
            SECTION,
            "landlock",
            "this kernel has none, or has it switched off",
            "one wall less around a VMM: its own mount namespace has to do",
        )
        .remedy("boot with lsm=landlock before the others, with CONFIG_SECURITY_LANDLOCK"),
    }
}

fn users(users: &Range<u32>, owners: &[String]) -> Line {
    const NAME: &str = "users";
    let range = format!("{} to {}", users.start, users.end - 1);
    match owners.is_empty() {
        true => Line::good(SECTION, NAME, format!("{range} are nobody's")),
        false => Line::degraded(
            SECTION,
            NAME,
            owners.join("; "),
            format!("VMMs run as users {range}: one and such an account have the same rights"),
        )
        .remedy("name a free range in /etc/ignite/config.yaml: spec.vmmUsers"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::super::host::tests::GOOD;
    use super::*;

    #[test]
    fn no_vm_starts_without_seccomp() {
        let verdict = |found| seccomp(found, &GOOD).verdict();
        assert_eq!(verdict(Some(true)), Verdict::Good);
        assert_eq!(verdict(Some(false)), Verdict::Missing);
        assert_eq!(verdict(None), Verdict::Degraded);
    }

    #[test]
    fn every_controller_in_either_version_will_do() {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let hybrid = Cgroups {
            v2: Some(set(&["pids"])),
            v1: set(&["memory", "cpu"]),
        };
        assert_eq!(cgroups(&hybrid).verdict(), Verdict::Good);
        let without = Cgroups {
            v2: None,
            v1: set(&["memory", "cpu"]),
        };
        let line = cgroups(&without);
        assert_eq!(line.verdict(), Verdict::Degraded);
        assert_eq!(line.costs(), Some("nothing bounds a VMM's pids"));
        assert_eq!(cgroups(&Cgroups::default()).detail(), "not mounted");
    }

    #[test]
    fn walls_that_are_not_there_cost_something() {
        assert_eq!(landlock(Some(4)).verdict(), Verdict::Good);
        assert_eq!(landlock(None).verdict(), Verdict::Degraded);
        let free = range(VmmUsers::default());
        assert_eq!(users(&free, &[]).verdict(), Verdict::Good);
        let taken = users(&free, &["the account bob has 2080374784".to_owned()]);
        assert!(taken.detail().contains("bob") && taken.costs().is_some());
    }
}
