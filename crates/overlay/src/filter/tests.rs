//! The rules in real namespaces, with traffic.

use std::time::Duration;

use ignite_host::iptables::{self, Family};
use ignite_host::nft;

use super::test_hosts::{Hosts, seen, source};
use super::{Filter, FilterError, Missing, Rules, Scope, table};

/// One network, IPv4 only.
pub(super) fn single() -> Rules {
    Rules {
        ipv4: Some(Scope {
            network: "10.5.0.0/16".parse().expect("net"),
            subnet: "10.5.9.0/24".parse().expect("net"),
        }),
        ipv6: None,
        ip_masq: true,
        forward: true,
        random_fully: true,
    }
}

/// The same with IPv6.
pub(super) fn dual() -> Rules {
    Rules {
        ipv6: Some(Scope {
            network: "fd00:5::/48".parse().expect("net"),
            subnet: "fd00:5:0:9::/64".parse().expect("net"),
        }),
        ..single()
    }
}

const VM: &str = "10.5.9.2";
const REMOTE: &str = "10.5.7.2";
const OUTSIDE: &str = "192.0.2.2";

const DROP: &str = "*filter\n:FORWARD DROP [0:0]\nCOMMIT\n";

fn restore(script: &str) {
    iptables::restore(script, Family::V4).expect("restore");
}

fn none(errors: Vec<FilterError>) {
    assert!(errors.is_empty(), "{errors:?}");
}

fn lacks(filter: &Filter) -> Vec<Missing> {
    let (missing, errors) = filter.check();
    none(errors);
    missing
}

fn brought_back(filter: &Filter) -> Vec<Missing> {
    let (missing, errors) = filter.resync();
    none(errors);
    missing
}

fn saved() -> String {
    ["filter", "nat"]
        .map(|table| iptables::save(table, Family::V4).expect("save"))
        .concat()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split(" [").next().unwrap_or(line).to_owned() + "\n")
        .collect()
}

#[test]
fn masquerades_what_leaves_the_overlay_and_nothing_else() {
    let hosts = Hosts::new();
    hosts.on_host(|| none(Filter::new(single()).apply()));
    let (vm, far, host) = (&hosts.vm, &hosts.far, &hosts.host);
    assert_eq!(source((vm, VM), (far, OUTSIDE)), "192.0.2.1");
    assert_eq!(source((vm, VM), (far, REMOTE)), VM);
    assert_eq!(source((far, REMOTE), (vm, VM)), REMOTE);
    assert_eq!(source((far, OUTSIDE), (vm, VM)), OUTSIDE);
    assert_eq!(source((host, "10.5.9.1"), (far, REMOTE)), "10.5.9.1");
    assert_eq!(source((host, "192.0.2.1"), (far, REMOTE)), "10.5.7.1");
}

#[test]
fn masquerades_ipv6_alike() {
    let hosts = Hosts::new();
    hosts.on_host(|| none(Filter::new(dual()).apply()));
    let (vm, far) = (&hosts.vm, &hosts.far);
    let (own, remote, outside) = ("fd00:5:0:9::2", "fd00:5:0:7::2", "fd99::2");
    assert_eq!(source((vm, own), (far, outside)), "fd99::1");
    assert_eq!(source((vm, own), (far, remote)), own);
    assert_eq!(source((far, outside), (vm, own)), outside);
    assert_eq!(source((vm, VM), (far, OUTSIDE)), "192.0.2.1");
}

#[test]
fn gets_through_where_the_policy_drops() {
    let hosts = Hosts::new();
    hosts.on_host(|| restore(DROP));
    let (vm, far) = ((&hosts.vm, VM), (&hosts.far, REMOTE));
    assert_eq!(seen(vm, far, Duration::from_millis(300)), None);
    let filter = Filter::new(single());
    hosts.on_host(|| none(filter.apply()));
    assert_eq!(source(vm, far), VM);
    assert_eq!(source(far, vm), REMOTE);
    hosts.on_host(|| assert!(filter.remove().is_empty()));
    assert_eq!(seen(vm, far, Duration::from_millis(300)), None);
}

#[test]
fn brings_back_what_was_flushed() {
    let hosts = Hosts::new();
    let filter = Filter::new(dual());
    hosts.on_host(|| {
        restore(DROP);
        iptables::restore(DROP, Family::V6).expect("restore");
        none(filter.apply());
        assert_eq!(lacks(&filter), []);
        let before = saved();
        let table = table(&dual());

        nft::apply(&format!("flush table inet {table}\n")).expect("flush");
        restore("*filter\n-F FLANNEL-FWD\n-F FORWARD\nCOMMIT\n");
        let missing = brought_back(&filter);
        let count = |of: fn(&Missing) -> bool| missing.iter().filter(|m| of(m)).count();
        assert_eq!(
            count(|m| matches!(m, Missing::Rule { .. })),
            9,
            "{missing:?}"
        );
        assert_eq!(
            count(|m| matches!(m, Missing::Forward { .. })),
            3,
            "{missing:?}"
        );
        assert_eq!((lacks(&filter), saved()), (vec![], before));

        nft::apply(&format!("delete table inet {table}\n")).expect("delete");
        assert_eq!(brought_back(&filter), [Missing::Table { table }]);
        assert_eq!(lacks(&filter), []);
    });
}

#[test]
fn leaves_nothing_behind() {
    let hosts = Hosts::new();
    hosts.on_host(|| {
        restore(DROP);
        let before = saved();
        let filter = Filter::new(single());
        none(filter.apply());
        assert_ne!(saved(), before);
        for _ in 0..2 {
            assert!(filter.remove().is_empty());
            assert_eq!(saved(), before);
            assert_eq!(
                nft::list_json("inet", &table(&single())).expect("list"),
                None
            );
        }
    });
}

#[test]
fn another_network_replaces_all_of_the_old_one() {
    let hosts = Hosts::new();
    hosts.on_host(|| {
        restore(DROP);
        let mut filter = Filter::new(dual());
        none(filter.apply());
        let old = table(&dual());
        let next = Rules {
            ipv4: Some(Scope {
                network: "10.6.0.0/16".parse().expect("net"),
                subnet: "10.6.3.0/24".parse().expect("net"),
            }),
            ..single()
        };
        none(filter.update(next.clone()));
        assert_eq!(filter.rules(), &next);
        assert_eq!(lacks(&filter), []);
        assert_eq!(nft::list_json("inet", &old).expect("list"), None);
        assert!(!saved().contains("10.5."), "{}", saved());
    });
}

/// What `flanneld` v0.20.1 of the network 10.`second`.0.0/16 puts there.
fn flanneld(second: u8) {
    let (masq, forward) = (
        "-m comment --comment \"flanneld masq\"",
        "-m comment --comment \"flanneld forward\"",
    );
    let (n, s) = (format!("10.{second}.0.0/16"), format!("10.{second}.9.0/24"));
    restore(&format!(
        "*nat\n:FLANNEL-POSTRTG - [0:0]\n\
         -I POSTROUTING 1 {masq} -j FLANNEL-POSTRTG\n\
         -A FLANNEL-POSTRTG -s {n} -d {n} {masq} -j RETURN\n\
         -A FLANNEL-POSTRTG -s {n} ! -d 224.0.0.0/4 {masq} -j MASQUERADE --random-fully\n\
         -A FLANNEL-POSTRTG ! -s {n} -d {s} {masq} -j RETURN\n\
         -A FLANNEL-POSTRTG ! -s {n} -d {n} {masq} -j MASQUERADE --random-fully\nCOMMIT\n\
         *filter\n:FLANNEL-FWD - [0:0]\n\
         -I FORWARD 1 {forward} -j FLANNEL-FWD\n\
         -A FLANNEL-FWD -s {n} {forward} -j ACCEPT\n\
         -A FLANNEL-FWD -d {n} {forward} -j ACCEPT\nCOMMIT\n"
    ));
}

#[test]
fn lives_beside_flanneld_of_another_network() {
    let hosts = Hosts::new();
    let filter = Filter::new(single());
    hosts.on_host(|| {
        flanneld(6);
        let before = saved();
        none(filter.apply());
        assert!(
            saved().contains("-A FLANNEL-FWD -s 10.5.0.0/16"),
            "{}",
            saved()
        );
        assert_eq!(saved().lines().count(), before.lines().count() + 2);
        assert!(filter.remove().is_empty());
        assert_eq!(saved(), before);
    });
}

#[test]
fn agrees_with_flanneld_of_the_same_network() {
    let hosts = Hosts::new();
    hosts.on_host(|| {
        flanneld(5);
        let before = saved();
        none(Filter::new(single()).apply());
        assert_eq!(saved(), before);
    });
    let (vm, far) = (&hosts.vm, &hosts.far);
    assert_eq!(source((vm, VM), (far, OUTSIDE)), "192.0.2.1");
    assert_eq!(source((far, OUTSIDE), (vm, VM)), OUTSIDE);
    assert_eq!(source((vm, VM), (far, REMOTE)), VM);
}

#[test]
fn takes_over_from_flanneld_with_another_subnet() {
    let hosts = Hosts::new();
    hosts.on_host(|| {
        flanneld(5);
        let mut filter = Filter::new(single());
        let next = Rules {
            ipv4: Some(Scope {
                network: "10.5.0.0/16".parse().expect("net"),
                subnet: "10.5.20.0/24".parse().expect("net"),
            }),
            ..single()
        };
        none(filter.update(next));
        assert_eq!(lacks(&filter), []);
        assert!(!saved().contains("FLANNEL-POSTRTG"), "{}", saved());
        assert!(
            saved().contains("-A FLANNEL-FWD -s 10.5.0.0/16"),
            "{}",
            saved()
        );
    });
}
