//! Protocols between Ignite's own processes, DHCP, and the archives a guest boots from: bytes in,
//! bytes out.
//!
//! ```text
//!  ignite (CLI) --control socket--> ignite-spawn --virtio-serial or vsock--> ignite-guest
//!     frames, requests                 frames, relayed                          agent
//! ```
//!
//! Nothing here opens a socket or a file: what a guest says is parsed where it can reach nothing.

pub mod agent;
pub mod cpio;
pub mod dhcp;
pub mod guest;
pub mod supervisor;
