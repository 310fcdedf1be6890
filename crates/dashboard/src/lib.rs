//! `ignite dashboard`: a page in a browser that shows VMs, who is on which network, and what they use.
//!
//! ```text
//!  browser -- GET /, /app.js, ... ------------> assets: the page, which knows nothing of the host
//!     |  '--- GET /api/..., with the key -----> source: the engine's answers as JSON
//!     '------ GET /api/events, with the key --> hub: one sampler for all who look
//! ```
//! * Read-only: there is nothing but GET and HEAD, and no answer changes the host.
//! * The key is in the part of the printed address behind `#`, which no browser sends; the page sends it
//!   with each request. So other users of the host read nothing, and pages of strangers neither.
//! * Bounded: connections, streams, heads of requests, time, bytes of history.
//! * Nobody looks, nobody is asked: the sampler stands still while there is no stream.
//!
//! What a VM says (names, labels, its console) goes out as JSON or plain bytes; the page shows it as text.

mod answer;
mod assets;
mod error;
mod history;
mod hub;
mod key;
mod listen;
mod options;
pub mod request;
mod server;
mod source;
mod stream;
#[cfg(test)]
mod tests;
mod used;

pub use error::Error;
pub use key::Key;
pub use listen::{Dashboard, Stop};
pub use options::{Access, Options, Reach};
