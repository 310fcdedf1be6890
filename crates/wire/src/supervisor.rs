//! Between the engine and a VM's supervisor.
//!
//! * [`Plan`]: all that `ignite-spawn` needs, written by the engine as `plan.json` before it starts.
//! * [`Event`]: one JSON object a line on the notification pipe the engine holds while a VM starts.
//!
//! The control socket speaks the agent's frames (`agent` module), see there.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use ipnet::{IpNet, Ipv6Net};
use serde::{Deserialize, Serialize};

use crate::guest;

/// All that a supervisor needs to run its VM once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The VM's uid.
    pub uid: String,
    /// The VM's name, for messages.
    pub name: String,
    /// Durable directory of the VM: `status.json` and `console.log` are written there.
    pub vm_dir: PathBuf,
    /// Runtime directory of the VM: the control socket `control.sock` is made there.
    pub run_dir: PathBuf,
    /// The machine to run.
    pub machine: Machine,
    /// The guest's configuration.
    pub guest: guest::Config,
    /// Interfaces of the sandbox to join to the guest, in the guest's order.
    pub attachments: Vec<Attachment>,
    /// The process that owns the sandbox where it is not the supervisor's alone; with it the
    /// interfaces go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,
    /// Milliseconds within which the agent must have said it is ready.
    pub boot_timeout_ms: u64,
    /// The console log is cut to its newer half when it grows past this many bytes.
    pub console_limit: u64,
    /// Program and arguments of the last act, run in the host's network namespace.
    pub release: Vec<String>,
    /// What the VMM may use and may not leave; none where it runs as the supervisor does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confinement: Option<Confinement>,
}

/// The jail of Firecracker's jailer, in [`Plan::vm_dir`] (on the data disk: what is below `/run` is mostly
/// mounted without devices), as long as the VMM runs in it.
pub const JAIL: &str = "jail";

/// The archive in a VM's directory that its guest is still to unpack; gone once that is ready.
pub const COPY_FILES: &str = "copy-files.tar";

/// How the VMM is confined: a user of its own, and bounds of its control group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Confinement {
    /// User and group, which no account and no other VM has.
    pub user: u32,
    /// Memory in bytes, the guest's and the VMM's own.
    pub memory: u64,
    /// Processor time, in thousandths of a processor.
    pub cpu_millis: u32,
    /// Threads and processes.
    pub tasks: u32,
    /// Bytes of the largest file it may make of its disk.
    pub file_bytes: u64,
    /// Firecracker's jailer, where it confines instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jailer: Option<PathBuf>,
}

/// How fast something may go, and how much at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rate {
    /// Bytes a second.
    pub bytes_per_second: u64,
    /// Bytes at once.
    pub burst: u64,
}

/// A process outside of Ignite that owns a VM's sandbox: a container's first one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// Its number.
    pub pid: i32,
    /// When it began (field 22 of `/proc/<pid>/stat`): a number may come to mean another process.
    pub start_time: u64,
    /// Name of the container, for messages.
    pub container: String,
}

/// A machine, whatever the VMM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    /// Which driver runs it.
    pub vmm: Vmm,
    /// The VMM's program.
    pub program: PathBuf,
    /// Number of virtual processors.
    pub cpus: u32,
    /// Memory in bytes, a multiple of 1 MiB.
    pub memory: u64,
    /// How many of those the guest gives back from its start on, a multiple of 1 MiB; none where it has no
    /// balloon to do so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balloon: Option<u64>,
    /// The uncompressed kernel.
    pub kernel: PathBuf,
    /// The kernel's initramfs; the guest's configuration is appended to it at each start.
    pub initramfs: PathBuf,
    /// Kernel command line, whole: the driver adds only what its machine type needs.
    pub cmdline: String,
    /// Disks in the guest's order: `/dev/vda`, `/dev/vdb`, ...
    pub disks: Vec<Disk>,
    /// Directories of the host's that the guest has by virtio-fs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shares: Vec<Share>,
}

/// A directory of the host's, with the program that serves it to the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Share {
    /// The directory.
    pub path: PathBuf,
    /// What the guest knows it by.
    pub tag: String,
    /// Whether the guest may only read it.
    pub read_only: bool,
    /// `virtiofsd`, the vhost-user daemon that serves it.
    pub server: PathBuf,
}

/// The driver and how it accelerates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vmm {
    /// QEMU, translating instructions.
    QemuTcg,
    /// QEMU with hardware virtualisation.
    QemuKvm,
    /// Firecracker.
    Firecracker,
}

/// One disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disk {
    /// The file.
    pub path: PathBuf,
    /// What is in it.
    pub format: DiskFormat,
    /// Whether the guest may write.
    pub read_only: bool,
    /// How fast it may be read and written; none for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// What it is where it is not Ignite's own but somebody's volume: only opened, and never given away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<VolumeKind>,
}

/// A disk of the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeKind {
    /// A regular file.
    File,
    /// A block device.
    BlockDevice,
}

/// Format of a disk's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum DiskFormat {
    /// The bytes themselves.
    Raw,
    /// A qcow2 overlay over a raw file; the backing file is named here, the header is not trusted.
    Qcow2 {
        /// The raw image below.
        backing: PathBuf,
    },
}

/// One interface of the sandbox, and the guest's view of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// Interface in the sandbox, made by the network plugin: `eth0`.
    pub interface: String,
    /// Tap to make: `tap0`.
    pub tap: String,
    /// The guest's MAC, equal to the interface's.
    pub mac: String,
    /// MTU in bytes.
    pub mtu: u32,
    /// The guest's addresses; empty on a network without address management, where any is allowed.
    pub addresses: Vec<IpNet>,
    /// Further source addresses the guest may use, as whole prefixes: those it gives itself, or for
    /// which it routes. Without `addresses` nothing is refused, whatever is here.
    #[serde(default)]
    pub allow: Vec<IpNet>,
    /// The lease the DHCP server answers with; none if there is no IPv4 address.
    pub dhcp: Option<Lease>,
    /// What router advertisements and DHCPv6 tell; none if there is no IPv6 address.
    #[serde(default)]
    pub ipv6: Option<Lease6>,
    /// How fast each way may go; none for no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
}

/// What the DHCP server on a tap hands out: always the same, to one MAC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// Its prefix length.
    pub prefix: u8,
    /// The server's own address (option 54): the gateway where there is one.
    pub server: Ipv4Addr,
    /// Default gateway (option 3).
    pub gateway: Option<Ipv4Addr>,
    /// Classless routes (option 121), the default route included when there is a gateway.
    pub routes: Vec<(ipnet::Ipv4Net, Ipv4Addr)>,
    /// DNS servers (option 6).
    pub dns: Vec<Ipv4Addr>,
    /// Host name (option 12).
    pub hostname: String,
    /// Domain (option 15).
    pub domain: Option<String>,
    /// MTU in bytes (option 26).
    pub mtu: u16,
    /// Lease time in seconds (option 51); `u32::MAX` for ever.
    pub lease_time: u32,
}

/// What the router and the DHCPv6 server on a tap tell: always the same, to one MAC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease6 {
    /// The addresses, with the prefix lengths of their networks.
    pub addresses: Vec<Ipv6Net>,
    /// Routes with their next hops, the default route among them; none for what is on the link.
    pub routes: Vec<(Ipv6Net, Option<Ipv6Addr>)>,
    /// DNS servers.
    pub dns: Vec<Ipv6Addr>,
    /// Search list.
    pub search: Vec<String>,
    /// MTU in bytes.
    pub mtu: u32,
}

/// What the supervisor tells the engine while a VM starts, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    tag = "event",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Event {
    /// Taps, redirects and sockets are there; the VMM's process was started.
    Started {
        /// The VMM's process id.
        vmm_pid: i32,
        /// Microseconds the supervisor needed up to here, by step.
        steps: Vec<(String, u64)>,
    },
    /// The agent is ready: network up, root mounted, the user's program about to run.
    Ready,
    /// The VM could not be started; the supervisor ends.
    Failed {
        /// What failed and why.
        message: String,
        /// What to do.
        hint: Option<String>,
        /// Last lines of the console.
        console: Vec<String>,
    },
}

/// How a VM ended, as `status.json` keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// The guest powered itself off, its command ended, or it was stopped in order.
    PoweredOff,
    /// The guest's kernel halted without powering off.
    Halted,
    /// The guest asked for a reboot; the VM is stopped.
    Rebooted,
    /// The guest's kernel panicked.
    Panicked,
    /// Ended by `kill`, or by `stop` past its grace period.
    Killed,
    /// The agent was not ready within the boot time.
    BootTimeout,
    /// The VMM ended by itself without a word.
    VmmFailed,
    /// The supervisor vanished (a crash or a reboot of the host); found out by a repair.
    Lost,
    /// The container that owned the VM's network ended; the guest was shut down.
    NetworkLost,
}

impl End {
    /// The exit code of a VM that ended like this, where its command's is not known.
    pub fn code(self) -> i32 {
        match self {
            Self::PoweredOff | Self::Halted | Self::Rebooted => 0,
            // As of a program that SIGKILL ended.
            Self::Killed => 128 + 9,
            Self::Panicked
            | Self::BootTimeout
            | Self::VmmFailed
            | Self::Lost
            | Self::NetworkLost => 255,
        }
    }
}
