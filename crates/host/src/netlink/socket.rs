//! The socket itself.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use netlink_packet_core::Emitable;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, sockopt,
};

use super::frame::{self, Frame};

const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const ACKNOWLEDGE: u16 = libc::NLM_F_ACK as u16;
const DUMP: u16 = libc::NLM_F_DUMP as u16;
/// The tables changed while they were read: the answer may lack or repeat entries.
const DUMP_INTERRUPTED: u16 = libc::NLM_F_DUMP_INTR as u16;
/// Attributes follow the header in an error.
const ERROR_ATTRIBUTES: u16 = 0x200;
const ERROR: u16 = libc::NLMSG_ERROR as u16;
const DONE: u16 = libc::NLMSG_DONE as u16;

/// The kernel fills a dump's datagrams up to 32 KiB; one message alone may be larger.
const BUFFER: usize = 64 * 1024;
/// Requests sent in one datagram. The kernel answers them all before `send` returns, and every answer
/// takes about 1 KiB of a receive buffer of 200 KiB.
const BATCH: usize = 64;
/// How often a dump is started again because the tables changed meanwhile.
const DUMP_ATTEMPTS: usize = 20;
/// The kernel answers before `send` returns, so only a kernel that is ill lets this pass.
const PATIENCE: Duration = Duration::from_secs(20);

/// A refused request: the error and, where there is one, the kernel's text.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) source: io::Error,
    pub(crate) detail: Option<String>,
}

impl<E: Into<io::Error>> From<E> for Refusal {
    fn from(source: E) -> Self {
        Self {
            source: source.into(),
            detail: None,
        }
    }
}

impl Refusal {
    pub(crate) fn errno(&self) -> Option<i32> {
        self.source.raw_os_error()
    }
}

/// A netlink socket, bound to the network namespace it was opened in.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    sequence: Cell<u32>,
}

impl Socket {
    /// Opens one for links, addresses and routes in the calling thread's network namespace.
    pub(crate) fn open() -> io::Result<Self> {
        // NETLINK_ROUTE is protocol 0.
        Self::open_protocol(None)
    }

    /// Opens one for the families of generic netlink in the calling thread's network namespace.
    pub(crate) fn open_generic() -> io::Result<Self> {
        Self::open_protocol(Some(netlink::GENERIC))
    }

    fn open_protocol(protocol: Option<Protocol>) -> io::Result<Self> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, Some(PATIENCE))?;
        // Older kernels know fewer of these; without them only messages get poorer and dumps longer.
        for option in [
            libc::NETLINK_EXT_ACK,
            libc::NETLINK_CAP_ACK,
            libc::NETLINK_GET_STRICT_CHK,
        ] {
            switch_on(&fd, option);
        }
        Ok(Self {
            fd,
            sequence: Cell::new(1),
        })
    }

    /// Opens one that hears of every change of the multicast `groups` (`RTMGRP_*`), without waiting.
    pub(crate) fn listen(groups: u32) -> io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        rustix::net::bind(&fd, &netlink::SocketAddrNetlink::new(0, groups))?;
        Ok(fd)
    }

    /// Sends a request that changes something and waits for its acknowledgement.
    pub(crate) fn change(
        &self,
        kind: u16,
        flags: i32,
        body: &impl Emitable,
    ) -> Result<(), Refusal> {
        let flags = REQUEST | ACKNOWLEDGE | u16::try_from(flags).unwrap_or_default();
        let sequence = self.send(kind, flags, body)?;
        self.receive(sequence, |_| Ok(true)).map(drop)
    }

    /// Sends many requests that change something, several in a datagram, and waits for all
    /// acknowledgements: one result for each, in order. A refused one does not keep the others.
    pub(crate) fn change_all<B: Emitable>(
        &self,
        requests: &[(u16, i32, B)],
    ) -> Vec<Result<(), Refusal>> {
        requests
            .chunks(BATCH)
            .flat_map(|batch| self.change_batch(batch))
            .collect()
    }

    fn change_batch<B: Emitable>(&self, requests: &[(u16, i32, B)]) -> Vec<Result<(), Refusal>> {
        let first = self.sequence.get();
        let mut bytes = Vec::new();
        for (kind, flags, body) in requests {
            let flags = REQUEST | ACKNOWLEDGE | u16::try_from(*flags).unwrap_or_default();
            let sequence = self.next_sequence();
            bytes.extend(frame::encode(*kind, flags, sequence, body));
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        let mut results: Vec<_> = requests.iter().map(|_| None).collect();
        let outcome = (self.transmit(&bytes)).and_then(|()| self.collect(first, &mut results));
        let kind = outcome.err().map(|error| error.raw_os_error());
        let unanswered = || {
            let errno = kind.flatten().unwrap_or(libc::EIO);
            Err(io::Error::from_raw_os_error(errno).into())
        };
        (results.into_iter())
            .map(|result| result.unwrap_or_else(unanswered))
            .collect()
    }

    /// Reads acknowledgements, the first of them for the request `first`, until all have come.
    fn collect(&self, first: u32, results: &mut [Option<Result<(), Refusal>>]) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        while results.iter().any(Option::is_none) {
            let length = self.receive_datagram(&mut buffer)?;
            for frame in frame::frames(&buffer[..length]) {
                let place = frame.sequence.wrapping_sub(first) as usize;
                if let (ERROR, Some(result)) = (frame.kind, results.get_mut(place)) {
                    *result = Some(outcome(frame));
                }
            }
        }
        Ok(())
    }

    /// Sends a request for one object and gives the payload of its reply to `read`.
    pub(crate) fn get<T>(
        &self,
        kind: u16,
        body: &impl Emitable,
        read: impl Fn(&[u8]) -> io::Result<T>,
    ) -> Result<T, Refusal> {
        let sequence = self.send(kind, REQUEST, body)?;
        let mut found = None;
        self.receive(sequence, |frame| {
            found = Some(read(frame.payload)?);
            Ok(true)
        })?;
        found.ok_or_else(|| malformed("an acknowledgement without a reply").into())
    }

    /// Sends a request for all objects and gives every reply to `read`, which may leave one out.
    pub(crate) fn dump<T>(
        &self,
        kind: u16,
        body: &impl Emitable,
        read: impl Fn(&[u8]) -> io::Result<Option<T>>,
    ) -> Result<Vec<T>, Refusal> {
        for _ in 0..DUMP_ATTEMPTS {
            let sequence = self.send(kind, REQUEST | DUMP, body)?;
            let mut found = Vec::new();
            let interrupted = self.receive(sequence, |frame| {
                found.extend(read(frame.payload)?);
                Ok(false)
            })?;
            if !interrupted {
                return Ok(found);
            }
        }
        Err(io::Error::from(io::ErrorKind::ResourceBusy).into())
    }

    fn send(&self, kind: u16, flags: u16, body: &impl Emitable) -> Result<u32, Refusal> {
        let sequence = self.next_sequence();
        self.transmit(&frame::encode(kind, flags, sequence, body))?;
        Ok(sequence)
    }

    fn next_sequence(&self) -> u32 {
        let sequence = self.sequence.get();
        self.sequence.set(sequence.wrapping_add(1));
        sequence
    }

    fn transmit(&self, bytes: &[u8]) -> io::Result<()> {
        let kernel = netlink::SocketAddrNetlink::new(0, 0);
        loop {
            match rustix::net::sendto(&self.fd, bytes, SendFlags::empty(), &kernel) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Reads answers to `sequence` until an acknowledgement, an error, the end of a dump, or until
    /// `each` says it has enough. Whether the dump was interrupted.
    fn receive(
        &self,
        sequence: u32,
        mut each: impl FnMut(Frame<'_>) -> io::Result<bool>,
    ) -> Result<bool, Refusal> {
        let mut buffer = vec![0; BUFFER];
        let mut interrupted = false;
        loop {
            let length = self.receive_datagram(&mut buffer)?;
            for frame in frame::frames(&buffer[..length]) {
                if frame.sequence != sequence {
                    // The rest of an answer somebody gave up on.
                    continue;
                }
                interrupted |= frame.flags & DUMP_INTERRUPTED != 0;
                match frame.kind {
                    ERROR | DONE => return outcome(frame).map(|()| interrupted),
                    _ if each(frame)? => return Ok(interrupted),
                    _ => {}
                }
            }
        }
    }

    fn receive_datagram(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let received = rustix::net::recvfrom(&self.fd, &mut *buffer, RecvFlags::TRUNC);
            let (_, length, sender) = match received {
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN) => return Err(io::ErrorKind::TimedOut.into()),
                other => other?,
            };
            let sender =
                sender.and_then(|address| netlink::SocketAddrNetlink::try_from(address).ok());
            if sender.is_some_and(|address| address.pid() != 0) {
                // Another process may write to us; only the kernel has port 0.
                continue;
            }
            if length > buffer.len() {
                return Err(malformed("an answer larger than 64 KiB"));
            }
            return Ok(length);
        }
    }
}

fn outcome(frame: Frame<'_>) -> Result<(), Refusal> {
    match frame::error_number(frame.payload) {
        0 => Ok(()),
        number => Err(Refusal {
            source: io::Error::from_raw_os_error(number),
            detail: (frame.flags & ERROR_ATTRIBUTES != 0)
                .then(|| frame::error_text(frame.payload))
                .flatten(),
        }),
    }
}

/// An answer that is not what the kernel promises.
pub(crate) fn malformed(what: impl std::fmt::Display) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the kernel's answer cannot be read: {what}"),
    )
}

fn switch_on(fd: &OwnedFd, option: libc::c_int) {
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open, and the kernel reads exactly the bytes of `on`.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_NETLINK,
            option,
            (&raw const on).cast(),
            size_of_val(&on) as libc::socklen_t,
        )
    };
    if result != 0 {
        tracing::debug!(option, "netlink option not known to this kernel");
    }
}
