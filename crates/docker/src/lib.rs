//! The Docker Engine's API, as far as a VM on Docker's bridge needs it.
//!
//! ```text
//!   Docker::connect() --/_ping--> version of both
//!        |
//!        +- ensure_holder_image   an image with one file, the program `ignite-holder`
//!        +- create, start         a container of it: Docker's address, Docker's published ports
//!        +- inspect               its process, whose network namespace the VM lives in
//!        +- remove, list, prune_holder_images
//! ```
//!
//! Blocking, over the engine's unix socket, each request with a deadline. What the engine says is read in
//! [`answer`], bytes in and checked types out, and believed no further than that. This crate knows no VM
//! and keeps no record: whose container it is, its labels say.

mod address;
pub mod answer;
mod archive;
mod client;
mod container;
mod error;
mod image;
mod request;
mod version;

pub use answer::{Container, Endpoint, Listed};
pub use client::Docker;
pub use error::{Error, Reason};
pub use request::Holder;
pub use version::{ApiVersion, VersionError};
