//! The agent's stream: frames of many channels on one byte stream, in both directions.
//!
//! Spoken between the supervisor and the agent in the guest, and, with a few more requests, between
//! a client (`ignite exec`, `ignite stop`) and the supervisor on its control socket.
//!
//! ```text
//!   0        4      5          9
//!  +--------+------+----------+----------------------+
//!  | length | kind | channel  | payload              |   integers little-endian
//!  | u32    | u8   | u32      | `length` bytes       |   length <= 64 KiB
//!  +--------+------+----------+----------------------+
//!
//!  channel 0: the link itself            channel n: one program run by `Exec`
//!
//!   agent              supervisor         agent                supervisor / client
//!     | Hello ----------->|                 |<-------------- Exec |
//!     | Ready ----------->|                 |<-- Stdin, StdinEnd  |   up to the window
//!     |<------------ Ping |                 | Stdout, Stderr ---->|   up to the window
//!     | Pong ------------>|                 | Credit ------------>|   Stdin was consumed
//!     |<-------- Shutdown |                 |<------------ Credit |   output was consumed
//!     | Ended, Going ---->|                 |<------------ Signal |
//!                                           |<------------ Resize |   of the program's terminal
//!                                           | Exit -------------->|   last frame of the channel
//!                                           |<------------- Close |   or: kill it, nobody listens
//!                                           |<------------ Detach |   or: let it go on unheard
//!
//!   channel m of a client at the control socket: the guest's console, after `Attach`; the same frames
//!   but `Signal`, to and from the supervisor itself
//! ```
//!
//! Each side may have [`INITIAL_WINDOW`] bytes of data (`Stdin` one way; `Stdout` and `Stderr`
//! together the other way) under way on a channel; the receiver grants more by `Credit` as it
//! consumes them. [`Credits`] does the counting.
//!
//! The agent sends `Hello` when it opens its port and `Ready` when the guest is up; both again
//! whenever the host's side of the port was closed and opened in between. Over vsock, where any program
//! of the guest may connect, `Hello` proves that it is the agent: nothing else is heard before it, but
//! why the guest cannot start. What was written to a vsock
//! connection may still be in the guest, and would end with it: behind its last words the agent sends a
//! `Ping` there, and waits a second for the `Pong`.

mod codec;
mod credits;
mod message;
pub mod relay;
mod tool;

pub use codec::{Decoder, Error, Frame, HEADER_LEN, MAX_PAYLOAD};
pub use credits::{Credits, INITIAL_WINDOW, Overrun};
pub use message::{
    DiskCounters, ExecRequest, ExitStatus, Limits, Message, Passed, PowerAction, Refusals,
    SupervisorStatus, TerminalSize, Traffic, VmmCounters,
};
pub use tool::Tool;

/// Version of the protocol, said in [`Message::Hello`].
pub const VERSION: u32 = 1;

/// Largest piece of data (`Stdin`, `Stdout`, `Stderr`) worth putting into one frame: small enough
/// that a busy channel does not keep the others waiting, and with its header just what the guest's port
/// takes at once (Linux, `drivers/char/virtio_console.c`). A receiver counts on [`MAX_PAYLOAD`] alone.
pub const DATA_CHUNK: usize = 32 * 1024 - HEADER_LEN;
