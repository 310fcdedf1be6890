//! Manifests and the words they are made of: pure data, no system call.
//!
//! Every value a person writes (a name, a size, a port mapping, an image reference) has a type here
//! that can only hold what is valid; text becomes such a type at the edge, once, or an error that says
//! what was expected. Objects ([`Vm`], [`Image`], [`Kernel`]) keep the shape `ignite.weave.works/v1alpha4`.
//!
//! * [`decode`] reads one object from YAML or JSON, strictly.
//! * [`validate`] reports every fault of a VM at once, each with its path.
//! * [`schema`] says what objects look like, for editors.
//! * [`template`] prints an object as a person's template says, [`filter`] says whether it is meant.
//!
//! Nothing here looks at the host: whether a port is free or an image exists is for others to find out.

mod address;
mod balloon;
mod configuration;
mod detach;
mod dns;
mod env;
pub mod filter;
mod host;
mod interface;
mod label;
mod mac;
mod manifest;
mod metadata;
mod name;
mod nearest;
mod network;
mod object;
mod plugin;
mod port;
mod position;
mod rate;
mod reference;
mod restart;
mod schema;
mod size;
mod ssh;
pub mod template;
mod text;
mod uid;
mod users;
mod validate;
pub mod view;
mod vm;
mod vmm;
mod volume;

pub use address::{Address, AddressError, Subnet, SubnetError};
pub use balloon::{BalloonError, check_balloon};
pub use configuration::{Configuration, ConfigurationSpec};
pub use detach::{DetachKeys, DetachKeysError};
pub use dns::{Dns, DnsError};
pub use env::{EnvError, EnvVar};
pub use host::{
    ExtraHost, ExtraHostError, HostAddress, HostName, HostNameError, MAX_EXTRA_HOSTS, MAX_HOSTNAME,
};
pub use interface::{InterfaceError, InterfaceFault, InterfaceSpec, MAX_INTERFACES};
pub use label::{Label, LabelError};
pub use mac::{Mac, MacError};
pub use manifest::{
    Manifest, ManifestError, decode, decode_over, decode_spec_over, decode_value, encode_json,
    encode_yaml,
};
pub use metadata::{ApiVersion, Kind, Metadata, Object};
pub use name::{Name, NameError};
pub use nearest::nearest;
pub use network::{InterfaceName, InterfaceNameError, NetworkName, NetworkNameError};
pub use object::{Image, ImageSpec, ImageStatus, Kernel, KernelSpec, KernelStatus, OciSource};
pub use plugin::{NetworkPlugin, NetworkPluginError};
pub use port::{PortError, PortMapping, Protocol};
pub use position::{Position, Positions};
pub use rate::{BitRate, ByteRate, Limit, RateError};
pub use reference::{Reference, ReferenceError};
pub use restart::{RestartPolicy, RestartPolicyError};
pub use schema::schema;
pub use size::{Size, SizeError};
pub use ssh::Ssh;
pub use template::{Template, TemplateError};
pub use uid::{IdPrefix, IdPrefixError, Uid, UidError};
pub use users::{VmmUsers, VmmUsersError};
pub use validate::{Fault, MAX_CPUS, MIN_MEMORY, validate};
pub use vm::{
    ConfinementStatus, CopyFile, CopyFileError, InterfaceStatus, KernelChoice, NetworkSpec,
    NetworkStatus, OciChoice, RefusedFrames, RefusedStatus, RuntimeStatus, UnknownInterface, Vm,
    VmSpec, VmStatus,
};
pub use vmm::{DiskFormat, DiskOrigin, DiskStatus, VmmChoice, VmmChoiceError};
pub use volume::{
    BlockDevice, HostPath, MAX_VOLUMES, StorageSpec, Volume, VolumeError, VolumeFlag, VolumeMount,
    VolumeSource, VolumeStatus, check_mount_path,
};
