//! A VM as an object: what is wanted of it, and what is so.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    BitRate, ByteRate, DiskStatus, Dns, EnvVar, ExtraHost, HostName, IdPrefix, InterfaceName,
    InterfaceSpec, Kind, Limit, Mac, Metadata, NetworkPlugin, Object, OciSource, PortMapping,
    Reference, RestartPolicy, Size, Ssh, StorageSpec, VmmChoice, VolumeStatus,
};

/// A microVM.
pub type Vm = Object<VmSpec, VmStatus>;

impl Vm {
    /// A VM with nothing but its defaults and an image.
    pub fn of_image(image: Reference) -> Self {
        let spec = VmSpec {
            image: OciChoice { oci: Some(image) },
            ..VmSpec::default()
        };
        Self::new(Kind::Vm, Metadata::default(), spec)
    }
}

/// What is wanted of a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VmSpec {
    /// The image of its root file system.
    pub image: OciChoice,
    /// The image of its sandbox: read from older manifests, not used.
    #[serde(skip_serializing_if = "OciChoice::is_empty")]
    pub sandbox: OciChoice,
    /// Its kernel.
    pub kernel: KernelChoice,
    /// The VMM that runs it; none for the host's choice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vmm: Option<VmmChoice>,
    /// Whether Firecracker's own jailer confines it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub jailer: bool,
    /// Number of virtual processors.
    pub cpus: u64,
    /// Memory.
    pub memory: Size,
    /// How much of its memory the guest gives back, as a balloon it inflates; none for no balloon, zero
    /// for an empty one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balloon: Option<Size>,
    /// Size of the root file system.
    pub disk_size: Size,
    /// How fast its root disk may be read and written together; none for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_rate: Option<Limit<ByteRate>>,
    /// Its network.
    pub network: NetworkSpec,
    /// Further disks.
    pub storage: StorageSpec,
    /// Files to copy into its root file system when it is created.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub copy_files: Vec<CopyFile>,
    /// Access by ssh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh: Option<Ssh>,
    /// What runs instead of the image's own command; empty for that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Environment, over the image's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvVar>,
    /// DNS servers instead of those its network names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<Dns>,
    /// Its host name; none for its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<HostName>,
    /// Further lines of its `/etc/hosts`, `NAME:ADDRESS`; `host-gateway` for the address of its gateway.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra_hosts: Vec<ExtraHost>,
    /// What `ignited` does when the VM ends although it should run; none for always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart_policy: Option<RestartPolicy>,
    /// Whether `ignited` makes the VM anew, with a new disk, where a change allows nothing less.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recreate_on_change: bool,
}

impl VmSpec {
    /// Number of processors where none is given.
    pub const DEFAULT_CPUS: u64 = 1;
    /// Memory where none is given.
    pub const DEFAULT_MEMORY: Size = Size::from_mib(512);
    /// Size of the root file system where none is given.
    pub const DEFAULT_DISK_SIZE: Size = Size::from_mib(4096);

    /// Puts the defaults where a manifest says zero.
    pub(crate) fn fill_zeros(&mut self) {
        let default = Self::default();
        if self.cpus == 0 {
            self.cpus = default.cpus;
        }
        if self.memory.bytes() == 0 {
            self.memory = default.memory;
        }
        if self.disk_size.bytes() == 0 {
            self.disk_size = default.disk_size;
        }
    }
}

impl Default for VmSpec {
    fn default() -> Self {
        Self {
            image: OciChoice::default(),
            sandbox: OciChoice::default(),
            kernel: KernelChoice::default(),
            vmm: None,
            jailer: false,
            cpus: Self::DEFAULT_CPUS,
            memory: Self::DEFAULT_MEMORY,
            balloon: None,
            disk_size: Self::DEFAULT_DISK_SIZE,
            disk_rate: None,
            network: NetworkSpec::default(),
            storage: StorageSpec::default(),
            copy_files: Vec::new(),
            ssh: None,
            command: Vec::new(),
            env: Vec::new(),
            dns: Vec::new(),
            hostname: None,
            extra_hosts: Vec::new(),
            restart_policy: None,
            recreate_on_change: false,
        }
    }
}

/// An image, by reference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OciChoice {
    /// The reference; none where it is left to the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oci: Option<Reference>,
}

impl OciChoice {
    fn is_empty(&self) -> bool {
        self.oci.is_none()
    }
}

/// A kernel, by reference, and its command line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KernelChoice {
    /// The reference; none for the default kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oci: Option<Reference>,
    /// The whole command line; none for the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cmd_line: Option<String>,
}

/// A VM's network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NetworkSpec {
    /// Published ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortMapping>,
    /// Interfaces, in their order; none for one on the default network.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<InterfaceSpec>,
    /// How fast each interface may be, each way, that has no rate of its own; none for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Limit<BitRate>>,
}

/// A VM has no interface of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no interface {name}")]
pub struct UnknownInterface {
    /// The name given.
    pub name: InterfaceName,
    /// The names there are.
    pub known: Vec<InterfaceName>,
}

impl UnknownInterface {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let known: Vec<String> = self.known.iter().map(ToString::to_string).collect();
        Some(format!("the VM's interfaces are: {}", known.join(", ")))
    }
}

impl NetworkSpec {
    /// The names of the interfaces; there is one where none is asked for.
    pub fn names(&self) -> Vec<InterfaceName> {
        let interfaces = self.interfaces.iter().enumerate();
        let names: Vec<_> = interfaces
            .map(|(index, interface)| interface.name_at(index))
            .collect();
        match names.as_slice() {
            [] => vec![InterfaceName::numbered(0)],
            _ => names,
        }
    }

    /// How fast the interface of this number may be.
    pub fn rate_at(&self, index: usize) -> Option<BitRate> {
        let own = self.interfaces.get(index).and_then(|it| it.rate);
        own.or(self.rate)?.rate()
    }

    /// The same rate for all interfaces.
    pub fn set_rate(&mut self, rate: Limit<BitRate>) {
        self.rate = Some(rate);
        self.interfaces.iter_mut().for_each(|it| it.rate = None);
    }

    /// The rate of one interface.
    pub fn set_rate_of(
        &mut self,
        name: &InterfaceName,
        rate: Limit<BitRate>,
    ) -> Result<(), UnknownInterface> {
        let known = self.names();
        let Some(index) = known.iter().position(|it| it == name) else {
            let name = name.clone();
            return Err(UnknownInterface { name, known });
        };
        match self.interfaces.get_mut(index) {
            Some(interface) => interface.rate = Some(rate),
            // The only one.
            None => self.rate = Some(rate),
        }
        Ok(())
    }

    /// Takes over the rates of `other`, which has the same interfaces, said or not.
    pub fn take_rates(&mut self, other: &Self) {
        self.rate = match self.interfaces.as_slice() {
            [] => other
                .interfaces
                .first()
                .and_then(|it| it.rate)
                .or(other.rate),
            _ => other.rate,
        };
        for (index, interface) in self.interfaces.iter_mut().enumerate() {
            interface.rate = other.interfaces.get(index).and_then(|it| it.rate);
        }
    }
}

/// One file to copy into a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CopyFile {
    /// Absolute path on the host.
    pub host_path: String,
    /// Absolute path in the guest.
    pub vm_path: String,
}

/// A text that names no file to copy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} does not say what to copy where")]
pub struct CopyFileError {
    text: String,
}

impl CopyFileError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some("write two absolute paths with a colon between them: /HOST/PATH:/VM/PATH".into())
    }
}

impl FromStr for CopyFile {
    type Err = CopyFileError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let absolute = |path: &&str| path.starts_with('/') && !path.contains(':');
        let paths = text
            .split_once(':')
            .filter(|(host, vm)| absolute(host) && absolute(vm));
        let (host_path, vm_path) = paths.ok_or_else(|| CopyFileError { text: text.into() })?;
        Ok(Self {
            host_path: host_path.into(),
            vm_path: vm_path.into(),
        })
    }
}

/// What is so of a VM.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct VmStatus {
    /// Whether it runs.
    pub running: bool,
    /// State in one word: created, starting, running, paused, stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// How it ended, in kebab case, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
    /// Exit code of its command, where that ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What there is to say about its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What runs it.
    pub runtime: RuntimeStatus,
    /// How its VMM is confined; only while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confinement: Option<ConfinementStatus>,
    /// How much of its memory the guest has given back; only while it runs, and once its VMM knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balloon: Option<Size>,
    /// Its disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskStatus>,
    /// How its volumes are joined to the guest; only while it runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeStatus>,
    /// What its VMM counted since its start, by name; only while it runs, and where the VMM counts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub counters: BTreeMap<String, u64>,
    /// When it was started; only while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Timestamp>,
    /// Its network.
    pub network: NetworkStatus,
    /// The content of its image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<OciSource>,
    /// The content of its kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<OciSource>,
    /// Prefix of its container id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_prefix: Option<IdPrefix>,
}

/// What runs a VM.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RuntimeStatus {
    /// Container id, `<prefix>-<uid>`.
    pub id: String,
    /// Kind of VMM: `firecracker`, `qemu-kvm`, `qemu-tcg`.
    pub name: String,
    /// Version of the VMM, where its driver asks for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// How a VM's VMM is confined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ConfinementStatus {
    /// The user, and the group of the same number, it runs as.
    pub user: u32,
    /// Its control group.
    pub cgroup: String,
    /// Whether Firecracker's own jailer confines it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub jailer: bool,
    /// What this host's control groups do not bound, by the kernel's names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// A VM's network as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NetworkStatus {
    /// Which network plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<NetworkPlugin>,
    /// Addresses of all interfaces; `null` where there are none.
    pub ip_addresses: Option<Vec<IpAddr>>,
    /// Each interface.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<InterfaceStatus>,
}

/// One interface of a VM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InterfaceStatus {
    /// Name in the guest: `eth0`.
    pub name: String,
    /// The network's name.
    pub network: String,
    /// Its MAC.
    pub mac: Mac,
    /// Its addresses with their prefix length.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub addresses: Vec<IpNet>,
    /// Its gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// What the guest tried to send and may not, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedStatus>,
}

/// What a guest sent that is not its own, and that reached no one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefusedStatus {
    /// Frames, by kind; only where the VM's supervisor could be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frames: Option<RefusedFrames>,
    /// The first foreign addresses it used, a handful at most.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// What to do if that is as it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Numbers of frames.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RefusedFrames {
    /// Of another MAC.
    pub mac: u64,
    /// ARP in another's name.
    pub arp: u64,
    /// IPv4 of another's address, or what no guest may say: DHCP as a server, redirects.
    pub ipv4: u64,
    /// IPv6 of another's address, or what no guest may say.
    pub ipv6: u64,
    /// Neighbour discovery in another's name, or as a router.
    pub neighbour: u64,
    /// Anything else: VLAN tags, other protocols.
    pub other: u64,
    /// Too many at once to look at each.
    pub unread: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_two_absolute_paths() {
        let of = |text: &str| text.parse::<CopyFile>().ok();
        let copy = of("/a b:/c").expect("two paths");
        assert_eq!(
            (copy.host_path.as_str(), copy.vm_path.as_str()),
            ("/a b", "/c")
        );
        for wrong in ["", "/a", "a:/b", "/a:b", "/a:/b:/c", ":/b", "/a:"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
