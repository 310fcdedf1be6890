//! Packet sockets: raw ethernet frames of one interface, those a program in the kernel chooses.
//!
//! On a tap such a socket listens to every protocol: frames that tc redirects are seen by such a
//! socket only, before the redirect. What its program refuses is not copied, and checksums are
//! nobody's business here (a guest may leave them to the device).

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

use crate::bpf::{Assembler, Is, Program, Width};
use crate::error::Context;
pub use crate::error::SystemError as Error;

/// Frames of one interface that come in.
#[derive(Debug)]
pub struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// Listens on the interface `index` of the calling thread's network namespace; does not block.
    /// The program answers how many bytes of a frame it gives, 0 for none of it.
    pub fn open(index: u32, program: &Program) -> Result<Self, Error> {
        listen(index, program)
            .map(|fd| Self { fd })
            .context(|| format!("listen on interface {index}"))
    }

    /// Chooses by another program from now on.
    pub fn choose(&self, program: &Program) -> Result<(), Error> {
        attach(&self.fd, program).context(|| "change the filter of a packet socket".to_owned())
    }

    /// The next frame's length in `buffer` (cut to it), none if there is none now.
    pub fn recv(&self, buffer: &mut [u8]) -> Result<Option<usize>, Error> {
        match rustix::net::recv(&self.fd, buffer, RecvFlags::empty()) {
            Ok((length, _)) => Ok(Some(length)),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(None),
            Err(errno) => Err(Error::new("receive a frame", errno)),
        }
    }

    /// Sends an ethernet frame out of the interface: from a tap to the guest.
    pub fn send(&self, frame: &[u8]) -> Result<(), Error> {
        rustix::net::send(&self.fd, frame, SendFlags::empty())
            .map(drop)
            .context(|| "send a frame".to_owned())
    }

    /// How many frames were chosen since the last call but found no room to wait in.
    pub fn missed(&self) -> Result<u32, Error> {
        statistics(&self.fd)
            .map(|statistics| statistics.tp_drops)
            .context(|| "count the frames of a packet socket".to_owned())
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Chooses neighbour solicitations and advertisements, without extension headers before them.
pub fn neighbour_discovery() -> Program {
    const NEXT_HEADER: u32 = 20;
    const KIND: u32 = 54;
    let mut assembler = Assembler::default();
    let (it, other) = (assembler.label(), assembler.label());
    assembler.load(Width::Half, 12);
    assembler.goto_unless(Is::Equal(0x86dd), other);
    assembler.load(Width::Byte, NEXT_HEADER);
    assembler.goto_unless(Is::Equal(58), other);
    assembler.load(Width::Byte, KIND);
    assembler.goto_if(Is::Equal(135), it);
    assembler.goto_unless(Is::Equal(136), other);
    assembler.place(it);
    assembler.answer(0xffff);
    assembler.place(other);
    assembler.answer(0);
    assembler.finish()
}

fn listen(index: u32, program: &Program) -> io::Result<OwnedFd> {
    // Protocol 0: it hears nothing until it is bound, when the filter is in place.
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?;
    attach(&fd, program)?;
    ignore_outgoing(&fd)?;
    bind(&fd, index, libc::ETH_P_ALL)?;
    Ok(fd)
}

fn bind(fd: &OwnedFd, index: u32, protocol: libc::c_int) -> io::Result<()> {
    // SAFETY: all zeros is a valid value of this plain structure.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (protocol as u16).to_be();
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

fn attach(fd: &OwnedFd, program: &Program) -> io::Result<()> {
    let mut filter: Vec<libc::sock_filter> = program
        .instructions()
        .iter()
        .map(|instruction| libc::sock_filter {
            code: instruction.code,
            jt: instruction.then,
            jf: instruction.otherwise,
            k: instruction.value,
        })
        .collect();
    let program = libc::sock_fprog {
        len: u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: filter.as_mut_ptr(),
    };
    set_option(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &program)
}

/// Reading them makes them start anew.
fn statistics(fd: &OwnedFd) -> io::Result<libc::tpacket_stats> {
    // SAFETY: all zeros is a valid value of this plain structure.
    let mut statistics: libc::tpacket_stats = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tpacket_stats>() as libc::socklen_t;
    // SAFETY: the descriptor is open; the kernel writes at most `length` bytes to `statistics`.
    let result = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            (&raw mut statistics).cast(),
            &raw mut length,
        )
    };
    answer(result).map(|()| statistics)
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

/// A socket without the filter, for other modules' tests.
#[cfg(test)]
pub(crate) fn everything(index: u32) -> OwnedFd {
    unfiltered(index, libc::ETH_P_ALL)
}

/// The same for one protocol: it hears what goes on into the namespace's own stack.
#[cfg(test)]
pub(crate) fn unfiltered(index: u32, protocol: libc::c_int) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)
        .expect("packet socket");
    ignore_outgoing(&fd).expect("a kernel after 4.20");
    bind(&fd, index, protocol).expect("bind");
    fd
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Netlink;
    use crate::netns::Namespace;
    use crate::signal::{PollFd, PollFlags, poll};
    use std::time::Duration;

    /// IPv6 frames, up to their 20th byte.
    fn ipv6() -> Program {
        let mut assembler = Assembler::default();
        let other = assembler.label();
        assembler.load(Width::Half, 12);
        assembler.goto_unless(Is::Equal(0x86dd), other);
        assembler.answer(20);
        assembler.place(other);
        assembler.answer(0);
        assembler.finish()
    }

    fn frame(protocol: [u8; 2], last: u8) -> Vec<u8> {
        let mut frame = vec![0xff; 12];
        frame.extend(protocol);
        frame.extend([last; 30]);
        frame
    }

    #[test]
    fn sees_what_its_program_chooses() {
        let namespace = Namespace::anonymous().expect("namespace");
        namespace
            .run(|| {
                let netlink = Netlink::open().expect("netlink");
                let near = netlink.create_veth("near", "far", None).expect("veth");
                let far = netlink.link("far").expect("look").expect("there").index;
                for index in [near, far] {
                    netlink.disable_ipv6_address(index).expect("quiet");
                    netlink.set_up(index).expect("up");
                }
                let one = PacketSocket::open(near, &ipv6()).expect("open");
                let other = PacketSocket::open(far, &Program::always(0xffff)).expect("open");
                other.send(&frame([8, 0], 1)).expect("send");
                other.send(&frame([0x86, 0xdd], 2)).expect("send");
                let mut fds = [PollFd::new(&one, PollFlags::IN)];
                let ready = poll(&mut fds, Some(Duration::from_secs(10))).expect("poll");
                assert_eq!(ready, 1);
                let mut buffer = [0; 2048];
                let length = one.recv(&mut buffer).expect("receive").expect("a frame");
                assert_eq!(buffer[..length], frame([0x86, 0xdd], 2)[..20]);
                assert_eq!(one.recv(&mut buffer).expect("receive"), None);
                // Its own frames do not come back.
                assert_eq!(other.recv(&mut buffer).expect("receive"), None);
                one.choose(&Program::always(0)).expect("choose");
                other.send(&frame([0x86, 0xdd], 2)).expect("send");
                assert_eq!(one.recv(&mut buffer).expect("receive"), None);
            })
            .expect("enter");
    }

    #[test]
    fn what_finds_no_room_is_counted() {
        let namespace = Namespace::anonymous().expect("namespace");
        namespace
            .run(|| {
                let netlink = Netlink::open().expect("netlink");
                let near = netlink.create_veth("near", "far", None).expect("veth");
                let far = netlink.link("far").expect("look").expect("there").index;
                for index in [near, far] {
                    netlink.disable_ipv6_address(index).expect("quiet");
                    netlink.set_up(index).expect("up");
                }
                let all = Program::always(0xffff);
                let one = PacketSocket::open(near, &all).expect("open");
                let other = PacketSocket::open(far, &all).expect("open");
                const SENT: usize = 5000;
                for _ in 0..SENT {
                    other.send(&frame([8, 0], 1)).expect("send");
                }
                let mut buffer = [0; 2048];
                let mut read = 0;
                while one.recv(&mut buffer).expect("receive").is_some() {
                    read += 1;
                }
                let missed = one.missed().expect("count");
                assert!(missed > 0, "{read} frames fit");
                assert_eq!(read + missed as usize, SENT);
                assert_eq!(one.missed().expect("count"), 0);
            })
            .expect("enter");
    }
}
