//! From the network's configuration to what a backend is told.

use std::path::Path;

use ignite_host::wireguard::Secret;

use super::Error;
use crate::backend::{self, Options, Settings, udp, vxlan, wireguard};
use crate::config::{Backend, Config, ConfigError, Mode};
use crate::lease::data::wireguard_key;
use crate::pool::PoolError;
use crate::registry::AcquireError;

/// What the backend is told. `key_file` is where wireguard's private key is.
pub(super) fn settings(config: &Config, key_file: Option<&Path>) -> Result<Settings, Error> {
    // Keys in etcd always have an IPv4 half.
    let ipv4 = config
        .ipv4
        .as_ref()
        .ok_or_else(|| Box::new(AcquireError::Decide(PoolError::WithoutIpv4)))?;
    if matches!(
        &config.backend,
        Backend::Wireguard {
            mode: Mode::Ipv6,
            ..
        }
    ) && config.ipv6.is_none()
    {
        let reason = "nodes tell each other their IPv6 addresses only where EnableIPv6 is true";
        return Err(ConfigError::invalid("Backend.Mode", "ipv6", reason).into());
    }
    Ok(Settings {
        network: ipv4.network(),
        ipv6_network: config.ipv6.as_ref().map(|range| range.network()),
        options: options(&config.backend, key_file),
    })
}

fn options(backend: &Backend, key_file: Option<&Path>) -> backend::Options {
    match backend {
        Backend::Alloc => Options::Alloc,
        Backend::HostGw => Options::HostGw,
        Backend::Udp { port } => Options::Udp(udp::Options { port: *port }),
        Backend::Vxlan {
            vni,
            port,
            gbp,
            learning,
            direct_routing,
            mtu,
        } => Options::Vxlan(vxlan::Options {
            vni: *vni,
            port: *port,
            gbp: *gbp,
            learning: *learning,
            direct_routing: *direct_routing,
            mtu: *mtu,
        }),
        Backend::Wireguard {
            psk,
            listen_port,
            listen_port_v6,
            keepalive,
            mode,
            mtu,
        } => {
            let usual = wireguard::Options::default();
            Options::Wireguard(wireguard::Options {
                preshared: (psk.as_ref())
                    .and_then(|psk| wireguard_key(psk.reveal()))
                    .map(Secret),
                port: *listen_port,
                port_v6: *listen_port_v6,
                keepalive: *keepalive,
                mode: *mode,
                mtu: *mtu,
                key_file: key_file.map_or(usual.key_file, Path::to_owned),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn translated(backend: &str) -> Result<Settings, Error> {
        let text = format!(r#"{{"Network":"10.5.0.0/16","Backend":{backend}}}"#);
        settings(&Config::parse(text.as_bytes()).expect("valid"), None)
    }

    #[test]
    fn every_backend_is_told_what_the_configuration_says() {
        let told = translated(r#"{"Type":"vxlan","VNI":7,"DirectRouting":true}"#).expect("told");
        assert_eq!(told.network.to_string(), "10.5.0.0/16");
        let Options::Vxlan(options) = told.options else {
            panic!("{told:?}");
        };
        assert_eq!((options.vni, options.direct_routing), (7, true));
        let told = translated(r#"{"Type":"udp","Port":9}"#).expect("told");
        assert_eq!(told.options, Options::Udp(udp::Options { port: 9 }));
        let text = r#"{"Type":"wireguard","Mode":"auto","PersistentKeepaliveInterval":0}"#;
        let Options::Wireguard(options) = translated(text).expect("told").options else {
            panic!("not wireguard");
        };
        assert_eq!((options.mode, options.keepalive), (Mode::Auto, 0));
        for (name, options) in [("host-gw", Options::HostGw), ("alloc", Options::Alloc)] {
            let told = translated(&format!(r#"{{"Type":"{name}"}}"#)).expect("told");
            assert_eq!(told.options, options);
        }
    }

    #[test]
    fn what_is_not_done_is_said() {
        let error = translated(r#"{"Type":"wireguard","Mode":"ipv6"}"#).expect_err("not done");
        assert!(matches!(error, Error::Config(_)));
        let only_v6 = r#"{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00::/48"}"#;
        let config = Config::parse(only_v6.as_bytes()).expect("valid");
        let error = settings(&config, None).expect_err("not kept in etcd");
        assert!(error.hint().is_some_and(|hint| hint.contains("IPv4")));
    }
}
