//! Choices on a host of values, and one on a host of the kernel's.

use super::*;
use ignite_host::netns::Namespace;

const ETH0: u32 = 2;
const ETH1: u32 = 3;

fn link_of(index: u32, name: &str) -> Link {
    Link {
        index,
        name: name.to_owned(),
        mac: [2, 0, 0, 0, 0, 1],
        mtu: 1500,
        up: true,
        kind: None,
        master: None,
        peer: None,
    }
}

fn nets(texts: &[&str]) -> Vec<IpNet> {
    let net = |text: &&str| text.parse().expect("a network");
    texts.iter().map(net).collect()
}

fn default(text: &str, index: u32) -> Route {
    Route::new(text.parse().expect("a network"), None, index)
}

/// eth0: 10.99.0.11 and others, the default of IPv4; eth1: 192.168.7.11, that of IPv6.
fn host() -> Host {
    Host {
        links: vec![
            link_of(1, "lo"),
            link_of(ETH0, "eth0"),
            link_of(ETH1, "eth1"),
        ],
        addresses: BTreeMap::from([
            (1, nets(&["127.0.0.1/8", "::1/128"])),
            (
                ETH0,
                nets(&[
                    "169.254.1.1/16",
                    "10.99.0.11/24",
                    "fe80::1/64",
                    "fd99::11/64",
                ]),
            ),
            (
                ETH1,
                nets(&["192.168.7.11/24", "10.98.0.11/24", "fe80::2/64"]),
            ),
        ]),
        defaults: vec![default("0.0.0.0/0", ETH0), default("::/0", ETH1)],
        way: Some(Way {
            index: ETH1,
            source: Some("10.98.0.11".parse().expect("an address")),
            direct: false,
        }),
    }
}

fn chosen(choice: &Choice) -> (String, String) {
    let external = choose(choice, &host()).expect("found");
    (external.name, external.address.to_string())
}

fn found(choice: &Choice, name: &str, address: &str) {
    assert_eq!(chosen(choice), (name.to_owned(), address.to_owned()));
}

fn interfaces(texts: &[&str]) -> Choice {
    Choice {
        interfaces: texts.iter().map(|text| (*text).to_owned()).collect(),
        ..Choice::default()
    }
}

fn patterns(texts: &[&str]) -> Choice {
    Choice {
        patterns: interfaces(texts).interfaces,
        ..Choice::default()
    }
}

#[test]
fn the_default_route_tells_if_nothing_else_does() {
    found(&Choice::default(), "eth0", "10.99.0.11");
    let none = Host {
        defaults: Vec::new(),
        ..host()
    };
    let error = choose(&Choice::default(), &none).expect_err("no default");
    assert!(matches!(error, Error::NoDefault));
    assert!(error.hint().is_some());
}

#[test]
fn an_interface_by_name_or_address() {
    found(&interfaces(&["eth1"]), "eth1", "192.168.7.11");
    found(&interfaces(&["10.98.0.11"]), "eth1", "10.98.0.11");
    found(
        &interfaces(&["wlan0", "eth1", "eth0"]),
        "eth1",
        "192.168.7.11",
    );
    let error = choose(&interfaces(&["wlan0", "10.0.0.1"]), &host()).expect_err("neither");
    assert_eq!(error.to_string(), "no interface fits wlan0, 10.0.0.1");
    // Neither is the default route taken when another was asked for.
    let both = Choice {
        patterns: vec!["^eth1$".to_owned()],
        ..interfaces(&["wlan0"])
    };
    found(&both, "eth1", "192.168.7.11");
}

#[test]
fn patterns_are_for_addresses_first() {
    found(&patterns(&[r"^10\.98\."]), "eth1", "10.98.0.11");
    found(&patterns(&["wlan", "eth."]), "eth0", "10.99.0.11");
    // Only a dual-stack network looks at IPv6 addresses.
    assert!(choose(&patterns(&["^fd99"]), &host()).is_err());
    let error = choose(&patterns(&["("]), &host()).expect_err("no pattern");
    assert!(matches!(error, Error::Pattern { .. }));
}

#[test]
fn a_destination_brings_its_source_address() {
    let choice = Choice {
        can_reach: Some("192.0.2.1".parse().expect("an address")),
        ..Choice::default()
    };
    found(&choice, "eth1", "10.98.0.11");
    let lost = Host {
        way: None,
        ..host()
    };
    let error = choose(&choice, &lost).expect_err("no way");
    assert_eq!(error.to_string(), "no interface fits the way to 192.0.2.1");
}

#[test]
fn the_public_address_alone_names_its_owner() {
    let mut choice = Choice {
        public_ip: Some(Ipv4Addr::new(192, 168, 7, 11)),
        ..Choice::default()
    };
    found(&choice, "eth1", "192.168.7.11");
    choice.public_ip = Some(Ipv4Addr::new(203, 0, 113, 5));
    let error = choose(&choice, &host()).expect_err("nobody's");
    assert_eq!(
        error.to_string(),
        "no interface fits the public address 203.0.113.5"
    );
    choice.interfaces = vec!["eth0".to_owned()];
    let external = choose(&choice, &host()).expect("translated");
    assert_eq!(external.address, Ipv4Addr::new(10, 99, 0, 11));
    assert_eq!(external.public_ip, Ipv4Addr::new(203, 0, 113, 5));
}

#[test]
fn dual_stack_needs_both_families_on_one_interface() {
    let mut choice = Choice {
        dual_stack: true,
        ..Choice::default()
    };
    let error = choose(&choice, &host()).expect_err("two defaults");
    assert!(matches!(error, Error::TwoDefaults { .. }));
    choice.interfaces = vec!["eth0".to_owned()];
    let external = choose(&choice, &host()).expect("both");
    assert_eq!(external.address_v6, "fd99::11".parse().ok());
    assert_eq!(external.public_ipv6, external.address_v6);
    choice.interfaces = vec!["eth1".to_owned()];
    let external = choose(&choice, &host()).expect("link-local is better than none");
    assert_eq!(external.address_v6, "fe80::2".parse().ok());
}

#[test]
fn a_real_host_is_read() {
    Namespace::anonymous()
        .expect("namespace")
        .run(|| {
            let netlink = Netlink::open().expect("netlink");
            let index = netlink.create_veth("eth0", "far", None).expect("veth");
            let far = netlink.link("far").expect("look").expect("there").index;
            netlink.set_up(far).expect("up");
            netlink.set_up(index).expect("up");
            let address = "10.99.0.11/24".parse().expect("an address");
            netlink.add_address(index, address).expect("address");
            let gateway = "10.99.0.1".parse().expect("an address");
            let route = Route::new(
                "0.0.0.0/0".parse().expect("a network"),
                Some(gateway),
                index,
            );
            netlink.add_route(&route).expect("route");
            for choice in [
                Choice::default(),
                Choice {
                    can_reach: Some("192.0.2.1".parse().expect("an address")),
                    ..Choice::default()
                },
            ] {
                let external = find(&netlink, &choice).expect("found");
                assert_eq!((external.name.as_str(), external.mtu), ("eth0", 1500));
                assert_eq!(external.address, Ipv4Addr::new(10, 99, 0, 11));
            }
        })
        .expect("enter");
}
