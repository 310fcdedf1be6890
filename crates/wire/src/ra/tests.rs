use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const GATEWAY_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

fn ip(text: &str) -> Ipv6Addr {
    text.parse().expect("an address")
}

fn net(text: &str) -> Ipv6Net {
    text.parse().expect("a network")
}

fn lease(routes: &[(&str, Option<&str>)]) -> Lease6 {
    Lease6 {
        addresses: vec![net("fd00:61::7/64")],
        routes: routes
            .iter()
            .map(|(to, gateway)| (net(to), gateway.map(ip)))
            .collect(),
        dns: vec![ip("fd00:61::53")],
        search: vec![],
        mtu: 1450,
    }
}

fn solicitation(mac: [u8; 6], payload: &[u8], hop_limit: u8) -> Vec<u8> {
    Packet {
        source_mac: mac,
        destination_mac: [0x33, 0x33, 0, 0, 0, 2],
        source: link_local(mac),
        destination: ip("ff02::2"),
        next_header: ICMPV6,
        hop_limit,
        payload,
    }
    .encode()
    .expect("short")
}

/// Type and whole value of every option.
fn options(frame: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let packet = Packet::parse(frame).expect("our own frame");
    let mut rest = &packet.payload[16..];
    let mut options = Vec::new();
    while let [kind, units, ..] = *rest {
        let (option, more) = rest.split_at(8 * usize::from(units));
        options.push((kind, option.to_vec()));
        rest = more;
    }
    options
}

#[test]
fn only_the_guests_solicitations_are_heard() {
    let advertiser = Advertiser::new(MAC, lease(&[]));
    let payload = [133, 0, 0, 0, 0, 0, 0, 0];
    let hear = |frame: Vec<u8>| advertiser.hear(&frame);
    assert_eq!(hear(solicitation(MAC, &payload, 255)), Some(Asked::Routers));
    assert_eq!(hear(solicitation(GATEWAY_MAC, &payload, 255)), None);
    assert_eq!(hear(solicitation(MAC, &payload, 64)), None);
    assert_eq!(hear(solicitation(MAC, &payload[..7], 255)), None);
    assert_eq!(
        hear(solicitation(MAC, &[134, 0, 0, 0, 0, 0, 0, 0], 255)),
        None
    );
    assert_eq!(hear(vec![]), None);
}

#[test]
fn a_gateway_gets_a_name_on_the_tap() {
    let advertiser = Advertiser::new(MAC, lease(&[("::/0", Some("fd00:61::1"))]));
    let name = ip("fe80::69:67ff:fe6e:6974");
    assert_eq!(advertiser.names(), [name]);
    let frame = advertiser.advertise(0, Some(GATEWAY_MAC));
    let packet = Packet::parse(&frame).expect("our own frame");
    assert_eq!((packet.source, packet.destination), (name, ALL_NODES));
    assert_eq!(
        (packet.source_mac, packet.destination_mac),
        (SERVER_MAC, MAC)
    );
    assert_eq!(packet.payload[..2], [134, 0]);
    assert_eq!(packet.payload[4..8], [64, 0xc0, 0xff, 0xff]);
    let options = options(&frame);
    let kinds: Vec<u8> = options.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [1, 5, 3, 25]);
    assert_eq!(options[0].1[2..], GATEWAY_MAC);
    assert_eq!(options[1].1[4..], 1450_u32.to_be_bytes());
    // /64, on the link, not autonomous.
    assert_eq!(options[2].1[2..4], [64, 0x80]);
    assert_eq!(options[2].1[16..], ip("fd00:61::").octets());
    assert_eq!(options[3].1[8..], ip("fd00:61::53").octets());

    let asked = Solicitation {
        source_mac: MAC,
        source: ip("fe80::1"),
        target: name,
    };
    let heard = advertiser.hear(&asked.encode());
    assert_eq!(
        heard,
        Some(Asked::Router {
            number: 0,
            guest: asked.source
        })
    );
    let answer = advertiser
        .answer(0, asked.source, GATEWAY_MAC)
        .expect("there is one");
    assert_eq!(
        Advertisement::parse(&answer),
        Some(Advertisement {
            target: name,
            mac: GATEWAY_MAC
        })
    );
    let other = Solicitation {
        target: ip("fe80::1"),
        ..asked
    };
    assert_eq!(advertiser.hear(&other.encode()), None);
}

#[test]
fn a_gateway_that_does_not_answer_is_no_router() {
    let advertiser = Advertiser::new(
        MAC,
        lease(&[
            ("::/0", Some("fd00:61::1")),
            ("2001:db8::/32", Some("fd00:61::1")),
        ]),
    );
    let frame = advertiser.advertise(0, None);
    let packet = Packet::parse(&frame).expect("our own frame");
    assert_eq!(packet.payload[6..8], [0, 0]);
    let kinds: Vec<u8> = options(&frame).iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [5, 3, 25]);
}

#[test]
fn every_next_hop_is_a_router_of_its_own() {
    let advertiser = Advertiser::new(
        MAC,
        lease(&[
            ("2001:db8:1::/48", Some("fd00:61::2")),
            ("::/0", Some("fe80::1")),
            ("2001:db8:2::/48", Some("fd00:61::2")),
            ("2001:db8:3::/48", None),
        ]),
    );
    let routers = advertiser.routers();
    assert_eq!(routers.len(), 2);
    assert_eq!((routers[0].default, routers[0].routes.len()), (false, 2));
    assert_eq!((routers[1].default, routers[1].gateway), (true, None));
    assert_eq!(routers[1].link_local, ip("fe80::1"));
    assert_eq!(advertiser.names().len(), 1);
    let kinds =
        |frame: &[u8]| -> Vec<u8> { options(frame).iter().map(|(kind, _)| *kind).collect() };
    assert_eq!(
        kinds(&advertiser.advertise(0, Some(MAC))),
        [1, 5, 3, 3, 24, 24, 25]
    );
    // Its MAC the guest finds out itself.
    assert_eq!(kinds(&advertiser.advertise(1, None)), [5, 3, 3, 25]);
}

#[test]
fn without_a_gateway_there_are_prefixes_and_names() {
    let advertiser = Advertiser::new(MAC, lease(&[]));
    let frame = advertiser.advertise(0, None);
    let packet = Packet::parse(&frame).expect("our own frame");
    assert_eq!(packet.source, link_local(SERVER_MAC));
    assert_eq!(packet.payload[5..8], [0xc0, 0, 0]);
}

#[test]
fn the_most_fits() {
    let routes: Vec<_> = (0..10_000_u16)
        .map(|n| {
            let net = Ipv6Addr::new(0x2001, 0xdb8, n, 0, 0, 0, 0, 0);
            let gateway = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n % 7);
            (Ipv6Net::new(net, 48).expect("short"), Some(gateway))
        })
        .collect();
    let most = Lease6 {
        addresses: vec![net("fd00:61::7/64"); 1000],
        routes,
        dns: vec![ip("fd00::1"); 1000],
        ..lease(&[])
    };
    let advertiser = Advertiser::new(MAC, most);
    assert_eq!(advertiser.routers().len(), MAX_ROUTERS);
    for number in 0..=MAX_ROUTERS {
        assert!(advertiser.advertise(number, Some(MAC)).len() <= 14 + 1280);
    }
}
