//! Word of the kernel that links or routes changed.
//!
//! What changed is not said: whoever hears it looks for himself, because word gets lost when the
//! socket's buffer is full.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::RecvFlags;

use super::Error;
use crate::netlink::Socket;

/// A socket that hears of changes in the namespace it was opened in; it can be polled.
#[derive(Debug)]
pub struct Watch {
    fd: OwnedFd,
}

/// What changed since it was last asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changed {
    /// Links came, went, or changed.
    pub links: bool,
    /// Routes did.
    pub routes: bool,
}

impl Watch {
    /// Opens one in the calling thread's network namespace.
    pub fn open() -> Result<Self, Error> {
        let groups = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_ROUTE | libc::RTMGRP_IPV6_ROUTE;
        let fd = Socket::listen(groups.cast_unsigned()).map_err(|source| {
            Error::new("listen for changes of links and routes", source.into())
        })?;
        Ok(Self { fd })
    }

    /// What changed since the last call; does not wait.
    pub fn changed(&self) -> Result<Changed, Error> {
        let mut changed = Changed::default();
        // The header is enough; the rest of a datagram is dropped by the kernel.
        let mut header = [0; 16];
        loop {
            match rustix::net::recv(&self.fd, &mut header, RecvFlags::empty()) {
                Err(Errno::AGAIN) => return Ok(changed),
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => {
                    changed = Changed {
                        links: true,
                        routes: true,
                    }
                }
                Err(errno) => {
                    return Err(Error::new(
                        "hear of changes of links and routes",
                        errno.into(),
                    ));
                }
                Ok(_) => match u16::from_ne_bytes([header[4], header[5]]) {
                    libc::RTM_NEWLINK | libc::RTM_DELLINK => changed.links = true,
                    _ => changed.routes = true,
                },
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
