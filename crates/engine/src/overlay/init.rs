//! `overlay init`: the first host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::SystemTime;

use ignite_host::link::Netlink;
use ignite_overlay::config::{Backend, Config, Limits, Range};
use ignite_overlay::etcd::Client;
use ignite_overlay::interface::{self, Choice};
use ignite_overlay::pki::AuthorityFiles;
use ipnet::{Ipv4Net, Ipv6Net};

use super::conflist::{self, Installed, Removed};
use super::error::OverlayError;
use super::place::{OverlayName, Place};
use super::record::{Etcd, HostChoice, Record, bare, make_private};
use super::{OverlayUp, Start, beside, registry, services, wait};
use crate::{Engine, Report};

/// What the first host is to set up.
#[derive(Debug, Clone)]
pub struct InitRequest {
    /// The overlay's name.
    pub name: OverlayName,
    /// The network; what is in etcd already where none.
    pub network: Option<NetworkChoice>,
    /// Whether another configuration in etcd is replaced.
    pub replace: bool,
    /// Which etcd.
    pub etcd: EtcdChoice,
    /// Where the records in etcd begin, if not where the name has them.
    pub prefix: Option<String>,
    /// Which interface.
    pub host: HostChoice,
}

/// The network of all hosts.
#[derive(Debug, Clone)]
pub struct NetworkChoice {
    /// Its IPv4 addresses.
    pub network: Ipv4Net,
    /// Which subnets hosts get.
    pub limits: Limits<Ipv4Addr>,
    /// Its IPv6 addresses, if it has any.
    pub ipv6_network: Option<Ipv6Net>,
    /// Which of them hosts get.
    pub ipv6_limits: Limits<Ipv6Addr>,
    /// How packets get from host to host; vxlan with the identifier 0 gets one that no other overlay of
    /// this host has.
    pub backend: Backend,
}

/// Which etcd.
#[derive(Debug, Clone)]
pub enum EtcdChoice {
    /// One on this host.
    Own {
        /// Where the others find this host: addresses and names, the first for the join command; the
        /// interface's address where none.
        advertise: Vec<String>,
        /// Its clients' port; that of its peers is the next.
        port: u16,
        /// The port at which joiners ask for a certificate.
        join_port: u16,
        /// Without TLS.
        insecure: bool,
    },
    /// A cluster that is there.
    Cluster(ClusterAccess),
}

/// How a cluster that is there is reached.
#[derive(Debug, Clone, Default)]
pub struct ClusterAccess {
    /// Client URLs.
    pub endpoints: Vec<String>,
    /// The authority it is trusted by.
    pub cafile: Option<PathBuf>,
    /// The certificate it is shown.
    pub certfile: Option<PathBuf>,
    /// The key of that.
    pub keyfile: Option<PathBuf>,
}

impl NetworkChoice {
    /// `vni` is asked for one that is free.
    fn config(&self, vni: impl FnOnce() -> u32) -> Result<Config, OverlayError> {
        let mut backend = self.backend.clone();
        if let Backend::Vxlan {
            vni: wanted @ 0, ..
        } = &mut backend
        {
            *wanted = vni();
        }
        let ipv4 = Range::new(self.network, self.limits)?;
        let ipv6 = self
            .ipv6_network
            .map(|network| Range::new(network, self.ipv6_limits));
        Ok(Config::new(Some(ipv4), ipv6.transpose()?, backend)?)
    }
}

impl Engine {
    /// Makes this host the first of an overlay; once more, goes on where it was.
    pub fn overlay_init(
        &self,
        request: &InitRequest,
        report: &dyn Report,
    ) -> Result<OverlayUp, OverlayError> {
        let _lock = self.overlay_lock()?;
        // Before anything is done: what cannot be is said at once.
        let config = request.network.as_ref().map(|network| {
            let vni = || self.free_vni(&request.name);
            network.config(vni)
        });
        let config = config.transpose()?;
        if let Some(config) = &config {
            self.fits_beside(&request.name, config)?;
        }
        let place = self.overlay_place(&request.name);
        let (mut record, names) = wanted(request)?;
        self.one_etcd(&request.name, &mut record)?;
        match Record::read(&place)? {
            Some(there) if !there.left => record = again(there, record, request)?,
            _ => {
                conflist::is_ours_to_write(&place)?;
                beside::no_foreign_flannel(&place)?;
            }
        }
        let manager = services::manager(&self.config.paths);
        // What cannot be started is told before anything is recorded.
        services::etcd(&place, &record)?;
        if !manager.is_running(services::ETCD)? {
            services::ports_are_free(&record)?;
        }
        record.write(&place)?;
        self.start_etcd(&place, &record, &names, report)?;
        let written = self.configure(&place, &record, config.as_ref(), request.replace, report)?;
        let how = match written && request.replace {
            true => Start::Anew,
            false => Start::IfNot,
        };
        let mut up = self.overlay_up(&place, &record, how, report)?;
        up.join = self.join_command(&place, &record)?;
        Ok(up)
    }

    /// Starts what was set up: after a reboot where nobody else does, or the agent anew, which then
    /// follows what etcd has now.
    pub fn overlay_start(
        &self,
        name: &OverlayName,
        how: Start,
        report: &dyn Report,
    ) -> Result<OverlayUp, OverlayError> {
        let _lock = self.overlay_lock()?;
        let (place, record) = self.overlay_record(name)?;
        self.start_etcd(&place, &record, &[], report)?;
        self.overlay_up(&place, &record, how, report)
    }

    /// Our own etcd, if the record has one: it answers after this.
    fn start_etcd(
        &self,
        place: &Place,
        record: &Record,
        names: &[String],
        report: &dyn Report,
    ) -> Result<(), OverlayError> {
        let Some(service) = services::etcd(place, record)? else {
            return Ok(());
        };
        let Etcd::Own {
            advertise,
            insecure,
            ..
        } = &record.etcd
        else {
            return Ok(());
        };
        make_private(&place.etcd_data())?;
        if !insecure {
            let all = std::iter::once(advertise).chain(names);
            let (addresses, names) = told_apart(all);
            let files = AuthorityFiles::new(place.authority());
            let now = SystemTime::now();
            files.create(&names, &addresses, now)?;
            files.node(place.dir(), &hostname(), now)?;
        }
        report.info("starting etcd");
        let manager = services::manager(&self.config.paths);
        manager.start(&service)?;
        let client = Client::new(record.settings(place))?;
        let endpoint = record.endpoints().join(", ");
        let limit = services::LIMIT;
        wait(services::etcd_answers(&manager, &client, &endpoint, limit))
    }

    /// The network's configuration is in etcd after this; whether it was written.
    fn configure(
        &self,
        place: &Place,
        record: &Record,
        config: Option<&Config>,
        replace: bool,
        report: &dyn Report,
    ) -> Result<bool, OverlayError> {
        let registry = registry(place, record)?;
        let text = config.map(Config::to_json);
        wait(async {
            if let Some(text) = &text
                && registry.set_config(text, replace).await?
            {
                let shown = config.map_or_else(String::new, without_secret);
                report.info(&format!("network configuration set: {shown}"));
                return Ok(true);
            }
            let there = registry.config().await?.bytes;
            match (there, config) {
                (None, _) => Err(OverlayError::NoNetwork {
                    prefix: record.prefix.clone(),
                }),
                (Some(there), Some(config))
                    if Config::parse(&there).ok().as_ref() != Some(config) =>
                {
                    Err(OverlayError::OtherConfig {
                        prefix: record.prefix.clone(),
                        there: match Config::parse(&there) {
                            Ok(config) => without_secret(&config),
                            Err(_) => String::from_utf8_lossy(&there).into_owned(),
                        },
                    })
                }
                _ => Ok(false),
            }
        })
    }

    /// The agent, and the CNI network: this host has its subnet after this.
    pub(super) fn overlay_up(
        &self,
        place: &Place,
        record: &Record,
        how: Start,
        report: &dyn Report,
    ) -> Result<OverlayUp, OverlayError> {
        report.info("starting the overlay's agent");
        let manager = services::manager(&self.config.paths);
        if let Some(parent) = place.status().parent() {
            make_private(parent)?;
        }
        let service = services::agent(place, record)?;
        match how {
            Start::IfNot => manager.start(&service)?,
            Start::Anew => manager.restart(&service)?,
        }
        let agent = services::agent_ready(&manager, place)?;
        match conflist::install(place)? {
            Installed::New(path) => report.info(&format!(
                "CNI network {} written to {}",
                place.name.network(),
                path.display()
            )),
            Installed::Changed(path) => report.warn(&format!(
                "{} was changed by somebody and stays as it is",
                path.display()
            )),
            Installed::Already => {}
        }
        match conflist::remove_default(place)? {
            Removed::Yes(path) => report.info(&format!(
                "{} removed: new VMs are on the overlay (ignite run --network {} no more)",
                path.display(),
                ignite_cni::default::NAME
            )),
            Removed::Changed(path) => report.warn(&format!(
                "{} was changed by somebody and stays: it is the first network only if its file's name is",
                path.display()
            )),
            Removed::Absent => {}
        }
        Ok(OverlayUp {
            agent,
            network: place.name.network().to_owned(),
            encrypted: record.is_encrypted(),
            join: None,
            survives_reboot: manager.survives_reboot(),
        })
    }
}

/// What is to be recorded, and further names of this host for its certificate.
fn wanted(request: &InitRequest) -> Result<(Record, Vec<String>), OverlayError> {
    let mut names = Vec::new();
    let etcd = match &request.etcd {
        EtcdChoice::Own {
            advertise,
            port,
            join_port,
            insecure,
        } => {
            let external = external(&request.host);
            let advertise: Vec<String> =
                advertise.iter().map(|host| bare(host).to_owned()).collect();
            names.extend(advertise.iter().skip(1).cloned());
            names.extend(Some(hostname()).filter(|name| is_dns_name(name)));
            names.extend(external.as_ref().map(Ipv4Addr::to_string).ok());
            Etcd::Own {
                advertise: match advertise.first() {
                    Some(first) => first.clone(),
                    None => external?.to_string(),
                },
                port: *port,
                join_port: *join_port,
                insecure: *insecure,
            }
        }
        EtcdChoice::Cluster(access) => Etcd::Cluster {
            endpoints: access.endpoints.clone(),
            cafile: absolute(access.cafile.as_ref())?,
            certfile: absolute(access.certfile.as_ref())?,
            keyfile: absolute(access.keyfile.as_ref())?,
        },
    };
    let record = Record {
        etcd,
        prefix: request
            .prefix
            .clone()
            .unwrap_or_else(|| request.name.prefix()),
        host: request.host.clone(),
        left: false,
    };
    Ok((record, names))
}

/// A configuration as it may be shown to whoever looks over a shoulder.
fn without_secret(config: &Config) -> String {
    let mut config = config.clone();
    if let Backend::Wireguard { psk, .. } = &mut config.backend {
        *psk = None;
    }
    config.to_json()
}

/// Services have a working directory of their own.
fn absolute(path: Option<&PathBuf>) -> Result<Option<PathBuf>, OverlayError> {
    let made = path.map(|path| {
        std::path::absolute(path).map_err(|source| OverlayError::Directory {
            path: path.clone(),
            source,
        })
    });
    made.transpose()
}

/// The record of an `init` that is called once more: the same etcd, and of this host what is said now.
fn again(there: Record, wanted: Record, request: &InitRequest) -> Result<Record, OverlayError> {
    let another = |there: &Record| OverlayError::Another {
        name: request.name.clone(),
        what: described(there),
    };
    let mut record = wanted;
    if let (Etcd::Own { advertise: old, .. }, Etcd::Own { advertise, .. }) =
        (&there.etcd, &mut record.etcd)
    {
        let said =
            matches!(&request.etcd, EtcdChoice::Own { advertise, .. } if !advertise.is_empty());
        // Not named, it is what it was, whatever addresses the host has by now.
        if !said {
            old.clone_into(advertise);
        }
    }
    if there.etcd != record.etcd || there.prefix != record.prefix {
        return Err(another(&there));
    }
    record.host = there.host.updated(&request.host);
    Ok(record)
}

/// Addresses and names.
fn told_apart<'a>(all: impl Iterator<Item = &'a String>) -> (Vec<IpAddr>, Vec<String>) {
    let (mut addresses, mut names) = (Vec::new(), Vec::new());
    for text in all {
        match text.parse() {
            Ok(address) => addresses.push(address),
            Err(_) => names.push(text.clone()),
        }
    }
    (addresses, names)
}

/// Where the others reach this host.
pub(super) fn external(host: &HostChoice) -> Result<Ipv4Addr, OverlayError> {
    let choice = Choice {
        interfaces: host.iface.iter().cloned().collect(),
        can_reach: host.can_reach,
        public_ip: host.public_ip,
        ..Choice::default()
    };
    let netlink = Netlink::open().map_err(interface::Error::from)?;
    Ok(interface::find(&netlink, &choice)?.public_ip)
}

/// The host's name, for its certificate.
pub(super) fn hostname() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    match name.is_empty() {
        true => "localhost".to_owned(),
        false => name,
    }
}

/// Whether a certificate can be for it.
fn is_dns_name(name: &str) -> bool {
    let label = |label: &str| {
        let letters = label
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || c == b'-');
        !label.is_empty() && letters && !label.starts_with('-') && !label.ends_with('-')
    };
    name.split('.').all(label)
}

/// How a host got into an overlay, in a few words.
pub(super) fn described(record: &Record) -> String {
    match &record.etcd {
        Etcd::Own { advertise, .. } => format!("it is the first host, {advertise}"),
        Etcd::Joined { host, .. } => format!("it joined {host}"),
        Etcd::Cluster { endpoints, .. } => format!("it uses etcd at {}", endpoints.join(", ")),
    }
}
