//! Overlays beside each other on one host: what they may not have in common.

use ignite_host::fs;
use ignite_overlay::config::{Backend, Config};
use ipnet::IpNet;

use super::error::OverlayError;
use super::place::{OverlayName, Place};
use super::record::{self, Etcd, Record};
use crate::Engine;

/// No configuration is larger, in bytes.
const MAX_CONFIG: u64 = 1 << 20;
/// More overlays than anybody has on one host.
const MOST: u32 = 1000;

impl Engine {
    /// The networks that other overlays of this host follow.
    fn beside(&self, name: &OverlayName) -> Vec<(OverlayName, Config)> {
        let all = record::all(&self.config.paths).into_iter();
        let others = all.filter(|other| other != name);
        let followed = others.filter_map(|other| {
            let config = followed(&self.overlay_place(&other))?;
            Some((other, config))
        });
        followed.collect()
    }

    /// Fails where another overlay of this host is in the way of this network.
    pub(super) fn fits_beside(
        &self,
        name: &OverlayName,
        config: &Config,
    ) -> Result<(), OverlayError> {
        let others = self.beside(name);
        let met = others
            .iter()
            .find_map(|(other, theirs)| Some((other, in_common(config, theirs)?)));
        match met {
            Some((other, what)) => Err(OverlayError::InCommon {
                other: other.clone(),
                what,
            }),
            None => Ok(()),
        }
    }

    /// An identifier of vxlan that no overlay of this host has.
    pub(super) fn free_vni(&self, name: &OverlayName) -> u32 {
        let others = self.beside(name);
        let taken = |vni: &u32| {
            let has = |backend: &Backend| matches!(backend, Backend::Vxlan { vni: other, .. } if other == vni);
            others.iter().any(|(_, config)| has(&config.backend))
        };
        (1..MOST).find(|vni| !taken(vni)).unwrap_or(MOST)
    }
}

impl Engine {
    /// There is one etcd of ours on a host: what another overlay's record says of it holds. Without
    /// one, this record is as good as any.
    pub(super) fn one_etcd(
        &self,
        name: &OverlayName,
        record: &mut Record,
    ) -> Result<(), OverlayError> {
        let others = record::all(&self.config.paths).into_iter();
        for other in others.filter(|other| other != name) {
            let Some(theirs) = Record::read(&self.overlay_place(&other))? else {
                continue;
            };
            let Etcd::Own {
                advertise,
                port,
                join_port,
                insecure,
            } = &theirs.etcd
            else {
                continue;
            };
            let Etcd::Own {
                port: wanted_port,
                join_port: wanted_join,
                insecure: wanted_insecure,
                ..
            } = &record.etcd
            else {
                continue;
            };
            if (port, join_port, insecure) != (wanted_port, wanted_join, wanted_insecure) {
                let tls = if *insecure { "without TLS" } else { "with TLS" };
                return Err(OverlayError::OneEtcd {
                    other,
                    how: format!("{tls}, at port {port} (join port {join_port})"),
                });
            }
            let same = advertise.clone();
            if let Etcd::Own { advertise, .. } = &mut record.etcd {
                *advertise = same;
            }
        }
        Ok(())
    }
}

/// Fails if another Flannel's daemon works here, to be asked before the first start of an agent.
pub(super) fn no_foreign_flannel(place: &Place) -> Result<(), OverlayError> {
    let path = place.subnet_env();
    match path.exists() && !place.subnet_copy().exists() {
        true => Err(OverlayError::ForeignFlannel { path }),
        false => Ok(()),
    }
}

/// The configuration an overlay's agent followed last.
pub(super) fn followed(place: &Place) -> Option<Config> {
    let bytes = fs::read_bounded(&place.network_copy(), MAX_CONFIG).ok()?;
    Config::parse(&bytes).ok()
}

/// What two overlays of one host cannot both have.
fn in_common(one: &Config, other: &Config) -> Option<String> {
    let overlap = |a: &IpNet, b: &IpNet| a.contains(b) || b.contains(a);
    for a in networks(one) {
        if let Some(b) = networks(other).into_iter().find(|b| overlap(&a, b)) {
            return Some(format!("{a} and {b} overlap"));
        }
    }
    match (&one.backend, &other.backend) {
        (Backend::Vxlan { vni: a, .. }, Backend::Vxlan { vni: b, .. }) if a == b => {
            Some(format!("both have the VXLAN identifier {a}"))
        }
        (Backend::Udp { port: a }, Backend::Udp { port: b }) if a == b => {
            Some(format!("both have the port {a}/udp"))
        }
        (Backend::Wireguard { .. }, Backend::Wireguard { .. }) => {
            Some("both would have the device flannel-wg".to_owned())
        }
        _ => None,
    }
}

fn networks(config: &Config) -> Vec<IpNet> {
    let v4 = config.ipv4.as_ref().map(|range| range.network().into());
    let v6 = config.ipv6.as_ref().map(|range| range.network().into());
    v4.into_iter().chain(v6).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(network: &str, backend: &str) -> Config {
        let text = format!(r#"{{"Network":"{network}","Backend":{backend}}}"#);
        Config::parse(text.as_bytes()).expect("a configuration")
    }

    #[test]
    fn what_would_clash_is_named() {
        let (vxlan, host_gw) = (r#"{"Type":"vxlan"}"#, r#"{"Type":"host-gw"}"#);
        let first = config("10.50.0.0/16", vxlan);
        let told = |network: &str, backend: &str| in_common(&config(network, backend), &first);
        assert_eq!(told("10.80.0.0/16", host_gw), None);
        assert_eq!(told("10.80.0.0/16", r#"{"Type":"vxlan","VNI":2}"#), None);
        assert_eq!(
            told("10.80.0.0/16", vxlan).as_deref(),
            Some("both have the VXLAN identifier 1")
        );
        assert_eq!(
            told("10.50.128.0/20", host_gw).as_deref(),
            Some("10.50.128.0/20 and 10.50.0.0/16 overlap")
        );
    }
}
