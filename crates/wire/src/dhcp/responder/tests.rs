use proptest::prelude::*;

use super::super::frame::checksum;
use super::*;

const MAC: [u8; 6] = [0x02, 1, 2, 3, 4, 5];
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 61, 0, 7);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 61, 0, 1);

fn lease() -> Lease {
    Lease {
        address: ADDRESS,
        prefix: 16,
        server: SERVER,
        gateway: Some(SERVER),
        routes: vec![(
            "192.168.4.0/22".parse().expect("a network"),
            Ipv4Addr::new(10, 61, 0, 9),
        )],
        dns: vec![Ipv4Addr::new(9, 9, 9, 9), Ipv4Addr::new(1, 1, 1, 1)],
        hostname: "misty-otter".into(),
        domain: Some("example.test".into()),
        mtu: 1450,
        lease_time: u32::MAX,
    }
}

fn responder() -> Responder {
    Responder::new(MAC, lease())
}

fn request(kind: MessageType) -> Packet {
    let mut options = Options::default();
    options.append(code::MESSAGE_TYPE, &[kind.number()]);
    Packet {
        op: Operation::Request,
        xid: 0x1234_5678,
        secs: 3,
        broadcast: false,
        ciaddr: Ipv4Addr::UNSPECIFIED,
        yiaddr: Ipv4Addr::UNSPECIFIED,
        siaddr: Ipv4Addr::UNSPECIFIED,
        giaddr: Ipv4Addr::UNSPECIFIED,
        chaddr: MAC,
        options,
    }
}

fn with(mut packet: Packet, code: u8, value: &[u8]) -> Packet {
    packet.options.append(code, value);
    packet
}

fn frame_from(mac: [u8; 6], packet: &Packet) -> Vec<u8> {
    Datagram {
        source_mac: mac,
        destination_mac: BROADCAST_MAC,
        source: (packet.ciaddr, CLIENT_PORT),
        destination: (Ipv4Addr::BROADCAST, SERVER_PORT),
        payload: &packet.encode(),
    }
    .encode()
    .expect("a small packet")
}

fn reply(packet: &Packet) -> Option<Packet> {
    responder().reply(packet)
}

fn kind(packet: &Packet) -> Option<MessageType> {
    reply(packet)?.options.message_type()
}

#[test]
fn discover_gets_an_offer_with_everything() {
    let offer = reply(&request(MessageType::Discover)).expect("an offer");
    assert_eq!(offer.options.message_type(), Some(MessageType::Offer));
    assert_eq!((offer.xid, offer.yiaddr), (0x1234_5678, ADDRESS));
    let get = |code| offer.options.get(code).expect("the option is there");
    assert_eq!(get(code::SERVER), SERVER.octets());
    assert_eq!(get(code::LEASE_TIME), [0xff; 4]);
    assert_eq!(get(code::SUBNET_MASK), [255, 255, 0, 0]);
    assert_eq!(get(code::ROUTER), SERVER.octets());
    assert_eq!(get(code::DNS), [9, 9, 9, 9, 1, 1, 1, 1]);
    assert_eq!(get(code::MTU), 1450u16.to_be_bytes());
    assert_eq!(get(code::HOST_NAME), b"misty-otter");
    assert_eq!(get(code::DOMAIN), b"example.test");
    let routes = [0, 10, 61, 0, 1, 22, 192, 168, 4, 10, 61, 0, 9];
    assert_eq!(get(code::CLASSLESS_ROUTES), routes);
}

#[test]
fn only_what_was_asked_for_is_sent() {
    let packet = with(
        request(MessageType::Discover),
        code::PARAMETERS,
        &[code::DNS, 42],
    );
    let offer = reply(&packet).expect("an offer");
    assert!(offer.options.get(code::DNS).is_some());
    assert!(offer.options.get(code::ROUTER).is_none());
    assert!(offer.options.get(code::LEASE_TIME).is_some());
}

#[test]
fn request_for_the_address_is_acknowledged() {
    let selecting = with(
        request(MessageType::Request),
        code::SERVER,
        &SERVER.octets(),
    );
    let selecting = with(selecting, code::REQUESTED_ADDRESS, &ADDRESS.octets());
    assert_eq!(kind(&selecting), Some(MessageType::Ack));
    let renewing = Packet {
        ciaddr: ADDRESS,
        ..request(MessageType::Request)
    };
    assert_eq!(kind(&renewing), Some(MessageType::Ack));
}

#[test]
fn request_for_another_address_is_refused_to_everyone() {
    let packet = with(
        request(MessageType::Request),
        code::REQUESTED_ADDRESS,
        &[10, 0, 0, 9],
    );
    assert_eq!(kind(&packet), Some(MessageType::Nak));
    let answer = responder()
        .answer(&frame_from(MAC, &packet))
        .expect("a refusal");
    let datagram = Datagram::parse(&answer).expect("our own frame");
    assert_eq!(datagram.destination_mac, BROADCAST_MAC);
    assert_eq!(datagram.destination.0, Ipv4Addr::BROADCAST);
}

#[test]
fn inform_gets_parameters_without_a_lease() {
    let packet = Packet {
        ciaddr: ADDRESS,
        ..request(MessageType::Inform)
    };
    let ack = reply(&packet).expect("an acknowledgement");
    assert_eq!(ack.options.message_type(), Some(MessageType::Ack));
    assert!(ack.yiaddr.is_unspecified());
    assert!(ack.options.get(code::LEASE_TIME).is_none());
    assert!(ack.options.get(code::DNS).is_some());
}

#[test]
fn what_is_not_for_us_is_ignored() {
    assert_eq!(reply(&request(MessageType::Release)), None);
    assert_eq!(reply(&request(MessageType::Decline)), None);
    let stranger = Packet {
        chaddr: [2; 6],
        ..request(MessageType::Discover)
    };
    assert_eq!(reply(&stranger), None);
    let elsewhere = with(request(MessageType::Request), code::SERVER, &[10, 0, 0, 1]);
    assert_eq!(
        reply(&with(elsewhere, code::REQUESTED_ADDRESS, &ADDRESS.octets())),
        None
    );
    let discover = request(MessageType::Discover);
    assert_eq!(responder().answer(&frame_from([2; 6], &discover)), None);
}

#[test]
fn answers_go_where_the_client_listens() {
    let destination = |packet: &Packet| {
        let answer = responder()
            .answer(&frame_from(MAC, packet))
            .expect("an answer");
        let datagram = Datagram::parse(&answer).expect("our own frame");
        (datagram.destination_mac, datagram.destination.0)
    };
    let discover = request(MessageType::Discover);
    assert_eq!(destination(&discover), (MAC, ADDRESS));
    let deaf = Packet {
        broadcast: true,
        ..discover
    };
    assert_eq!(destination(&deaf), (BROADCAST_MAC, Ipv4Addr::BROADCAST));
}

#[test]
fn answers_have_right_checksums_and_length() {
    let answer = responder().answer(&frame_from(MAC, &request(MessageType::Discover)));
    let answer = answer.expect("an answer");
    assert_eq!(checksum(&[&answer[14..34]]), 0);
    let udp = &answer[34..];
    let length = (udp.len() as u16).to_be_bytes();
    let pseudo = [0, 17, length[0], length[1]];
    assert_eq!(checksum(&[&answer[26..34], &pseudo, udp]), 0);
    assert!(udp.len() >= 308);
}

#[test]
fn client_identifier_is_echoed() {
    let packet = with(request(MessageType::Discover), code::CLIENT_ID, b"\x01abc");
    let offer = reply(&packet).expect("an offer");
    assert_eq!(offer.options.get(code::CLIENT_ID), Some(&b"\x01abc"[..]));
}

#[test]
fn a_large_lease_stays_within_the_clients_size() {
    let mut lease = lease();
    lease.dns = vec![SERVER; 100];
    let answer =
        Responder::new(MAC, lease).answer(&frame_from(MAC, &request(MessageType::Discover)));
    assert!(answer.expect("an offer").len() <= 14 + usize::from(MINIMUM_MESSAGE));
}

#[test]
fn long_options_are_split_and_joined() {
    let mut options = Options::default();
    options.append(code::CLASSLESS_ROUTES, &[7; 600]);
    let mut bytes = Vec::new();
    options.encode(&mut bytes);
    assert_eq!(bytes.len(), options.encoded_len());
    assert_eq!(Options::parse(&bytes), Ok(options));
}

#[test]
fn masks_of_all_lengths() {
    assert_eq!(mask(0), Ipv4Addr::UNSPECIFIED);
    assert_eq!(mask(24), Ipv4Addr::new(255, 255, 255, 0));
    assert_eq!(mask(32), Ipv4Addr::BROADCAST);
}

proptest! {
    #[test]
    fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..700)) {
        let _ = Datagram::parse(&bytes);
        let _ = Packet::parse(&bytes);
        prop_assert_eq!(responder().answer(&bytes), None);
    }

    #[test]
    fn damaged_requests_are_safe(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut frame = frame_from(MAC, &request(MessageType::Discover));
        for (at, byte) in damage {
            let at = at.index(frame.len());
            frame[at] = byte;
        }
        let _ = responder().answer(&frame);
        let _ = responder().answer(&frame[..cut.index(frame.len())]);
    }

    #[test]
    fn what_is_parsed_is_written_the_same(options in prop::collection::vec(
        (1u8..255, prop::collection::vec(any::<u8>(), 0..300)), 0..6)
    ) {
        let packet = options.iter().fold(request(MessageType::Inform), |packet, (code, value)| {
            with(packet, *code, value)
        });
        prop_assert_eq!(Packet::parse(&packet.encode()), Ok(packet));
    }
}
