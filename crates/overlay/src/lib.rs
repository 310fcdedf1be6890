//! The Flannel-compatible network over several hosts: VMs and containers of all of them on one
//! network, each host with a subnet of its own, leased in etcd.
//!
//! ```text
//!   etcd: <prefix>/config, <prefix>/subnets/<subnet>      the one shared truth
//!      |  ^
//!      |  '-- own lease: acquired, renewed, announced ---- registry
//!      '----- the others' leases, watched ---------------> backend: routes, neighbours, FDB, tunnels
//!                                                          filter:  forward and masquerade rules
//!                                                          subnet_env: what CNI's flannel plugin reads
//! ```
//!
//! What is written for others (keys, values, files) is byte for byte what `flanneld` writes, and what
//! they write is taken as it takes it: unmodified nodes of Flannel are peers. Only etcd's v3 interface
//! is spoken.

pub mod agent;
pub mod backend;
pub mod checkup;
pub mod config;
mod dial;
pub mod entrance;
pub mod etcd;
pub mod filter;
pub mod health;
pub mod interface;
pub mod json;
pub mod lease;
pub mod leave;
pub mod pki;
pub mod pool;
pub mod registry;
pub mod subnet_env;
