//! Firecracker's API, as the real program serves it, without a machine behind it.
//!
//! ```text
//!   connections (10 at most) --> http --> faults --> machine --> answers, in its dialect
//!                                            |          |
//!                                     scripted ones     '--> what the machine shall do
//! ```
//!
//! The dialect is what drivers stumble over: status lines without a reason, connections that are never
//! closed, errors that are not valid JSON, and rules of what may be asked when. Files, taps and sockets
//! are opened when they are named, as the real program does.

mod fault;
mod http;
mod machine;
mod schema;
mod server;

pub use fault::{Fault, Kind, Launch};
pub use http::{Call, MAX_BODY, Parser, Reply};
pub use machine::{Action, Machine};
pub use server::Server;
