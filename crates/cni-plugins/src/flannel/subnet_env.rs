//! `subnet.env`, as the plugin reads it: the file of the agent, ours or `flanneld`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use ignite_cni::error::code;
use ignite_host::fs;
use ipnet::{Ipv4Net, Ipv6Net};

/// The largest file that is read, in bytes. Real ones have some 200.
const MAX_BYTES: u64 = 64 << 10;

/// The network and this host's part of it. One network and one subnet at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetEnv {
    /// The networks of all hosts, each once.
    pub networks: Vec<Ipv4Net>,
    /// This host's subnet, without host bits.
    pub subnet: Option<Ipv4Net>,
    /// The IPv6 networks of all hosts.
    pub ipv6_networks: Vec<Ipv6Net>,
    /// This host's IPv6 subnet, without host bits.
    pub ipv6_subnet: Option<Ipv6Net>,
    /// MTU of interfaces.
    pub mtu: u32,
    /// The agent masquerades: plugins need not.
    pub ip_masq: bool,
}

/// Why the file says nothing.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// It cannot be read.
    #[error("the host has no subnet yet")]
    File(#[source] fs::Error),
    /// Lines are missing.
    #[error("{} is missing {}", path.display(), names.join(", "))]
    Missing {
        /// The file.
        path: PathBuf,
        /// Their names.
        names: Vec<&'static str>,
    },
    /// A line says something else than it should.
    #[error("{} says that {name} is {value:?}, not {expected}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The variable.
        name: String,
        /// What it is.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl EnvError {
    /// The code of the CNI specification.
    pub(super) fn code(&self) -> u32 {
        match self {
            // The agent writes the file when it has a subnet.
            Self::File(error) if error.is_not_found() => code::TRY_AGAIN,
            Self::File(_) => code::IO,
            Self::Missing { .. } | Self::Invalid { .. } => code::DECODING,
        }
    }

    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(error) if error.is_not_found() => Some(
                "start the overlay's agent (ignite-overlay or flanneld) on this host".to_owned(),
            ),
            Self::File(error) => error.hint(),
            Self::Missing { .. } | Self::Invalid { .. } => None,
        }
    }
}

impl SubnetEnv {
    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, EnvError> {
        let bytes = fs::read_bounded(path, MAX_BYTES).map_err(EnvError::File)?;
        // What is not text is in no line that we know.
        Self::parse(&String::from_utf8_lossy(&bytes), path)
    }

    /// Reads the file's text; `path` is for messages.
    pub fn parse(text: &str, path: &Path) -> Result<Self, EnvError> {
        let mut lines = Lines::default();
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let line = Line { path, name, value };
            match name {
                "FLANNEL_NETWORK" => lines.networks = line.networks(&Ipv4Net::trunc)?,
                "FLANNEL_SUBNET" => lines.subnet = line.networks(&Ipv4Net::trunc)?.pop(),
                "FLANNEL_IPV6_NETWORK" => lines.ipv6_networks = line.networks(&Ipv6Net::trunc)?,
                "FLANNEL_IPV6_SUBNET" => {
                    lines.ipv6_subnet = line.networks(&Ipv6Net::trunc)?.pop();
                }
                "FLANNEL_MTU" => lines.mtu = Some(line.parsed(value, "a number")?),
                "FLANNEL_IPMASQ" => lines.ip_masq = Some(line.parsed(value, "true or false")?),
                _ => {}
            }
        }
        lines.complete(path)
    }
}

/// What has been read.
#[derive(Default)]
struct Lines {
    networks: Vec<Ipv4Net>,
    subnet: Option<Ipv4Net>,
    ipv6_networks: Vec<Ipv6Net>,
    ipv6_subnet: Option<Ipv6Net>,
    mtu: Option<u32>,
    ip_masq: Option<bool>,
}

impl Lines {
    fn complete(self, path: &Path) -> Result<SubnetEnv, EnvError> {
        let has_network = !self.networks.is_empty() || !self.ipv6_networks.is_empty();
        let has_subnet = self.subnet.is_some() || self.ipv6_subnet.is_some();
        let (Some(mtu), Some(ip_masq), true, true) =
            (self.mtu, self.ip_masq, has_network, has_subnet)
        else {
            let wanted = [
                (has_network, "FLANNEL_NETWORK"),
                (has_network, "FLANNEL_IPV6_NETWORK"),
                (has_subnet, "FLANNEL_SUBNET"),
                (has_subnet, "FLANNEL_IPV6_SUBNET"),
                (self.mtu.is_some(), "FLANNEL_MTU"),
                (self.ip_masq.is_some(), "FLANNEL_IPMASQ"),
            ];
            let missing = wanted.into_iter().filter(|(is_there, _)| !is_there);
            return Err(EnvError::Missing {
                path: path.to_owned(),
                names: missing.map(|(_, name)| name).collect(),
            });
        };
        Ok(SubnetEnv {
            networks: self.networks,
            subnet: self.subnet,
            ipv6_networks: self.ipv6_networks,
            ipv6_subnet: self.ipv6_subnet,
            mtu,
            ip_masq,
        })
    }
}

/// One line.
struct Line<'a> {
    path: &'a Path,
    name: &'a str,
    value: &'a str,
}

impl Line<'_> {
    /// A list with commas, each network once and without host bits.
    fn networks<N: FromStr + PartialEq>(
        &self,
        masked: &dyn Fn(&N) -> N,
    ) -> Result<Vec<N>, EnvError> {
        let mut networks = Vec::new();
        for text in self.value.split(',') {
            let network = masked(&self.parsed(text, "a network such as 10.5.0.0/16")?);
            if !networks.contains(&network) {
                networks.push(network);
            }
        }
        Ok(networks)
    }

    fn parsed<T: FromStr>(&self, text: &str, expected: &'static str) -> Result<T, EnvError> {
        text.parse().map_err(|_| EnvError::Invalid {
            path: self.path.to_owned(),
            name: self.name.to_owned(),
            value: text.chars().take(100).collect(),
            expected,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<SubnetEnv, EnvError> {
        SubnetEnv::parse(text, Path::new("/etc/hosts"))
    }

    #[test]
    fn an_unrelated_file_lacks_everything() {
        let error = parse("127.0.0.1 localhost\nA=b\n").expect_err("unrelated");
        assert_eq!(
            error.to_string(),
            "/etc/hosts is missing FLANNEL_NETWORK, FLANNEL_IPV6_NETWORK, FLANNEL_SUBNET, \
             FLANNEL_IPV6_SUBNET, FLANNEL_MTU, FLANNEL_IPMASQ"
        );
        let error = parse("FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_MTU=1").expect_err("half of it");
        assert_eq!(
            error.to_string(),
            "/etc/hosts is missing FLANNEL_SUBNET, FLANNEL_IPV6_SUBNET, FLANNEL_IPMASQ"
        );
    }

    #[test]
    fn lists_are_masked_and_have_each_network_once() {
        let text = "FLANNEL_NETWORK=10.1.0.0/16,192.168.7.1/16,10.1.2.3/16\r\nFLANNEL_SUBNET=10.1.17.1/24\nFLANNEL_MTU=1472\nFLANNEL_IPMASQ=false";
        let expected = SubnetEnv {
            networks: ["10.1.0.0/16", "192.168.0.0/16"]
                .map(|net| net.parse().expect(net))
                .into(),
            subnet: "10.1.17.0/24".parse().ok(),
            ipv6_networks: Vec::new(),
            ipv6_subnet: None,
            mtu: 1472,
            ip_masq: false,
        };
        assert_eq!(parse(text).expect("well formed"), expected);
    }

    #[test]
    fn what_a_line_should_say_is_told() {
        for (line, expected) in [
            (
                "FLANNEL_NETWORK=10.1.0.0",
                "FLANNEL_NETWORK is \"10.1.0.0\", not a network such as 10.5.0.0/16",
            ),
            (
                "FLANNEL_IPV6_SUBNET=",
                "FLANNEL_IPV6_SUBNET is \"\", not a network such as 10.5.0.0/16",
            ),
            ("FLANNEL_MTU=-1", "FLANNEL_MTU is \"-1\", not a number"),
            (
                "FLANNEL_IPMASQ=yes",
                "FLANNEL_IPMASQ is \"yes\", not true or false",
            ),
        ] {
            let error = parse(line).expect_err(line);
            assert_eq!(
                error.to_string(),
                format!("/etc/hosts says that {expected}")
            );
            assert_eq!(error.code(), code::DECODING);
        }
    }

    #[test]
    fn an_absent_file_may_come() {
        let error = SubnetEnv::read(Path::new("/nowhere/subnet.env")).expect_err("absent");
        assert_eq!(error.code(), code::TRY_AGAIN);
        assert!(error.hint().expect("a hint").contains("ignite-overlay"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "((FLANNEL_(NETWORK|SUBNET|MTU|IPMASQ)=)?\\PC{0,20}\n){0,6}") {
            let _ = parse(&text);
        }
    }
}
