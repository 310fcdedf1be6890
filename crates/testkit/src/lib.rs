//! Hosts for end-to-end tests, without a machine for each.
//!
//! ```text
//!            the machine
//!   ┌──────────────┐   ┌──────────────┐
//!   │ Host "alpha" │   │ Host "world" │   each: network, mount, process and
//!   │ /etc/cni     │   │              │   UTS namespace, /etc, /run and
//!   │ /run         │   │              │   /var/lib of its own
//!   │ /var/lib     │   │              │
//!   │   eth0 ──────┼───┼─ Lan ─ eth0  │   joined by veth and a bridge
//!   └──────────────┘   └──────────────┘
//! ```
//!
//! A host ends with the test that made it, even with one that is killed. Nothing
//! of it is seen by the machine but a directory below `build/e2e`. Nothing here
//! is mocked: the product, its VMM, CNI plugins and registries run as they are.

pub mod boot;
pub mod browser;
pub mod command;
pub mod docker;
pub mod firecracker;
pub mod host;
pub mod lan;
pub mod layout;
pub mod mischief;
pub mod place;
pub mod registry;
pub mod running;
pub mod template;
pub mod terminal;
pub mod vmm;
pub mod wait;

pub use browser::Browser;
pub use command::{Invocation, Output};
pub use docker::Docker;
pub use host::Host;
pub use lan::Lan;
pub use running::Running;
pub use terminal::Terminal;
pub use wait::wait_until;
