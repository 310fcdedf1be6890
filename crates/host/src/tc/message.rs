//! The netlink messages of queues and filters.

use netlink_packet_route::tc::{
    TcAction, TcActionAttribute, TcActionGeneric, TcActionMirror, TcActionMirrorOption,
    TcActionOption, TcActionType, TcAttribute, TcFilterU32, TcFilterU32Option, TcHandle, TcHeader,
    TcMessage, TcMirror, TcMirrorActionType, TcOption, TcU32Key, TcU32Selector, TcU32SelectorFlags,
};

use super::{Key, Match};

/// Every ethernet protocol.
const ETH_P_ALL: u16 = 3;

/// The ingress queue of an interface: `ffff:`, below the pseudo parent `ffff:fff1`.
pub(super) fn ingress(index: u32) -> TcMessage {
    let mut header = header(index);
    header.handle = TcHandle {
        major: 0xffff,
        minor: 0,
    };
    header.parent = TcHandle::INGRESS;
    TcMessage::from_parts(header, vec![TcAttribute::Kind("ingress".to_owned())])
}

/// A `u32` filter on the ingress queue of `index` that redirects to the egress of `to`.
pub(super) fn redirect(index: u32, priority: u16, matching: &Match, to: u32) -> TcMessage {
    let mut header = header(index);
    header.parent = TcHandle {
        major: 0xffff,
        minor: 0,
    };
    let protocol = matching.protocol.unwrap_or(ETH_P_ALL);
    // `tcm_info`: the priority above, the protocol in network byte order below.
    header.info = u32::from(priority) << 16 | u32::from(protocol.to_be());
    let options = vec![
        TcOption::U32(TcFilterU32Option::Selector(selector(&matching.keys))),
        TcOption::U32(TcFilterU32Option::Action(vec![mirred(to)])),
    ];
    TcMessage::from_parts(
        header,
        vec![
            TcAttribute::Kind(TcFilterU32::KIND.to_owned()),
            TcAttribute::Options(options),
        ],
    )
}

fn header(index: u32) -> TcHeader {
    TcHeader {
        index: i32::try_from(index).expect("interface numbers are positive ints"),
        ..TcHeader::default()
    }
}

fn selector(keys: &[Key]) -> TcU32Selector {
    let mut selector = TcU32Selector::default();
    selector.flags = TcU32SelectorFlags::Terminal;
    selector.keys = if keys.is_empty() {
        // A word of which no bit counts: every frame.
        vec![TcU32Key::default()]
    } else {
        keys.iter().copied().map(key).collect()
    };
    selector.nkeys = u8::try_from(selector.keys.len()).expect("a filter has a dozen keys at most");
    selector
}

fn key(key: Key) -> TcU32Key {
    let mut message = TcU32Key::default();
    message.off = key.offset;
    message.val = key.value;
    message.mask = key.mask;
    message
}

fn mirred(to: u32) -> TcAction {
    let mut generic = TcActionGeneric::default();
    generic.action = TcActionType::Stolen;
    let mut mirror = TcMirror::default();
    mirror.generic = generic;
    mirror.eaction = TcMirrorActionType::EgressRedir;
    mirror.ifindex = to;
    let parameters = TcActionOption::Mirror(TcActionMirrorOption::Parms(mirror));
    let mut action = TcAction::default();
    action.tab = 1;
    action.attributes = vec![
        TcActionAttribute::Kind(TcActionMirror::KIND.to_owned()),
        TcActionAttribute::Options(vec![parameters]),
    ];
    action
}
