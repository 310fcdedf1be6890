//! A VM's network: sandbox, attachments, published ports, names.
//!
//! A *network plugin* (`cni`, `docker-bridge`) makes interfaces in the sandbox; what happens to them
//! there is the same for all.

pub(crate) mod attached;
pub(crate) mod cni;
pub(crate) mod dns;
pub(crate) mod docker;
pub(crate) mod forwarding;
pub(crate) mod hosts;
pub(crate) mod manage;
pub(crate) mod overlap;
pub(crate) mod plugin;
pub(crate) mod ports;
pub(crate) mod result;
pub(crate) mod sandbox;
pub(crate) mod several;
pub(crate) mod tool;
pub(crate) mod untold;

use std::path::PathBuf;

use ignite_api::Address;
use ignite_host::{link, netns};
use ipnet::IpNet;

/// Errors of a VM's network.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The sandbox.
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    /// The sandbox's name could not be taken away.
    #[error("cannot remove the VM's network namespace")]
    Namespace(#[source] netns::Error),
    /// A published port.
    #[error(transparent)]
    Port(#[from] ports::Error),
    /// The network asked for is not there.
    #[error(transparent)]
    NoNetwork(ignite_cni::load::NoNetwork),
    /// A network is asked for by name, and there is none at all.
    #[error("there is no network {name:?}: {} holds none", directory.display())]
    NoNetworkAtAll {
        /// The name.
        name: String,
        /// The directory of network configurations.
        directory: PathBuf,
    },
    /// A host is to be where the VM's gateway is, and there is none.
    #[error("host {host} cannot be where the VM's gateway is: no network of the VM has one")]
    NoGateway {
        /// The host.
        host: String,
    },
    /// The default network could not be written.
    #[error(transparent)]
    Default(ignite_cni::default::EnsureError),
    /// The default network would take addresses away from the host.
    #[error(
        "the default network 10.61.0.0/16 on bridge ignite0 would overlap with {route}, which interface {interface} has"
    )]
    Overlap {
        /// The route in the way.
        route: IpNet,
        /// Its interface.
        interface: String,
        /// Where the default network would be written.
        file: PathBuf,
    },
    /// The runtime or a plugin.
    #[error(transparent)]
    Cni(ignite_cni::error::Error),
    /// Asked before anything was made, a network said that it takes nobody now.
    #[error("network {network} is not ready")]
    NotReady {
        /// The network.
        network: String,
        /// What it said.
        source: Box<ignite_cni::error::Error>,
    },
    /// DEL failed: what ADD made is still there, and recorded.
    #[error(
        "what network {network} gave to {interface}{} is not released",
        listed(addresses)
    )]
    Unreleased {
        /// The network.
        network: String,
        /// The interface.
        interface: String,
        /// Its addresses.
        addresses: Vec<IpNet>,
        /// Why.
        source: Box<ignite_cni::error::Error>,
    },
    /// Rules that outlived DEL.
    #[error(transparent)]
    Leak(ignite_cni::leak::LeakError),
    /// The configuration recorded at ADD cannot be read any more.
    #[error("the recorded configuration of network {network} cannot be used")]
    Recorded {
        /// The network.
        network: String,
        /// Why.
        source: ignite_cni::config::ConfigError,
    },
    /// A network does not give the address asked for.
    #[error(
        "cannot attach {interface} to network {network} with the address {}",
        list(asked)
    )]
    AddressRefused {
        /// The network.
        network: String,
        /// The interface.
        interface: String,
        /// The addresses asked for.
        asked: Vec<Address>,
        /// What the plugin says.
        source: Box<ignite_cni::error::Error>,
    },
    /// A network gives another address than the one asked for.
    #[error(
        "{interface} was to have the address {}, but network {network} gave {}",
        list(asked),
        list(given)
    )]
    OtherAddress {
        /// The network.
        network: String,
        /// The interface.
        interface: String,
        /// What was asked for and not given.
        asked: Vec<Address>,
        /// What was given.
        given: Vec<IpNet>,
    },
    /// A result that contradicts itself.
    #[error("the result of network {network} for {interface} cannot be used")]
    Result {
        /// The network.
        network: String,
        /// The interface.
        interface: String,
        /// What is wrong with it.
        source: result::Lie,
    },
    /// ADD succeeded but made nothing.
    #[error("network {network} made no interface {interface} in the VM's network namespace")]
    NoInterface {
        /// The network.
        network: String,
        /// The interface.
        interface: String,
    },
    /// Ports are asked for on a network that cannot publish any.
    #[error("network {network} cannot publish ports")]
    CannotPublish {
        /// The network.
        network: String,
    },
    /// Looking after networks.
    #[error(transparent)]
    Manage(Box<manage::Error>),
    /// The VM's lock could not be passed on.
    #[error("cannot pass on the VM's lock")]
    Lock(#[source] std::io::Error),
    /// The operation was called off.
    #[error(transparent)]
    Cancelled(#[from] crate::Cancelled),
    /// Links and addresses.
    #[error("cannot set up the VM's interface")]
    Link(#[source] link::Error),
    /// The record could not be read or written.
    #[error(transparent)]
    Store(#[from] ignite_store::Error),
    /// Docker's bridge.
    #[error(transparent)]
    Docker(Box<docker::Error>),
}

impl From<docker::Error> for Error {
    fn from(error: docker::Error) -> Self {
        Self::Docker(Box::new(error))
    }
}

/// Addresses in parentheses, if there are any.
fn listed(addresses: &[IpNet]) -> String {
    let texts: Vec<String> = addresses.iter().map(|a| a.addr().to_string()).collect();
    match texts.as_slice() {
        [] => String::new(),
        some => format!(" ({})", some.join(", ")),
    }
}

/// What to type instead of a network that Docker has, and CNI has none of that name.
fn of_docker(name: Option<&str>) -> Option<String> {
    let instead = match name? {
        "host" => {
            "a VM has a network stack of its own, which is not the host's: leave it out, and publish ports with -p HOST_PORT:VM_PORT"
        }
        "bridge" | "default" => {
            "leave it out for the default network; on Docker's own bridge: --network-plugin docker-bridge"
        }
        "none" => {
            "a VM is always on a network: for one that leads nowhere, put a CNI configuration with a bridge and no gateway into /etc/cni/net.d, and name that"
        }
        _ => return None,
    };
    Some(instead.to_owned())
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Port(error) => error.hint(),
            Self::NoNetwork(error) => of_docker(error.name()).or_else(|| error.hint()),
            Self::NoNetworkAtAll { name, directory } => of_docker(Some(name)).or_else(|| {
                Some(format!(
                    "leave --network out for the default network, or put a configuration into {}",
                    directory.display()
                ))
            }),
            Self::NoGateway { host } => Some(format!(
                "say its address when the VM is created: --add-host {host}:ADDRESS"
            )),
            Self::Default(error) => error.hint(),
            Self::Cni(error) => Some(error.hint().unwrap_or_else(|| {
                "see its configuration in /etc/cni/net.d, or choose another network with --network NAME".into()
            })),
            Self::NotReady { network, source } => Some(source.hint().unwrap_or_else(|| {
                format!("ask it again with: ignite cni status {network}, or choose another with --network NAME")
            })),
            Self::Unreleased { source, .. } => Some(match source.hint() {
                Some(hint) => format!("{hint}; then finish with: ignite network gc"),
                None => "when the cause is gone, finish with: ignite network gc".into(),
            }),
            Self::Leak(error) => error.hint(),
            Self::Manage(error) => error.hint(),
            Self::Store(error) => error.hint(),
            Self::Overlap { file, .. } => Some(format!(
                "put a CNI configuration with another subnet into {}",
                file.parent().unwrap_or(file).display()
            )),
            Self::AddressRefused { asked, source, .. } => Some(address_hint(asked, source)),
            Self::OtherAddress { asked, given, .. } => Some(other_address_hint(asked, given)),
            Self::Result { .. } => {
                Some("see which of its CNI plugins makes such a result, and correct its configuration".into())
            }
            Self::NoInterface { .. } => {
                Some("see whether its first plugin makes an interface".into())
            }
            Self::CannotPublish { .. } => Some(
                "add the plugin portmap, with the capability portMappings, to its configuration; \
                 or leave --ports out"
                    .into(),
            ),
            Self::Docker(error) => error.hint(),
            _ => None,
        }
    }

    /// Whether nothing stays but a container, which its engine does not remove.
    pub(crate) fn is_only_a_container(&self) -> bool {
        matches!(self, Self::Docker(error) if error.is_rest())
    }

    /// Whether a plugin ran, refused, and everything was undone.
    pub(crate) fn is_plugins_refusal(&self) -> bool {
        matches!(self, Self::Cni(error) if error.code().is_some() && !error.must_retry_del())
    }
}

fn address_hint(asked: &[Address], source: &ignite_cni::error::Error) -> String {
    if let Some(hint) = source.hint() {
        return hint;
    }
    let choose = "choose an address of the network's range that nobody has (see: ignite ps), or leave it to the network";
    match asked.iter().find(|address| address.prefix().is_none()) {
        Some(bare) => {
            let length = if bare.ip().is_ipv4() { 24 } else { 64 };
            format!("{choose}; some networks want the prefix length too, such as {bare}/{length}")
        }
        None => choose.into(),
    }
}

fn other_address_hint(asked: &[Address], given: &[IpNet]) -> String {
    let same = |address: &&Address| given.iter().any(|given| given.addr() == address.ip());
    match asked.iter().find(same) {
        Some(address) => format!(
            "the network decides on the prefix length; ask for {} alone",
            address.ip()
        ),
        None => "leave the address to the network, or let it be asked for: its address plugin must take one \
                 (host-local and static do, dhcp does not), and the capability ips must be declared for more than one"
            .into(),
    }
}

/// Values for people: `10.61.0.50, fd00::50`.
pub(crate) fn list<T: ToString>(values: &[T]) -> String {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    match texts.as_slice() {
        [] => "none".into(),
        some => some.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_docker_are_answered_where_there_are_none_of_that_name() {
        let hint = |name: &str, known: &[&str]| {
            let missing = ignite_cni::load::NoNetwork::Name {
                name: name.to_owned(),
                directory: PathBuf::from("/etc/cni/net.d"),
                known: known.iter().map(|&known| known.to_owned()).collect(),
                broken: 0,
            };
            Error::NoNetwork(missing).hint().expect("a hint")
        };
        assert!(hint("host", &["lan"]).contains("-p HOST_PORT:VM_PORT"));
        assert!(hint("bridge", &["lan"]).contains("--network-plugin docker-bridge"));
        assert!(hint("none", &["lan"]).contains("leads nowhere"));
        assert_eq!(hint("lam", &["lan"]), "networks there are: lan");
        let none = Error::NoNetworkAtAll {
            name: "host".into(),
            directory: PathBuf::from("/etc/cni/net.d"),
        };
        assert!(
            none.hint()
                .is_some_and(|hint| hint.contains("-p HOST_PORT"))
        );
    }
}
