//! Ports of a bridge.

use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoBridgePort, InfoPortData, InfoPortKind,
    LinkAttribute, LinkInfo,
};

use super::{Error, Netlink, at};

impl Netlink {
    /// Makes an interface a port of the bridge `master`, or of none.
    pub fn set_master(&self, index: u32, master: Option<u32>) -> Result<(), Error> {
        let message = at(index, vec![LinkAttribute::Controller(master.unwrap_or(0))]);
        self.set(&message, || match master {
            Some(master) => format!(
                "make link {} a port of {}",
                self.name(index),
                self.name(master)
            ),
            None => format!("take link {} off its bridge", self.name(index)),
        })
    }

    /// Whether the bridge sends frames back out of the port they came from: so a VM reaches its own
    /// published port.
    pub fn set_hairpin(&self, index: u32, on: bool) -> Result<(), Error> {
        let options = vec![InfoBridgePort::HairpinMode(on)];
        let message = at(
            index,
            vec![LinkAttribute::LinkInfo(vec![
                LinkInfo::PortKind(InfoPortKind::Bridge),
                LinkInfo::PortData(InfoPortData::BridgePort(options)),
            ])],
        );
        self.set(&message, || {
            format!("set hairpin mode of bridge port {}", self.name(index))
        })
    }

    /// Gives an interface no IPv6 address of its own when it is switched on. A kernel without IPv6
    /// has none to give.
    pub fn disable_ipv6_address(&self, index: u32) -> Result<(), Error> {
        let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
        let message = at(
            index,
            vec![LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(
                vec![mode],
            )])],
        );
        match self.socket.change(libc::RTM_NEWLINK, 0, &message) {
            Err(refusal)
                if matches!(refusal.errno(), Some(libc::EAFNOSUPPORT | libc::EOPNOTSUPP)) =>
            {
                Ok(())
            }
            result => result.map_err(|refusal| {
                Error::new(format!("keep IPv6 off link {}", self.name(index)), refusal)
            }),
        }
    }
}
