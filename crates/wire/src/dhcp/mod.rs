//! DHCP as one VM needs it: a codec, and a server with one client and one lease (RFC 2131, 2132,
//! 3396, 3442, 6842).
//!
//! ```text
//!   guest --tap--> Ethernet [ IPv4 [ UDP 68->67 [ DHCP ] ] ] --> Responder::answer --> the same back
//!                  `--------- frame -----------' `packet'
//! ```
//!
//! The guest has its address from its configuration before its user space starts; this server is
//! for images whose own network service insists on asking. It always gives the same answer, keeps
//! no state and sends nothing unasked.

mod frame;
mod options;
mod packet;
mod responder;

pub use frame::{Datagram, FrameError};
pub use options::{MessageType, Options, code};
pub use packet::{Operation, Packet, ParseError};
pub use responder::{Responder, SERVER_MAC};

/// Port the server listens on.
pub const SERVER_PORT: u16 = 67;

/// Port the client listens on.
pub const CLIENT_PORT: u16 = 68;
