//! A packet socket that sees a guest's DHCP requests, and nothing else.
//!
//! It listens on the tap to every protocol: frames that tc redirects are seen by such a socket only,
//! before the redirect. A filter in the kernel keeps everything but DHCP requests from being copied,
//! and checksums are nobody's business here (a guest may leave them to the device).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::error::Context;
pub use crate::error::SystemError as Error;

/// Raw ethernet frames of one interface, filtered in the kernel to IPv4 UDP to port 67.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// Listens on the interface `index` of the calling thread's network namespace; does not block.
    pub fn open(index: u32) -> Result<Self, Error> {
        listen(index)
            .map(|fd| Self { fd })
            .context(|| format!("listen on interface {index}"))
    }

    /// The next frame's length in `buffer` (cut to it), none if there is none now.
    pub fn recv(&self, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        match rustix::net::recv(&self.fd, buffer, RecvFlags::empty()) {
            Ok((length, _)) => Ok(Some(length)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(errno) => Err(Error::new("receive a frame", errno)),
        }
    }

    /// Sends an ethernet frame out of the interface, to the guest.
    pub fn send(&self, frame: &[u8]) -> Result<(), Error> {
        rustix::net::send(&self.fd, frame, SendFlags::empty())
            .map(drop)
            .context(|| "send a frame".to_owned())
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn listen(index: u32) -> io::Result<OwnedFd> {
    // Protocol 0: it hears nothing until it is bound, when the filter is in place.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?;
    attach(&fd, &DHCP_REQUESTS)?;
    ignore_outgoing(&fd)?;
    bind(&fd, index)?;
    Ok(fd)
}

fn bind(fd: &OwnedFd, index: u32) -> io::Result<()> {
    // SAFETY: all zeros is a valid value of this plain structure.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = libc::c_int::try_from(index).map_err(|_| io::ErrorKind::InvalidInput)?;
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the descriptor is open; the kernel reads `length` bytes of `address`.
    let result = unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) };
    answer(result)
}

/// Our own answers are not for us. Kernels before 4.20 do not know it; there the filter keeps most of
/// them out.
fn ignore_outgoing(fd: &OwnedFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    match set_option(fd, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &on) {
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(()),
        result => result,
    }
}

fn attach(fd: &OwnedFd, program: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).expect("a dozen instructions"),
        // The kernel only reads it; the type is C's.
        filter: program.as_ptr().cast_mut(),
    };
    set_option(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

fn set_option<T>(fd: &OwnedFd, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the descriptor is open; the kernel reads `length` bytes of `value`, and for the filter
    // the program it points to, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            std::ptr::from_ref(value).cast(),
            length,
        )
    };
    answer(result)
}

fn answer(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Ethernet, IPv4, UDP, not a fragment, to port 67; all of such a frame, nothing of any other.
const DHCP_REQUESTS: [libc::sock_filter; 11] = [
    // Protocol of the ethernet header: IPv4.
    load(HALF | ABSOLUTE, 12),
    unless_equal(0x0800, 8),
    // Protocol of the IPv4 header: UDP.
    load(BYTE | ABSOLUTE, 23),
    unless_equal(17, 6),
    // Fragment offset and "more fragments": none.
    load(HALF | ABSOLUTE, 20),
    jump(libc::BPF_JSET, 0x3fff, 4, 0),
    // The IPv4 header's length, then the UDP header's destination port.
    statement(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 14),
    load(HALF | libc::BPF_IND, 16),
    unless_equal(67, 1),
    statement(libc::BPF_RET | libc::BPF_K, 0xffff),
    statement(libc::BPF_RET | libc::BPF_K, 0),
];

const HALF: u32 = libc::BPF_H;
const BYTE: u32 = libc::BPF_B;
const ABSOLUTE: u32 = libc::BPF_ABS;

const fn load(size_and_mode: u32, offset: u32) -> libc::sock_filter {
    statement(libc::BPF_LD | size_and_mode, offset)
}

/// Goes on if the loaded value is `value`, else skips `skip` instructions.
const fn unless_equal(value: u32, skip: u8) -> libc::sock_filter {
    jump(libc::BPF_JEQ, value, 0, skip)
}

const fn jump(condition: u32, value: u32, then: u8, otherwise: u8) -> libc::sock_filter {
    libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_K | condition) as u16,
        jt: then,
        jf: otherwise,
        k: value,
    }
}

const fn statement(code: u32, value: u32) -> libc::sock_filter {
    libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k: value,
    }
}

/// A socket without the filter, for other modules' tests.
#[cfg(test)]
pub(crate) fn everything(index: u32) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)
        .expect("packet socket");
    ignore_outgoing(&fd).expect("a kernel after 4.20");
    bind(&fd, index).expect("bind");
    fd
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Netlink;
    use crate::netns::Namespace;
    use crate::signal::{PollFd, PollFlags, poll};
    use std::time::Duration;

    const UDP: u8 = 17;

    /// An IPv4 frame with `options` words of options.
    fn frame(protocol: u8, fragment: u16, options: u8, port: u16) -> Vec<u8> {
        let mut frame = vec![0xff; 12];
        frame.extend([0x08, 0x00, 0x45 + options, 0, 0, 0, 0, 0]);
        frame.extend(fragment.to_be_bytes());
        frame.extend([64, protocol, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]);
        frame.extend(vec![1; 4 * usize::from(options)]);
        frame.extend([0, 68]);
        frame.extend(port.to_be_bytes());
        frame.extend([0; 40]);
        frame
    }

    #[test]
    fn sees_dhcp_requests_only() {
        let namespace = Namespace::anonymous().expect("namespace");
        namespace
            .run(|| {
                let netlink = Netlink::open().expect("netlink");
                let near = netlink.create_veth("near", "far", None).expect("veth");
                let far = netlink.link("far").expect("look").expect("there").index;
                netlink.set_up(near).expect("up");
                netlink.set_up(far).expect("up");
                let server = PacketSocket::open(near).expect("open");
                let guest = PacketSocket::open(far).expect("open");

                let request = frame(UDP, 0, 0, 67);
                let with_options = frame(UDP, 0x4000, 3, 67);
                let mut short = frame(UDP, 0, 0, 67);
                short.truncate(30);
                for other in [
                    frame(UDP, 0, 0, 68),
                    frame(6, 0, 0, 67),
                    frame(UDP, 0x2000, 0, 67),
                    frame(UDP, 0x0001, 0, 67),
                    short,
                    vec![0xff; 60],
                ] {
                    guest.send(&other).expect("send");
                }
                guest.send(&request).expect("send");
                guest.send(&with_options).expect("send");

                let mut fds = [PollFd::new(&server, PollFlags::IN)];
                assert_eq!(
                    poll(&mut fds, Some(Duration::from_secs(10))).expect("poll"),
                    1
                );
                let mut buffer = [0; 2048];
                for expected in [request, with_options] {
                    let length = server.recv(&mut buffer).expect("receive").expect("a frame");
                    assert_eq!(buffer[..length], expected);
                }
                assert_eq!(server.recv(&mut buffer).expect("receive"), None);
                // Its own frames do not come back.
                assert_eq!(guest.recv(&mut buffer).expect("receive"), None);
            })
            .expect("enter");
    }
}
