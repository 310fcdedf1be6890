//! Published ports: a port of the host that leads to a port of a VM.
//!
//! ```text
//! spec  = [ ip ":" ] hostports ":" vmports [ "/" protocol ]
//! ip    = IPv4 / "[" IPv6 "]"
//! ports = 1..65535 / first "-" last
//! ```

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::serde_as_text;

/// Transport protocol of a published port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

/// One published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PortMapping {
    /// Address of the host the port is published on; all of them where none.
    #[serde(
        rename = "bindAddress",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub bind: Option<IpAddr>,
    /// Port of the host.
    pub host_port: u16,
    /// Port of the VM.
    pub vm_port: u16,
    /// Protocol.
    #[serde(default)]
    pub protocol: Protocol,
}

/// What is wrong with a port mapping.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// Not of the form `[ip:]hostport:vmport[/protocol]`.
    #[error("{text:?} is not a port mapping")]
    Syntax {
        /// The text given.
        text: String,
    },
    /// One port only.
    #[error("the port mapping {text:?} names only one port")]
    NoHostPort {
        /// The text given.
        text: String,
    },
    /// Not a port, or not a range of ports.
    #[error("{port:?} in the port mapping {text:?} is not a port")]
    Port {
        /// The text given.
        text: String,
        /// The part at fault.
        port: String,
    },
    /// A range that ends before it begins.
    #[error("the port range {range:?} in {text:?} ends before it begins")]
    Backwards {
        /// The text given.
        text: String,
        /// The part at fault.
        range: String,
    },
    /// Ranges of different lengths.
    #[error("the port mapping {text:?} maps {host} host ports to {vm} of the VM")]
    Lengths {
        /// The text given.
        text: String,
        /// Number of host ports.
        host: usize,
        /// Number of ports of the VM.
        vm: usize,
    },
    /// Not an address of the host.
    #[error("{address:?} in the port mapping {text:?} is not an IP address")]
    Address {
        /// The text given.
        text: String,
        /// The part at fault.
        address: String,
    },
    /// An IPv6 address without brackets.
    #[error("the IPv6 address in the port mapping {text:?} has no brackets")]
    Brackets {
        /// The text given.
        text: String,
    },
    /// Not `tcp` or `udp`.
    #[error("ports of the protocol {protocol:?} cannot be published")]
    Protocol {
        /// The part at fault.
        protocol: String,
    },
    /// Two mappings would take the same port of the host.
    #[error("host port {}/{} is published twice: {first} and {second}", first.host_port, first.protocol)]
    Conflict {
        /// The one that came first.
        first: PortMapping,
        /// The one in its way.
        second: PortMapping,
    },
}

impl PortError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Syntax { .. } => "write [HOST_IP:]HOST_PORT:VM_PORT[/PROTOCOL], such as 8080:80 or 127.0.0.1:5353:53/udp".into(),
            Self::NoHostPort { text } => match text.split('/').next() {
                Some(port) if port.parse::<u16>().is_ok() => {
                    format!("name the host's port too: {port}:{text}")
                }
                _ => "name the host's port and the VM's, such as 8080:80".into(),
            },
            Self::Port { .. } => "a port is a number from 1 to 65535, a range is two of them, such as 9000-9003".into(),
            Self::Backwards { range, .. } => match range.split_once('-') {
                Some((first, last)) => format!("write the smaller port first: {last}-{first}"),
                None => return None,
            },
            Self::Lengths { .. } => "make both ranges equally long, such as 9000-9003:80-83".into(),
            Self::Address { .. } => "publish on an address of this host, such as 127.0.0.1, or leave it out for all addresses".into(),
            Self::Brackets { .. } => "put the IPv6 address in brackets, such as [::1]:8080:80".into(),
            Self::Protocol { .. } => "choose tcp or udp".into(),
            Self::Conflict { .. } => "choose another host port for one of them, or bind them to different addresses".into(),
        })
    }
}

impl PortMapping {
    /// Reads one specification; a range becomes as many mappings, in ascending order.
    pub fn parse(text: &str) -> Result<Vec<Self>, PortError> {
        let (ports, protocol) = match text.rsplit_once('/') {
            Some((ports, protocol)) => (ports, protocol.parse()?),
            None => (text, Protocol::Tcp),
        };
        let (bind, ports) = split_address(text, ports)?;
        let (host, vm) = ports
            .split_once(':')
            .ok_or_else(|| PortError::NoHostPort { text: text.into() })?;
        let (host, vm) = (range(text, host)?, range(text, vm)?);
        if host.len() != vm.len() {
            return Err(PortError::Lengths {
                text: text.into(),
                host: host.len(),
                vm: vm.len(),
            });
        }
        Ok(host
            .zip(vm)
            .map(|(host_port, vm_port)| Self {
                bind,
                host_port,
                vm_port,
                protocol,
            })
            .collect())
    }

    /// Reads many specifications, as given one after the other, and refuses conflicts.
    ///
    /// Each text may itself be a list with commas.
    pub fn parse_all<T: AsRef<str>>(
        texts: impl IntoIterator<Item = T>,
    ) -> Result<Vec<Self>, PortError> {
        let mut mappings = Vec::new();
        for text in texts {
            for one in text.as_ref().split(',') {
                mappings.extend(Self::parse(one)?);
            }
        }
        Self::check_conflicts(&mappings)?;
        Ok(mappings)
    }

    /// Refuses two mappings that would take the same port of the host.
    pub fn check_conflicts(mappings: &[Self]) -> Result<(), PortError> {
        let mut taken: HashMap<(u16, Protocol), Vec<&Self>> = HashMap::new();
        for second in mappings {
            let others = taken
                .entry((second.host_port, second.protocol))
                .or_default();
            if let Some(first) = others.iter().find(|first| first.overlaps(second)) {
                return Err(PortError::Conflict {
                    first: **first,
                    second: *second,
                });
            }
            others.push(second);
        }
        Ok(())
    }

    /// Whether both would take the same port of the host; a wildcard address overlaps every other.
    pub fn overlaps(&self, other: &Self) -> bool {
        let addresses = match (self.bind, other.bind) {
            (Some(a), Some(b)) => a == b || a.is_unspecified() || b.is_unspecified(),
            _ => true,
        };
        addresses && self.host_port == other.host_port && self.protocol == other.protocol
    }

    /// As the command line takes it: `127.0.0.1:8080:80/udp`.
    pub fn to_argument(&self) -> String {
        let bind = self
            .bind
            .map(|address| format!("{}:", bracketed(address)))
            .unwrap_or_default();
        format!(
            "{bind}{}:{}/{}",
            self.host_port, self.vm_port, self.protocol
        )
    }
}

/// Takes the address off the front, where there is one.
fn split_address<'a>(text: &str, ports: &'a str) -> Result<(Option<IpAddr>, &'a str), PortError> {
    if let Some(rest) = ports.strip_prefix('[') {
        let (address, ports) = rest
            .split_once("]:")
            .ok_or_else(|| PortError::Syntax { text: text.into() })?;
        let address: Ipv6Addr = address.parse().map_err(|_| PortError::Address {
            text: text.into(),
            address: address.into(),
        })?;
        return Ok((Some(address.into()), ports));
    }
    match ports.matches(':').count() {
        0 | 1 => Ok((None, ports)),
        2 => {
            let (address, ports) = ports.split_once(':').expect("two colons were counted");
            let address: Ipv4Addr = address.parse().map_err(|_| PortError::Address {
                text: text.into(),
                address: address.into(),
            })?;
            Ok((Some(address.into()), ports))
        }
        _ if looks_like_ipv6(ports) => Err(PortError::Brackets { text: text.into() }),
        _ => Err(PortError::Syntax { text: text.into() }),
    }
}

fn looks_like_ipv6(text: &str) -> bool {
    text.match_indices(':')
        .any(|(at, _)| text[..at].parse::<Ipv6Addr>().is_ok())
}

fn range(text: &str, part: &str) -> Result<RangeInclusive<u16>, PortError> {
    let port = |digits: &str| match digits.parse::<u16>() {
        // `+80` is a number to `parse`, not a port to people.
        Ok(port) if port != 0 && digits.starts_with(|c: char| c.is_ascii_digit()) => Ok(port),
        _ => Err(PortError::Port {
            text: text.into(),
            port: part.into(),
        }),
    };
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let (first, last) = (port(first)?, port(last)?);
    if last < first {
        return Err(PortError::Backwards {
            text: text.into(),
            range: part.into(),
        });
    }
    Ok(first..=last)
}

fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

impl fmt::Display for PortMapping {
    /// As tables show it: `0.0.0.0:8080->80/tcp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bind = self.bind.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        write!(
            f,
            "{}:{}->{}/{}",
            bracketed(bind),
            self.host_port,
            self.vm_port,
            self.protocol
        )
    }
}

impl Protocol {
    /// As written: `tcp` or `udp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl FromStr for Protocol {
    type Err = PortError;

    fn from_str(text: &str) -> Result<Self, PortError> {
        [Self::Tcp, Self::Udp]
            .into_iter()
            .find(|protocol| text.eq_ignore_ascii_case(protocol.as_str()))
            .ok_or_else(|| PortError::Protocol {
                protocol: text.into(),
            })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

serde_as_text!(Protocol);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> Vec<String> {
        PortMapping::parse(text)
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn every_form() {
        assert_eq!(shown("80:80"), ["0.0.0.0:80->80/tcp"]);
        assert_eq!(shown("127.0.0.1:8443:443/TCP"), ["127.0.0.1:8443->443/tcp"]);
        assert_eq!(shown("5353:53/udp"), ["0.0.0.0:5353->53/udp"]);
        assert_eq!(shown("[::1]:8080:80"), ["[::1]:8080->80/tcp"]);
        assert_eq!(
            shown("[::]:8080-8081:80-81"),
            ["[::]:8080->80/tcp", "[::]:8081->81/tcp"]
        );
        assert_eq!(shown("9000-9002:7000-7002").len(), 3);
        assert_eq!(shown("1-65535:1-65535").len(), 65535);
    }

    #[test]
    fn faults_and_hints() {
        let faults = [
            "80",
            "80/udp",
            "",
            ":",
            "80:",
            ":80",
            "0:80",
            "65536:80",
            "+1:80",
            "80:http",
            "9-8:1-2",
            "9000-9003:9000",
            "1.1.1.1:foo:bar",
            "1.1.1:80:80",
            "::1:8080:80",
            "[::1]8080:80",
            "[1.2.3.4]:8080:80",
            "80:80/sctp",
            "80:80/",
            "a:b:c:d",
        ];
        let report: Vec<String> = faults
            .iter()
            .map(|text| {
                let error = PortMapping::parse(text).expect_err(text);
                format!(
                    "{error}\n  hint: {}",
                    error.hint().expect("every port fault has a hint")
                )
            })
            .collect();
        insta::assert_snapshot!(report.join("\n"));
    }

    #[test]
    fn conflicts() {
        PortMapping::parse_all([
            "80:80,81:80",
            "80:80/udp",
            "127.0.0.1:82:80",
            "127.0.0.2:82:80",
        ])
        .expect("no conflict");
        for texts in [
            ["80:80", "80:81"],
            ["127.0.0.1:80:80", "80:80"],
            ["[::]:80:80", "127.0.0.1:80:80"],
            ["80-90:80-90", "90:1"],
        ] {
            let error = PortMapping::parse_all(texts).expect_err("a conflict");
            assert!(matches!(error, PortError::Conflict { .. }), "{error}");
        }
        let error =
            PortMapping::parse_all(["8080:80", "127.0.0.1:8080:81"]).expect_err("a conflict");
        assert_eq!(
            error.to_string(),
            "host port 8080/tcp is published twice: 0.0.0.0:8080->80/tcp and 127.0.0.1:8080->81/tcp"
        );
    }

    #[test]
    fn manifests_may_leave_out_address_and_protocol() {
        let mapping: PortMapping =
            serde_json::from_str(r#"{"hostPort":80,"vmPort":8080}"#).expect("valid");
        assert_eq!(
            mapping,
            PortMapping {
                bind: None,
                host_port: 80,
                vm_port: 8080,
                protocol: Protocol::Tcp
            }
        );
        for text in [
            r#"{"hostPort":80}"#,
            r#"{"hostPort":80,"vmPort":1,"protocol":""}"#,
            r#"{"hostPort":80,"vmPort":1,"x":1}"#,
        ] {
            assert!(serde_json::from_str::<PortMapping>(text).is_err(), "{text}");
        }
    }

    fn any_mapping() -> impl Strategy<Value = PortMapping> {
        let bind = prop_oneof![Just(None), any::<IpAddr>().prop_map(Some)];
        (bind, 1..=u16::MAX, 1..=u16::MAX, any::<bool>()).prop_map(
            |(bind, host_port, vm_port, udp)| PortMapping {
                bind,
                host_port,
                vm_port,
                protocol: if udp { Protocol::Udp } else { Protocol::Tcp },
            },
        )
    }

    proptest! {
        #[test]
        fn round_trip(mapping in any_mapping()) {
            prop_assert_eq!(PortMapping::parse(&mapping.to_argument()), Ok(vec![mapping]));
            let json = serde_json::to_string(&mapping).expect("plain data");
            prop_assert_eq!(serde_json::from_str::<PortMapping>(&json).expect("own text"), mapping);
        }

        #[test]
        fn never_panics(text in "[0-9a-f:\\[\\]./tcpé-]{0,30}") {
            let _ = PortMapping::parse(&text);
        }
    }
}
