//! `overlay reserve`: a host's subnet for ever.

use std::net::Ipv4Addr;

use ignite_overlay::agent::status::Status;
use ignite_overlay::config::Config;
use ignite_overlay::lease::Subnet;
use ignite_overlay::registry::{Reserved, Unreserve};
use ipnet::Ipv4Net;
use serde::Serialize;

use super::error::OverlayError;
use super::place::OverlayName;
use super::{registry, wait};
use crate::Engine;

/// A subnet that stays a host's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// The subnet.
    pub subnet: String,
    /// The host's public address.
    pub host: Ipv4Addr,
}

impl Engine {
    /// Reserves a subnet for a host: this one's own where nothing is named. Whether that is new.
    pub fn overlay_reserve(
        &self,
        name: &OverlayName,
        subnet: Option<Ipv4Net>,
        host: Option<Ipv4Addr>,
    ) -> Result<(Reservation, bool), OverlayError> {
        let (place, record) = self.overlay_record(name)?;
        let registry = registry(&place, &record)?;
        let status = Status::read(&place.status());
        let own = status.as_ref().and_then(|status| status.public_ip);
        let host = host.or(own).ok_or(OverlayError::NoSubnet)?;
        wait(async {
            let snapshot = registry.leases().await?;
            let mut leases = snapshot.found.iter().map(|found| &found.lease);
            // With its IPv6 half, if it has one: that is in the key.
            let known = match subnet.map(|subnet| subnet.trunc()) {
                Some(subnet) => leases.find(|lease| lease.subnet.v4 == subnet),
                None => leases.find(|lease| lease.attributes.public_ip == host),
            };
            let wanted = match (known, subnet) {
                (Some(lease), _) => lease.subnet,
                (None, Some(v4)) => Subnet {
                    v4: v4.trunc(),
                    v6: None,
                },
                (None, None) => return Err(OverlayError::NoSubnet),
            };
            let bytes = registry.config().await?.bytes.unwrap_or_default();
            let config = Config::parse(&bytes)?;
            if !fits(&config, &wanted) {
                return Err(OverlayError::NoFit {
                    subnet: text(&wanted),
                });
            }
            let reserved = registry.reserve(&wanted, host).await?;
            let reservation = Reservation {
                subnet: text(&wanted),
                host,
            };
            Ok((reservation, reserved != Reserved::Already))
        })
    }

    /// All reservations.
    pub fn overlay_reservations(
        &self,
        name: &OverlayName,
    ) -> Result<Vec<Reservation>, OverlayError> {
        let (place, record) = self.overlay_record(name)?;
        let registry = registry(&place, &record)?;
        let found = wait(async { Ok(registry.reservations().await?) })?;
        let line = |found: ignite_overlay::registry::Found| Reservation {
            subnet: text(&found.lease.subnet),
            host: found.lease.attributes.public_ip,
        };
        Ok(found.into_iter().map(line).collect())
    }

    /// Ends a reservation; whether there was one.
    pub fn overlay_unreserve(
        &self,
        name: &OverlayName,
        subnet: Ipv4Net,
        how: Unreserve,
    ) -> Result<bool, OverlayError> {
        let (place, record) = self.overlay_record(name)?;
        let registry = registry(&place, &record)?;
        wait(async {
            let snapshot = registry.leases().await?;
            let mut found = snapshot.found.iter().map(|found| found.lease.subnet);
            let wanted = found.find(|there| there.v4 == subnet.trunc());
            match wanted {
                Some(wanted) => Ok(registry.unreserve(&wanted, how).await?),
                None => Ok(false),
            }
        })
    }
}

/// Whether a host of this network can have the subnet.
fn fits(config: &Config, subnet: &Subnet) -> bool {
    let v4 = config
        .ipv4
        .as_ref()
        .is_none_or(|range| range.contains(subnet.v4));
    let v6 = match (&config.ipv6, subnet.v6) {
        (Some(range), Some(v6)) => range.contains(v6),
        (range, v6) => range.is_none() && v6.is_none(),
    };
    v4 && v6
}

fn text(subnet: &Subnet) -> String {
    match subnet.v6 {
        Some(v6) => format!("{}, {v6}", subnet.v4),
        None => subnet.v4.to_string(),
    }
}
