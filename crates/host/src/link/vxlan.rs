//! VXLAN devices: Ethernet frames in UDP, one device for each network identifier.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::Parseable;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVxlan, LinkAttribute, LinkInfo, LinkMessage,
};

use super::{Error, Netlink, at, present, with};
use crate::netlink::malformed;

/// What a VXLAN device is made with. Everything else is the kernel's default: ttl and tos of the
/// outer packet its own, no proxy, no multicast group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vxlan {
    /// The network identifier, 24 bits.
    pub id: u32,
    /// The interface its packets leave through.
    pub underlying: Option<u32>,
    /// The address they come from.
    pub local: Option<IpAddr>,
    /// UDP port of every device of that network.
    pub port: u16,
    /// Whether it learns from what it receives where a MAC address is.
    pub learning: bool,
    /// Whether it carries the group policy extension.
    pub gbp: bool,
    /// A multicast group; none is ever set here, devices of others may have one.
    pub group: Option<IpAddr>,
    /// Whether it asks user space for unknown MAC addresses; never set here either.
    pub l2miss: bool,
}

impl Vxlan {
    /// Linux's port, which was there before 4789 was assigned.
    pub const PORT: u16 = 8472;
}

impl Netlink {
    /// Makes a VXLAN device, switched off; its number.
    pub fn create_vxlan(&self, name: &str, mac: [u8; 6], vxlan: &Vxlan) -> Result<u32, Error> {
        let message = with(vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::Address(mac.to_vec()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Vxlan),
                LinkInfo::Data(InfoData::Vxlan(attributes(vxlan))),
            ]),
        ]);
        self.create(name, &message, || format!("create the VXLAN device {name}"))
    }

    /// What the device `index` was made with; none if it is no VXLAN device, or not there.
    pub fn vxlan(&self, index: u32) -> Result<Option<Vxlan>, Error> {
        let reply = (self.socket).get(libc::RTM_GETLINK, &at(index, Vec::new()), read);
        present(reply)
            .map(Option::flatten)
            .map_err(|refusal| Error::new(format!("look at link {}", self.name(index)), refusal))
    }
}

fn attributes(vxlan: &Vxlan) -> Vec<InfoVxlan> {
    let mut attributes = vec![
        InfoVxlan::Id(vxlan.id),
        // Always said: tools and kernels disagree on what it is otherwise.
        InfoVxlan::Port(vxlan.port),
        InfoVxlan::Learning(vxlan.learning),
    ];
    attributes.extend(vxlan.underlying.map(InfoVxlan::Link));
    attributes.extend(vxlan.local.map(|local| match local {
        IpAddr::V4(local) => InfoVxlan::Local(local),
        IpAddr::V6(local) => InfoVxlan::Local6(local),
    }));
    attributes.extend(vxlan.group.map(|group| match group {
        IpAddr::V4(group) => InfoVxlan::Group(group),
        IpAddr::V6(group) => InfoVxlan::Group6(group),
    }));
    attributes.extend(vxlan.l2miss.then_some(InfoVxlan::L2Miss(true)));
    attributes.extend(vxlan.gbp.then_some(InfoVxlan::Gbp));
    attributes
}

pub(super) fn read(payload: &[u8]) -> io::Result<Option<Vxlan>> {
    let message = LinkMessage::parse(payload).map_err(malformed)?;
    let infos = message.attributes.into_iter().find_map(|attribute| {
        let LinkAttribute::LinkInfo(infos) = attribute else {
            return None;
        };
        infos.into_iter().find_map(|info| match info {
            LinkInfo::Data(InfoData::Vxlan(infos)) => Some(infos),
            _ => None,
        })
    });
    Ok(infos.map(from_attributes))
}

fn from_attributes(attributes: Vec<InfoVxlan>) -> Vxlan {
    let mut vxlan = Vxlan {
        id: 0,
        underlying: None,
        local: None,
        port: 0,
        learning: false,
        gbp: false,
        group: None,
        l2miss: false,
    };
    for attribute in attributes {
        match attribute {
            InfoVxlan::Id(id) => vxlan.id = id,
            InfoVxlan::Link(index) => vxlan.underlying = Some(index).filter(|index| *index != 0),
            InfoVxlan::Local(local) => vxlan.local = Some(local.into()),
            InfoVxlan::Local6(local) => vxlan.local = Some(local.into()),
            InfoVxlan::Group(group) => vxlan.group = Some(group.into()),
            InfoVxlan::Group6(group) => vxlan.group = Some(group.into()),
            InfoVxlan::Port(port) => vxlan.port = port,
            InfoVxlan::Learning(on) => vxlan.learning = on,
            InfoVxlan::L2Miss(on) => vxlan.l2miss = on,
            InfoVxlan::Gbp => vxlan.gbp = true,
            _ => {}
        }
    }
    vxlan
}
