//! Network configurations, from files others put into the directory.

use ignite_cni::stdin::{self, Extra};
use ignite_cni::{NetworkConfig, PluginConfig};
use serde_json::Map;

/// What the cache keeps of a network is that network again, and every plugin gets its input.
pub fn run(bytes: &[u8]) {
    let _ = PluginConfig::parse(bytes);
    let read = [
        NetworkConfig::parse(bytes),
        NetworkConfig::parse_list(bytes),
        NetworkConfig::parse_single(bytes),
    ];
    for config in read {
        match config {
            Ok(config) => check(&config),
            Err(error) => drop(error.to_string()),
        }
    }
}

fn check(config: &NetworkConfig) {
    let again = NetworkConfig::parse(&config.cache_bytes()).expect("its own bytes");
    assert_eq!(again, *config);
    let (_, capabilities) = (config.version(), Map::new());
    for plugin in &config.plugins {
        let extra = Extra::Attachment {
            previous: None,
            capabilities: &capabilities,
        };
        let input = stdin::build(config, plugin, extra).expect("nothing is added but names");
        assert_eq!(input["name"], config.name.as_str());
        assert_eq!(input["cniVersion"], config.cni_version.as_str());
    }
}
