//! WireGuard devices, as links; their keys and peers are told by [`crate::wireguard`].

use netlink_packet_route::link::{InfoKind, LinkAttribute, LinkInfo};

use super::{Error, Link, Netlink, with};

impl Netlink {
    /// Makes a WireGuard device, switched off, without a key; its number. A kernel that has no
    /// WireGuard says so: [`Error::is_unsupported`].
    pub fn create_wireguard(&self, name: &str) -> Result<u32, Error> {
        let message = with(vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Wireguard)]),
        ]);
        self.create(name, &message, || {
            format!("create the WireGuard device {name}")
        })
    }
}

impl Link {
    /// Whether it is a WireGuard device of the kernel.
    pub fn is_wireguard(&self) -> bool {
        self.kind.as_deref() == Some("wireguard")
    }
}
