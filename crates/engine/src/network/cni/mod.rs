//! The network plugin `cni`: a VM's interfaces are made and released by CNI plugins.
//!
//! ```text
//!  record intent -> ADD -> record result -> MAC, hairpin, forwarding -> Attached
//!  record release -> DEL -> what rules outlived it -> forget
//! ```
//! A process may die between any two of these: what is recorded is always at least what there is.

mod health;
mod publish;
mod release;
mod wish;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ignite_api::Address;
use ignite_cni::capability::{self, Capabilities};
use ignite_cni::default::{self, Ensured};
use ignite_cni::load::NoNetwork;
use ignite_cni::runtime::{AddResult, Runtime};
use ignite_cni::{Attachment, NetworkConfig, NetworkResult, Networks, args};
use ignite_host::iptables::Family;
use ignite_host::link::{self, Netlink};
use ignite_host::netns::Namespace;
use ignite_host::step::{self, Step};
use ignite_store::{
    AttachmentRecord, AttachmentState, InterfaceRecord, NetworkLock, Paths, VmLock, VmRecord,
};
use ipnet::IpNet;

pub(crate) use self::publish::Way;
use self::wish::Wish;
use super::attached::Attached;
use super::overlap::{self, Overlap};
use super::result::translate;
use super::{Error, forwarding, list, ports, several, untold};
use crate::{Cancel, Config, Report};

/// Attaches VMs by CNI.
pub(crate) struct Cni<'a> {
    paths: &'a Paths,
    runtime: Runtime,
}

/// What attaching gave, and what its plugins took.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub attached: Vec<Attached>,
    pub plugins: Vec<(String, Duration)>,
}

/// Everything an attachment is made of.
struct Request<'a> {
    network: &'a NetworkConfig,
    interface: &'a InterfaceRecord,
    record: &'a VmRecord,
    sandbox: &'a Path,
    /// Addresses to ask for.
    addresses: Vec<Address>,
}

impl<'a> Cni<'a> {
    /// For work on the VM of `lock`, which the plugins' processes hold with us: should we be killed,
    /// whoever repairs waits for the last of them.
    pub fn new(config: &'a Config, lock: &VmLock) -> Result<Self, Error> {
        let held = lock.to_fd().map_err(Error::Lock)?;
        let mut runtime = config.cni.clone();
        runtime.inherited.push(Arc::new(held));
        Ok(Self {
            paths: &config.paths,
            runtime,
        })
    }

    /// Attaches every interface of the VM. On failure what was made stays recorded, for
    /// [`release`](Self::release).
    pub fn attach(
        &self,
        lock: &VmLock,
        record: &VmRecord,
        sandbox: (&Path, &Namespace),
        report: &dyn Report,
        cancel: &Cancel,
    ) -> Result<Outcome, Error> {
        let networks = self.networks(record, report)?;
        check_publishes(record, networks.first())?;
        health::ensure(&self.runtime, &networks)?;
        let mut outcome = Outcome::default();
        for (interface, network) in record.interfaces.iter().zip(&networks) {
            let wish = Wish::of(interface, &network.name, &lock.network()?);
            let mut request = Request {
                network,
                interface,
                record,
                sandbox: sandbox.0,
                addresses: wish.addresses(),
            };
            cancel.check()?;
            let result = self.add_wishing(lock, &mut request, &wish, report, cancel)?;
            outcome.plugins.extend(
                result
                    .runs
                    .iter()
                    .map(|run| (run.plugin.clone(), run.elapsed)),
            );
            outcome
                .attached
                .push(self.finish(&request, &result.result, sandbox.1, report)?);
            step::reached(Step::AttachFinished);
        }
        several::settle(&mut outcome.attached);
        Ok(outcome)
    }

    /// ADD that gives what is wished for; without a former address where somebody else has it by now.
    fn add_wishing(
        &self,
        lock: &VmLock,
        request: &mut Request<'_>,
        wish: &Wish,
        report: &dyn Report,
        cancel: &Cancel,
    ) -> Result<AddResult, Error> {
        let (network, interface) = (&request.network.name, &request.interface.name);
        let added = match (self.add(lock, request), wish) {
            (Err(error), Wish::Former(_)) if error.is_plugins_refusal() => {
                cancel.check()?;
                tracing::info!(%error, network, "cannot have the former address");
                request.addresses.clear();
                self.add(lock, request)?
            }
            (Err(Error::Cni(source)), Wish::Fixed(asked)) if source.code().is_some() => {
                return Err(Error::AddressRefused {
                    network: network.clone(),
                    interface: interface.clone(),
                    asked: asked.clone(),
                    source: Box::new(source),
                });
            }
            (added, _) => added?,
        };
        let given = addresses(&added.result, interface);
        let missed = wish.missed(&given);
        match wish {
            _ if missed.is_empty() => Ok(added),
            Wish::Fixed(_) => Err(Error::OtherAddress {
                network: network.clone(),
                interface: interface.clone(),
                asked: missed,
                given,
            }),
            Wish::Former(_) | Wish::Any => {
                report.warn(&format!(
                    "network {network} no longer gives {interface} the address {}; it has {} now",
                    list(&missed),
                    list(&given),
                ));
                Ok(added)
            }
        }
    }

    /// The networks of the VM's interfaces, in their order.
    fn networks(
        &self,
        record: &VmRecord,
        report: &dyn Report,
    ) -> Result<Vec<NetworkConfig>, Error> {
        let only_named = record
            .interfaces
            .iter()
            .all(|interface| interface.network.is_some());
        let wants_default = record.interfaces.iter().any(|interface| {
            interface
                .network
                .as_deref()
                .is_none_or(|name| name == default::NAME)
        });
        if wants_default {
            self.ensure_default(report)?;
        }
        let (networks, faults) = Networks::load(&self.paths.cni_conf);
        for fault in faults {
            report.warn(&format!("{fault}; this network is left out"));
        }
        let choose = |interface: &InterfaceRecord| match &interface.network {
            Some(name) => networks
                .by_name(name)
                .cloned()
                .map_err(|error| match error {
                    NoNetwork::None {
                        directory,
                        broken: 0,
                    } => Error::NoNetworkAtAll {
                        name: name.clone(),
                        directory,
                    },
                    error => Error::NoNetwork(error),
                }),
            None => networks.first().cloned().map_err(Error::NoNetwork),
        };
        let chosen: Vec<NetworkConfig> = record
            .interfaces
            .iter()
            .map(choose)
            .collect::<Result<_, _>>()?;
        if !only_named && let Some(first) = chosen.first() {
            report.info(&reason(first, networks.all().len(), &self.paths.cni_conf));
        }
        Ok(chosen)
    }

    /// Writes the default network if there is none at all, and nothing speaks against it.
    fn ensure_default(&self, report: &dyn Report) -> Result<(), Error> {
        let directory = &self.paths.cni_conf;
        let present = ignite_cni::load::configuration_files(directory).unwrap_or_default();
        if !present.is_empty() {
            return Ok(());
        }
        match overlapping()? {
            Some(Overlap::Conflict(route, interface)) => {
                return Err(Error::Overlap { route, interface, file: directory.join(default::FILE) });
            }
            Some(Overlap::Covered(route, interface)) => report.warn(&format!(
                "the default network {SUBNET} lies within {route} of {interface}: those addresses are \
                 out of this host's reach while VMs run"
            )),
            None => {}
        }
        if let Ensured::Written(path) =
            default::ensure_default(directory).map_err(Error::Default)?
        {
            report.info(&format!(
                "wrote the default network {} to {}",
                default::NAME,
                path.display()
            ));
        }
        Ok(())
    }

    fn add(&self, lock: &VmLock, request: &Request<'_>) -> Result<AddResult, Error> {
        let attachment = request.attachment();
        self.forget_stale(request.network, &attachment)?;
        let mut network = lock.network()?;
        network.attachments.push(request.intent(&attachment));
        lock.write_network(&network)?;
        step::reached(Step::AttachIntended);
        let shared = NetworkLock::shared(self.paths, &request.network.name)?;
        let added = self.runtime.add(request.network, &attachment);
        drop(shared);
        match added {
            Ok(result) => {
                self.record(lock, request, &result)?;
                step::reached(Step::AttachRecorded);
                Ok(result)
            }
            // Rolled back as a whole: nothing is left to be released.
            Err(error) if !error.must_retry_del() => {
                network.attachments.pop();
                lock.write_network(&network)?;
                Err(Error::Cni(error))
            }
            Err(error) => Err(Error::Cni(error)),
        }
    }

    /// An attachment of this very VM that no record knows of (its record was lost) is released first:
    /// nobody else has our container id.
    fn forget_stale(&self, network: &NetworkConfig, attachment: &Attachment) -> Result<(), Error> {
        let id = attachment.id();
        let cached = self
            .runtime
            .cached(&network.name, &id)
            .map_err(Error::Cni)?;
        if cached.is_some() {
            tracing::info!(network = network.name, %id, "releasing an attachment that was forgotten");
            self.runtime
                .del_cached(&network.name, &id)
                .map_err(Error::Cni)?;
        }
        Ok(())
    }

    fn record(&self, lock: &VmLock, request: &Request<'_>, added: &AddResult) -> Result<(), Error> {
        let mut network = lock.network()?;
        let ips = added.result.addresses_of(&request.interface.name);
        let addresses: Vec<IpNet> = ips.iter().map(|ip| ip.address).collect();
        if let Some(last) = network.attachments.last_mut() {
            last.state = AttachmentState::Attached;
            last.result = Some(added.raw.clone());
            last.gateway = ips.iter().find_map(|ip| ip.gateway);
            last.addresses.clone_from(&addresses);
        }
        network.remember(&request.interface.name, &request.network.name, addresses);
        Ok(lock.write_network(&network)?)
    }

    /// What CNI leaves to the runtime: the MAC where the network ignored it, hairpin, forwarding.
    fn finish(
        &self,
        request: &Request<'_>,
        result: &NetworkResult,
        namespace: &Namespace,
        report: &dyn Report,
    ) -> Result<Attached, Error> {
        let mut translated =
            translate(result, &request.interface.name).map_err(|source| Error::Result {
                network: request.network.name.clone(),
                interface: request.interface.name.clone(),
                source,
            })?;
        let published = &request.record.spec.network.ports;
        let addresses: Vec<IpAddr> = translated.addresses.iter().map(IpNet::addr).collect();
        if request.is_first() {
            ports::check_families(published, &addresses)?;
        }
        let made = interface(request, namespace, report)?;
        untold::complete(&mut translated, &made.routes, made.index);
        let bridges = hairpin(result)?;
        if !published.is_empty() {
            let families = families(&addresses);
            for bridge in &bridges {
                if let Err(error) = forwarding::admit(self.paths, bridge, &families) {
                    report.warn(&format!(
                        "published ports may be cut off by the host's firewall: {error}"
                    ));
                }
            }
        }
        Ok(Attached {
            network: request.network.name.clone(),
            interface: request.interface.name.clone(),
            mac: made.mac,
            mtu: made.mtu,
            addresses: translated.addresses,
            allow: request.interface.allow.clone(),
            routes: translated.routes,
            yields: Vec::new(),
            dns: translated.dns,
        })
    }
}

/// The addresses a result gives an interface.
fn addresses(result: &NetworkResult, interface: &str) -> Vec<IpNet> {
    let ips = result.addresses_of(interface);
    ips.iter().map(|ip| ip.address).collect()
}

/// A network that cannot publish would drop the ports without a word.
fn check_publishes(record: &VmRecord, first: Option<&NetworkConfig>) -> Result<(), Error> {
    let wanted = !record.spec.network.ports.is_empty();
    match first {
        Some(network) if wanted && !network.capabilities().contains("portMappings") => {
            Err(Error::CannotPublish {
                network: network.name.clone(),
            })
        }
        _ => Ok(()),
    }
}

/// The default network's addresses.
const SUBNET: &str = "10.61.0.0/16";

fn overlapping() -> Result<Option<Overlap>, Error> {
    let netlink = Netlink::open().map_err(Error::Link)?;
    let routes = netlink.routes().map_err(Error::Link)?;
    let links = netlink.links().map_err(Error::Link)?;
    let name = |index| {
        links
            .iter()
            .find(|link| link.index == index)
            .map(|link| link.name.clone())
    };
    let subnet = SUBNET.parse().expect("the default network's subnet is one");
    Ok(overlap::find(subnet, default::BRIDGE, &routes, name))
}

/// Which network was taken, and why.
fn reason(network: &NetworkConfig, count: usize, directory: &Path) -> String {
    let why = if count == 1 {
        format!("the only one in {}", directory.display())
    } else {
        format!(
            "the first of {count} by file name in {}",
            directory.display()
        )
    };
    format!("network {} ({why})", network.name)
}

/// The interface in the sandbox, as the plugins left it.
struct Made {
    index: u32,
    mac: String,
    mtu: u32,
    /// Of the whole sandbox.
    routes: Vec<link::Route>,
}

/// Sets the MAC where the network ignored it; returns what is there.
fn interface(
    request: &Request<'_>,
    namespace: &Namespace,
    report: &dyn Report,
) -> Result<Made, Error> {
    let netlink = Netlink::open_in(namespace).map_err(Error::Link)?;
    let name = &request.interface.name;
    let missing = || Error::NoInterface {
        network: request.network.name.clone(),
        interface: name.clone(),
    };
    let found = netlink
        .link(name)
        .map_err(Error::Link)?
        .ok_or_else(missing)?;
    let wanted = request.interface.mac.bytes();
    let mac = if found.mac == wanted {
        found.mac
    } else {
        match netlink.set_mac(found.index, wanted) {
            Ok(()) => wanted,
            Err(error) => {
                report.warn(&format!(
                    "network {} keeps a MAC of its own: {error}",
                    request.network.name
                ));
                found.mac
            }
        }
    };
    Ok(Made {
        index: found.index,
        mac: mac.map(|byte| format!("{byte:02x}")).join(":"),
        mtu: found.mtu,
        routes: netlink.routes().map_err(Error::Link)?,
    })
}

/// Lets frames of each bridge port go back where they came from, so that a VM reaches its own
/// published port. Returns the bridges' names.
fn hairpin(result: &NetworkResult) -> Result<Vec<String>, Error> {
    let netlink = Netlink::open().map_err(Error::Link)?;
    let mut bridges = Vec::new();
    for interface in result.interfaces.iter().filter(|i| i.sandbox.is_none()) {
        let Some(port) = netlink.link(&interface.name).map_err(Error::Link)? else {
            continue;
        };
        if let Some(bridge) = bridge_of(&netlink, &port)? {
            netlink.set_hairpin(port.index, true).map_err(Error::Link)?;
            bridges.push(bridge);
        }
    }
    Ok(bridges)
}

fn bridge_of(netlink: &Netlink, port: &link::Link) -> Result<Option<String>, Error> {
    let Some(master) = port.master else {
        return Ok(None);
    };
    let master = netlink.link_by_index(master).map_err(Error::Link)?;
    Ok(master
        .filter(|link| link.kind.as_deref() == Some("bridge"))
        .map(|link| link.name))
}

fn families(addresses: &[IpAddr]) -> Vec<Family> {
    let mut families = Vec::new();
    if addresses.iter().any(IpAddr::is_ipv4) {
        families.push(Family::V4);
    }
    if addresses.iter().any(IpAddr::is_ipv6) {
        families.push(Family::V6);
    }
    families
}

impl Request<'_> {
    /// Ports are published on the first interface.
    fn is_first(&self) -> bool {
        self.record
            .interfaces
            .first()
            .is_some_and(|first| first.name == self.interface.name)
    }

    fn attachment(&self) -> Attachment {
        let ports: Vec<capability::PortMapping> = match self.is_first() {
            true => self.record.spec.network.ports.iter().map(port).collect(),
            false => Vec::new(),
        };
        let mac = self.interface.mac;
        let ip = wish::argument(&self.addresses, self.network);
        let ip = ip.as_ref().map(|ip| ip as &dyn std::fmt::Display);
        Attachment {
            container_id: self.record.container_id.clone(),
            netns: self.sandbox.to_owned(),
            ifname: self.interface.name.clone(),
            args: args::request(ip, Some(&mac)),
            capabilities: Capabilities::new()
                .ips(&self.addresses)
                .mac(&mac)
                .port_mappings(&ports)
                .build(),
        }
    }

    fn intent(&self, attachment: &Attachment) -> AttachmentRecord {
        AttachmentRecord {
            network: self.network.name.clone(),
            config_file: self.network.file.clone().unwrap_or_default(),
            config: String::from_utf8_lossy(&self.network.cache_bytes()).into_owned(),
            interface: attachment.ifname.clone(),
            mac: self.interface.mac,
            container_id: attachment.container_id.clone(),
            netns: attachment.netns.clone(),
            args: attachment.args.clone(),
            capabilities: attachment.capabilities.clone(),
            state: AttachmentState::Intended,
            result: None,
            addresses: Vec::new(),
            gateway: None,
        }
    }
}

fn port(mapping: &ignite_api::PortMapping) -> capability::PortMapping {
    capability::PortMapping {
        host_port: mapping.host_port,
        container_port: mapping.vm_port,
        protocol: match mapping.protocol {
            ignite_api::Protocol::Tcp => capability::Protocol::Tcp,
            ignite_api::Protocol::Udp => capability::Protocol::Udp,
        },
        host_ip: mapping.bind,
    }
}
