//! `overlay status`: how this host is in the overlay.

use ignite_overlay::checkup::{self, Checkup, Probe};
use serde::Serialize;

use super::error::OverlayError;
use super::init::described;
use super::place::OverlayName;
use super::record::{Etcd, Record, host_and_port};
use super::{services, wait};
use crate::Engine;

/// How this host is in an overlay.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OverlayStatus {
    /// The overlay's name.
    pub name: String,
    /// The CNI network's name.
    pub network: String,
    /// How this host got into it.
    pub role: String,
    /// Whether what is said to etcd is encrypted.
    pub control_plane_encrypted: bool,
    /// Where others ask for a certificate; of a first host with TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub join_port: Option<u16>,
    /// Where the agent's words are.
    pub log: String,
    /// What was found.
    #[serde(flatten)]
    pub checkup: Checkup,
}

impl Engine {
    /// Looks at the overlay from this host; at the peers as well, if asked.
    pub fn overlay_status(
        &self,
        name: &OverlayName,
        probe: bool,
    ) -> Result<OverlayStatus, OverlayError> {
        let (place, record) = self.overlay_record(name)?;
        let manager = services::manager(&self.config.paths);
        let entrance = match &record.etcd {
            Etcd::Joined {
                host,
                tls: true,
                join_port,
                ..
            } => Some(host_and_port(host, *join_port)),
            Etcd::Own {
                insecure: false,
                join_port,
                ..
            } => Some(host_and_port("127.0.0.1", *join_port)),
            _ => None,
        };
        let looked = checkup::Place {
            etcd: record.settings(&place),
            prefix: record.prefix.clone(),
            status_file: place.status(),
            entrance,
        };
        let probe = match probe {
            true => Probe::Peers,
            false => Probe::Nothing,
        };
        let checkup = wait(async { Ok(checkup::check(&looked, probe).await) })?;
        Ok(OverlayStatus {
            name: name.to_string(),
            network: name.network().to_owned(),
            role: described(&record),
            control_plane_encrypted: record.is_encrypted(),
            join_port: join_port(&record),
            log: services::log_of(&manager, &place.agent_service()),
            checkup,
        })
    }
}

fn join_port(record: &Record) -> Option<u16> {
    match record.etcd {
        Etcd::Own {
            insecure: false,
            join_port,
            ..
        } => Some(join_port),
        _ => None,
    }
}
