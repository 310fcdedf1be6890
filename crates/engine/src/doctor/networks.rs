//! Networks of CNI, each with its STATUS; forwarding and name servers.

use std::time::{Duration, Instant};

use ignite_api::NetworkPlugin;
use ignite_cni::{NetworkConfig, Networks};
use ignite_host::sysctl;

use super::ask::ask;
use super::host::Host;
use super::{Line, Section};
use crate::Config;
use crate::network::dns;
use crate::network::manage::{Readiness, readiness, usable};

const SECTION: Section = Section::Networks;

/// So many networks are asked: a process for each plugin of each.
const MAX: usize = 32;

/// For the slowest network.
const LIMIT: Duration = Duration::from_secs(6);

/// A network and what it says of itself; nothing where it did not say it in time.
struct Network {
    name: String,
    is_default: bool,
    version: String,
    status: Option<Readiness>,
}

struct Facts {
    networks: Vec<Network>,
    /// How many there are besides.
    more: usize,
    /// Files that cannot be used, in words.
    faults: Vec<String>,
    /// Whether VMs get a network of CNI unless told otherwise.
    is_cni: bool,
    directory: String,
    forwarding: Option<String>,
    servers: Vec<String>,
}

pub(super) fn look(config: &Config, host: &Host) -> Vec<Line> {
    let directory = &config.paths.cni_conf;
    let (networks, faults) = Networks::load(directory);
    let configs: Vec<NetworkConfig> = usable(&networks).cloned().collect();
    let servers = dns::of_host().servers;
    let facts = Facts {
        more: configs.len().saturating_sub(MAX),
        networks: ask_each(config, configs),
        faults: faults
            .iter()
            .map(|fault| ignite_cni::error::chain(fault))
            .collect(),
        is_cni: config.network_plugin == NetworkPlugin::Cni,
        directory: directory.display().to_string(),
        forwarding: sysctl::get("net/ipv4/ip_forward").ok(),
        servers: servers.iter().map(ToString::to_string).collect(),
    };
    judge(&facts, host)
}

/// All at once: one that is slow is in nobody's way.
fn ask_each(config: &Config, configs: Vec<NetworkConfig>) -> Vec<Network> {
    let deadline = Instant::now() + LIMIT;
    let asked: Vec<_> = configs
        .into_iter()
        .take(MAX)
        .map(|network| {
            let (runtime, config) = (config.cni.clone(), network.clone());
            (network, ask(move || readiness(&runtime, &config)))
        })
        .collect();
    let answered = asked.into_iter().enumerate();
    answered
        .map(|(index, (config, asked))| Network {
            name: config.name,
            is_default: index == 0,
            version: config.cni_version,
            status: asked.until(deadline),
        })
        .collect()
}

fn judge(facts: &Facts, host: &Host) -> Vec<Line> {
    let mut lines = vec![files(facts)];
    lines.extend(
        facts
            .networks
            .iter()
            .map(|network| one(network, facts, host)),
    );
    lines.extend([forwarding(facts), name_servers(&facts.servers)]);
    lines
}

/// The directory of configurations as a whole.
fn files(facts: &Facts) -> Line {
    const NAME: &str = "configurations";
    let directory = &facts.directory;
    let count = facts.networks.len() + facts.more;
    let told: Vec<&str> = facts.faults.iter().take(3).map(String::as_str).collect();
    let broken = format!(
        "{} file(s) cannot be used: {}",
        facts.faults.len(),
        told.join("; ")
    );
    let remedy = format!("correct these files, or take them out of {directory}");
    match (count, facts.faults.is_empty()) {
        (0, true) => {
            let text = format!("none in {directory} yet; the first VM writes the default one");
            Line::good(SECTION, NAME, text)
        }
        (0, false) if facts.is_cni => {
            let text = format!("{broken}; there is no other");
            Line::missing(SECTION, NAME, text, remedy).essential()
        }
        (_, false) => {
            Line::degraded(SECTION, NAME, broken, "their networks cannot be used").remedy(remedy)
        }
        (_, true) if facts.more > 0 => {
            let text = format!("{count} in {directory}, of which the first {MAX} are asked");
            Line::good(SECTION, NAME, text)
        }
        (_, true) => Line::good(SECTION, NAME, format!("{count} in {directory}")),
    }
}

fn one(network: &Network, facts: &Facts, host: &Host) -> Line {
    let name = format!("network {}", network.name);
    let whose = match network.is_default && facts.is_cni {
        true => ", which VMs get unless told otherwise",
        false => "",
    };
    let ask = format!("ignite cni status {}", network.name);
    let broken = |reason: String| {
        let line = Line::missing(SECTION, &name, reason + whose, format!("see `{ask}`"));
        match whose.is_empty() {
            true => line,
            false => line.essential(),
        }
    };
    match &network.status {
        Some(Readiness::Ready) => Line::good(SECTION, &name, format!("ready{whose}")),
        Some(Readiness::NotReady { reason }) => broken(format!("not ready: {reason}")),
        Some(Readiness::Unknown) if host.is_root => {
            let text = format!(
                "cannot be asked: CNI {} has no STATUS{whose}",
                network.version
            );
            Line::good(SECTION, &name, text)
        }
        Some(Readiness::Unknown) => {
            Line::hidden(SECTION, &name, format!("not asked: that takes root{whose}"))
        }
        None => {
            let text = format!("no answer within {} s{whose}", LIMIT.as_secs());
            Line::degraded(
                SECTION,
                &name,
                text,
                "starts of its VMs are as slow, or fail",
            )
            .remedy(format!("see `{ask}`"))
        }
    }
}

fn forwarding(facts: &Facts) -> Line {
    const NAME: &str = "forwarding";
    match facts.forwarding.as_deref() {
        Some("0") => Line::good(
            SECTION,
            NAME,
            "off: the plugin bridge switches it on with the first VM; other plugins may need \
             `sysctl -w net.ipv4.ip_forward=1`",
        ),
        Some(_) => Line::good(SECTION, NAME, "on"),
        None => Line::degraded(
            SECTION,
            NAME,
            "net.ipv4.ip_forward cannot be read",
            "VMs may reach this host alone",
        )
        .remedy("mount -t proc proc /proc"),
    }
}

fn name_servers(servers: &[String]) -> Line {
    match servers.is_empty() {
        false => Line::good(SECTION, "dns", servers.join(", ")),
        true => Line::degraded(
            SECTION,
            "dns",
            "the host's resolv.conf names no server that a VM reaches",
            "names do not resolve in VMs whose network gives no server",
        )
        .remedy("ignite run --dns 192.0.2.53 ..., or a nameserver in /etc/resolv.conf"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::host::tests::GOOD;
    use super::super::{Verdict, can_run};
    use super::*;

    fn network(status: Option<Readiness>, is_default: bool) -> Network {
        Network {
            name: "blue".into(),
            is_default,
            version: "0.4.0".into(),
            status,
        }
    }

    fn facts() -> Facts {
        Facts {
            networks: vec![],
            more: 0,
            faults: vec![],
            is_cni: true,
            directory: "/etc/cni/net.d".into(),
            forwarding: Some("1".into()),
            servers: vec!["192.0.2.53".into()],
        }
    }

    #[test]
    fn broken_files_are_in_the_way_where_there_is_nothing_else() {
        assert_eq!(files(&facts()).verdict(), Verdict::Good);
        let faults = vec!["x.conflist is no JSON".to_owned()];
        let alone = Facts { faults, ..facts() };
        assert!(!can_run(&[files(&alone)]));
        let beside = Facts {
            networks: vec![network(Some(Readiness::Ready), true)],
            ..alone
        };
        let line = files(&beside);
        assert_eq!(line.verdict(), Verdict::Degraded);
        assert!(line.detail().contains("x.conflist"));
    }

    #[test]
    fn a_default_network_that_takes_nobody_prevents_vms() {
        let full = || {
            Some(Readiness::NotReady {
                reason: "no addresses left".into(),
            })
        };
        let line = |status, is_default| one(&network(status, is_default), &facts(), &GOOD);
        assert!(!can_run(&[line(full(), true)]));
        assert!(can_run(&[line(full(), false)]));
        assert!(line(full(), false).detail().contains("no addresses left"));
        assert_eq!(
            line(Some(Readiness::Unknown), true).verdict(),
            Verdict::Good
        );
        assert_eq!(line(None, true).verdict(), Verdict::Degraded);
    }

    #[test]
    fn without_name_servers_names_do_not_resolve() {
        assert_eq!(name_servers(&[]).verdict(), Verdict::Degraded);
        assert_eq!(name_servers(&facts().servers).detail(), "192.0.2.53");
    }
}
