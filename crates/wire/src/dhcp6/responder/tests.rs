use super::*;
use proptest::prelude::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const ID: [u8; 4] = [9, 8, 7, 6];

fn ip(text: &str) -> Ipv6Addr {
    text.parse().expect("an address")
}

fn responder() -> Responder {
    let lease = Lease6 {
        addresses: ["fd00::7/64", "2001:db8::7/64"]
            .map(|net| net.parse().expect("a network"))
            .to_vec(),
        dns: vec![ip("fd00::53")],
        search: vec!["a.example".into(), "..".into()],
        mtu: 1500,
        ..Lease6::default()
    };
    Responder::new(MAC, lease)
}

fn association(addresses: &[&str]) -> OptionValue {
    let mut value = [ID.to_vec(), vec![0; 8]].concat();
    for address in addresses {
        push(&mut value, lifetime(ip(address), 60));
    }
    (code::IA_NA, value)
}

fn request(kind: Kind, server: bool, more: &[OptionValue]) -> Message {
    let mut options = vec![(code::CLIENT_ID, vec![0, 2, 0, 0])];
    if server {
        options.push((code::SERVER_ID, SERVER_DUID.to_vec()));
    }
    options.extend(more.iter().cloned());
    Message {
        kind,
        transaction: [1, 2, 3],
        options,
    }
}

/// Addresses of the answer's association with their lifetimes.
fn given(reply: &Message) -> Vec<(Ipv6Addr, u32)> {
    let value = reply.option(code::IA_NA).expect("an association");
    assert_eq!(value[..4], ID);
    parse_options(&value[12..])
        .expect("our own")
        .iter()
        .map(|(number, value)| {
            assert_eq!(*number, code::ADDRESS);
            let seconds = value[16..20].try_into().expect("four bytes");
            (
                address(value, 0).expect("sixteen"),
                u32::from_be_bytes(seconds),
            )
        })
        .collect()
}

fn all() -> Vec<(Ipv6Addr, u32)> {
    vec![(ip("fd00::7"), FOR_EVER), (ip("2001:db8::7"), FOR_EVER)]
}

#[test]
fn four_messages_or_two() {
    let responder = responder();
    let solicit = request(Kind::Solicit, false, &[association(&[])]);
    let advertise = responder.reply(&solicit).expect("an answer");
    assert_eq!(advertise.kind, Kind::Advertise);
    assert_eq!(advertise.transaction, [1, 2, 3]);
    assert_eq!(advertise.option(code::CLIENT_ID), Some(&[0, 2, 0, 0][..]));
    assert_eq!(advertise.option(code::SERVER_ID), Some(&SERVER_DUID[..]));
    assert_eq!(given(&advertise), all());
    assert_eq!(
        advertise.option(code::DNS),
        Some(&ip("fd00::53").octets()[..])
    );
    assert_eq!(
        advertise.option(code::DOMAINS),
        Some(&b"\x01a\x07example\0"[..])
    );

    for kind in [Kind::Request, Kind::Renew] {
        let asked = request(kind, true, &[association(&["fd00::7"])]);
        let reply = responder.reply(&asked).expect("an answer");
        assert_eq!((reply.kind, given(&reply)), (Kind::Reply, all()));
        assert_eq!(reply.option(code::PREFERENCE), None);
    }

    let rapid = [association(&[]), (code::RAPID_COMMIT, vec![])];
    let reply = responder.reply(&request(Kind::Solicit, false, &rapid));
    let reply = reply.expect("an answer");
    assert_eq!((reply.kind, given(&reply)), (Kind::Reply, all()));
    assert!(reply.option(code::RAPID_COMMIT).is_some());
}

#[test]
fn addresses_of_others_end() {
    let asked = request(Kind::Rebind, false, &[association(&["fd00::7", "fd00::8"])]);
    let reply = responder().reply(&asked).expect("an answer");
    let mut expected = all();
    expected.push((ip("fd00::8"), 0));
    assert_eq!(given(&reply), expected);
}

#[test]
fn confirm_says_whether_all_is_right() {
    let ask = |addresses: &[&str]| {
        let reply = responder().reply(&request(Kind::Confirm, false, &[association(addresses)]));
        reply.map(|reply| reply.option(code::STATUS).map(<[u8]>::to_vec))
    };
    assert_eq!(ask(&["2001:db8::7"]), Some(Some(vec![0, 0])));
    assert_eq!(ask(&["fd00::7", "fd00::8"]), Some(Some(vec![0, 4])));
    assert_eq!(ask(&[]), None);
}

#[test]
fn what_is_not_to_be_had_is_said() {
    let prefix = (code::IA_PD, [ID.to_vec(), vec![0; 8]].concat());
    let temporary = (code::IA_TA, ID.to_vec());
    let second = association(&[]);
    let asked = request(
        Kind::Solicit,
        false,
        &[association(&[]), second, temporary, prefix],
    );
    let reply = responder().reply(&asked).expect("an answer");
    let statuses: Vec<_> = reply
        .options
        .iter()
        .filter(|(code, _)| [code::IA_NA, code::IA_TA, code::IA_PD].contains(code))
        .map(|(code, value)| (*code, value.last().copied()))
        .collect();
    assert_eq!(
        statuses,
        [
            (code::IA_NA, Some(0xff)),
            (code::IA_NA, Some(2)),
            (code::IA_TA, Some(2)),
            (code::IA_PD, Some(6)),
        ]
    );
}

#[test]
fn only_what_is_asked_for_is_told() {
    let wanted = (code::REQUESTED, code::DNS.to_be_bytes().to_vec());
    let asked = request(Kind::InformationRequest, false, &[wanted]);
    let reply = responder().reply(&asked).expect("an answer");
    assert!(reply.option(code::DNS).is_some());
    assert_eq!(reply.option(code::DOMAINS), None);
    assert_eq!(reply.option(code::IA_NA), None);
}

#[test]
fn other_servers_clients_are_left_alone() {
    let responder = responder();
    for (kind, server) in [
        (Kind::Solicit, true),
        (Kind::Request, false),
        (Kind::Renew, false),
        (Kind::Rebind, true),
        (Kind::Advertise, false),
        (Kind::Reply, true),
    ] {
        let message = request(kind, server, &[association(&[])]);
        assert_eq!(responder.reply(&message), None, "{kind:?}");
    }
    let foreign = (code::SERVER_ID, vec![0, 3, 0, 1, 1, 1, 1, 1, 1, 1]);
    let message = request(Kind::Request, false, &[foreign, association(&[])]);
    assert_eq!(responder.reply(&message), None);
    let mut nameless = request(Kind::Solicit, false, &[association(&[])]);
    nameless.options.remove(0);
    assert_eq!(responder.reply(&nameless), None);
}

/// A frame of a client, with its port of a server.
fn frame(mac: [u8; 6], source: &str, port: u16, message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + message.len()).expect("short");
    let mut payload = CLIENT_PORT.to_be_bytes().to_vec();
    payload.extend(port.to_be_bytes());
    payload.extend(length.to_be_bytes());
    payload.extend([0, 0]);
    payload.extend(message);
    Packet {
        source_mac: mac,
        destination_mac: [0x33, 0x33, 0, 1, 0, 2],
        source: ip(source),
        destination: ip("ff02::1:2"),
        next_header: UDP,
        hop_limit: 1,
        payload: &payload,
    }
    .encode()
    .expect("short")
}

#[test]
fn frames_are_the_guests_own() {
    let responder = responder();
    let solicit = request(Kind::Solicit, false, &[association(&[])]).encode();
    let answer = responder
        .answer(&frame(MAC, "fe80::1", 547, &solicit))
        .expect("an answer");
    let packet = Packet::parse(&answer).expect("our own frame");
    assert_eq!(packet.destination, ip("fe80::1"));
    assert_eq!(
        (packet.source_mac, packet.destination_mac),
        (SERVER_MAC, MAC)
    );
    assert_eq!(packet.payload[..4], [2, 35, 2, 34]);
    assert!(Message::parse(&packet.payload[8..]).is_some());

    let stranger = [2, 0, 0, 0, 0, 2];
    assert_eq!(
        responder.answer(&frame(stranger, "fe80::1", 547, &solicit)),
        None
    );
    assert_eq!(
        responder.answer(&frame(MAC, "fd00::7", 547, &solicit)),
        None
    );
    assert_eq!(
        responder.answer(&frame(MAC, "fe80::1", 546, &solicit)),
        None
    );
    let whole = frame(MAC, "fe80::1", 547, &solicit);
    for length in 0..whole.len() {
        assert_eq!(responder.answer(&whole[..length]), None, "{length}");
    }
}

proptest! {
    #[test]
    fn answers_fit_whatever_is_asked(
        kind in 1..12_u8,
        options in proptest::collection::vec(
            (0..26_u16, proptest::collection::vec(any::<u8>(), 0..200)),
            0..20,
        ),
    ) {
        let mut lease = responder().lease;
        lease.addresses = vec![lease.addresses[0]; 100];
        lease.dns = vec![ip("fd00::1"); 100];
        lease.search = vec!["example.example".into(); 100];
        let responder = Responder::new(MAC, lease);
        let mut message = vec![kind, 1, 2, 3];
        push_option(&mut message, code::CLIENT_ID, &[1, 2, 3]);
        for (code, value) in options {
            push_option(&mut message, code, &value);
        }
        if let Some(answer) = responder.answer(&frame(MAC, "fe80::1", 547, &message)) {
            prop_assert!(answer.len() <= 14 + 1280);
        }
    }
}
