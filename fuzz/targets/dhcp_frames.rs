//! Frames from a guest: the answer, if there is one, is a datagram itself.
#![no_main]

use ignite_wire::dhcp::{Datagram, Packet, Responder};
use ignite_wire::supervisor::Lease;
use libfuzzer_sys::fuzz_target;

fn lease() -> Lease {
    Lease {
        address: [10, 61, 0, 2].into(),
        prefix: 16,
        server: [10, 61, 0, 1].into(),
        gateway: Some([10, 61, 0, 1].into()),
        routes: Vec::new(),
        dns: vec![[192, 0, 2, 53].into()],
        hostname: "vm".into(),
        domain: Some("example.org".into()),
        mtu: 1500,
        lease_time: u32::MAX,
    }
}

fuzz_target!(|frame: &[u8]| {
    let _ = Packet::parse(frame);
    if let Some(answer) = Responder::new([2, 0, 0, 0, 0, 1], lease()).answer(frame) {
        let datagram = Datagram::parse(&answer).expect("our own frame");
        Packet::parse(datagram.payload).expect("our own packet");
    }
});
