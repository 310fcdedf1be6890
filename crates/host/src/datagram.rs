//! Many UDP datagrams with one system call.

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

/// Datagrams of one call at most.
pub const BATCH: usize = 64;

/// `UDP_SEGMENT` (`linux/udp.h`): one buffer goes out as datagrams of that many bytes each.
const SEGMENT: libc::c_int = 103;

/// A control message of a u16, with the alignment `struct cmsghdr` needs.
type Control = [u64; 3];

const CONTROL_HEADER: usize = size_of::<libc::cmsghdr>();

/// Something to send.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Where to.
    pub to: SocketAddrV4,
    /// What.
    pub bytes: &'a [u8],
    /// Cut into datagrams of that many bytes, the last one shorter, on the way; none: as it is.
    pub segment: Option<u16>,
}

/// Buffers for received datagrams, [`BATCH`] of them.
#[derive(Debug)]
pub struct Incoming {
    storage: Vec<u8>,
    size: usize,
    lengths: Vec<usize>,
}

impl Incoming {
    /// Buffers of `size` bytes each; what is longer is cut off.
    pub fn new(size: usize) -> Self {
        let size = size.max(1);
        Self {
            storage: vec![0; size * BATCH],
            size,
            lengths: Vec::with_capacity(BATCH),
        }
    }

    /// Takes what has come, without waiting; how many there are, none if nothing has.
    pub fn receive(&mut self, socket: impl AsFd) -> io::Result<usize> {
        self.lengths.clear();
        let mut parts: Vec<libc::iovec> = (self.storage.chunks_exact_mut(self.size))
            .map(|buffer| libc::iovec {
                iov_base: buffer.as_mut_ptr().cast(),
                iov_len: buffer.len(),
            })
            .collect();
        let mut headers: Vec<libc::mmsghdr> = parts.iter_mut().map(header).collect();
        // SAFETY: the descriptor is open. Every header points to one element of `parts`, which points
        // to `size` writable bytes of `storage` that no other points to; all outlive the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let Ok(count) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                _ => Err(error),
            };
        };
        (self.lengths).extend((headers.iter().take(count)).map(|header| header.msg_len as usize));
        Ok(count)
    }

    /// What came last.
    pub fn datagrams(&mut self) -> impl Iterator<Item = &mut [u8]> {
        (self.storage.chunks_exact_mut(self.size))
            .zip(&self.lengths)
            .map(|(buffer, length)| &mut buffer[..(*length).min(self.size)])
    }
}

/// Sends the first [`BATCH`] of `messages`; how many went, at least one. An error is the first one's.
pub fn send(socket: impl AsFd, messages: &[Outgoing<'_>]) -> io::Result<usize> {
    let messages = &messages[..messages.len().min(BATCH)];
    if messages.is_empty() {
        return Ok(0);
    }
    let mut addresses: Vec<libc::sockaddr_in> = messages.iter().map(address).collect();
    let mut parts: Vec<libc::iovec> = (messages.iter())
        .map(|message| libc::iovec {
            // The kernel only reads what is sent.
            iov_base: message.bytes.as_ptr().cast_mut().cast(),
            iov_len: message.bytes.len(),
        })
        .collect();
    let mut controls: Vec<Option<Control>> = (messages.iter())
        .map(|message| message.segment.map(control))
        .collect();
    let mut headers: Vec<libc::mmsghdr> = (parts.iter_mut())
        .zip(&mut addresses)
        .zip(&mut controls)
        .map(|((part, address), control)| {
            let mut header = header(part);
            header.msg_hdr.msg_name = ptr::from_mut(address).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            if let Some(control) = control {
                header.msg_hdr.msg_control = ptr::from_mut(control).cast();
                header.msg_hdr.msg_controllen = size_of::<Control>();
            }
            header
        })
        .collect();
    // SAFETY: the descriptor is open. Every header points to one address, one part and one control
    // message of the lists above, and every part to the bytes of one message; all outlive the call,
    // which only reads them.
    let count = unsafe {
        libc::sendmmsg(
            socket.as_fd().as_raw_fd(),
            headers.as_mut_ptr(),
            headers.len() as libc::c_uint,
            0,
        )
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// A header for one part, without address and control message.
fn header(part: &mut libc::iovec) -> libc::mmsghdr {
    // SAFETY: all zeros is a valid value of this plain structure.
    let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
    header.msg_hdr.msg_iov = part;
    header.msg_hdr.msg_iovlen = 1;
    header
}

fn address(message: &Outgoing<'_>) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: message.to.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes(message.to.ip().octets()),
        },
        sin_zero: [0; 8],
    }
}

/// `struct cmsghdr` and its u16, as bytes.
fn control(segment: u16) -> Control {
    let mut bytes = [0; size_of::<Control>()];
    let length = CONTROL_HEADER + size_of::<u16>();
    bytes[..8].copy_from_slice(&length.to_ne_bytes());
    bytes[8..12].copy_from_slice(&libc::SOL_UDP.to_ne_bytes());
    bytes[12..16].copy_from_slice(&SEGMENT.to_ne_bytes());
    bytes[16..18].copy_from_slice(&segment.to_ne_bytes());
    let mut control = [0; 3];
    for (word, bytes) in control.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    control
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{SocketAddr, UdpSocket};

    fn pair() -> (UdpSocket, UdpSocket, SocketAddrV4) {
        let from = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let to = UdpSocket::bind("127.0.0.1:0").expect("bind");
        let SocketAddr::V4(address) = to.local_addr().expect("address") else {
            unreachable!("bound to IPv4")
        };
        (from, to, address)
    }

    #[test]
    fn all_arrive_in_order_and_cut_to_size() {
        let (from, to, address) = pair();
        let texts: Vec<String> = (0..70).map(|number| format!("datagram {number}")).collect();
        let messages: Vec<Outgoing<'_>> = (texts.iter())
            .map(|text| Outgoing {
                to: address,
                bytes: text.as_bytes(),
                segment: None,
            })
            .collect();
        assert_eq!(send(&from, &messages).expect("send"), BATCH);
        let mut incoming = Incoming::new(10);
        assert_eq!(incoming.receive(&to).expect("receive"), BATCH);
        for (datagram, text) in incoming.datagrams().zip(&texts) {
            assert_eq!(*datagram, text.as_bytes()[..10.min(text.len())]);
        }
        assert_eq!(incoming.receive(&to).expect("receive"), 0);
        assert_eq!(incoming.datagrams().count(), 0);
        assert_eq!(send(&from, &[]).expect("nothing to do"), 0);
    }

    #[test]
    fn one_buffer_goes_out_in_segments() {
        let (from, to, address) = pair();
        let message = Outgoing {
            to: address,
            bytes: &[7; 2500],
            segment: Some(1000),
        };
        assert_eq!(send(&from, &[message]).expect("send"), 1);
        let mut incoming = Incoming::new(1500);
        assert_eq!(incoming.receive(&to).expect("receive"), 3);
        let lengths: Vec<usize> = incoming.datagrams().map(|bytes| bytes.len()).collect();
        assert_eq!(lengths, [1000, 1000, 500]);
    }
}
