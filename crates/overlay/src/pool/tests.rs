use std::time::{Duration, Instant};

use ipnet::Ipv4Net;
use proptest::prelude::*;

use super::*;
use crate::lease::Attributes;

const ME: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 11);
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 12);

fn config(text: &str) -> Config {
    Config::parse(text.as_bytes()).expect(text)
}

fn small() -> Config {
    config(r#"{"Network":"10.5.0.0/28"}"#)
}

fn dual() -> Config {
    config(
        r#"{"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:5::/48","Backend":{"Type":"vxlan"}}"#,
    )
}

fn subnet(key: &str) -> Subnet {
    key::parse(key).expect(key)
}

fn lease(key: &str, public_ip: Ipv4Addr) -> Lease {
    Lease {
        subnet: subnet(key),
        attributes: Attributes {
            public_ip,
            public_ipv6: None,
            backend: None,
            data: None,
            v6_data: None,
        },
    }
}

/// Decides, drawing the last candidate each time.
fn decide_last(
    config: &Config,
    leases: &[Lease],
    previous: Option<&str>,
) -> Result<Decision, PoolError> {
    let situation = Situation {
        config,
        leases,
        unreadable: &[],
        public_ip: ME,
        previous: previous.map(subnet),
    };
    decide(&situation, &mut |length| length - 1)
}

fn create(key: &str) -> Result<Decision, PoolError> {
    Ok(Decision {
        delete: Vec::new(),
        take: Take::Create(subnet(key)),
    })
}

#[test]
fn a_lease_of_ours_is_used_again() {
    let leases = [
        lease("10.5.0.4-30", OTHER),
        lease("10.5.0.8-30", ME),
        // By the order of keys, which is that of text, this one comes first.
        lease("10.5.0.12-30", ME),
    ];
    let decision = decide_last(&small(), &leases, Some("10.5.0.8-30")).expect("ours");
    assert_eq!(decision.take, Take::Reuse(subnet("10.5.0.12-30")));
    assert_eq!(decision.take.subnet(), subnet("10.5.0.12-30"));
    assert!(decision.delete.is_empty());
}

#[test]
fn a_lease_of_ours_that_does_not_fit_is_deleted_first() {
    for misfit in [
        "10.6.0.4-30",
        "10.5.0.4-31",
        "10.5.0.0-30",
        "10.5.0.4-30&fd00::-64",
    ] {
        let leases = [lease(misfit, ME), lease("10.5.0.8-30", OTHER)];
        let decision = decide_last(&small(), &leases, None).expect("one is free");
        assert_eq!(decision.delete, [subnet(misfit)]);
        assert_eq!(decision.take, Take::Create(subnet("10.5.0.12-30")));
    }
    // What is deleted is free again.
    let leases = [lease("10.5.0.0-28", ME)];
    let decision = decide_last(&small(), &leases, Some("10.5.0.4-30")).expect("free");
    assert_eq!(decision.take, Take::Create(subnet("10.5.0.4-30")));
}

#[test]
fn the_previous_subnet_is_preferred_where_it_fits_and_is_free() {
    let config = small();
    let taken = [lease("10.5.0.12-30", OTHER)];
    for (previous, expected) in [
        (Some("10.5.0.4-30"), "10.5.0.4-30"),
        (Some("10.5.0.12-30"), "10.5.0.8-30"),
        (Some("10.6.0.4-30"), "10.5.0.8-30"),
        (Some("10.5.0.4-30&fd00::-64"), "10.5.0.8-30"),
        (None, "10.5.0.8-30"),
    ] {
        assert_eq!(
            decide_last(&config, &taken, previous),
            create(expected),
            "{previous:?}"
        );
    }
}

#[test]
fn when_all_are_taken_it_says_so() {
    let leases = ["10.5.0.4-30", "10.5.0.8-30", "10.5.0.12-30"].map(|key| lease(key, OTHER));
    let error = decide_last(&small(), &leases, Some("10.5.0.8-30")).expect_err("all taken");
    assert_eq!(
        error.to_string(),
        "no IPv4 subnet is free: other nodes have all from 10.5.0.4/30 to 10.5.0.12/30"
    );
    assert!(error.hint().expect("a hint").contains("SubnetLen"));
}

#[test]
fn leases_that_cannot_be_understood_are_taken_all_the_same() {
    let unreadable = [subnet("10.5.0.8-29")];
    let situation = Situation {
        config: &small(),
        leases: &[],
        unreadable: &unreadable,
        public_ip: ME,
        previous: Some(subnet("10.5.0.12-30")),
    };
    assert_eq!(decide(&situation, &mut |_| 7), create("10.5.0.4-30"));
}

#[test]
fn both_families_are_drawn_on_their_own() {
    let leases = [
        lease("10.5.1.0-24&fd00:5:0:2::-64", OTHER),
        lease("10.5.2.0-24", OTHER),
        lease("0.0.0.0-0&fd00:5:0:1::-64", Ipv4Addr::UNSPECIFIED),
    ];
    let config = dual();
    let situation = Situation {
        config: &config,
        leases: &leases,
        unreadable: &[],
        public_ip: ME,
        previous: Some(subnet("10.5.9.0-24")),
    };
    let mut asked = Vec::new();
    let decision = decide(&situation, &mut |length| {
        asked.push(length);
        asked.len() - 1
    });
    assert_eq!(decision, create("10.5.3.0-24&fd00:5:0:4::-64"));
    assert_eq!(asked, [100, 100]);
    let previous = Some("10.5.9.0-24&fd00:5:0:9::-64");
    assert_eq!(
        decide_last(&config, &leases, previous),
        create("10.5.9.0-24&fd00:5:0:9::-64")
    );
    // Its IPv6 half is another's.
    let previous = Some("10.5.9.0-24&fd00:5:0:2::-64");
    assert_eq!(
        decide_last(&config, &leases, previous),
        create("10.5.102.0-24&fd00:5:0:66::-64")
    );
}

#[test]
fn nodes_at_no_address_are_not_us() {
    let config = dual();
    let leases = [lease("0.0.0.0-0&fd00:5:0:1::-64", Ipv4Addr::UNSPECIFIED)];
    let situation = Situation {
        config: &config,
        leases: &leases,
        unreadable: &[],
        public_ip: Ipv4Addr::UNSPECIFIED,
        previous: None,
    };
    let decision = decide(&situation, &mut |_| 0).expect("plenty");
    assert_eq!(decision.delete, []);
    assert_eq!(
        decision.take,
        Take::Create(subnet("10.5.1.0-24&fd00:5:0:2::-64"))
    );
}

#[test]
fn without_ipv4_there_is_no_key() {
    let config = config(r#"{"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd00:5::/48"}"#);
    let error = decide_last(&config, &[], None).expect_err("IPv6 alone");
    assert_eq!(error, PoolError::WithoutIpv4);
    assert!(!fits(&config, &subnet("0.0.0.0-0&fd00:5:0:1::-64")));
}

#[test]
fn large_networks_take_no_longer_than_small_ones() {
    let config = config(
        r#"{"Network":"10.0.0.0/8","SubnetLen":30,"EnableIPv6":true,"IPv6Network":"2000::/3","IPv6SubnetLen":126}"#,
    );
    let v4 = config.ipv4.expect("IPv4");
    let v6 = config.ipv6.expect("IPv6");
    let leases: Vec<Lease> = v4
        .subnets()
        .zip(v6.subnets())
        .take(999)
        .map(|(v4, v6)| Lease {
            subnet: Subnet { v4, v6: Some(v6) },
            ..lease("10.5.0.0-24", OTHER)
        })
        .chain([lease("10.0.0.0-9&2000::-4", OTHER)])
        .collect();
    let began = Instant::now();
    let decision = decide_last(&config, &leases, None);
    assert_eq!(decision, create("10.128.1.140-30&3000::18c-126"));
    let full = [lease("10.0.0.0-8&2000::-3", OTHER)];
    assert!(decide_last(&config, &full, None).is_err());
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn the_end_of_all_addresses_is_no_trouble() {
    let config = config(
        r#"{"Network":"255.255.255.240/28","EnableIPv6":true,"IPv6Network":"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0/124"}"#,
    );
    let decision = decide_last(&config, &[], None);
    assert_eq!(
        decision,
        create("255.255.255.252-30&ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffc-126")
    );
    let taken = [lease(
        "255.255.255.240-29&ffff:ffff:ffff:ffff:ffff:ffff:ffff:fff0-124",
        OTHER,
    )];
    assert!(matches!(
        decide_last(&config, &taken, None),
        Err(PoolError::OutOfSubnets { family: "IPv6", .. })
    ));
}

proptest! {
    /// The same candidates as by trying one subnet after the other against all leases.
    #[test]
    fn free_subnets_are_those_that_overlap_nothing(
        taken in proptest::collection::vec((0u32..1024, 20u8..=32), 0..40),
        (length, longer) in (22u8..=26, 2u8..=4),
    ) {
        let network = Ipv4Net::with(0x0a05_0000, length);
        let limits = crate::config::Limits { length: Some(length + longer), ..Default::default() };
        let range = Range::new(network, limits).expect("four fit");
        let taken: Vec<Ipv4Net> =
            taken.iter().map(|(at, length)| Ipv4Net::with(u128::from(0x0a05_0000 + at), *length)).collect();
        let naive: Vec<Ipv4Net> = range
            .subnets()
            .filter(|subnet| !taken.iter().any(|taken| intersect(*taken, *subnet)))
            .take(CANDIDATES)
            .collect();
        prop_assert_eq!(free(&range, taken.into_iter()), naive);
    }

    #[test]
    fn what_is_created_fits_and_is_nobodys(
        taken in proptest::collection::vec((any::<u8>(), any::<u16>(), any::<bool>()), 0..300),
        previous in any::<(u8, u16)>(), chance in any::<usize>(),
    ) {
        let key = |v4: u8, v6: u16| subnet(&format!("10.5.{v4}.0-24&{}-64",
            std::net::Ipv6Addr::new(0xfd00, 5, 0, v6, 0, 0, 0, 0)));
        let leases: Vec<Lease> = taken
            .iter()
            .map(|(v4, v6, is_ours)| Lease {
                subnet: key(*v4, *v6),
                ..lease("10.5.0.0-24", if *is_ours { ME } else { OTHER })
            })
            .collect();
        let config = dual();
        let situation = Situation {
            config: &config, leases: &leases, unreadable: &[], public_ip: ME,
            previous: Some(key(previous.0, previous.1)),
        };
        if let Ok(decision) = decide(&situation, &mut |_| chance) {
            let subnet = decision.take.subnet();
            prop_assert!(fits(&config, &subnet));
            let others = leases.iter().filter(|lease| lease.attributes.public_ip != ME);
            let is_free = !others.clone().any(|lease| overlap(&lease.subnet, &subnet));
            prop_assert!(is_free || matches!(decision.take, Take::Reuse(_)));
        }
    }
}
