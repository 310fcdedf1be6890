//! `udp`, both nodes ours.

use std::net::{IpAddr, TcpStream};
use std::time::Duration;

use ignite_host::sysctl;

use super::*;
use crate::backend::udp;

fn udp() -> Options {
    Options::Udp(udp::Options::default())
}

#[test]
fn udp_between_two_nodes() {
    let (first, second, _) = two_nodes();
    let (near, far) = (
        lease("10.5.9.0/24", "10.99.0.11", None),
        lease("10.5.8.0/24", "10.99.0.12", None),
    );
    let leases = [near, far];
    let run = |host, subnet| {
        let (mut backend, prepared) = prepare(udp(), host, subnet);
        assert_eq!((prepared.backend, prepared.mtu), (None, 1472));
        none(backend.sync(&leases));
        backend
    };
    let theirs = second.run(|| run(12, "10.5.8.0/24")).expect("enter");
    let work = || {
        let mut backend = run(11, "10.5.9.0/24");
        let routes = shown("ip -d route show dev flannel0");
        assert_eq!(routes, "unicast 10.5.0.0/16 proto boot scope global");
        let addresses = shown("ip -4 addr show flannel0");
        assert!(
            addresses.contains("inet 10.5.9.0/32 scope global flannel0"),
            "{addresses}"
        );
        // Each crossing costs 2.
        assert_eq!(ping("10.5.8.0", 84), "62");
        assert_eq!(ping("10.5.8.0", 1472), "62");

        // The table may be replaced at any time.
        std::thread::scope(|scope| {
            let text = scope.spawn(|| shown("ping -c 50 -i 0.01 -W 5 10.5.8.0"));
            for _ in 0..200 {
                none(backend.sync(&leases));
                std::thread::sleep(Duration::from_millis(2));
            }
            let text = text.join().expect("ping");
            assert!(text.contains(" 0% packet loss"), "{text}");
        });
        assert!(
            matches!(no_way("10.5.77.1"), io::ErrorKind::NetworkUnreachable),
            "senders are told"
        );
        none(backend.tick());
        shown("ip link del flannel0");
        none(backend.tick());
        assert_eq!(ping("10.5.8.0", 1472), "62");
        none(backend.remove(&own("10.5.8.0/24")));
        assert!(matches!(
            no_way("10.5.8.0"),
            io::ErrorKind::NetworkUnreachable
        ));
        none(backend.teardown());
        gone("flannel0");
    };
    first.run(work).expect("enter");
    drop(theirs);
}

/// What a sender hears about an address of no peer.
fn no_way(address: &str) -> io::ErrorKind {
    // By default the kernel drops an answer that comes from its own address.
    sysctl::set("net/ipv4/conf/flannel0/accept_local", "1").expect("set");
    let address: IpAddr = address.parse().expect("an address");
    let answer = TcpStream::connect_timeout(&(address, 9).into(), Duration::from_secs(10));
    answer.expect_err("nobody is there").kind()
}

#[test]
fn what_is_refused_is_told_at_every_tick() {
    let (first, _second, _) = two_nodes();
    let work = || {
        let (mut backend, _) = prepare(udp(), 11, "10.5.9.0/24");
        // It says that it is at our own address.
        let lie = lease("10.5.7.0/24", "10.99.0.11", None);
        assert_eq!(backend.sync(&[lie]).len(), 1);
        for _ in 0..2 {
            let told = backend.tick();
            assert!(matches!(told[..], [Error::Lease { .. }]), "{told:?}");
        }
    };
    first.run(work).expect("enter");
}
