//! What an agent is told at its start.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use crate::entrance;
use crate::etcd::Settings;
use crate::interface::Choice;
use crate::registry::LEASE_TIME;
use crate::subnet_env;

/// What an agent is told at its start; plain data.
#[derive(Debug, Clone)]
pub struct Options {
    /// How etcd is reached.
    pub etcd: Settings,
    /// Where its records begin.
    pub prefix: String,
    /// The interface by which the others are reached; `dual_stack` is the configuration's affair.
    pub interface: Choice,
    /// Where `subnet.env` is written.
    pub subnet_file: PathBuf,
    /// A copy that a reboot does not take away.
    pub subnet_copy: Option<PathBuf>,
    /// Where the configuration that is followed is written, for the day of leaving.
    pub network_copy: Option<PathBuf>,
    /// Where the state is written for `ignite overlay status`.
    pub status_file: Option<PathBuf>,
    /// The lease is renewed that long before it ends.
    pub renew_margin: Duration,
    /// Length of leases, in seconds.
    pub lease_time: NonZeroU32,
    /// Masquerade what leaves the network.
    pub ip_masq: bool,
    /// Let packets of the network pass where the host forwards nothing else.
    pub forward: bool,
    /// How often the packet filter's rules are looked at.
    pub filter_interval: Duration,
    /// Where the private key of wireguard is, if not in the usual place.
    pub wireguard_key: Option<PathBuf>,
    /// Where health is told; port 0 for nowhere.
    pub health: SocketAddr,
    /// Where other hosts join, on the first host of an overlay.
    pub entrance: Option<entrance::Settings>,
}

impl Options {
    /// What `flanneld` does without any flag, with this etcd.
    pub fn new(etcd: Settings) -> Self {
        Self {
            etcd,
            prefix: "/coreos.com/network".to_owned(),
            interface: Choice::default(),
            subnet_file: PathBuf::from(subnet_env::DEFAULT_PATH),
            subnet_copy: None,
            network_copy: None,
            status_file: None,
            renew_margin: Duration::from_secs(3600),
            lease_time: LEASE_TIME,
            ip_masq: false,
            forward: true,
            filter_interval: Duration::from_secs(5),
            wireguard_key: None,
            health: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            entrance: None,
        }
    }
}
