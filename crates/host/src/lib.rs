//! The host's kernel, as the rest of Ignite sees it.
//!
//! Namespaces, control groups, links, taps, traffic control, packet filter, files and child processes. This crate
//! alone (with the guest program) holds `unsafe`, system calls and child processes; everything above
//! it computes values and hands them down here.
//!
//! Everything is synchronous. A namespace is entered by a thread of its own that ends, or by a child
//! process, never by a thread that goes on to do other work.
//!
//! The guest program uses [`link`], [`sysctl`], [`signal`] and the plain functions of [`fs`] as PID 1
//! of an initramfs: nothing in those needs another program, and nothing but [`sysctl`] needs `/proc`.

pub mod bpf;
pub mod cgroup;
pub mod confine;
pub mod cpu;
pub mod datagram;
pub mod echo;
pub mod error;
pub mod fs;
pub mod http;
mod inherited;
pub mod iptables;
pub mod link;
pub mod loop_device;
mod netlink;
pub mod netns;
pub mod nft;
pub mod packet;
pub mod probe;
pub mod process;
pub mod service;
pub mod signal;
pub mod step;
pub mod sysctl;
pub mod tap;
pub mod tc;
pub mod tun;
pub mod vsock;
pub mod wireguard;

pub use inherited::{close_on_exec, inherited};
