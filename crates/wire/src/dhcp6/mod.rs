//! DHCPv6 as one VM needs it: a codec, and a server with one client and its addresses (RFC 8415,
//! 3646).
//!
//! ```text
//!   guest --tap--> Ethernet [ IPv6 [ UDP 546->547 [ DHCPv6 ] ] ] --> Responder::answer --> back
//! ```
//!
//! As with DHCP: for images whose own network service asks. It always gives the same answer, keeps no
//! state and sends nothing unasked. Where routes lead is told by router advertisements ([`crate::ra`]).

mod message;
mod responder;

pub use message::{Kind, Message, OptionValue, code};
pub use responder::Responder;

/// Port the server listens on.
pub const SERVER_PORT: u16 = 547;

/// Port the client listens on.
pub const CLIENT_PORT: u16 = 546;
