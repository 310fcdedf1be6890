//! Why there is no dashboard.

use std::io;
use std::net::SocketAddr;

/// Errors of starting it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Everyone on the network could ask for it.
    #[error("{address} is reached from other machines, and the dashboard is not encrypted")]
    Exposed {
        /// Where it should listen.
        address: SocketAddr,
    },
    /// The address cannot be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where it should listen.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// There is no runtime for it.
    #[error("cannot serve the dashboard")]
    Serve(#[source] io::Error),
    /// There are no random bytes for its key.
    #[error("cannot make a key for the dashboard")]
    Key(#[source] io::Error),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exposed { .. } => Some(
                "reach it by ssh: ssh -L 4280:127.0.0.1:4280 HOST; or add --allow-remote where you trust \
                 the network"
                    .into(),
            ),
            Self::Listen { source, .. } => Some(listening(source.kind()).into()),
            Self::Serve(_) | Self::Key(_) => None,
        }
    }

    /// Whether what was asked for cannot be, as opposed to something that failed.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Exposed { .. })
    }
}

fn listening(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::AddrInUse => {
            "another program has it: choose a port with --listen, or any free one with --listen 127.0.0.1:0"
        }
        io::ErrorKind::PermissionDenied => {
            "ports below 1024 are root's: choose a higher one with --listen"
        }
        _ => "give --listen an address of this host",
    }
}
