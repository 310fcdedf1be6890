//! Protocols between Ignite's own processes, DHCP and router advertisements, what a guest was refused,
//! and the archives it boots from: bytes in, bytes out.
//!
//! ```text
//!  ignite (CLI) --control socket--> ignite-spawn --virtio-serial or vsock--> ignite-guest
//!     frames, requests                 frames, relayed                          agent
//! ```
//!
//! Nothing here opens a socket or a file: what a guest says is parsed where it can reach nothing.

pub mod agent;
pub mod console;
pub mod cpio;
pub mod dhcp;
pub mod dhcp6;
pub mod guest;
pub mod ipv6;
pub mod neighbour;
pub mod processes;
pub mod ra;
pub mod refused;
pub mod supervisor;
pub mod vsock;
