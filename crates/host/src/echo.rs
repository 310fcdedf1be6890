//! ICMP echo over IPv4 (RFC 792): whether a host answers, and with what size of packets.
//!
//! One socket asks any number of hosts. What comes in is anybody's: only answers that carry our
//! identifier and a token nobody else knows are taken.
//!
//! ```text
//!   type 8, code 0, checksum | identifier, sequence | token, zeros     don't-fragment is set
//! ```

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, ipproto, sockopt};

use crate::error::Context;
pub use crate::error::SystemError as Error;

/// Bytes of an echo without data: an IPv4 header without options, and that of ICMP.
pub const HEADERS: usize = IP + ICMP;
/// The least size of an echo of ours: the token has to fit.
pub const SMALLEST: usize = HEADERS + TOKEN;

const IP: usize = 20;
const ICMP: usize = 8;
const TOKEN: usize = 8;
/// For what waits to be read: a thousand answers of some hundred bytes.
const BUFFER: usize = 1 << 20;
/// Read of a packet at most: the headers of an error, and those of what it is about.
const READ: usize = 256;

const ECHO_REPLY: u8 = 0;
const UNREACHABLE: u8 = 3;
const ECHO: u8 = 8;
const TIME_EXCEEDED: u8 = 11;
/// Code of [`UNREACHABLE`]: too large, and not to be fragmented.
const TOO_LARGE: u8 = 4;

/// A socket for echoes. It does not block.
#[derive(Debug)]
pub struct Echo {
    fd: OwnedFd,
    kind: Kind,
    identifier: u16,
    token: [u8; TOKEN],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Sees all ICMP of the namespace, errors too; needs CAP_NET_RAW.
    Raw,
    /// The kernel chooses the identifier and tells of no errors; allowed to the groups of
    /// `net.ipv4.ping_group_range`.
    Datagram,
}

/// What became of an echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Whom it was sent to.
    pub to: Ipv4Addr,
    /// Its number.
    pub sequence: u16,
    /// What is told of it.
    pub said: Said,
}

/// What is told of an echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// The host answers.
    Alive,
    /// Somebody on the way, or this host, cannot or may not deliver it (RFC 792, RFC 1812 5.2.7.1).
    Unreachable {
        /// 0 network, 1 host, 13 forbidden by a rule, ...
        code: u8,
    },
    /// A link on the way takes no packet of that size.
    TooLarge {
        /// What it takes, in bytes; 0 where it does not say.
        mtu: u16,
    },
    /// It went round in circles.
    Expired,
}

impl Echo {
    /// A socket in the calling thread's network namespace.
    pub fn open() -> Result<Self, Error> {
        let (fd, kind) = socket().context(|| "open a socket for ICMP".to_owned())?;
        let made = set_up(&fd).and_then(|()| random::<{ TOKEN + 2 }>());
        let bytes = made.context(|| "set up a socket for ICMP".to_owned())?;
        let [first, second, token @ ..] = bytes;
        Ok(Self {
            fd,
            kind,
            identifier: u16::from_be_bytes([first, second]),
            token,
        })
    }

    /// Sends an echo of `size` bytes, with the IP header ([`SMALLEST`] at least), not to be fragmented.
    /// The error is the kernel's: no route, forbidden by a rule of this host, larger than the device's
    /// MTU.
    pub fn send(&self, to: Ipv4Addr, sequence: u16, size: usize) -> io::Result<()> {
        let message = message(self.identifier, sequence, self.token, size);
        let to = SocketAddrV4::new(to, 0);
        rustix::net::sendto(&self.fd, &message, SendFlags::empty(), &to)?;
        Ok(())
    }

    /// The next answer to an echo of ours; none if there is none now.
    pub fn receive(&self) -> Result<Option<Answer>, Error> {
        let mut buffer = [0; READ];
        loop {
            let received = rustix::net::recvfrom(&self.fd, &mut buffer, RecvFlags::empty());
            let (length, from) = match received {
                Ok((length, _, from)) => (length, from),
                Err(rustix::io::Errno::AGAIN) => return Ok(None),
                Err(rustix::io::Errno::INTR) => continue,
                Err(errno) => return Err(Error::new("receive an answer to an echo", errno)),
            };
            let from = from.and_then(|from| SocketAddrV4::try_from(from).ok());
            let Some(from) = from.map(|from| *from.ip()) else {
                continue;
            };
            if let Some(answer) = self.read(from, &buffer[..length.min(READ)]) {
                return Ok(Some(answer));
            }
        }
    }

    fn read(&self, from: Ipv4Addr, bytes: &[u8]) -> Option<Answer> {
        let message = match self.kind {
            Kind::Raw => payload(bytes)?.1,
            Kind::Datagram => bytes,
        };
        let head = message.first_chunk::<ICMP>()?;
        match head[0] {
            ECHO_REPLY => {
                let ours =
                    self.kind == Kind::Datagram || head[4..6] == self.identifier.to_be_bytes();
                let token = message.get(ICMP..ICMP + TOKEN)? == self.token;
                (ours && token).then_some(Answer {
                    to: from,
                    sequence: u16::from_be_bytes([head[6], head[7]]),
                    said: Said::Alive,
                })
            }
            UNREACHABLE | TIME_EXCEEDED => {
                let (to, sequence) = self.about(&message[ICMP..])?;
                let said = said(*head);
                Some(Answer { to, sequence, said })
            }
            _ => None,
        }
    }

    /// Whom an echo of ours was sent to, and its number, from the packet an error quotes.
    fn about(&self, quoted: &[u8]) -> Option<(Ipv4Addr, u16)> {
        let (to, message) = payload(quoted)?;
        let head = message.first_chunk::<ICMP>()?;
        // Old routers quote no more than these eight bytes; the token, where they do, has to be ours.
        let token = message.get(ICMP..ICMP + TOKEN);
        let ours = head[0] == ECHO
            && head[4..6] == self.identifier.to_be_bytes()
            && token.is_none_or(|token| token == self.token);
        ours.then(|| (to, u16::from_be_bytes([head[6], head[7]])))
    }
}

impl AsFd for Echo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn socket() -> io::Result<(OwnedFd, Kind)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let open =
        |kind| rustix::net::socket_with(AddressFamily::INET, kind, flags, Some(ipproto::ICMP));
    match open(SocketType::RAW) {
        Ok(fd) => Ok((fd, Kind::Raw)),
        Err(rustix::io::Errno::PERM) => Ok((open(SocketType::DGRAM)?, Kind::Datagram)),
        Err(errno) => Err(errno.into()),
    }
}

/// Don't-fragment on every packet, whatever path MTU the kernel remembers.
fn set_up(fd: &OwnedFd) -> io::Result<()> {
    sockopt::set_ip_mtu_discover(fd, sockopt::Ipv4PathMtuDiscovery::PROBE)?;
    sockopt::set_socket_recv_buffer_size(fd, BUFFER)?;
    Ok(())
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    // The kernel gives so few bytes at once, or none.
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())? {
        length if length == N => Ok(bytes),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Whom an IPv4 packet of ICMP is for, and what it carries.
fn payload(packet: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let header = packet.first_chunk::<IP>()?;
    let length = usize::from(header[0] & 0xf) * 4;
    let icmp = header[0] >> 4 == 4 && header[9] == 1 && length >= IP;
    let to = Ipv4Addr::new(header[16], header[17], header[18], header[19]);
    icmp.then_some((to, packet.get(length..)?))
}

fn said(head: [u8; ICMP]) -> Said {
    match (head[0], head[1]) {
        (UNREACHABLE, TOO_LARGE) => Said::TooLarge {
            mtu: u16::from_be_bytes([head[6], head[7]]),
        },
        (UNREACHABLE, code) => Said::Unreachable { code },
        _ => Said::Expired,
    }
}

fn message(identifier: u16, sequence: u16, token: [u8; TOKEN], size: usize) -> Vec<u8> {
    let size = size.clamp(SMALLEST, usize::from(u16::MAX));
    let mut message = vec![0; size - IP];
    message[0] = ECHO;
    message[4..6].copy_from_slice(&identifier.to_be_bytes());
    message[6..8].copy_from_slice(&sequence.to_be_bytes());
    message[ICMP..ICMP + TOKEN].copy_from_slice(&token);
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or_default();
        u32::from(u16::from_be_bytes([pair[0], low]))
    });
    // 65,535 bytes are far from an overflow of 32 bits.
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Netlink;
    use crate::netns::Namespace;
    use crate::signal::{PollFd, PollFlags, poll};
    use std::time::Duration;

    const TO: Ipv4Addr = Ipv4Addr::new(10, 5, 2, 0);

    /// Needs no privilege, and sees nothing.
    fn of_kind(kind: Kind) -> Echo {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let fd = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None);
        Echo {
            fd: fd.expect("a UDP socket"),
            kind,
            identifier: 0x1234,
            token: *b"tokentok",
        }
    }

    fn packet(from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0; IP];
        (packet[0], packet[9]) = (0x45, 1);
        packet[12..16].copy_from_slice(&from.octets());
        packet[16..20].copy_from_slice(&to.octets());
        packet.extend_from_slice(payload);
        packet
    }

    fn error(kind: u8, code: u8, mtu: u16, quoted: &[u8]) -> Vec<u8> {
        let mut message = vec![kind, code, 0, 0, 0, 0];
        message.extend(mtu.to_be_bytes());
        message.extend_from_slice(quoted);
        message
    }

    #[test]
    fn checksums_are_those_of_the_rfc() {
        // RFC 1071, section 3.
        let sum = checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(!sum, 0xddf2);
        assert_eq!(
            checksum(&message(1, 2, [7; 8], 99)),
            0,
            "a whole one sums to zero"
        );
        assert_eq!(message(1, 2, [7; 8], 0).len() + IP, SMALLEST);
    }

    #[test]
    fn only_answers_to_our_own_echoes_are_taken() {
        let echo = of_kind(Kind::Raw);
        let asked = message(0x1234, 7, *b"tokentok", 60);
        let mut reply = asked.clone();
        reply[0] = ECHO_REPLY;
        let here = Ipv4Addr::new(10, 5, 1, 0);
        let answer = |payload: &[u8]| echo.read(TO, &packet(TO, here, payload));
        let alive = Answer {
            to: TO,
            sequence: 7,
            said: Said::Alive,
        };
        assert_eq!(answer(&reply), Some(alive));
        assert_eq!(answer(&asked), None, "an echo, as seen on loopback");
        let mut other = reply.clone();
        other[12] ^= 1;
        assert_eq!(answer(&other), None, "another token");
        for length in 0..reply.len().min(ICMP + TOKEN) {
            assert_eq!(answer(&reply[..length]), None);
        }
        let datagram = of_kind(Kind::Datagram);
        let mut renamed = reply;
        renamed[4] ^= 1;
        assert_eq!(datagram.read(TO, &renamed), Some(alive));
        assert_eq!(answer(&renamed), None, "another identifier");
    }

    #[test]
    fn errors_on_the_way_are_told() {
        let echo = of_kind(Kind::Raw);
        let (here, router) = (Ipv4Addr::new(10, 5, 1, 0), Ipv4Addr::new(10, 99, 0, 1));
        let asked = packet(here, TO, &message(0x1234, 9, *b"tokentok", 60));
        let said = |kind, code, mtu, quoted: &[u8]| {
            let bytes = packet(router, here, &error(kind, code, mtu, quoted));
            echo.read(router, &bytes).map(|answer| {
                assert_eq!((answer.to, answer.sequence), (TO, 9));
                answer.said
            })
        };
        assert_eq!(said(3, 1, 0, &asked), Some(Said::Unreachable { code: 1 }));
        assert_eq!(said(3, 4, 1400, &asked), Some(Said::TooLarge { mtu: 1400 }));
        assert_eq!(said(11, 0, 0, &asked), Some(Said::Expired));
        // No more than the eight bytes that RFC 792 asks for.
        assert_eq!(said(11, 0, 0, &asked[..IP + ICMP]), Some(Said::Expired));
        assert_eq!(said(11, 0, 0, &asked[..IP + ICMP - 1]), None);
        assert_eq!(said(5, 0, 0, &asked), None);
        let mut udp = asked.clone();
        udp[9] = 17;
        assert_eq!(said(3, 3, 0, &udp), None);
    }

    #[test]
    fn the_kernel_answers_on_loopback() {
        let namespace = Namespace::anonymous().expect("namespace");
        let run = namespace.run(|| {
            let netlink = Netlink::open().expect("netlink");
            let lo = netlink.link("lo").expect("look").expect("there").index;
            netlink.set_up(lo).expect("up");
            let echo = Echo::open().expect("open");
            let nowhere = echo.send(Ipv4Addr::new(192, 0, 2, 1), 1, SMALLEST);
            let code = nowhere.expect_err("no route").raw_os_error();
            assert_eq!(code, Some(libc::ENETUNREACH));
            let large = echo.send(Ipv4Addr::LOCALHOST, 1, 65_535);
            large.expect("of the loopback's size");
            netlink.set_mtu(lo, 1400).expect("a smaller one");
            let error = echo
                .send(Ipv4Addr::LOCALHOST, 1, 1401)
                .expect_err("too large");
            assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE));
            let mut said = Vec::new();
            for (sequence, size) in [(2, SMALLEST), (3, 1400)] {
                echo.send(Ipv4Addr::LOCALHOST, sequence, size)
                    .expect("sent");
                while !said.contains(&sequence) {
                    let mut fds = [PollFd::new(&echo, PollFlags::IN)];
                    assert_eq!(
                        poll(&mut fds, Some(Duration::from_secs(10))).expect("poll"),
                        1
                    );
                    while let Some(answer) = echo.receive().expect("receive") {
                        assert_eq!((answer.to, answer.said), (Ipv4Addr::LOCALHOST, Said::Alive));
                        said.push(answer.sequence);
                    }
                }
            }
        });
        run.expect("enter");
    }
}
