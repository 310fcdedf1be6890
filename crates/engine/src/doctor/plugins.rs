//! CNI's plugins: those the networks of this host use, or the default network's where there is none.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ignite_api::NetworkPlugin;
use ignite_cni::{NetworkConfig, Networks, default};

use super::host::Host;
use super::{Line, Section};
use crate::Config;
use crate::network::manage::programs_of;

const SECTION: Section = Section::Plugins;

/// So many plugins are looked for; a directory may name any number.
const MAX: usize = 64;

/// Plugins of the reference implementation, which distributions have in one package.
const REFERENCE: [&str; 19] = [
    "bandwidth",
    "bridge",
    "dhcp",
    "dummy",
    "firewall",
    "host-device",
    "host-local",
    "ipvlan",
    "loopback",
    "macvlan",
    "portmap",
    "ptp",
    "sbr",
    "static",
    "tap",
    "tuning",
    "vlan",
    "vrf",
    "flannel",
];

struct Plugin {
    name: String,
    /// Networks that use it.
    networks: Vec<String>,
    /// Whether VMs need it unless told otherwise.
    by_default: bool,
    found: Option<PathBuf>,
}

pub(super) fn look(config: &Config, host: &Host) -> Vec<Line> {
    let networks = Networks::load(&config.paths.cni_conf).0;
    let mut configs = networks.all().to_vec();
    if configs.is_empty() {
        configs.extend(NetworkConfig::parse(default::CONFLIST.as_bytes()).ok());
    }
    let is_cni = config.network_plugin == NetworkPlugin::Cni;
    let directories = config.cni.bin_dirs.iter();
    let places: Vec<String> = directories.map(|path| path.display().to_string()).collect();
    needed(&configs)
        .into_iter()
        .take(MAX)
        .map(|(name, networks)| Plugin {
            by_default: is_cni && networks.first() == configs.first().map(|config| &config.name),
            found: config.cni.find(&name).ok(),
            name,
            networks,
        })
        .map(|plugin| judge(&plugin, &places.join(", "), host))
        .collect()
}

/// The plugins of all networks, with the networks in their order.
fn needed(configs: &[NetworkConfig]) -> BTreeMap<String, Vec<String>> {
    let mut needed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for config in configs {
        for name in programs_of(config) {
            needed.entry(name).or_default().push(config.name.clone());
        }
    }
    needed
}

fn judge(plugin: &Plugin, places: &str, host: &Host) -> Line {
    if let Some(path) = &plugin.found {
        return Line::good(SECTION, &plugin.name, path.display().to_string());
    }
    let networks = plugin.networks.join(", ");
    let text = format!("not in {places}; used by {networks}");
    let package = "containernetworking-plugins";
    let remedy = match REFERENCE.contains(&plugin.name.as_str()) {
        true => host.install(package, package),
        false => format!(
            "put the program {} into one of these directories",
            plugin.name
        ),
    };
    let line = Line::missing(SECTION, &plugin.name, text, remedy);
    match plugin.by_default {
        true => line.essential(),
        false => line,
    }
}

#[cfg(test)]
mod tests {
    use super::super::can_run;
    use super::super::host::tests::GOOD;
    use super::*;

    fn plugin(name: &str, by_default: bool) -> Line {
        let plugin = Plugin {
            name: name.to_owned(),
            networks: vec!["blue".to_owned()],
            by_default,
            found: None,
        };
        judge(&plugin, "/opt/cni/bin", &GOOD)
    }

    #[test]
    fn the_default_network_needs_all_of_its_plugins() {
        assert!(!can_run(&[plugin("bridge", true)]));
        assert!(can_run(&[plugin("bridge", false)]));
    }

    #[test]
    fn packages_are_named_where_there_is_one() {
        let remedy = |name| {
            plugin(name, false)
                .remedy_text()
                .unwrap_or_default()
                .to_owned()
        };
        assert_eq!(remedy("portmap"), "apt install containernetworking-plugins");
        assert!(remedy("mine").contains("put the program mine"));
    }

    #[test]
    fn each_is_needed_once_whoever_uses_it() {
        let parse = |name: &str| {
            let text = default::CONFLIST.replace(default::NAME, name);
            NetworkConfig::parse(text.as_bytes()).expect("well formed")
        };
        let needed = needed(&[parse("a"), parse("b")]);
        let names: Vec<&str> = needed.keys().map(String::as_str).collect();
        assert_eq!(names, ["bridge", "firewall", "host-local", "portmap"]);
        assert_eq!(needed["portmap"], ["a", "b"]);
    }
}
