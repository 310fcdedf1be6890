//! The netlink messages of queues and filters.

use netlink_packet_core::{DefaultNla, Emitable};
use netlink_packet_route::tc::{
    TcAction, TcActionAttribute, TcActionGeneric, TcActionMirror, TcActionMirrorOption,
    TcActionOption, TcActionType, TcAttribute, TcFilterBpf, TcFilterBpfOption, TcHandle, TcHeader,
    TcMessage, TcMirror, TcMirrorActionType, TcOption,
};

use crate::bpf::Program;

/// Every ethernet protocol.
const ETH_P_ALL: u16 = 3;

/// The only filter of an interface.
const PRIORITY: u32 = 1;
const HANDLE: u16 = 1;

/// Attributes of a `bpf` filter (`linux/pkt_cls.h`).
const TCA_BPF_ACT: u16 = 1;
const TCA_BPF_OPS_LEN: u16 = 4;
const TCA_BPF_OPS: u16 = 5;

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

/// A `bpf` filter on the ingress queue of `index` that redirects to the egress of `to`.
pub(super) fn redirect(index: u32, matching: &Program, to: u32) -> TcMessage {
    let mut header = header(index);
    header.parent = TcHandle {
        major: 0xffff,
        minor: 0,
    };
    header.handle = TcHandle {
        major: 0,
        minor: HANDLE,
    };
    // `tcm_info`: the priority above, the protocol in network byte order below.
    header.info = PRIORITY << 16 | u32::from(ETH_P_ALL.to_be());
    let length = u16::try_from(matching.instructions().len()).expect("4096 at most");
    let mut action = vec![0; [mirred(to)].as_slice().buffer_len()];
    [mirred(to)].as_slice().emit(&mut action);
    let options = [
        (TCA_BPF_OPS_LEN, length.to_ne_bytes().to_vec()),
        (TCA_BPF_OPS, matching.bytes()),
        (TCA_BPF_ACT, action),
    ];
    let options = options
        .map(|(kind, value)| TcOption::Bpf(TcFilterBpfOption::Other(DefaultNla::new(kind, value))));
    TcMessage::from_parts(
        header,
        vec![
            TcAttribute::Kind(TcFilterBpf::KIND.to_owned()),
            TcAttribute::Options(options.to_vec()),
        ],
    )
}

fn header(index: u32) -> TcHeader {
    TcHeader {
        index: i32::try_from(index).expect("interface numbers are positive ints"),
        ..TcHeader::default()
    }
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
