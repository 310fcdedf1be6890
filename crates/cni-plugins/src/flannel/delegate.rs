//! The configuration of the plugin that does the work.

use serde_json::{Value, json};

use super::{ConfigError, NetConf, SubnetEnv};
use crate::skeleton::Object;

/// The plugin that is asked, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delegate {
    /// Name of the plugin program.
    pub plugin: String,
    /// Its configuration: JSON, members in order of their names.
    pub config: Vec<u8>,
}

impl Delegate {
    /// From the configuration that ADD has kept.
    pub(super) fn from_kept(bytes: Vec<u8>) -> Result<Self, serde_json::Error> {
        let object: Object = serde_json::from_slice(&bytes)?;
        let plugin = object.get("type").and_then(Value::as_str);
        Ok(Self {
            plugin: plugin.unwrap_or_default().to_owned(),
            config: bytes,
        })
    }
}

/// What the user wants of the delegate, completed with the host's subnet.
pub fn render(config: &NetConf, env: &SubnetEnv) -> Result<Delegate, ConfigError> {
    let mut object = config.delegate.clone();
    object.insert("name".into(), config.name.as_str().into());
    default(&mut object, "type", "bridge");
    // What the agent masquerades must not be masqueraded a second time.
    default(&mut object, "ipMasq", !env.ip_masq);
    default(&mut object, "mtu", env.mtu);
    let plugin = object["type"].as_str().unwrap_or_default().to_owned();
    if plugin == "bridge" {
        default(&mut object, "isGateway", true);
    }
    if !config.cni_version.is_empty() {
        object.insert("cniVersion".into(), config.cni_version.as_str().into());
    }
    if let Some(runtime_config) = &config.runtime_config {
        object.insert("runtimeConfig".into(), runtime_config.clone().into());
    }
    object.insert("ipam".into(), ipam(config, env)?.into());
    let mut value = Value::Object(object);
    value.sort_all_objects();
    Ok(Delegate {
        plugin,
        config: value.to_string().into_bytes(),
    })
}

fn default(object: &mut Object, member: &str, value: impl Into<Value>) {
    object.entry(member).or_insert_with(|| value.into());
}

/// Addresses are from the host's subnet, and the whole overlay is behind its gateway.
fn ipam(config: &NetConf, env: &SubnetEnv) -> Result<Object, ConfigError> {
    let mut ipam = config.ipam.clone();
    default(&mut ipam, "type", "host-local");
    let subnets = [
        env.subnet.map(|subnet| subnet.to_string()),
        env.ipv6_subnet.map(|subnet| subnet.to_string()),
    ];
    let ranges = subnets.into_iter().flatten();
    let ranges: Vec<Value> = ranges.map(|subnet| json!([{"subnet": subnet}])).collect();
    ipam.insert("ranges".into(), ranges.into());
    let mut routes = match ipam.get("routes") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(routes)) => routes.clone(),
        Some(_) => {
            return Err(ConfigError::Type {
                member: "ipam.routes",
                expected: "an array",
            });
        }
    };
    let v4 = env
        .networks
        .iter()
        .map(|network| json!({"dst": network.to_string()}));
    let v6 = env
        .ipv6_networks
        .iter()
        .map(|network| json!({"dst": network.to_string()}));
    routes.extend(v4.chain(v6));
    ipam.insert("routes".into(), routes.into());
    Ok(ipam)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const V4: &str = "FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.17.1/24\n";
    const TWO: &str = "FLANNEL_NETWORK=10.1.0.0/16,192.168.0.0/16\nFLANNEL_SUBNET=10.1.17.1/24\n";
    const V6: &str = "FLANNEL_IPV6_NETWORK=fc00::/48\nFLANNEL_IPV6_SUBNET=fc00::1/64\n";
    const REST: &str = "FLANNEL_MTU=1472\nFLANNEL_IPMASQ=true\n";

    fn rendered(env: &str, members: &str) -> Result<String, ConfigError> {
        let text = format!(r#"{{"name":"cni-flannel","type":"flannel"{members}}}"#);
        let object = serde_json::from_str(&text).expect("an object");
        let env = SubnetEnv::parse(&format!("{env}{REST}"), Path::new("x")).expect("well formed");
        let delegate = render(&NetConf::parse(&object).expect("well formed"), &env)?;
        let config = String::from_utf8(delegate.config).expect("JSON");
        let kept = Delegate::from_kept(config.clone().into_bytes()).expect("its own JSON");
        assert_eq!(kept.plugin, delegate.plugin);
        Ok(config)
    }

    /// What upstream's tests expect, with these parts.
    fn golden(ranges: &str, routes: &str) -> String {
        format!(
            r#"{{"ipMasq":false,"ipam":{{"ranges":[{ranges}],"routes":[{routes}],"type":"host-local"}},"isGateway":true,"mtu":1472,"name":"cni-flannel","type":"bridge"}}"#
        )
    }

    #[test]
    fn delegates_are_configured_as_upstream_does() {
        let range_v4 = r#"[{"subnet":"10.1.17.0/24"}]"#;
        let range_v6 = r#"[{"subnet":"fc00::/64"}]"#;
        let route_v4 = r#"{"dst":"10.1.0.0/16"}"#;
        let route_v6 = r#"{"dst":"fc00::/48"}"#;
        for (env, expected) in [
            (V4.to_owned(), golden(range_v4, route_v4)),
            (
                TWO.to_owned(),
                golden(
                    range_v4,
                    &format!(r#"{route_v4},{{"dst":"192.168.0.0/16"}}"#),
                ),
            ),
            (V6.to_owned(), golden(range_v6, route_v6)),
            (
                [V4, V6].concat(),
                golden(
                    &[range_v4, range_v6].join(","),
                    &[route_v4, route_v6].join(","),
                ),
            ),
        ] {
            assert_eq!(rendered(&env, ""), Ok(expected), "{env}");
        }
    }

    #[test]
    fn what_the_user_set_stays() {
        let members = r#","cniVersion":"1.0.0","runtimeConfig":{"b":[],"a":1.50},
            "delegate":{"type":"ipvlan","master":"eth0","mtu":1400,"ipMasq":null,"big":12345678901234567890}"#;
        assert_eq!(
            rendered(V4, members).expect("rendered"),
            r#"{"big":12345678901234567890,"cniVersion":"1.0.0","ipMasq":null,"ipam":{"ranges":[[{"subnet":"10.1.17.0/24"}]],"routes":[{"dst":"10.1.0.0/16"}],"type":"host-local"},"master":"eth0","mtu":1400,"name":"cni-flannel","runtimeConfig":{"a":1.50,"b":[]},"type":"ipvlan"}"#
        );
        let stock = r#","delegate":{"hairpinMode":true,"isDefaultGateway":true}"#;
        let text = rendered(V4, stock).expect("rendered");
        assert!(text.contains(r#""hairpinMode":true"#) && text.contains(r#""isGateway":true"#));
    }

    #[test]
    fn ipam_is_merged() {
        let members = r#","ipam":{"type":"my-ipam","unknown-param":"unknown-value","ranges":[7],
            "routes":[{"dst":"10.96.0.0/12"},{"dst":"192.168.244.0/24","gw":"10.1.17.20"}]}"#;
        let text = rendered(V4, members).expect("rendered");
        assert!(
            text.contains(r#""ipam":{"ranges":[[{"subnet":"10.1.17.0/24"}]],"routes":[{"dst":"10.96.0.0/12"},{"dst":"192.168.244.0/24","gw":"10.1.17.20"},{"dst":"10.1.0.0/16"}],"type":"my-ipam","unknown-param":"unknown-value"}"#),
            "{text}"
        );
        let error = rendered(V4, r#","ipam":{"routes":{}}"#).expect_err("no list");
        assert_eq!(error.to_string(), "'ipam.routes' must be an array");
    }
}
