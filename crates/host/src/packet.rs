//! A packet socket that sees a guest's DHCP requests, and nothing else.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use crate::error::SystemError as Error;

/// Raw ethernet frames of one interface, filtered in the kernel to IPv4 UDP to port 67.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// Listens on the interface `index` of the calling thread's network namespace; does not block.
    pub fn open(index: u32) -> Result<Self, Error> {
        Err(Error::new(
            format!("listen on interface {index}"),
            std::io::ErrorKind::Unsupported,
        ))
    }

    /// The next frame's length in `buffer` (cut to it), none if there is none now.
    pub fn recv(&self, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        let _ = (buffer, &self.fd);
        Ok(None)
    }

    /// Sends an ethernet frame out of the interface, to the guest.
    pub fn send(&self, frame: &[u8]) -> Result<(), Error> {
        let _ = frame;
        Ok(())
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
