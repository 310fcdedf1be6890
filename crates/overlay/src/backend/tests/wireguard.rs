//! `wireguard`, both nodes ours.

use super::*;
use crate::backend::wireguard;

/// Node 10.99.0.`host` and its lease.
fn node(host: u8, key_file: std::path::PathBuf) -> (Backend, Lease) {
    let options = wireguard::Options {
        preshared: Some([7; 32]),
        key_file,
        ..wireguard::Options::default()
    };
    let subnet = format!("10.5.{host}.0/24");
    let (backend, prepared) = prepare(Options::Wireguard(options), host, &subnet);
    assert_eq!((prepared.backend, prepared.mtu), (Some("wireguard"), 1420));
    let mut lease = lease(&subnet, &format!("10.99.0.{host}"), prepared.backend);
    lease.attributes.data = prepared.data;
    (backend, lease)
}

#[test]
fn wireguard_between_two_nodes() {
    let (first, second, _) = two_nodes();
    let directory = tempfile::tempdir().expect("tempdir");
    let (near_key, far_key) = (directory.path().join("near"), directory.path().join("far"));
    let (mut theirs, far) = second.run(|| node(12, far_key)).expect("enter");
    let work = || {
        let (mut backend, near) = node(11, near_key);
        none(backend.sync(&[near.clone(), far.clone()]));
        none(
            second
                .run(|| theirs.sync(&[near, far.clone()]))
                .expect("enter"),
        );
        assert_eq!(
            shown("ip route show dev flannel-wg"),
            "10.5.0.0/16 scope link"
        );
        let addresses = shown("ip -4 addr show flannel-wg");
        assert!(addresses.contains("inet 10.5.11.0/32"), "{addresses}");
        assert_eq!(ping("10.5.12.0", 1420), "64");
        // The same again, and another endpoint and back: never the same key twice.
        none(backend.add(&far));
        let mut moved = far.clone();
        moved.attributes.public_ip = [10, 99, 0, 77].into();
        none(backend.add(&moved));
        none(backend.add(&far));
        none(backend.tick());
        assert_eq!(ping("10.5.12.0", 84), "64");
        shown("ip link del flannel-wg");
        none(backend.tick());
        assert_eq!(ping("10.5.12.0", 84), "64");
        none(backend.remove(&far.subnet));
        none(backend.teardown());
        gone("flannel-wg");
    };
    first.run(work).expect("enter");
    drop(theirs);
}
