//! Taps: a network interface whose other end is a file descriptor, for a VMM.
//!
//! Frames carry a virtio-net header, so that checksums and segmentation are left to whoever can do
//! them best. The interface goes when the last descriptor closes, unless it was made to stay
//! ([`leave`]) for a VMM that opens it by its name.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use crate::error::Context;
use crate::link::Netlink;

pub use crate::error::SystemError as Error;

pub(crate) const DEVICE: &str = "/dev/net/tun";

/// Bytes of the header before every frame: `struct virtio_net_hdr_mrg_rxbuf`, as every VMM has it.
const HEADER: libc::c_int = 12;

/// An open tap.
#[derive(Debug)]
pub struct Tap {
    fd: OwnedFd,
    name: String,
    index: u32,
}

impl Tap {
    /// Makes the interface `name` in the calling thread's network namespace: frames without a
    /// protocol word, with a virtio-net header, no IPv6 address of its own; not up yet.
    pub fn create(name: &str) -> Result<Self, Error> {
        let action = || format!("create the tap {name}");
        let fd = open_device()?;
        // Somebody else's interface of that name must not become ours.
        let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_TUN_EXCL;
        set_interface(&fd, name, flags).context(action)?;
        set_header_size(&fd).context(action)?;
        let index = quieten(name).context(action)?;
        Ok(Self {
            fd,
            name: name.to_owned(),
            index,
        })
    }

    /// The interface's name.
    pub fn name(&self) -> &str {
        &self.name
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

/// Keeps IPv6 off the new interface; its index.
pub(crate) fn quieten(name: &str) -> io::Result<u32> {
    let netlink = Netlink::open().map_err(|error| error.source)?;
    let link = netlink
        .link(name)
        .map_err(|error| error.source)?
        .ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?;
    netlink
        .disable_ipv6_address(link.index)
        .map_err(|error| error.source)?;
    Ok(link.index)
}

/// Binds an open `/dev/net/tun` to the interface `name`, which may hold `%d` for the first free number;
/// the name it has.
pub(crate) fn set_interface(fd: &OwnedFd, name: &str, flags: libc::c_int) -> io::Result<String> {
    // SAFETY: all zeros is a valid value of this plain structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.is_empty() || name.len() >= request.ifr_name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    // The kernel takes them as an unsigned 16-bit number; C's structure has them signed.
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: the descriptor is open; TUNSETIFF reads and writes one `ifreq`.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF, &raw mut request) };
    answer(result)?;
    let bytes = request.ifr_name.map(|byte| byte.to_ne_bytes()[0]);
    let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// Opens the tap `name` as a VMM does: made if it is not there, refused if another has it open.
pub fn open(name: &str) -> Result<OwnedFd, Error> {
    let fd = open_device()?;
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
    set_interface(&fd, name, flags).context(|| format!("open the tap {name}"))?;
    Ok(fd)
}

/// Makes the open tap `name` stay when it is closed, for `user` to open if one is named. Whoever calls
/// this deletes it.
pub fn leave(tap: &OwnedFd, name: &str, user: Option<u32>) -> Result<(), Error> {
    let action = || format!("leave the tap {name} to its user");
    if let Some(user) = user {
        set_number(tap, libc::TUNSETOWNER, user.into()).context(action)?;
    }
    set_number(tap, libc::TUNSETPERSIST, 1).context(action)
}

fn open_device() -> Result<OwnedFd, Error> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(DEVICE)
        .context(|| format!("open {DEVICE}"))?;
    Ok(file.into())
}

/// An ioctl whose argument is a number.
fn set_number(fd: &OwnedFd, request: libc::Ioctl, number: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the descriptor is open; these requests of tun's read no memory.
    answer(unsafe { libc::ioctl(fd.as_raw_fd(), request, number) })
}

fn set_header_size(fd: &OwnedFd) -> io::Result<()> {
    let size = HEADER;
    // SAFETY: the descriptor is open; TUNSETVNETHDRSZ reads one int.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const size) };
    answer(result)
}

pub(crate) fn answer(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netns::Namespace;

    #[test]
    fn lives_as_long_as_its_descriptor_and_has_no_ipv6() {
        let namespace = Namespace::anonymous().expect("namespace");
        namespace
            .run(|| {
                let netlink = Netlink::open().expect("netlink");
                let tap = Tap::create("tap0").expect("tap");
                let link = netlink.link("tap0").expect("look").expect("there");
                assert_eq!((link.index, link.up), (tap.index(), false));
                assert_eq!(link.kind.as_deref(), Some("tun"));
                netlink.set_up(tap.index()).expect("up");
                assert!(
                    netlink
                        .addresses(tap.index())
                        .expect("addresses")
                        .is_empty()
                );
                assert!(Tap::create("tap0").is_err(), "taken");
                drop(tap.into_fd());
                // A child that another test starts right now holds a copy until it executes.
                let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
                while netlink.link("tap0").expect("look").is_some() {
                    assert!(std::time::Instant::now() < deadline, "it is still there");
                    std::thread::yield_now();
                }
            })
            .expect("enter");
    }

    #[test]
    fn one_that_is_left_is_opened_by_its_name_and_by_one_only() {
        let namespace = Namespace::anonymous().expect("namespace");
        namespace
            .run(|| {
                let netlink = Netlink::open().expect("netlink");
                let tap = Tap::create("tap0").expect("tap");
                let index = tap.index();
                leave(&tap.into_fd(), "tap0", Some(4242)).expect("left");
                let link = netlink.link("tap0").expect("look").expect("there");
                assert_eq!(link.index, index);
                let opened = open("tap0").expect("free");
                let error = open("tap0").expect_err("busy");
                assert_eq!(error.errno(), Some(libc::EBUSY));
                drop(opened);
                let link = netlink.link("tap0").expect("look").expect("it stays");
                assert_eq!(link.index, index);
                netlink.delete(index).expect("deleted");
                assert_eq!(netlink.link("tap0").expect("look"), None);
            })
            .expect("enter");
    }

    #[test]
    fn a_name_too_long_is_refused() {
        let error = Tap::create("a-name-too-long-for-it").expect_err("16 bytes at most");
        assert!(
            error.to_string().starts_with("cannot create the tap"),
            "{error}"
        );
    }
}
