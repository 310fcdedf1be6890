//! Parts of the kernel that VMs' networks are made of. As root each is tried out, where that loads
//! nothing.

use std::path::PathBuf;

use ignite_host::probe::filter::{Flavour, Policy, forward_policy};
use ignite_host::probe::module::{Modules, Part, Presence};
use ignite_host::probe::sandbox::{Outcome, Trial, Tried, try_out};
use ignite_host::probe::{program, system};
use ignite_host::sysctl;

use super::host::{Host, tool};
use super::{Line, Section};
use crate::Config;

const SECTION: Section = Section::Kernel;

const TUN: Part = Part::new("tun", "tun_chr_open", "CONFIG_TUN");
const INGRESS: Part = Part::new("sch_ingress", "ingress_init", "CONFIG_NET_SCH_INGRESS");
const CLASSIFIER: Part = Part::new("cls_bpf", "cls_bpf_classify", "CONFIG_NET_CLS_BPF");
const REDIRECT: Part = Part::new("act_mirred", "tcf_mirred_", "CONFIG_NET_ACT_MIRRED");
const FILTER: Part = Part::new("nf_tables", "nft_do_chain", "CONFIG_NF_TABLES");
const BRIDGE: Part = Part::new("bridge", "br_dev_setup", "CONFIG_BRIDGE");
const VETH: Part = Part::new("veth", "veth_newlink", "CONFIG_VETH");
const VXLAN: Part = Part::new("vxlan", "vxlan_setup", "CONFIG_VXLAN");
const WIREGUARD: Part = Part::new("wireguard", "wg_packet_", "CONFIG_WIREGUARD");

/// What the packet filter's programs say.
struct Filters {
    nft: Option<PathBuf>,
    iptables: Option<Result<String, String>>,
    /// Asked by root alone.
    policy: Option<Result<Policy, String>>,
}

struct Facts {
    modules: Modules,
    /// What root tried.
    trial: Option<Trial>,
    filters: Filters,
    /// Whether bridged frames pass iptables (`1`); none where the kernel has nothing for that loaded.
    bridged: Option<String>,
}

pub(super) fn look(_: &Config, host: &Host) -> Vec<Line> {
    let modules = Modules::read();
    let runs = |part| modules.presence(part) == Presence::Running;
    let nft = tool("nft");
    let tried = Tried {
        tap: runs(TUN),
        redirect: runs(INGRESS) && runs(CLASSIFIER) && runs(REDIRECT),
        filter: nft.is_some() && runs(FILTER),
    };
    let trial = host.is_root.then(|| try_out(tried));
    let facts = Facts {
        trial,
        filters: filters(nft, host),
        bridged: sysctl::get("net/bridge/bridge-nf-call-iptables").ok(),
        modules,
    };
    judge(&facts, host)
}

fn filters(nft: Option<PathBuf>, host: &Host) -> Filters {
    let iptables = tool("iptables")
        .map(|path| program::version(&path).map_err(|error| ignite_host::error::chain(&error)));
    let flavour = match &iptables {
        Some(Ok(version)) => Some(Flavour::parse(version)),
        _ => None,
    };
    let policy = flavour
        .filter(|_| host.is_root)
        .map(|flavour| forward_policy(flavour).map_err(|error| ignite_host::error::chain(&error)));
    Filters {
        nft,
        iptables,
        policy,
    }
}

fn judge(facts: &Facts, host: &Host) -> Vec<Line> {
    let outcome =
        |of: fn(&Trial) -> &Outcome| facts.trial.as_ref().and_then(|trial| of(trial).clone());
    let part = |name, parts: &[Part], tried| {
        let found: Vec<_> = parts
            .iter()
            .map(|part| (*part, facts.modules.presence(*part)))
            .collect();
        judge_part(name, &found, tried, host)
    };
    let mut lines = vec![
        namespaces(outcome(|trial| &trial.namespace)),
        part("tap", &[TUN], outcome(|trial| &trial.tap)).essential(),
        part(
            "tc",
            &[INGRESS, CLASSIFIER, REDIRECT],
            outcome(|trial| &trial.redirect),
        )
        .essential(),
        part("nft", &[FILTER], outcome(|trial| &trial.filter)).essential(),
        nft(&facts.filters, host),
        iptables(&facts.filters, host),
        forward(&facts.filters),
        part("bridge", &[BRIDGE, VETH], None),
        bridge_filter(facts.bridged.as_deref()),
    ];
    for (part, name) in [(VXLAN, "vxlan"), (WIREGUARD, "wireguard")] {
        lines.push(backend(name, part, facts.modules.presence(part), host));
    }
    lines
}

fn namespaces(tried: Outcome) -> Line {
    const NAME: &str = "network namespaces";
    match tried {
        Some(Ok(())) => Line::good(SECTION, NAME, "one was made"),
        Some(Err(why)) => {
            let remedy = "give this container or service the capability CAP_SYS_ADMIN, or use the host itself";
            Line::missing(SECTION, NAME, why, remedy).essential()
        }
        None => Line::hidden(SECTION, NAME, "not tried: that takes root"),
    }
}

/// Parts that must all be there; `tried` is what became of using them.
fn judge_part(name: &str, parts: &[(Part, Presence)], tried: Outcome, host: &Host) -> Line {
    let with = |presence| parts.iter().filter(move |(_, found)| *found == presence);
    let modules = |presence| {
        with(presence)
            .map(|(part, _)| part.module)
            .collect::<Vec<_>>()
            .join(", ")
    };
    if let Some((part, _)) = with(Presence::Absent).next() {
        let text = format!("this kernel has no {}", modules(Presence::Absent));
        return Line::missing(SECTION, name, text, host.kernel_with(part.option));
    }
    match tried {
        Some(Ok(())) => return Line::good(SECTION, name, "works"),
        Some(Err(why)) => {
            let remedy = "give this container or service the capability CAP_NET_ADMIN and /dev/net/tun, \
                          or use the host itself";
            return Line::missing(SECTION, name, why, remedy);
        }
        None => {}
    }
    if with(Presence::Unknown).next().is_some() {
        let text = format!(
            "this kernel does not say whether it has {}",
            modules(Presence::Unknown)
        );
        return Line::degraded(SECTION, name, text, "the first VM will show it");
    }
    match with(Presence::Loadable).next() {
        Some(_) => {
            let text = format!("loaded when first used: {}", modules(Presence::Loadable));
            Line::good(SECTION, name, text)
        }
        None => Line::good(SECTION, name, "there"),
    }
}

/// The program of nftables, without which no sandbox is made.
fn nft(filters: &Filters, host: &Host) -> Line {
    const NAME: &str = "nft program";
    match &filters.nft {
        Some(path) => Line::good(SECTION, NAME, path.display().to_string()),
        None => Line::missing(
            SECTION,
            NAME,
            "not found",
            host.install("nftables", "nftables"),
        )
        .essential(),
    }
}

fn iptables(filters: &Filters, host: &Host) -> Line {
    const NAME: &str = "iptables";
    let install = || host.install("iptables", "iptables-nft");
    match &filters.iptables {
        None => Line::missing(
            SECTION,
            NAME,
            "not found; networks that masquerade or publish ports need it",
            install(),
        ),
        Some(Err(why)) => Line::missing(SECTION, NAME, why, install()),
        Some(Ok(version)) => Line::good(SECTION, NAME, version),
    }
}

fn forward(filters: &Filters) -> Line {
    const NAME: &str = "forward policy";
    match &filters.policy {
        Some(Ok(Policy::Accept)) => Line::good(SECTION, NAME, "ACCEPT"),
        Some(Ok(Policy::Drop)) => Line::degraded(
            SECTION,
            NAME,
            "DROP: what passes through this host needs a rule; the plugin firewall and Ignite make those \
             of VMs",
            "networks without the plugin firewall reach nobody outside",
        )
        .remedy("add { \"type\": \"firewall\" } to the networks' plugins"),
        Some(Err(why)) => Line::degraded(SECTION, NAME, why, "whether VMs reach the outside is not known")
            .remedy("iptables-save -t filter"),
        None if filters.iptables.is_none() => {
            Line::good(SECTION, NAME, "without iptables there is none")
        }
        None => Line::hidden(SECTION, NAME, "not read: that takes root"),
    }
}

fn bridge_filter(bridged: Option<&str>) -> Line {
    let text = match bridged {
        None => "not loaded: frames between VMs of one bridge do not pass iptables",
        Some("0") => "switched off: frames between VMs of one bridge do not pass iptables",
        Some(_) => "frames between VMs of one bridge pass iptables",
    };
    Line::good(SECTION, "br_netfilter", text)
}

/// What only overlays use.
fn backend(name: &str, part: Part, presence: Presence, host: &Host) -> Line {
    match presence {
        Presence::Absent => Line::degraded(
            SECTION,
            name,
            format!("Linux {} has none", system::kernel()),
            format!("no overlay can use the backend {name}"),
        )
        .remedy(host.kernel_with(part.option)),
        found => judge_part(name, &[(part, found)], None, host),
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::tests::GOOD;
    use super::super::{Verdict, can_run};
    use super::*;

    fn tap(presence: Presence, tried: Outcome) -> Line {
        judge_part("tap", &[(TUN, presence)], tried, &GOOD).essential()
    }

    #[test]
    fn what_was_tried_counts_more_than_what_is_listed() {
        let refused = || Some(Err("not permitted".to_owned()));
        assert_eq!(
            tap(Presence::Running, Some(Ok(()))).verdict(),
            Verdict::Good
        );
        assert!(!can_run(&[tap(Presence::Running, refused())]));
        assert_eq!(tap(Presence::Loadable, None).verdict(), Verdict::Good);
        assert_eq!(tap(Presence::Unknown, None).verdict(), Verdict::Degraded);
    }

    #[test]
    fn a_part_that_is_absent_is_named_with_its_option() {
        let parts = [(INGRESS, Presence::Running), (CLASSIFIER, Presence::Absent)];
        let line = judge_part("tc", &parts, None, &GOOD);
        assert_eq!(line.verdict(), Verdict::Missing);
        assert!(line.detail().contains("cls_bpf") && !line.detail().contains("sch_ingress"));
        assert!(
            line.remedy_text()
                .is_some_and(|text| text.contains("CONFIG_NET_CLS_BPF"))
        );
    }

    #[test]
    fn overlays_backends_prevent_no_vm() {
        let line = backend("wireguard", WIREGUARD, Presence::Absent, &GOOD);
        assert_eq!(line.verdict(), Verdict::Degraded);
        assert!(
            line.costs()
                .is_some_and(|costs| costs.contains("wireguard"))
        );
    }

    #[test]
    fn a_policy_that_drops_and_tools_that_are_not_there_are_told() {
        let filters = |policy, iptables| Filters {
            nft: None,
            iptables,
            policy,
        };
        let version = || Some(Ok("iptables v1.8.9 (nf_tables)".to_owned()));
        let drop = filters(Some(Ok(Policy::Drop)), version());
        assert_eq!(forward(&drop).verdict(), Verdict::Degraded);
        assert_eq!(
            forward(&filters(None, version())).verdict(),
            Verdict::Degraded
        );
        let none = filters(None, None);
        assert_eq!(forward(&none).verdict(), Verdict::Good);
        assert!(!can_run(&[nft(&none, &GOOD)]));
        assert_eq!(
            iptables(&none, &GOOD).remedy_text(),
            Some("apt install iptables")
        );
    }
}
