use ipnet::{Ipv4Net, Ipv6Net};
use proptest::prelude::*;

use super::*;

const PSK: &str = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";

fn parse(text: &str) -> Config {
    Config::parse(text.as_bytes()).expect(text)
}

fn told(text: &str) -> String {
    Config::parse(text.as_bytes()).expect_err(text).to_string()
}

/// First, last and length, as upstream's tests name them.
fn ends<N: Prefix>(range: Option<Range<N>>) -> (String, String, u8) {
    let range = range.expect("the family is enabled");
    let address = |subnet: N| N::address(subnet.bits()).to_string();
    (
        address(range.first()),
        address(range.last()),
        range.subnet_length(),
    )
}

fn v4(min: &str, max: &str, length: u8) -> (String, String, u8) {
    (min.to_owned(), max.to_owned(), length)
}

#[test]
fn defaults_are_those_of_flannel() {
    let config = parse(r#"{ "network": "10.3.0.0/16" }"#);
    assert_eq!(ends(config.ipv4), v4("10.3.1.0", "10.3.255.0", 24));
    assert_eq!(config.ipv6, None);
    assert_eq!((config.backend, config.nftables), (Backend::udp(), false));
    let config =
        parse(r#"{ "enableIPv6": true, "ipv6Network": "fc00::/48", "enableIPv4": false }"#);
    assert_eq!(config.ipv4, None);
    assert_eq!(ends(config.ipv6), v4("fc00:0:0:1::", "fc00:0:0:ffff::", 64));
}

#[test]
fn lengths_follow_the_network() {
    for (network, expected) in [
        ("10.0.0.0/8", v4("10.0.1.0", "10.255.255.0", 24)),
        ("10.5.4.0/22", v4("10.5.5.0", "10.5.7.0", 24)),
        ("10.5.4.0/23", v4("10.5.4.128", "10.5.5.128", 25)),
        ("10.5.4.16/28", v4("10.5.4.20", "10.5.4.28", 30)),
        (
            "255.255.255.0/24",
            v4("255.255.255.64", "255.255.255.192", 26),
        ),
        // Host bits are cut.
        ("10.5.3.4/16", v4("10.5.1.0", "10.5.255.0", 24)),
    ] {
        let config = parse(&format!(r#"{{"Network":"{network}"}}"#));
        assert_eq!(ends(config.ipv4), expected, "{network}");
    }
    for (network, expected) in [
        ("fd00:5::/62", v4("fd00:5:0:1::", "fd00:5:0:3::", 64)),
        (
            "fd00:5::/63",
            v4("fd00:5:0:0:8000::", "fd00:5:0:1:8000::", 65),
        ),
        ("fd00:5::/124", v4("fd00:5::4", "fd00:5::c", 126)),
        ("ffff::/16", v4("ffff:0:0:1::", "ffff:ffff:ffff:ffff::", 64)),
    ] {
        let text = r#"{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"NET"}"#;
        assert_eq!(
            ends(parse(&text.replace("NET", network)).ipv6),
            expected,
            "{network}"
        );
    }
}

#[test]
fn overrides_are_those_of_flannel() {
    let config = parse(
        r#"{ "Network": "10.3.0.0/16", "SubnetMin": "10.3.5.0", "SubnetMax": "10.3.8.0", "SubnetLen": 28 }"#,
    );
    assert_eq!(ends(config.ipv4), v4("10.3.5.0", "10.3.8.0", 28));
    let config = parse(
        r#"{ "EnableIPv6": true, "IPv6Network": "fc00::/48", "IPv6SubnetMin": "fc00:0:0:1::",
             "IPv6SubnetMax": "fc00:0:0:f::", "IPv6SubnetLen": 124, "enableIPv4": false }"#,
    );
    assert_eq!(ends(config.ipv6), v4("fc00:0:0:1::", "fc00:0:0:f::", 124));
    // Zeros are what Go has for absent ones; the first subnet may be asked for.
    let config = parse(
        r#"{"Network":"10.3.0.0/16","SubnetLen":0,"SubnetMin":"0.0.0.0","SubnetMax":null,"Networks":["x"]}"#,
    );
    assert_eq!(ends(config.ipv4), v4("10.3.1.0", "10.3.255.0", 24));
    let config =
        parse(r#"{"Network":"10.3.0.0/16","SubnetMin":"10.3.0.0","SubnetMax":"10.3.0.0"}"#);
    assert_eq!(ends(config.ipv4), v4("10.3.0.0", "10.3.0.0", 24));
}

#[test]
fn what_cannot_be_is_named_with_its_reason() {
    for (text, expected) in [
        (
            r#"{}"#,
            "Network is missing: it is the network that the subnets of all nodes are taken from",
        ),
        (
            r#"{"Network":"10.5.0.0"}"#,
            r#"Network is "10.5.0.0": it is not an IPv4 network such as 10.5.0.0/16"#,
        ),
        (
            r#"{"Network":""}"#,
            r#"Network is "": it is not an IPv4 network such as 10.5.0.0/16"#,
        ),
        (
            r#"{"Network":"0.0.0.0/0"}"#,
            r#"Network is "0.0.0.0/0": the whole of all addresses cannot be divided among nodes"#,
        ),
        (r#"{"Network":7}"#, "Network must be a string, not a number"),
        (
            r#"{"Network":"10.5.0.0/29"}"#,
            r#"Network is "10.5.0.0/29": it is too small for four subnets: /28 is the least"#,
        ),
        (
            r#"{"Network":"10.5.0.0/16","SubnetLen":31}"#,
            r#"SubnetLen is "31": a node needs addresses: /30 is the least"#,
        ),
        (
            r#"{"Network":"10.5.0.0/16","SubnetLen":17}"#,
            r#"SubnetLen is "17": 10.5.0.0/16 must have room for four subnets: 18 or more"#,
        ),
        (
            r#"{"Network":"10.5.0.1/32","SubnetLen":30}"#,
            r#"SubnetLen is "30": 10.5.0.1/32 must have room for four subnets: 34 or more"#,
        ),
        (
            r#"{"Network":"10.5.0.0/16","SubnetLen":300}"#,
            "SubnetLen is 300, not a whole number from 0 to 128",
        ),
        (
            r#"{"Network":"10.5.0.0/16","SubnetLen":"24"}"#,
            "SubnetLen must be a number, not a string",
        ),
        (
            r#"{"Network":"10.5.0.0/16","SubnetMin":"10.6.0.0"}"#,
            r#"SubnetMin is "10.6.0.0": it is not within 10.5.0.0/16"#,
        ),
        (
            r#"{"Network":"10.5.0.0/16","SubnetMax":"10.4.255.0"}"#,
            r#"SubnetMax is "10.4.255.0": it is not within 10.5.0.0/16"#,
        ),
        (
            r#"{"Network":"10.5.0.0/16","SubnetMin":"10.5.3.9"}"#,
            r#"SubnetMin is "10.5.3.9": no subnet of length 24 begins there; 10.5.3.0 would be one"#,
        ),
        (
            r#"{"Network":"10.5.0.0/16","SubnetMax":"10.5.9.255"}"#,
            r#"SubnetMax is "10.5.9.255": no subnet of length 24 begins there; 10.5.9.0 would be one"#,
        ),
        (
            r#"{"Network":"10.5.0.0/16","SubnetMax":"x"}"#,
            r#"SubnetMax is "x": it is not an IPv4 address"#,
        ),
        (
            r#"{"Network":"10.5.0.0/16","SubnetMin":"10.5.9.0","SubnetMax":"10.5.8.0"}"#,
            r#"SubnetMin is "10.5.9.0": it is above the last subnet, 10.5.8.0: no subnet is left"#,
        ),
        (
            r#"{"Network":"10.5.0.0/16","EnableIPv6":true}"#,
            "IPv6Network is missing: it is the network that the subnets of all nodes are taken from",
        ),
        (
            r#"{"EnableIPv4":false}"#,
            "EnableIPv4 and EnableIPv6 are both false: there is no address to give to anyone",
        ),
        (
            r#"{"EnableIPv4":"no"}"#,
            "EnableIPv4 must be true or false, not a string",
        ),
        (r#"[]"#, "it is an array, not an object"),
        (r#"{"Network":"#, "it is not JSON"),
    ] {
        assert_eq!(told(text), expected, "{text}");
    }
}

#[test]
fn ipv6_is_checked_in_the_same_way() {
    for (members, expected) in [
        (
            r#""IPv6Network":"fd00::/125""#,
            "IPv6Network is \"fd00::/125\": it is too small for four subnets: /124 is the least",
        ),
        (
            r#""IPv6Network":"::/0""#,
            "IPv6Network is \"::/0\": the whole of all addresses cannot be divided among nodes",
        ),
        (
            r#""IPv6Network":"::ffff:10.0.0.0/104""#,
            "IPv6Network is \"::ffff:10.0.0.0/104\": its addresses stand for IPv4 ones",
        ),
        (
            r#""IPv6Network":"10.0.0.0/8""#,
            "IPv6Network is \"10.0.0.0/8\": it is not an IPv6 network such as fd00:5::/48",
        ),
        (
            r#""IPv6Network":"fd00::/48","IPv6SubnetLen":127"#,
            "IPv6SubnetLen is \"127\": a node needs addresses: /126 is the least",
        ),
        (
            r#""IPv6Network":"fd00::/48","IPv6SubnetLen":49"#,
            "IPv6SubnetLen is \"49\": fd00::/48 must have room for four subnets: 50 or more",
        ),
        (
            r#""IPv6Network":"fd00::/48","IPv6SubnetMin":"fd01::""#,
            "IPv6SubnetMin is \"fd01::\": it is not within fd00::/48",
        ),
        (
            r#""IPv6Network":"fd00::/48","IPv6SubnetMax":"fd00::1""#,
            "IPv6SubnetMax is \"fd00::1\": no subnet of length 64 begins there; fd00:: would be one",
        ),
    ] {
        let text = format!(r#"{{"EnableIPv4":false,"EnableIPv6":true,{members}}}"#);
        assert_eq!(told(&text), expected, "{text}");
    }
}

#[test]
fn what_is_written_says_no_more_than_needed() {
    let network: Ipv4Net = "10.5.0.0/16".parse().expect("a network");
    let ipv4 = Range::new(network, Limits::default()).expect("large enough");
    let config = |backend| Config::new(Some(ipv4), None, backend).expect("one family");
    for (backend, expected) in [
        (Backend::vxlan(), r#"{"Type":"vxlan"}"#),
        (Backend::udp(), r#"{"Type":"udp"}"#),
        (Backend::HostGw, r#"{"Type":"host-gw"}"#),
        (Backend::Alloc, r#"{"Type":"alloc"}"#),
        (
            Backend::wireguard(),
            r#"{"Type":"wireguard","PersistentKeepaliveInterval":25}"#,
        ),
    ] {
        let expected = format!(r#"{{"Network":"10.5.0.0/16","Backend":{expected}}}"#);
        assert_eq!(config(backend).to_json(), expected);
    }
    for text in [
        r#"{"Network":"10.5.0.0/16","SubnetLen":26,"SubnetMin":"10.5.1.0","SubnetMax":"10.5.9.64","Backend":{"Type":"vxlan","VNI":77,"Port":4789,"GBP":true}}"#,
        r#"{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/48","EnableNFTables":true,"Backend":{"Type":"wireguard","PersistentKeepaliveInterval":0,"Mode":"ipv6"}}"#,
        r#"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","IPv6SubnetLen":80,"Backend":{"Type":"udp","Port":7}}"#,
    ] {
        assert_eq!(parse(text).to_json(), text);
    }
    assert!(matches!(
        Config::new(None, None, Backend::Alloc),
        Err(ConfigError::NoFamily)
    ));
}

#[test]
fn the_subnets_are_those_from_first_to_last() {
    let config = parse(r#"{"Network":"10.5.0.0/28"}"#);
    let subnets: Vec<String> = config
        .ipv4
        .expect("IPv4")
        .subnets()
        .map(|subnet| subnet.to_string())
        .collect();
    assert_eq!(subnets, ["10.5.0.4/30", "10.5.0.8/30", "10.5.0.12/30"]);
    let network: Ipv6Net = "4000::/2".parse().expect("a network");
    let limits = Limits {
        length: Some(126),
        ..Limits::default()
    };
    let huge = Range::new(network, limits).expect("large enough");
    let mut subnets = huge.subnets();
    assert_eq!(
        subnets.next().map(|subnet| subnet.to_string()).as_deref(),
        Some("4000::4/126")
    );
    assert_eq!(
        huge.last().to_string(),
        "7fff:ffff:ffff:ffff:ffff:ffff:ffff:fffc/126"
    );
}

proptest! {
    #[test]
    fn a_configuration_is_read_as_it_was_written(
        network in any::<u32>(), length in 1u8..=28, longer in 2u8..30, min in any::<u32>(),
        max in any::<u32>(), v6 in any::<u128>(), v6_length in 1u8..=124, kind in 0usize..5,
        (number, flag) in (1u16.., any::<bool>()),
    ) {
        let v4 = Ipv4Net::with(network.into(), length);
        let subnet_length = (length + longer).min(30);
        let within = |number: u32| {
            let subnet = Ipv4Net::with(number.into(), subnet_length).network();
            v4.contains(&subnet).then_some(subnet)
        };
        let limits = Limits { length: Some(subnet_length), min: within(min), max: within(max) };
        let ipv4 = Range::new(v4, limits).ok();
        let ipv6 = Range::new(Ipv6Net::with(v6, v6_length), Limits::default()).ok();
        let backend = match kind {
            0 => Backend::Udp { port: number },
            1 => Backend::HostGw,
            2 => Backend::Alloc,
            3 => Backend::Vxlan {
                vni: number.into(), port: flag.then_some(number), gbp: flag, learning: !flag,
                direct_routing: flag, mtu: flag.then_some(1400),
            },
            _ => Backend::Wireguard {
                psk: flag.then(|| PresharedKey::new(PSK)).flatten(), listen_port: number,
                listen_port_v6: 7, keepalive: number, mode: Mode::Ipv4, mtu: None,
            },
        };
        if let Ok(config) = Config::new(ipv4, ipv6, backend) {
            let text = config.to_json();
            prop_assert_eq!(Config::parse(text.as_bytes()).expect("its own text"), config);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Config::parse(&bytes);
    }

    #[test]
    fn no_networks_panic(
        network in any::<u128>(), length in 0u8..=128, subnet in 0u8..=128, min in any::<u128>(),
    ) {
        let limits = Limits { length: Some(subnet), min: Some(min.into()), max: None };
        let _ = Range::new(Ipv6Net::with(network, length), limits);
        let limits = Limits { length: Some(subnet), min: None, max: Some((min as u32).into()) };
        let _ = Range::new(Ipv4Net::with(network, length.min(32)), limits);
    }
}
