//! State on disk: records, locks, look-up.
//!
//! ```text
//! /var/lib/ignite/                      [Paths::data]
//!   lock                                taken for moments: names are unique
//!   identity                            a number by which Docker's containers say whose they are
//!   events.log                          [journal]: what happened to VMs
//!   vm/index                            what `ps` shows, remembered by time of change
//!   vm/<uid>/lock                       [VmLock]: one engine at a time
//!           /vm.json                    [VmRecord]: the engine's, under the VM's lock
//!           /network.json               [NetworkRecord]: likewise
//!           /status.json                [StatusRecord]: of whoever holds the liveness lock
//!   image/<uid>/image.json              [ImageRecord]
//!   kernel/<uid>/kernel.json            [KernelRecord]
//! /run/ignite/                          [Paths::run]
//!   vm/<uid>/live.lock                  [Liveness]: held by the supervisor and its VMM
//!   network/<name>.lock                 [NetworkLock]: shared by ADD and DEL, alone for GC
//! ```
//!
//! A process may be killed at any line. An object appears by one rename and goes by one rename; what
//! is left of a half-made or half-removed one has a name that no look-up takes, and `repair` sweeps
//! it. A record that cannot be read is reported and is in the way of nothing else.

mod catalogue;
mod error;

mod index;
pub mod journal;
mod json;

mod liveness;
mod network_lock;
mod objects;
mod paths;
mod record;
mod resolve;
mod summary;
mod vms;

pub use catalogue::{Catalogue, Entry, Images, Kernels};
pub use error::Error;

pub use liveness::{Liveness, State as LivenessState};
pub use network_lock::NetworkLock;
pub use objects::Listing;
pub use paths::Paths;
pub use record::image::{ImageConfig, ImageRecord};
pub use record::kernel::KernelRecord;
pub use record::network::{AttachmentRecord, AttachmentState, HolderRecord, NetworkRecord};
pub use record::status::{ProcessRecord, RefusedRecord, State, StatusRecord, VmmRecord};
pub use record::vm::{ImageChoice, InterfaceRecord, KernelChoice, Managed, PortsPending, VmRecord};
pub use summary::{Summary, VmSummary};
pub use vms::{Begun, VmLock, Vms, write_status};
