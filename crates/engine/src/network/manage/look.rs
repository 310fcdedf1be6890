//! Our own look at an attachment, where its plugins cannot be asked, or cannot say.
//!
//! What is looked for is what the plugins of the reference make: the interface with its addresses,
//! the chain that masquerades the container, the chain of its published ports.

use std::net::IpAddr;

use ignite_cni::NetworkConfig;
use ignite_cni::capability::PortMapping;
use ignite_cni::leak::{masquerade_chain, port_chain};
use ignite_host::iptables::{self, Family};
use ignite_host::link::Netlink;
use ignite_host::netns::Namespace;
use ignite_store::AttachmentRecord;
use ipnet::IpNet;

/// What differs from how the attachment was made, a line each.
pub(super) fn differences(network: &NetworkConfig, made: &AttachmentRecord) -> Vec<String> {
    let mut found = interface(made);
    for family in [Family::V4, Family::V6] {
        let expected = Expected::of(network, made, family);
        if expected.is_empty() {
            continue;
        }
        match iptables::save("nat", family) {
            Ok(saved) => found.extend(expected.missing(&saved)),
            Err(error) => found.push(ignite_cni::error::chain(&error)),
        }
    }
    found
}

/// The interface and its addresses.
pub(super) fn interface(made: &AttachmentRecord) -> Vec<String> {
    let namespace = match Namespace::open(&made.netns) {
        Ok(namespace) => namespace,
        Err(error) => return vec![ignite_cni::error::chain(&error)],
    };
    let name = &made.interface;
    let look = || {
        let netlink = Netlink::open_in(&namespace)?;
        let Some(link) = netlink.link(name)? else {
            return Ok(None);
        };
        netlink.addresses(link.index).map(Some)
    };
    match look() {
        Ok(Some(addresses)) => {
            let missing = made.addresses.iter().filter(|ip| !addresses.contains(ip));
            missing
                .map(|ip| format!("{name} has lost its address {ip}"))
                .collect()
        }
        Ok(None) => vec![format!("{name} is gone from {}", made.netns.display())],
        Err(error) => vec![ignite_cni::error::chain(&error)],
    }
}

/// What the NAT table of one family should hold.
#[derive(Debug, Default, PartialEq, Eq)]
struct Expected {
    /// The masquerading chain, and the addresses it is for.
    masquerade: Option<(String, Vec<IpAddr>)>,
    /// The chain of published ports, where they lead, and to which ports.
    ports: Option<(String, IpAddr, Vec<PortMapping>)>,
}

impl Expected {
    fn of(network: &NetworkConfig, made: &AttachmentRecord, family: Family) -> Self {
        let is_v4 = family == Family::V4;
        let addresses: Vec<IpAddr> = made
            .addresses
            .iter()
            .map(IpNet::addr)
            .filter(|ip| ip.is_ipv4() == is_v4)
            .collect();
        let Some(first) = addresses.first().copied() else {
            return Self::default();
        };
        let (name, id) = (&network.name, &made.container_id);
        let masquerade =
            masquerades(network).then(|| (masquerade_chain(name, id), addresses.clone()));
        let mappings: Vec<PortMapping> = published(network, made)
            .into_iter()
            .filter(|mapping| mapping.host_ip.is_none_or(|ip| ip.is_ipv4() == is_v4))
            .collect();
        let ports = (!mappings.is_empty()).then(|| (port_chain(name, id), first, mappings));
        Self { masquerade, ports }
    }

    fn is_empty(&self) -> bool {
        self.masquerade.is_none() && self.ports.is_none()
    }

    /// What is not in the table as `iptables-save` prints it.
    fn missing(&self, saved: &str) -> Vec<String> {
        let mut missing = Vec::new();
        let leads_to = |chain: &str, line: &str| line.ends_with(&format!(" -j {chain}"));
        if let Some((chain, addresses)) = &self.masquerade {
            for ip in addresses {
                let source = format!(" -s {ip}/");
                let found = saved
                    .lines()
                    .any(|line| leads_to(chain, line) && line.contains(&source));
                if !found {
                    missing.push(format!("no rule masquerades {ip} (chain {chain})"));
                }
            }
        }
        if let Some((chain, ip, mappings)) = &self.ports {
            if !saved.lines().any(|line| leads_to(chain, line)) {
                missing.push(format!(
                    "no rule leads to the published ports (chain {chain})"
                ));
            }
            let inside = format!("-A {chain} ");
            for mapping in mappings {
                let rule = Dnat::of(mapping, *ip);
                let found = saved
                    .lines()
                    .any(|line| line.starts_with(&inside) && rule.is(line));
                if !found {
                    missing.push(format!(
                        "port {} is not published any more (chain {chain})",
                        mapping.host_port
                    ));
                }
            }
        }
        missing
    }
}

/// How a mapping's rule reads.
struct Dnat {
    port: String,
    target: String,
}

impl Dnat {
    fn of(mapping: &PortMapping, ip: IpAddr) -> Self {
        let to = std::net::SocketAddr::new(ip, mapping.container_port);
        Self {
            port: format!(" --dport {} ", mapping.host_port),
            target: format!(" -j DNAT --to-destination {to}"),
        }
    }

    fn is(&self, line: &str) -> bool {
        line.contains(&self.port) && line.ends_with(&self.target)
    }
}

/// Whether a plugin masquerades by iptables.
fn masquerades(network: &NetworkConfig) -> bool {
    network.plugins.iter().any(|plugin| {
        let word = |key| plugin.object.get(key).and_then(|value| value.as_str());
        let wanted = plugin
            .object
            .get("ipMasq")
            .and_then(|value| value.as_bool());
        matches!(plugin.kind.as_str(), "bridge" | "ptp")
            && wanted == Some(true)
            && word("ipMasqBackend") != Some("nftables")
    })
}

/// The ports that a plugin publishes by iptables.
fn published(network: &NetworkConfig, made: &AttachmentRecord) -> Vec<PortMapping> {
    let publishes = network.plugins.iter().any(|plugin| {
        let backend = plugin
            .object
            .get("backend")
            .and_then(|value| value.as_str());
        plugin.kind == "portmap"
            && plugin.capabilities.contains("portMappings")
            && backend != Some("nftables")
    });
    let mappings = made.capabilities.get("portMappings").filter(|_| publishes);
    mappings
        .and_then(|mappings| serde_json::from_value(mappings.clone()).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use ignite_store::AttachmentState;
    use serde_json::json;

    use super::*;

    fn network() -> NetworkConfig {
        NetworkConfig::parse_list(ignite_cni::default::CONFLIST.as_bytes()).expect("well formed")
    }

    fn made(ports: &[(u16, u16)]) -> AttachmentRecord {
        let mappings: Vec<_> = ports
            .iter()
            .map(|(host, vm)| json!({"hostPort": host, "containerPort": vm, "protocol": "tcp"}))
            .collect();
        let capabilities = json!({ "portMappings": mappings });
        AttachmentRecord {
            network: ignite_cni::default::NAME.into(),
            config_file: PathBuf::new(),
            config: String::new(),
            interface: "eth0".into(),
            mac: "02:00:00:00:00:01".parse().expect("a MAC"),
            container_id: "ignite-abc".into(),
            netns: "/run/netns/none".into(),
            args: vec![],
            capabilities: capabilities.as_object().expect("an object").clone(),
            state: AttachmentState::Attached,
            result: None,
            addresses: vec!["10.61.0.50/16".parse().expect("a network")],
            gateway: None,
        }
    }

    /// What three plugins left for this very attachment, its port 8080 published.
    const SAVED: &str = include_str!("../../../../cni/tests/data/iptables-save.txt");

    #[test]
    fn what_the_plugins_made_is_found() {
        let expected = Expected::of(&network(), &made(&[(8080, 80)]), Family::V4);
        assert_eq!(expected.missing(SAVED), [""; 0]);
    }

    #[test]
    fn what_is_not_there_is_told() {
        let expected = Expected::of(&network(), &made(&[(8080, 80), (8081, 81)]), Family::V4);
        let missing = expected.missing(SAVED);
        assert!(
            matches!(&missing[..], [one] if one.starts_with("port 8081 ")),
            "{missing:?}"
        );
        assert_eq!(expected.missing("*nat\nCOMMIT\n").len(), 4);
    }

    #[test]
    fn nothing_is_expected_of_a_family_without_addresses() {
        assert!(Expected::of(&network(), &made(&[(80, 80)]), Family::V6).is_empty());
    }

    #[test]
    fn a_namespace_that_is_gone_is_a_difference() {
        assert_eq!(interface(&made(&[])).len(), 1);
    }
}
