//! Against this machine's kernel: two nodes, each a namespace, on one wire. One is ours; the other is
//! set up with plain commands, or ours as well.

mod host_gw;
mod udp;
mod vxlan;
mod wireguard;

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::{Duration, Instant};

use ignite_host::link::Netlink;
use ignite_host::netns::Namespace;

use super::testing::{external, lease, settings};
use super::*;

/// Two namespaces joined by their `eth0`, 10.99.0.11 and 10.99.0.12; what the first one's index is.
fn two_nodes() -> (Namespace, Namespace, u32) {
    let first = Namespace::anonymous().expect("namespace");
    let second = Namespace::anonymous().expect("namespace");
    let netlink = Netlink::open_in(&first).expect("netlink");
    let index = netlink
        .create_veth("eth0", "eth0", Some(&second))
        .expect("veth");
    for (namespace, address) in [(&first, "10.99.0.11/24"), (&second, "10.99.0.12/24")] {
        let netlink = Netlink::open_in(namespace).expect("netlink");
        let index = netlink.link("eth0").expect("look").expect("there").index;
        let address = address.parse().expect("an address");
        netlink.add_address(index, address).expect("address");
        netlink.set_up(index).expect("up");
    }
    (first, second, index)
}

/// The external interface of node 10.99.0.`host` there.
fn of_node(host: u8) -> External {
    let netlink = Netlink::open().expect("netlink");
    let link = netlink.link("eth0").expect("look").expect("there");
    External {
        index: link.index,
        mtu: link.mtu,
        address: Ipv4Addr::new(10, 99, 0, host),
        public_ip: Ipv4Addr::new(10, 99, 0, host),
        ..external()
    }
}

fn prepare(options: Options, host: u8, subnet: &str) -> (Backend, Prepared) {
    let settings = Settings {
        options,
        ..settings()
    };
    let (mut backend, prepared) = Backend::prepare(&settings, &of_node(host)).expect("prepare");
    backend.assign(own(subnet)).expect("assign");
    (backend, prepared)
}

fn own(subnet: &str) -> Subnet {
    lease(subnet, "10.99.0.11", None).subnet
}

fn shown(command: &str) -> String {
    let mut words = command.split(' ');
    let output = Command::new(words.next().expect("a program"))
        .args(words)
        .output()
        .expect("start");
    assert!(output.status.success(), "{command}: {output:?}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().map(str::trim_end);
    lines.collect::<Vec<_>>().join("\n")
}

/// Pings with packets of `size` bytes that may not be cut; the time to live of the answer.
fn ping(address: &str, size: usize) -> String {
    let payload = size - 28;
    let text = shown(&format!(
        "ping -c 2 -i 0.1 -W 5 -M do -s {payload} {address}"
    ));
    assert!(text.contains(" 0% packet loss"), "{text}");
    let (_, rest) = text.split_once("ttl=").expect("an answer");
    rest.split(' ').next().expect("a number").to_owned()
}

/// Waits until a device is gone. A child that another test starts right now holds a copy of its
/// descriptors until it executes.
fn gone(name: &str) {
    let netlink = Netlink::open().expect("netlink");
    let deadline = Instant::now() + Duration::from_secs(20);
    while netlink.link(name).expect("look").is_some() {
        assert!(Instant::now() < deadline, "{name} is still there");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn none(errors: Vec<Error>) {
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn alloc_does_nothing() {
    let (mut backend, prepared) = Backend::prepare(
        &Settings {
            options: Options::Alloc,
            ..settings()
        },
        &external(),
    )
    .expect("prepare");
    assert_eq!(
        (prepared.backend, prepared.data, prepared.mtu),
        (None, None, 1500)
    );
    backend.assign(own("10.5.9.0/24")).expect("assign");
    none(backend.sync(&[lease("10.5.8.0/24", "10.99.0.12", None)]));
    none(backend.tick());
    none(backend.teardown());
}
