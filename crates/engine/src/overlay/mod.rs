//! The overlay on this host: set up, joined, left, looked at.
//!
//! ```text
//!   init: record -> etcd (certificates, service) -> configuration -> agent -> CNI network
//!   join: certificate -> record ------------------> configuration -> agent -> CNI network
//!   leave: agent ends -> CNI network -> (all: lease, devices, rules) -> etcd ends -> record
//! ```
//!
//! Every step is done again without harm: a verb that was cut short is called once more, and goes on
//! where it was. The record is there from before the first act until after the last is undone.

mod beside;
mod conflist;
mod error;
mod init;
mod join;
mod leave;
mod log;
mod place;
mod record;
mod reserve;
mod seen;
mod services;
mod status;
mod token;

pub use error::OverlayError;
pub use init::{ClusterAccess, EtcdChoice, InitRequest, NetworkChoice};
pub use join::{JoinRequest, TokenChoice};
pub use leave::{LeaveRequest, Left};
pub use log::{LogRequest, Speaker};
pub use place::{NoOverlayName, OverlayName};
pub use record::HostChoice;
pub use reserve::Reservation;
pub use seen::{OverlaySeen, PeerSeen};
pub use status::OverlayStatus;
pub use token::{NewToken, TokenLine};

pub use ignite_overlay::agent::status::Status as AgentStatus;
pub use ignite_overlay::checkup::{
    EndpointState, Node as OverlayNode, Peer as OverlayPeer, Reachable, Trouble,
};
pub use ignite_overlay::config::{
    Backend as OverlayBackend, KEEPALIVE, Limits, Mode as WireguardMode, PresharedKey,
};
pub use ignite_overlay::entrance::PORT as JOIN_PORT;
pub use ignite_overlay::registry::Unreserve;

use ignite_host::fs::Lock;
use ignite_overlay::etcd::Client;
use ignite_overlay::registry::Registry;

use crate::Engine;
use place::Place;
use record::Record;

/// What becomes of an agent that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// It goes on.
    IfNot,
    /// It is started again.
    Anew,
}

/// What became of a host that has a subnet now.
#[derive(Debug)]
pub struct OverlayUp {
    /// What the agent says of itself.
    pub agent: AgentStatus,
    /// The CNI network's name.
    pub network: String,
    /// Whether what is said to etcd is encrypted.
    pub encrypted: bool,
    /// How others join; of the first host.
    pub join: Option<String>,
    /// Whether the services come up again after a reboot by themselves.
    pub survives_reboot: bool,
}

impl Engine {
    /// The overlays of this host.
    pub fn overlays(&self) -> Vec<OverlayName> {
        let all = record::all(&self.config.paths).into_iter();
        let is_in = |name: &OverlayName| self.overlay_record(name).is_ok();
        all.filter(is_in).collect()
    }

    fn overlay_place(&self, name: &OverlayName) -> Place {
        Place::new(&self.config.paths, name.clone())
    }

    /// The record of an overlay of this host.
    fn overlay_record(&self, name: &OverlayName) -> Result<(Place, Record), OverlayError> {
        let place = self.overlay_place(name);
        match Record::read(&place)? {
            Some(record) if !record.left => Ok((place, record)),
            _ => Err(OverlayError::NotHere { name: name.clone() }),
        }
    }

    /// One at a time changes overlays of this host.
    fn overlay_lock(&self) -> Result<Lock, OverlayError> {
        record::make_private(&Place::all(&self.config.paths))?;
        let lock = Lock::exclusive(&self.overlay_place(&OverlayName::default()).lock())?;
        record::sweep(&self.config.paths);
        Ok(lock)
    }
}

/// Keeps a service running that a verb of ours started: where there is no systemd.
pub fn keep(description: &std::path::Path, log: &std::path::Path) -> Result<(), OverlayError> {
    Ok(ignite_host::service::keep(description, log)?)
}

/// The records in etcd, as this host may see them.
fn registry(place: &Place, record: &Record) -> Result<Registry, OverlayError> {
    let client = Client::new(record.settings(place))?;
    Ok(Registry::new(client, &record.prefix))
}

/// Runs what waits for etcd, to its end.
fn wait<T>(future: impl Future<Output = Result<T, OverlayError>>) -> Result<T, OverlayError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(OverlayError::Runtime)?
        .block_on(future)
}
