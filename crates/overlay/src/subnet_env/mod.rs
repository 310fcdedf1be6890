//! `subnet.env`: what the agent tells the CNI plugin `flannel`, and itself at its next start.
//!
//! ```text
//!   FLANNEL_NETWORK=10.5.0.0/16
//!   FLANNEL_SUBNET=10.5.55.1/24            the gateway: first address of the subnet
//!   FLANNEL_IPV6_NETWORK=fd00:5::/48
//!   FLANNEL_IPV6_SUBNET=fd00:5:0:4::1/64
//!   FLANNEL_MTU=1450
//!   FLANNEL_IPMASQ=true
//! ```

#[cfg(test)]
mod tests;

use std::fmt::{Display, Write as _};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::str::FromStr;

use ignite_host::fs;
use ipnet::{Ipv4Net, Ipv6Net};

use crate::config::Prefix;
use crate::json::quoted;
use crate::lease::Subnet;

/// Where everybody looks for it.
pub const DEFAULT_PATH: &str = "/run/flannel/subnet.env";

/// The largest file that is read, in bytes. Real ones have some 200.
const MAX_BYTES: u64 = 64 << 10;

/// One family's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Half<N> {
    /// The network of all nodes. Some versions of Flannel have several.
    pub networks: Vec<N>,
    /// The subnet of this node, without host bits.
    pub subnet: N,
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetEnv {
    /// IPv4, where enabled.
    pub ipv4: Option<Half<Ipv4Net>>,
    /// IPv6, where enabled.
    pub ipv6: Option<Half<Ipv6Net>>,
    /// MTU for interfaces of VMs and containers.
    pub mtu: u32,
    /// The agent masquerades what leaves the network, so that plugins need not.
    pub ip_masq: bool,
}

/// Why the file says nothing.
#[derive(Debug, thiserror::Error)]
pub enum EnvError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// The directory cannot be made.
    #[error("cannot make the directory {}", path.display())]
    Directory {
        /// The directory.
        path: std::path::PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// It is not text.
    #[error("it is not text in UTF-8")]
    NotText,
    /// Lines are missing.
    #[error("it is missing {}", names.join(", "))]
    Missing {
        /// Their names.
        names: Vec<&'static str>,
    },
    /// A line says something else than it should.
    #[error("{name} is {value:?}, not {expected}")]
    Invalid {
        /// The variable.
        name: &'static str,
        /// What it is.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl EnvError {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File(source) => source.hint(),
            _ => None,
        }
    }
}

impl SubnetEnv {
    /// The file's text, in the form `flanneld` writes.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        write_half(&mut text, "FLANNEL", self.ipv4.as_ref());
        write_half(&mut text, "FLANNEL_IPV6", self.ipv6.as_ref());
        let (mtu, ip_masq) = (self.mtu, self.ip_masq);
        line(&mut text, "FLANNEL_MTU", mtu);
        line(&mut text, "FLANNEL_IPMASQ", ip_masq);
        text
    }

    /// Reads the file's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvError> {
        let text = std::str::from_utf8(bytes).map_err(|_| EnvError::NotText)?;
        let ipv4 = half(text, "FLANNEL_NETWORK", "FLANNEL_SUBNET");
        let ipv6 = half(text, "FLANNEL_IPV6_NETWORK", "FLANNEL_IPV6_SUBNET");
        let mtu = value(text, "FLANNEL_MTU");
        let ip_masq = value(text, "FLANNEL_IPMASQ");
        let (Some(mtu), Some(ip_masq), true) = (mtu, ip_masq, ipv4.is_some() || ipv6.is_some())
        else {
            let mut names = Vec::new();
            if ipv4.is_none() && ipv6.is_none() {
                names.extend(["FLANNEL_NETWORK", "FLANNEL_SUBNET"]);
            }
            names.extend(mtu.is_none().then_some("FLANNEL_MTU"));
            names.extend(ip_masq.is_none().then_some("FLANNEL_IPMASQ"));
            return Err(EnvError::Missing { names });
        };
        Ok(Self {
            ipv4,
            ipv6,
            mtu: parsed("FLANNEL_MTU", mtu, "a number")?,
            ip_masq: parsed("FLANNEL_IPMASQ", ip_masq, "true or false")?,
        })
    }

    /// Writes the file, so that a reader sees the old or the new one, and makes its directory.
    pub fn write(&self, path: &Path) -> Result<(), EnvError> {
        if let Some(directory) = path.parent().filter(|directory| !directory.exists()) {
            make_directory(directory).map_err(|source| EnvError::Directory {
                path: directory.to_owned(),
                source,
            })?;
        }
        Ok(fs::write_atomic(path, self.to_text().as_bytes(), 0o644)?)
    }

    /// Reads the file.
    pub fn read(path: &Path) -> Result<Self, EnvError> {
        Self::parse(&fs::read_bounded(path, MAX_BYTES)?)
    }

    /// The subnet this node had, if the file is of a kind that etcd's keys can have.
    pub fn subnet(&self) -> Option<Subnet> {
        Some(Subnet {
            v4: self.ipv4.as_ref()?.subnet,
            v6: self.ipv6.as_ref().map(|half| half.subnet),
        })
    }
}

/// Plugins run as others may read it, whatever the umask of the agent.
fn make_directory(directory: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(directory)?;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755))
}

fn line(text: &mut String, name: &str, value: impl Display) {
    // To memory, which does not fail.
    let _ = writeln!(text, "{name}={value}");
}

fn write_half<N: Prefix>(text: &mut String, prefix: &str, half: Option<&Half<N>>) {
    let Some(Half { networks, subnet }) = half else {
        return;
    };
    let networks: Vec<String> = networks.iter().map(N::to_string).collect();
    line(text, &format!("{prefix}_NETWORK"), networks.join(","));
    let gateway = N::address(subnet.bits() | 1);
    let gateway = format!("{gateway}/{}", subnet.length());
    line(text, &format!("{prefix}_SUBNET"), gateway);
}

/// A family's part, if both of its lines are there. Networks that are none are skipped.
fn half<N: Prefix>(text: &str, network: &str, subnet: &str) -> Option<Half<N>> {
    let networks = networks(value(text, network)?);
    let subnet = *self::networks(value(text, subnet)?).first()?;
    (!networks.is_empty()).then_some(Half { networks, subnet })
}

/// A list with commas, each network once.
fn networks<N: Prefix>(value: &str) -> Vec<N> {
    let mut networks = Vec::new();
    for text in value.split(',') {
        let parsed = text.trim().parse::<N>().ok();
        let masked = parsed.map(|net| N::with(net.bits(), net.length()));
        if let Some(network) = masked.filter(|network| !networks.contains(network)) {
            networks.push(network);
        }
    }
    networks
}

/// The value of the last line with that name, as a shell would have it.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let of_line = |line: &'a str| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let value = line.strip_prefix(name)?.strip_prefix('=')?.trim();
        let unquoted = ['"', '\'']
            .into_iter()
            .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
        Some(unquoted.unwrap_or(value))
    };
    text.lines().filter_map(of_line).next_back()
}

fn parsed<T: FromStr>(
    name: &'static str,
    value: &str,
    expected: &'static str,
) -> Result<T, EnvError> {
    value.parse().map_err(|_| EnvError::Invalid {
        name,
        value: quoted(value),
        expected,
    })
}
