//! A small blocking netlink socket: one request, its answer, then the next.
//!
//! ```text
//!  link, tc:  typed messages (netlink-packet-route)
//!  wireguard: typed messages of a generic family (netlink-packet-wireguard)
//!  socket:    request -> acknowledgement | one reply | many replies of a dump
//!  frame:     bytes <-> (header, payload)
//! ```
//!
//! The messages' types come from crates whose every release changes them; they stay behind [`link`],
//! [`tc`] and [`wireguard`] and never show outside of this crate.
//!
//! [`link`]: crate::link
//! [`tc`]: crate::tc
//! [`wireguard`]: crate::wireguard

mod error;
mod frame;
pub(crate) mod generic;
mod socket;

pub use error::Error;
pub(crate) use socket::{Refusal, Socket, malformed};
