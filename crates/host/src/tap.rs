//! Taps: a network interface whose other end is a file descriptor, for a VMM.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::error::SystemError as SysError;

pub use crate::error::SystemError as Error;

/// An open tap; the interface goes when the last descriptor closes.
#[derive(Debug)]
pub struct Tap {
    fd: OwnedFd,
    index: u32,
}

impl Tap {
    /// Makes the interface `name` in the calling thread's network namespace: frames without a
    /// protocol word, with a virtio-net header, no IPv6 address of its own; not up yet.
    pub fn create(name: &str) -> Result<Self, Error> {
        Err(SysError::new(
            format!("create the tap {name}"),
            std::io::ErrorKind::Unsupported,
        ))
    }

    /// The interface's index.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// The descriptor, to hand to a VMM.
    pub fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
