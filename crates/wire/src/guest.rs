//! What the guest is told before it starts: one JSON document in the initramfs.
//!
//! It travels as the file [`CONFIG_PATH`] of a second cpio segment, on a 4-byte boundary behind the
//! kernel's own initramfs; the guest refuses to boot without it.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::agent::TerminalSize;

/// Where the guest finds its configuration, in the initramfs.
pub const CONFIG_PATH: &str = "ignite.json";

/// Name of the virtio-serial port that carries the agent's stream.
pub const AGENT_PORT: &str = "org.ignite.agent";

/// The vsock port of the host the agent connects to, where the stream goes over vsock.
pub const AGENT_VSOCK_PORT: u32 = 1024;

/// Version of [`Config`]; the guest refuses any other.
pub const CONFIG_VERSION: u32 = 1;

/// Everything the guest program needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// [`CONFIG_VERSION`].
    pub version: u32,
    /// Host name, also written to `/etc/hostname`.
    pub hostname: String,
    /// Wall clock at the start of the VMM, nanoseconds since the epoch.
    pub clock_ns: u64,
    /// Network interfaces, found by their MAC and named as said here.
    pub interfaces: Vec<Interface>,
    /// Resolver configuration.
    pub dns: Dns,
    /// Further lines of `/etc/hosts`.
    pub hosts: Vec<Host>,
    /// Public keys for root's `authorized_keys`; empty leaves the file alone.
    pub ssh_keys: Vec<String>,
    /// The root file system.
    pub root: Root,
    /// The kernel's module tree, mounted read-only; none if the kernel needs none.
    pub modules: Option<Modules>,
    /// Block device with an archive to unpack into the root before anything runs; none for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_files: Option<String>,
    /// What runs as the user's program.
    pub process: Process,
    /// How the agent reaches the supervisor.
    #[serde(default)]
    pub agent: Transport,
    /// What the agent proves itself with where any program of the guest could take its place; empty
    /// where none could.
    #[serde(default)]
    pub agent_token: String,
    /// How the machine is switched off.
    #[serde(default)]
    pub power_off: PowerOff,
    /// The terminal at the other end of the console, where a person sits before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terminal: Option<Terminal>,
    /// What is mounted besides, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Volume>,
}

impl Config {
    /// A guest that runs `process` from the whole of its first disk, with nothing else said.
    pub fn new(hostname: impl Into<String>, process: Process) -> Self {
        Self {
            version: CONFIG_VERSION,
            hostname: hostname.into(),
            clock_ns: 0,
            interfaces: Vec::new(),
            dns: Dns::default(),
            hosts: Vec::new(),
            ssh_keys: Vec::new(),
            root: Root {
                device: "/dev/vda".to_owned(),
                filesystem: "ext4".to_owned(),
                grow: true,
            },
            modules: None,
            copy_files: None,
            process,
            agent: Transport::default(),
            agent_token: String::new(),
            power_off: PowerOff::default(),
            terminal: None,
            volumes: Vec::new(),
        }
    }
}

/// A person's terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Terminal {
    /// How large it is.
    pub size: TerminalSize,
    /// What it is called (`TERM`), for the command; empty where nobody knows.
    #[serde(default)]
    pub name: String,
}

/// A volume and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Its name, for messages.
    pub name: String,
    /// Block device in the guest, `/dev/vdc`, or the tag of a shared directory.
    pub source: String,
    /// File system type: `ext4`, or `virtiofs` for a shared directory.
    pub filesystem: String,
    /// Mount point; made if it is missing.
    pub target: String,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

/// What carries the agent's stream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// The virtio-serial port [`AGENT_PORT`].
    #[default]
    Serial,
    /// A vsock connection from the guest to port [`AGENT_VSOCK_PORT`] of the host.
    Vsock,
}

/// What ends the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PowerOff {
    /// Powering off does.
    #[default]
    Acpi,
    /// Only a reset does: the machine has no switch.
    Reset,
}

/// One network interface of the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Interface {
    /// Name in the guest: `eth0`, `eth1`, ...
    pub name: String,
    /// MAC address, lower-case, colon-separated.
    pub mac: String,
    /// MTU in bytes.
    pub mtu: u32,
    /// Addresses with their prefix length.
    pub addresses: Vec<IpNet>,
    /// Routes through this interface.
    pub routes: Vec<Route>,
    /// Whether routers on the link may configure it further (RFC 4861): not where the guest may use
    /// none of the addresses it would give itself.
    #[serde(default)]
    pub accept_ra: bool,
}

/// One route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Destination; `0.0.0.0/0` or `::/0` for the default.
    pub destination: IpNet,
    /// Next hop; none for a destination on the link itself.
    pub gateway: Option<IpAddr>,
    /// Metric; the kernel's default where none.
    #[serde(default)]
    pub metric: Option<u32>,
    /// MTU of the path in bytes, where it is smaller than the link's.
    #[serde(default)]
    pub mtu: Option<u32>,
    /// Maximal segment size to advertise, in bytes.
    #[serde(default)]
    pub advmss: Option<u32>,
    /// Routing table; none for the main one.
    #[serde(default)]
    pub table: Option<u32>,
}

impl Route {
    /// A route of the main table, with nothing else said.
    pub fn new(destination: IpNet, gateway: Option<IpAddr>) -> Self {
        Self {
            destination,
            gateway,
            metric: None,
            mtu: None,
            advmss: None,
            table: None,
        }
    }
}

/// Content of the guest's `/etc/resolv.conf`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Dns {
    /// Name servers, in order.
    pub servers: Vec<IpAddr>,
    /// Search list.
    pub search: Vec<String>,
    /// Options as in resolv.conf(5).
    pub options: Vec<String>,
}

/// One line of `/etc/hosts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// The address.
    pub address: IpAddr,
    /// Its names.
    pub names: Vec<String>,
}

/// The root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Root {
    /// Block device in the guest, `/dev/vda`.
    pub device: String,
    /// File system type, `ext4`.
    pub filesystem: String,
    /// Whether to grow the file system to the size of the device.
    pub grow: bool,
}

/// The disk with the kernel's module tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Modules {
    /// Block device in the guest, `/dev/vdb`.
    pub device: String,
    /// File system type, `ext4`.
    pub filesystem: String,
    /// The kernel's release: the tree is mounted at `/lib/modules/<release>`.
    pub release: String,
}

/// The user's program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Process {
    /// The image's own init becomes PID 1.
    Init {
        /// Absolute path in the root file system.
        path: String,
    },
    /// A command under our own PID 1, which reaps and powers off when the command ends.
    Command {
        /// Program and arguments, never empty.
        argv: Vec<String>,
        /// Environment, `KEY=value`.
        env: Vec<String>,
        /// `user[:group]`, names or numbers, as in an OCI image's configuration; empty for root.
        user: String,
        /// Working directory; empty for `/`.
        cwd: String,
        /// Number of the signal that asks it to end; SIGTERM where none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stop_signal: Option<i32>,
    },
}
