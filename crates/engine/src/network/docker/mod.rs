//! The network plugin `docker-bridge` (deprecated): a tiny container on Docker's default bridge owns
//! the sandbox, and Docker assigns the address and publishes the ports.
//!
//! ```text
//!  record intent -> image -> create -> record id -> start -> record process
//!                -> its namespace gets the sandbox's name, and falls silent -> record address
//!  record release -> the name goes -> remove container -> forget
//! ```
//! A process may die between any two of these. The container has the VM's container id as its name, and
//! labels that say whose it is: one without them is never touched. With the container's process the
//! interface goes, so the supervisor watches it.

mod error;
mod identity;
mod labels;
mod maker;
mod namespace;
mod release;
#[cfg(test)]
mod tests;

use ignite_api::NetworkPlugin;
use ignite_docker::{Docker, Endpoint};
use ignite_host::link::Netlink;
use ignite_host::netns::Namespace;
use ignite_host::step::{self, Step};
use ignite_store::{AttachmentRecord, AttachmentState, InterfaceRecord, Paths, ProcessRecord};
use ignite_wire::guest::{Dns, Route};
use ignite_wire::supervisor;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

pub(crate) use error::Error;
pub(crate) use identity::Identity;
pub(crate) use labels::{of_all, uid};
pub(crate) use release::{forsake, prune, remove};

use self::maker::Maker;
use super::attached::Attached;
use super::plugin::{Network, Request};
use super::{Error as NetworkError, sandbox};
use crate::timings::Timings;

/// The interface Docker makes in a container with one network.
const INTERFACE: &str = "eth0";

/// Said once by each command that starts a VM with it.
const DEPRECATED: &str = "the network plugin docker-bridge is deprecated: use --network-plugin cni, \
                          which needs no Docker and works beside it";

/// Attaches VMs to Docker's default bridge.
pub(crate) struct DockerBridge<'a> {
    paths: &'a Paths,
}

impl<'a> DockerBridge<'a> {
    /// With the records at these paths.
    pub fn new(paths: &'a Paths) -> Self {
        Self { paths }
    }

    /// Makes the container, whose namespace becomes the sandbox. On failure what was made stays
    /// recorded, for [`release`](Self::release).
    pub fn attach(
        &self,
        request: &Request<'_>,
        timings: &mut Timings,
    ) -> Result<Network, NetworkError> {
        request.report.warn(DEPRECATED);
        self.try_attach(request, timings).map_err(|error| {
            // What was called off failed of that.
            match request.cancel.check() {
                Err(cancelled) => cancelled.into(),
                Ok(()) => error,
            }
        })
    }

    fn try_attach(
        &self,
        request: &Request<'_>,
        timings: &mut Timings,
    ) -> Result<Network, NetworkError> {
        let docker = Docker::connect().map_err(Error::Docker)?;
        let docker = docker.until(request.cancel.event());
        let maker = Maker::new(&docker, self.paths, request)?;
        let container = maker.run()?;
        request.cancel.check()?;
        let (namespace, process) = namespace::of(&container)?;
        maker.note_process(&process)?;
        let endpoint = namespace::endpoint(&container, &namespace)?;
        sandbox::adopt(request.sandbox, &namespace)?;
        timings.end("sandbox");
        let attached = finish(request, &endpoint, &namespace)?;
        record(request, &endpoint, &attached)?;
        Ok(Network {
            namespace,
            attached: vec![attached],
            holder: Some(holder(&container.name, &process)),
            plugins: Vec::new(),
        })
    }
}

/// Refuses what Docker's default bridge cannot do.
pub(crate) fn check(interfaces: &[InterfaceRecord]) -> Result<(), Error> {
    let refuse = |what: &str| Err(Error::Unsupported { what: what.into() });
    let [only] = interfaces else {
        return refuse("more than one interface");
    };
    if let Some(network) = &only.network {
        return refuse(&format!("the network {network:?}"));
    }
    if let Some(address) = only.addresses.first() {
        return refuse(&format!("the address {address}"));
    }
    match only.name.as_str() {
        INTERFACE => Ok(()),
        other => refuse(&format!("an interface of the name {other}")),
    }
}

fn holder(container: &str, process: &ProcessRecord) -> supervisor::Holder {
    supervisor::Holder {
        pid: process.pid,
        start_time: process.start_time,
        container: container.to_owned(),
    }
}

/// The VM's MAC on the interface, and what the guest is told.
fn finish(
    request: &Request<'_>,
    endpoint: &Endpoint,
    namespace: &Namespace,
) -> Result<Attached, NetworkError> {
    let interface = &request.record.interfaces[0];
    let netlink = Netlink::open_in(namespace).map_err(NetworkError::Link)?;
    let link = netlink.link(INTERFACE).map_err(NetworkError::Link)?;
    let link = link.ok_or_else(|| NetworkError::NoInterface {
        network: NetworkPlugin::DockerBridge.to_string(),
        interface: INTERFACE.into(),
    })?;
    // An engine may take no notice of the MAC it was asked for.
    if link.mac != interface.mac.bytes() {
        netlink
            .set_mac(link.index, interface.mac.bytes())
            .map_err(NetworkError::Link)?;
    }
    Ok(Attached {
        network: NetworkPlugin::DockerBridge.to_string(),
        interface: INTERFACE.into(),
        mac: interface.mac.to_string(),
        mtu: link.mtu,
        addresses: addresses(endpoint),
        allow: interface.allow.clone(),
        routes: routes(endpoint),
        yields: Vec::new(),
        dns: Dns::default(),
    })
}

/// The addresses Docker gave.
fn addresses(endpoint: &Endpoint) -> Vec<IpNet> {
    let v4 = endpoint.address.map(IpNet::V4);
    let v6 = endpoint.address6.map(IpNet::V6);
    v4.into_iter().chain(v6).collect()
}

/// The default routes of the families the VM has an address of.
fn routes(endpoint: &Endpoint) -> Vec<Route> {
    let v4 = endpoint.gateway.filter(|_| endpoint.address.is_some());
    let v6 = endpoint.gateway6.filter(|_| endpoint.address6.is_some());
    let everything4 = IpNet::V4(Ipv4Net::default());
    let everything6 = IpNet::V6(Ipv6Net::default());
    let v4 = v4.map(|gateway| Route::new(everything4, Some(gateway.into())));
    let v6 = v6.map(|gateway| Route::new(everything6, Some(gateway.into())));
    v4.into_iter().chain(v6).collect()
}

/// Records what the VM has, for whoever looks at it.
fn record(
    request: &Request<'_>,
    endpoint: &Endpoint,
    attached: &Attached,
) -> Result<(), NetworkError> {
    let mut network = request.lock.network()?;
    network.attachments.push(AttachmentRecord {
        network: attached.network.clone(),
        config_file: Default::default(),
        config: String::new(),
        interface: attached.interface.clone(),
        mac: request.record.interfaces[0].mac,
        container_id: request.record.container_id.clone(),
        netns: request.sandbox.to_owned(),
        args: Vec::new(),
        capabilities: Default::default(),
        state: AttachmentState::Attached,
        result: None,
        addresses: attached.addresses.clone(),
        gateway: endpoint.gateway.map(Into::into),
    });
    request.lock.write_network(&network)?;
    step::reached(Step::AttachRecorded);
    Ok(())
}
