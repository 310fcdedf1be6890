//! Whether the host's side of a published port is free, looked at before anything is built.
//!
//! Rules of the packet filter would silently shadow each other and the host's own services, so the
//! port is bound for a moment, and compared with what other running VMs publish.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

use ignite_api::{PortMapping, Protocol};

/// A port that cannot be published.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program of the host has it.
    #[error("port {port}/{protocol} of {address} is already taken on this host")]
    Taken {
        /// Host address, `0.0.0.0` for all.
        address: IpAddr,
        /// Host port.
        port: u16,
        /// TCP or UDP.
        protocol: Protocol,
    },
    /// Another VM publishes it.
    #[error("port {port}/{protocol} of {address} is already published by VM {vm}")]
    Published {
        /// Host address, `0.0.0.0` for all.
        address: IpAddr,
        /// Host port.
        port: u16,
        /// TCP or UDP.
        protocol: Protocol,
        /// Name of the other VM.
        vm: String,
    },
    /// The address is not one of this host.
    #[error("{address} is not an address of this host")]
    NotHere {
        /// The address asked for.
        address: IpAddr,
    },
    /// The VM has no address of this family.
    #[error("a port is published on {address}, but the VM has no {family} address")]
    Family {
        /// The address asked for.
        address: IpAddr,
        /// `IPv4` or `IPv6`.
        family: &'static str,
    },
    /// The system refused for another reason.
    #[error("cannot try port {port}/{protocol} of {address}")]
    Try {
        /// Host address.
        address: IpAddr,
        /// Host port.
        port: u16,
        /// TCP or UDP.
        protocol: Protocol,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Taken { port, protocol, .. } => format!(
                "choose another host port, or see who has it with: ss -lnp 'sport = :{port}' ({protocol})"
            ),
            Self::Published { vm, .. } => {
                format!("choose another host port, or stop that VM with: ignite stop {vm}")
            }
            Self::NotHere { .. } => "see this host's addresses with: ip address".into(),
            Self::Family { family, .. } => format!(
                "put the VM on a network that has {family} addresses, or publish without naming an address"
            ),
            Self::Try { .. } => return None,
        })
    }
}

/// Tries every host port for a moment.
pub fn check_host(ports: &[PortMapping]) -> Result<(), Error> {
    ports.iter().try_for_each(try_bind)
}

/// Compares with what another running VM publishes.
pub fn check_other(ports: &[PortMapping], vm: &str, others: &[PortMapping]) -> Result<(), Error> {
    for port in ports {
        if others.iter().any(|other| collide(port, other)) {
            return Err(Error::Published {
                address: host_address(port),
                port: port.host_port,
                protocol: port.protocol,
                vm: vm.to_owned(),
            });
        }
    }
    Ok(())
}

/// Refuses an address of a family in which the VM has none.
pub fn check_families(ports: &[PortMapping], addresses: &[IpAddr]) -> Result<(), Error> {
    for address in ports.iter().filter_map(|port| port.bind) {
        if !addresses.iter().any(|a| a.is_ipv4() == address.is_ipv4()) {
            return Err(Error::Family {
                address,
                family: if address.is_ipv4() { "IPv4" } else { "IPv6" },
            });
        }
    }
    Ok(())
}

/// Two mappings that would fight for one host port.
fn collide(a: &PortMapping, b: &PortMapping) -> bool {
    let overlap = match (a.bind, b.bind) {
        (Some(a), Some(b)) => a == b || a.is_unspecified() || b.is_unspecified(),
        _ => true,
    };
    a.host_port == b.host_port && a.protocol == b.protocol && overlap
}

fn host_address(port: &PortMapping) -> IpAddr {
    port.bind.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

fn try_bind(mapping: &PortMapping) -> Result<(), Error> {
    let (address, port, protocol) = (host_address(mapping), mapping.host_port, mapping.protocol);
    let socket = SocketAddr::new(address, port);
    let bound = match protocol {
        Protocol::Tcp => TcpListener::bind(socket).map(drop),
        Protocol::Udp => UdpSocket::bind(socket).map(drop),
    };
    bound.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Error::Taken {
            address,
            port,
            protocol,
        },
        io::ErrorKind::AddrNotAvailable => Error::NotHere { address },
        _ => Error::Try {
            address,
            port,
            protocol,
            source,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping(text: &str) -> PortMapping {
        PortMapping::parse(text).expect("a mapping").remove(0)
    }

    #[test]
    fn finds_a_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let taken = mapping(&format!("127.0.0.1:{port}:80"));
        assert!(matches!(check_host(&[taken]), Err(Error::Taken { .. })));
        let udp = mapping(&format!("127.0.0.1:{port}:80/udp"));
        check_host(&[udp]).expect("only TCP is taken");
        drop(listener);
        check_host(&[mapping(&format!("127.0.0.1:{port}:80"))]).expect("free again");
    }

    #[test]
    fn compares_with_other_vms() {
        let others = [mapping("127.0.0.1:8080:80")];
        check_other(&[mapping("127.0.0.2:8080:80")], "other", &others).expect("another address");
        check_other(&[mapping("8080:80/udp")], "other", &others).expect("another protocol");
        assert!(check_other(&[mapping("8080:80")], "other", &others).is_err());
    }

    #[test]
    fn families() {
        let v4: IpAddr = "10.61.0.2".parse().expect("an address");
        check_families(&[mapping("8080:80"), mapping("127.0.0.1:81:80")], &[v4]).expect("IPv4");
        let refused = check_families(&[mapping("[::]:8080:80")], &[v4]).expect_err("no IPv6");
        assert!(refused.to_string().contains("IPv6"), "{refused}");
    }
}
