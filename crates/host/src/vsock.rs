//! Sockets between a guest and its host (`vsock(7)`): addresses are a context and a port.
//!
//! rustix has no type for their addresses; this is one, and the two ways to a socket.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::sockopt::socket_error;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, accept_with, bind, connect, listen, socket_with,
};

/// The host, as its guests see it.
pub const HOST: u32 = libc::VMADDR_CID_HOST;

/// What it is to bind to all contexts.
const ANY: u32 = libc::VMADDR_CID_ANY;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 16;

/// A port of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// Who: [`HOST`], or a guest.
    pub cid: u32,
    /// Which port.
    pub port: u32,
}

// SAFETY: `f` is given a pointer to a whole `sockaddr_vm`, which lives until `f` returns, and its size.
unsafe impl SocketAddrArg for Address {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        // SAFETY: all bytes zero is a valid sockaddr_vm: it is integers only.
        let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
        address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
        address.svm_cid = self.cid;
        address.svm_port = self.port;
        let length = size_of::<libc::sockaddr_vm>() as SocketAddrLen;
        f((&raw const address).cast(), length)
    }
}

/// A connection that was begun.
#[derive(Debug)]
pub enum Connection {
    /// It is there.
    Open(OwnedFd),
    /// It is being made: writable when that has ended, either way; then [`outcome`] tells.
    Pending(OwnedFd),
}

/// Begins to connect; the socket never blocks. The error is the kernel's: no vsock in it
/// (`EAFNOSUPPORT`), no device (`ENODEV`), nobody at that port (`ECONNRESET`).
pub fn begin(to: Address) -> io::Result<Connection> {
    let socket = stream(SocketFlags::NONBLOCK)?;
    match connect(&socket, &to) {
        Ok(()) => Ok(Connection::Open(socket)),
        Err(Errno::INPROGRESS) => Ok(Connection::Pending(socket)),
        Err(errno) => Err(errno.into()),
    }
}

/// How the making of a connection ended.
pub fn outcome(socket: &OwnedFd) -> io::Result<()> {
    Ok(socket_error(socket)??)
}

/// Connects, for as long as the kernel is willing to wait: two seconds.
pub fn dial(to: Address) -> io::Result<OwnedFd> {
    let socket = stream(SocketFlags::empty())?;
    connect(&socket, &to)?;
    Ok(socket)
}

/// Listens at a port of this machine.
pub fn listen_at(port: u32) -> io::Result<OwnedFd> {
    let socket = stream(SocketFlags::empty())?;
    bind(&socket, &Address { cid: ANY, port })?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// Waits for the next connection.
pub fn next(listener: &OwnedFd) -> io::Result<OwnedFd> {
    Ok(accept_with(listener, SocketFlags::CLOEXEC)?)
}

fn stream(flags: SocketFlags) -> io::Result<OwnedFd> {
    let flags = flags | SocketFlags::CLOEXEC;
    Ok(socket_with(
        AddressFamily::VSOCK,
        SocketType::STREAM,
        flags,
        None,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_the_kernel_reads() {
        let address = Address {
            cid: HOST,
            port: 0x0102_0304,
        };
        // SAFETY: the bytes are read while the pointer is valid, as many as there are.
        let bytes = unsafe {
            address.with_sockaddr(|pointer, length| {
                std::slice::from_raw_parts(pointer.cast::<u8>(), length as usize).to_vec()
            })
        };
        assert_eq!(bytes.len(), 16);
        assert_eq!(bytes[..2], 40u16.to_ne_bytes());
        assert_eq!(bytes[4..8], 0x0102_0304u32.to_ne_bytes());
        assert_eq!(bytes[8..12], 2u32.to_ne_bytes());
    }
}
