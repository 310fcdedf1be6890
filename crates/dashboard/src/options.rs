//! What a dashboard is told once.

use std::net::{Ipv4Addr, SocketAddr};

use crate::{Error, Key};

/// Where it listens unless told otherwise.
const DEFAULT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 4280);

/// From where it may be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// From this machine alone.
    Loopback,
    /// From other machines too.
    Remote,
}

/// Who may look.
#[derive(Debug, Clone)]
pub enum Access {
    /// Who has the key.
    Key(Key),
    /// Everyone who reaches it.
    Everyone,
}

/// Where a dashboard listens, and for whom.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its address; port 0 is any free one.
    pub listen: SocketAddr,
    /// From where it may be reached.
    pub reach: Reach,
    /// Who may look.
    pub access: Access,
}

impl Options {
    /// Where a dashboard listens unless told otherwise.
    pub const DEFAULT_LISTEN: SocketAddr = DEFAULT;

    /// Refuses an address that says more than is meant.
    pub(crate) fn check(&self) -> Result<(), Error> {
        match self.reach {
            Reach::Loopback if !self.listen.ip().to_canonical().is_loopback() => {
                Err(Error::Exposed {
                    address: self.listen,
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(listen: &str, reach: Reach) -> Result<(), Error> {
        let options = Options {
            listen: listen.parse().expect("an address"),
            reach,
            access: Access::Everyone,
        };
        options.check()
    }

    #[test]
    fn loopback_alone_unless_more_is_said() {
        for address in [
            "127.0.0.1:0",
            "127.9.9.9:80",
            "[::1]:4280",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(at(address, Reach::Loopback).is_ok(), "{address}");
        }
        for address in ["0.0.0.0:80", "[::]:80", "192.0.2.1:4280"] {
            let error = at(address, Reach::Loopback).expect_err("it is reached by others");
            assert!(error.is_usage() && error.hint().is_some(), "{error}");
            assert!(at(address, Reach::Remote).is_ok(), "{address}");
        }
    }
}
