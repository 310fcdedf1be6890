//! The entrance of an overlay: where a host that has a token gets its certificate for etcd.
//!
//! ```text
//!   joining host                                    first host: its agent, port 2378, TLS
//!     connects; the chain must lead to               etcd.crt, ca.crt behind it
//!     the authority whose digest is in the token
//!     POST /v1/join {token, request} --------------> token good? sign, mark it used
//!       its key never leaves it       <------------- {certificate, authority, endpoints}
//!                                                    or {reason, message}
//!     GET /v1/                        -------------> what this is, and the server's clock
//! ```
//!
//! The token is sent only to whom it names. The certificate is one of a client, whatever was asked for.
//! Files are read at each join: a token that another process revoked is refused at once, and a
//! certificate made anew is shown without a restart. A stranger gets 16 KiB, ten seconds, and one of 32
//! places.

mod admit;
mod client;
mod error;
pub mod message;
mod server;
#[cfg(test)]
mod tests;
mod verify;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use client::{Joined, join};
pub use error::JoinError;
pub use server::{ListenError, Server};

use crate::agent::chain;

/// The port of the entrance (TCP), beside etcd's 2379 and 2380.
pub const PORT: u16 = 2378;

/// How long until a port that is taken is asked for again.
const AGAIN: Duration = Duration::from_secs(5);

/// What an entrance is told; plain data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens.
    pub address: SocketAddr,
    /// The authority's directory: see [`crate::pki::AuthorityFiles`].
    pub authority: PathBuf,
    /// Client URLs of etcd, as the hosts that join are to use them.
    pub endpoints: Vec<String>,
}

/// Serves for ever. A port that cannot be had is told of once, and asked for again: another agent of this
/// host may have it, until it ends.
pub async fn run(settings: Settings) {
    let mut told = false;
    loop {
        match Server::bind(settings.clone()).await {
            Ok(server) => {
                tracing::info!("hosts with a token can join at {}", settings.address);
                return server.serve().await;
            }
            Err(error) if !told => {
                told = true;
                tracing::warn!("{}: tried again until it can", chain(&error));
            }
            Err(error) => tracing::debug!("{}", chain(&error)),
        }
        tokio::time::sleep(AGAIN).await;
    }
}
