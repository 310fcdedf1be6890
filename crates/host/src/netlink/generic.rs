//! Generic netlink: families of messages, each with a number the kernel gives it when it comes.

use netlink_packet_core::{NlasIterator, parse_u16};
use netlink_packet_generic::GenlMessage;
use netlink_packet_generic::constants::{CTRL_ATTR_FAMILY_ID, GENL_HDRLEN, GENL_ID_CTRL};
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};

use super::{Refusal, Socket, malformed};

/// The number of the family `name`; none if the kernel has no such family, nor a module for it.
pub(crate) fn family(socket: &Socket, name: &str) -> Result<Option<u16>, Refusal> {
    let request = GenlMessage::from_payload(GenlCtrl {
        cmd: GenlCtrlCmd::GetFamily,
        nlas: vec![GenlCtrlAttrs::FamilyName(name.to_owned())],
    });
    let reply = socket.get(GENL_ID_CTRL, &request, |payload| {
        // Read here: the crate's own reader refuses attributes it does not know.
        number(payload).ok_or_else(|| malformed("a family without a number"))
    });
    match reply {
        Ok(number) => Ok(Some(number)),
        Err(refusal) if refusal.errno() == Some(libc::ENOENT) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

fn number(payload: &[u8]) -> Option<u16> {
    let attributes = NlasIterator::new(payload.get(GENL_HDRLEN..)?);
    let id = attributes
        .filter_map(Result::ok)
        .find(|attribute| attribute.kind() == CTRL_ATTR_FAMILY_ID)?;
    parse_u16(id.value()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_have_numbers() {
        let socket = Socket::open_generic().expect("a socket");
        let number = |name| family(&socket, name).expect("an answer");
        // The controller's is the only one that is always the same.
        assert_eq!(number("nlctrl"), Some(GENL_ID_CTRL));
        let ethtool = number("ethtool").expect("every kernel since 5.6 has it");
        assert!(ethtool > GENL_ID_CTRL, "{ethtool}");
        assert_eq!(number("no such family"), None);
    }
}
