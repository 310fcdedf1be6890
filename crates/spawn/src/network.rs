//! The guest's network, seen from its sandbox: a tap for every interface, joined to it both ways.
//!
//! ```text
//!  eth0 --- all but DHCP --------------------> tap0 --> guest
//!  eth0 <-- what is the guest's own --------- tap0 <-- guest
//!                          the rest: Port <----'
//! ```
//!
//! The supervisor was started inside the sandbox: all of this happens in its own namespace, and the
//! taps go with the last descriptor.

mod handover;
mod inquiry;
mod port;
mod rate;
mod tally;
mod traffic;

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::time::Instant;

use ignite_host::bpf::Program;
use ignite_host::error::SystemError;
use ignite_host::link::Netlink;
use ignite_host::tap::Tap;
use ignite_host::tc::allow;
use ignite_vmm::{self as vmm, Nic};
use ignite_wire::agent::{Refusals, Traffic};
use ignite_wire::supervisor::{Attachment, Rate};

use port::{OpenError, Port};
use rate::Ends;

/// Why the network cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The network plugin made no such interface.
    #[error("the sandbox has no interface {name}")]
    NoInterface {
        /// Its name.
        name: String,
    },
    /// The plan has no MAC there.
    #[error("{mac:?} is no MAC address")]
    BadMac {
        /// What it has.
        mac: String,
    },
    /// The guest may use too many addresses.
    #[error("cannot join the guest to {interface}")]
    Addresses {
        /// The interface in the sandbox.
        interface: String,
        /// How many they are.
        source: allow::TooMany,
    },
    /// Something else bounds how fast the interface is.
    #[error("cannot bound how fast {interface} is: something else does already")]
    Bounded {
        /// The interface in the sandbox.
        interface: String,
        /// The refusal.
        source: ignite_host::link::Error,
    },
    /// There is no such interface.
    #[error("the VM has no interface {name}")]
    UnknownInterface {
        /// Its name.
        name: String,
    },
    /// The kernel refused something about a link.
    #[error("cannot join the guest to {interface}")]
    Link {
        /// The interface in the sandbox.
        interface: String,
        /// The refusal.
        source: ignite_host::link::Error,
    },
    /// The kernel refused something else.
    #[error("cannot join the guest to {interface}")]
    System {
        /// The interface in the sandbox.
        interface: String,
        /// The refusal.
        source: ignite_host::error::SystemError,
    },
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Link { source, .. } => source.hint(),
            Self::System { source, .. } => source.hint(),
            Self::Addresses { source, .. } => source.hint(),
            Self::Bounded { .. } => Some(
                "its network has a limit of its own (the CNI plugin bandwidth, say): leave out the rate here, or the limit there"
                    .to_owned(),
            ),
            Self::NoInterface { .. } | Self::UnknownInterface { .. } | Self::BadMac { .. } => None,
        }
    }
}

/// What was made, to answer on and to take away.
#[derive(Debug)]
pub struct Network {
    netlink: Option<Netlink>,
    joined: Vec<u32>,
    /// Each interface with its tap.
    pairs: Vec<(String, String)>,
    /// Taps that stay when they are closed.
    left: Vec<u32>,
    /// Each interface's way, to be bounded.
    ends: Vec<Ends>,
    ports: Vec<Port>,
}

/// A descriptor of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The guest's.
    Guest,
    /// The network's.
    Network,
}

impl Network {
    /// Makes a tap for every attachment and joins it. What was made so far is undone on failure:
    /// taps with their descriptors, queues by [`Network::remove`].
    pub fn build(attachments: &[Attachment]) -> Result<(Self, Vec<Nic>), Error> {
        let mut network = Self {
            netlink: None,
            joined: Vec::new(),
            pairs: Vec::new(),
            left: Vec::new(),
            ends: Vec::new(),
            ports: Vec::new(),
        };
        let nics = attachments
            .iter()
            .map(|attachment| network.attach(attachment));
        match nics.collect::<Result<Vec<_>, _>>() {
            Ok(nics) => Ok((network, nics)),
            Err(error) => {
                network.remove();
                Err(error)
            }
        }
    }

    fn attach(&mut self, attachment: &Attachment) -> Result<Nic, Error> {
        let interface = || attachment.interface.clone();
        let link_error = |source| Error::Link {
            interface: interface(),
            source,
        };
        let system_error = |source| Error::System {
            interface: interface(),
            source,
        };
        let mac = parse_mac(&attachment.mac)?;
        if self.netlink.is_none() {
            self.netlink = Some(Netlink::open().map_err(link_error)?);
        }
        let netlink = self.netlink.as_ref().expect("it was just opened");
        let link = netlink
            .link(&attachment.interface)
            .map_err(link_error)?
            .ok_or_else(|| Error::NoInterface { name: interface() })?;
        handover::clear(netlink, &attachment.tap).map_err(link_error)?;
        let tap = Tap::create(&attachment.tap).map_err(system_error)?;
        netlink
            .set_mtu(tap.index(), attachment.mtu)
            .map_err(link_error)?;
        self.joined.push(link.index);
        let addresses_error = |source| Error::Addresses {
            interface: interface(),
            source,
        };
        let (guest, advertiser) = port::guest(mac, attachment);
        let passing = guest.passing().map_err(addresses_error)?;
        let ways = (&guest.incoming(), &passing);
        join(netlink, link.index, tap.index(), ways).map_err(link_error)?;
        let ends = Ends::new(attachment, (link.index, tap.index()));
        // Also where there is no limit: one may be left of a run that died.
        let limited = ends.limit(netlink, attachment.rate);
        self.ends.push(ends);
        limited.map_err(|source| not_bounded(&attachment.interface, source))?;
        // Before the socket, which would hear of an interface that is down.
        netlink.set_up(tap.index()).map_err(link_error)?;
        let links = (link.index, tap.index());
        let port = Port::open(attachment, (guest, advertiser), links);
        self.pairs.push((interface(), attachment.tap.clone()));
        self.ports.push(port.map_err(|error| match error {
            OpenError::Addresses(source) => addresses_error(source),
            OpenError::System(source) => system_error(source),
        })?);
        Ok(Nic {
            tap: vmm::Tap::Open(tap.into_fd()),
            mac: attachment.mac.clone(),
            mtu: attachment.mtu,
        })
    }

    /// Bounds how fast each interface is; one that is not named has no limit. After a failure some are as
    /// asked for, and some as before.
    pub fn limit(&self, rates: &BTreeMap<String, Rate>) -> Result<(), Error> {
        let is_known = |name: &&String| self.ends.iter().any(|ends| ends.interface == **name);
        if let Some(name) = rates.keys().find(|name| !is_known(name)) {
            return Err(Error::UnknownInterface { name: name.clone() });
        }
        let Some(netlink) = &self.netlink else {
            return Ok(());
        };
        for ends in &self.ends {
            let rate = rates.get(&ends.interface).copied();
            ends.limit(netlink, rate)
                .map_err(|source| not_bounded(&ends.interface, source))?;
        }
        Ok(())
    }

    /// The sockets of the ports, to be polled, each with its port's number.
    pub fn sockets(&self) -> impl Iterator<Item = (usize, Side, BorrowedFd<'_>)> {
        self.ports.iter().enumerate().flat_map(|(number, port)| {
            let guest = port.socket().map(|socket| (number, Side::Guest, socket));
            let network = port.watch().map(|socket| (number, Side::Network, socket));
            guest.into_iter().chain(network)
        })
    }

    /// Takes what arrived on one of [`Network::sockets`].
    pub fn hear(&mut self, number: usize, side: Side, now: Instant) -> Result<(), SystemError> {
        match side {
            Side::Guest => self.ports[number].hear(now),
            Side::Network => self.ports[number].overhear(),
        }
    }

    /// When [`Network::wake`] has something to do.
    pub fn next(&self) -> Option<Instant> {
        self.ports.iter().filter_map(Port::next).min()
    }

    /// Does what is due; every failure.
    pub fn wake(&mut self, now: Instant) -> Vec<SystemError> {
        let Some(netlink) = &self.netlink else {
            return Vec::new();
        };
        let due = self.ports.iter_mut();
        let due = due.filter(|port| port.next().is_some_and(|at| at <= now));
        due.filter_map(|port| port.wake(netlink, now).err())
            .collect()
    }

    /// What the guest tried to send and may not.
    pub fn refusals(&self) -> Vec<Refusals> {
        self.ports.iter().map(Port::refusals).collect()
    }

    /// What passed through the guest's interfaces.
    pub fn traffic(&self) -> Vec<Traffic> {
        traffic::read(&self.pairs)
    }

    /// Whether the addresses in [`Network::refusals`] changed since the last time.
    pub fn take_news(&mut self) -> bool {
        let news = self.ports.iter_mut().map(Port::take_news);
        news.fold(false, |some, news| some | news)
    }

    /// Takes the joints away from the sandbox's interfaces, going on after failures, which are
    /// returned. Taps that were not handed over end with the VMM.
    pub fn remove(&mut self) -> Vec<ignite_host::link::Error> {
        self.ports.clear();
        let Some(netlink) = self.netlink.take() else {
            return Vec::new();
        };
        let joined = std::mem::take(&mut self.joined).into_iter();
        let mut failures: Vec<_> = joined
            .filter_map(|index| netlink.delete_ingress(index).err())
            .collect();
        let ends = std::mem::take(&mut self.ends).into_iter();
        failures.extend(ends.filter_map(|ends| ends.remove(&netlink).err()));
        let left = std::mem::take(&mut self.left).into_iter();
        failures.extend(left.filter_map(|index| netlink.delete(index).err()));
        failures
    }
}

fn join(
    netlink: &Netlink,
    interface: u32,
    tap: u32,
    (to_guest, from_guest): (&Program, &Program),
) -> Result<(), ignite_host::link::Error> {
    netlink.ingress(interface)?;
    netlink.redirect(interface, to_guest, tap)?;
    netlink.ingress(tap)?;
    netlink.redirect(tap, from_guest, interface)
}

fn not_bounded(interface: &str, source: ignite_host::link::Error) -> Error {
    let interface = interface.to_owned();
    match source.is_exists() {
        true => Error::Bounded { interface, source },
        false => Error::Link { interface, source },
    }
}

fn parse_mac(text: &str) -> Result<[u8; 6], Error> {
    let bytes: Option<Vec<u8>> = text
        .split(':')
        .map(|part| {
            u8::from_str_radix(part, 16)
                .ok()
                .filter(|_| part.len() == 2)
        })
        .collect();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Error::BadMac {
            mac: text.to_owned(),
        })
}

#[cfg(test)]
mod rate_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_host::netns::Namespace;

    pub(super) fn attachment() -> Attachment {
        Attachment {
            interface: "eth0".to_owned(),
            tap: "tap0".to_owned(),
            mac: "02:00:00:00:00:01".to_owned(),
            mtu: 1400,
            addresses: vec!["10.61.0.2/16".parse().expect("a network")],
            allow: Vec::new(),
            dhcp: None,
            ipv6: None,
            rate: None,
        }
    }

    /// Runs in a namespace of its own with an `eth0`, the other end of which is `peer`.
    pub(super) fn in_sandbox(work: impl FnOnce(&Netlink) + Send) {
        let namespace = Namespace::anonymous().expect("root makes namespaces");
        namespace
            .run(|| {
                let netlink = Netlink::open().expect("netlink");
                netlink.create_veth("eth0", "peer", None).expect("veth");
                work(&netlink);
            })
            .expect("a thread");
    }

    #[test]
    fn a_guest_is_joined_and_taken_away_again() {
        in_sandbox(|netlink| {
            let (mut network, nics) = Network::build(&[attachment()]).expect("an interface");
            let tap = netlink.link("tap0").expect("links").expect("a tap");
            assert_eq!((tap.mtu, tap.up), (1400, true));
            assert_eq!(nics.len(), 1);
            assert!(network.remove().is_empty());
            assert!(network.remove().is_empty(), "once more is fine");
            drop(nics);
            assert_eq!(netlink.link("tap0").expect("links"), None);
        });
    }

    #[test]
    fn a_failure_leaves_nothing() {
        in_sandbox(|netlink| {
            let second = Attachment {
                interface: "eth1".to_owned(),
                tap: "tap1".to_owned(),
                ..attachment()
            };
            let error = Network::build(&[attachment(), second]).expect_err("no eth1");
            assert_eq!(error.to_string(), "the sandbox has no interface eth1");
            assert_eq!(netlink.link("tap0").expect("links"), None);
            let (mut network, _nics) = Network::build(&[attachment()]).expect("all is free");
            network.remove();
        });
    }

    #[test]
    fn macs_parse() {
        assert_eq!(
            parse_mac("02:00:ff:10:9a:01").expect("good"),
            [2, 0, 0xff, 0x10, 0x9a, 1]
        );
        for bad in [
            "",
            "02:00:ff:10:9a",
            "02:00:ff:10:9a:01:02",
            "2:0:f:1:9:1",
            "zz:00:ff:10:9a:01",
        ] {
            assert!(parse_mac(bad).is_err(), "{bad}");
        }
    }
}
