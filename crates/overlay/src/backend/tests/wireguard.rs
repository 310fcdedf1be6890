//! `wireguard`, both nodes ours, in the kernel if this machine's has WireGuard, else in user space.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ignite_host::wireguard::Secret;

use super::*;
use crate::backend::wireguard;
use crate::config::Mode;

fn options(mode: Mode, key_file: PathBuf) -> Options {
    Options::Wireguard(wireguard::Options {
        preshared: Some(Secret([7; 32])),
        key_file,
        mode,
        ..wireguard::Options::default()
    })
}

/// Node 10.99.0.`host` and its lease.
fn node(host: u8, key_file: PathBuf) -> (Backend, Lease) {
    let subnet = format!("10.5.{host}.0/24");
    let (backend, prepared) = prepare(options(Mode::Separate, key_file), host, &subnet);
    assert_eq!((prepared.backend, prepared.mtu), (Some("wireguard"), 1420));
    let mut lease = lease(&subnet, &format!("10.99.0.{host}"), prepared.backend);
    lease.attributes.data = prepared.data;
    (backend, lease)
}

/// The same on a dual-stack network; the node has 2001:db8::`host` as well.
fn dual_node(mode: Mode, host: u8, key_file: PathBuf) -> (Backend, Lease) {
    shown(&format!("ip addr add 2001:db8::{host}/64 dev eth0 nodad"));
    let settings = Settings {
        ipv6_network: "fd00:5::/48".parse().ok(),
        options: options(mode, key_file),
        ..settings()
    };
    let address: Option<std::net::Ipv6Addr> = format!("2001:db8::{host}").parse().ok();
    let external = External {
        address_v6: address,
        public_ipv6: address,
        ..of_node(host)
    };
    let (mut backend, prepared) = Backend::prepare(&settings, &external).expect("prepare");
    let subnet = format!("10.5.{host}.0/24");
    let mut lease = lease(&subnet, &format!("10.99.0.{host}"), prepared.backend);
    lease.subnet.v6 = format!("fd00:5:0:{host}::/64").parse().ok();
    lease.attributes.public_ipv6 = address;
    lease.attributes.data = prepared.data;
    lease.attributes.v6_data = prepared.v6_data;
    backend.assign(lease.subnet).expect("assign");
    (backend, lease)
}

fn ping_v6(address: &str) {
    let text = shown(&format!("ping -6 -c 2 -i 0.1 -W 5 -M do -s 1372 {address}"));
    assert!(text.contains(" 0% packet loss"), "{text}");
}

/// Two dual-stack nodes; `check` runs on the first once both know each other.
fn dual_stack(mode: Mode, check: impl FnOnce() + Send) {
    let (first, second, _) = two_nodes();
    let directory = tempfile::tempdir().expect("tempdir");
    let (near_key, far_key) = (directory.path().join("near"), directory.path().join("far"));
    let enter = || dual_node(mode, 12, far_key);
    let (mut theirs, far) = second.run(enter).expect("enter");
    let work = || {
        let (mut backend, near) = dual_node(mode, 11, near_key);
        none(backend.sync(&[near.clone(), far.clone()]));
        let follow = || theirs.sync(&[near, far]);
        none(second.run(follow).expect("enter"));
        check();
        none(backend.tick());
        none(backend.teardown());
        gone("flannel-wg");
    };
    first.run(work).expect("enter");
    drop(theirs);
}

/// Routes into flannel-wg that somebody set.
fn routes() -> [String; 2] {
    let set = |line: &&str| !line.contains("proto kernel");
    let destination = |line: &str| line.split(' ').next().map(str::to_owned);
    ["-4", "-6"].map(|family| {
        let text = shown(&format!("ip {family} route show dev flannel-wg"));
        let found = text.lines().filter(set).filter_map(destination);
        found.collect::<Vec<_>>().join(" ")
    })
}

fn has_kernels() -> bool {
    let control = ignite_host::wireguard::Wireguard::open().expect("an answer");
    control.is_some()
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

#[test]
fn one_device_for_both_families_over_ipv4() {
    dual_stack(Mode::Ipv4, || {
        assert_eq!(routes(), ["10.5.0.0/16", "fd00:5::/48"]);
        let addresses = shown("ip addr show flannel-wg");
        for address in ["inet 10.5.11.0/32", "inet6 fd00:5:0:11::/128"] {
            assert!(addresses.contains(address), "{addresses}");
        }
        // Nothing but IPv4 is left between the nodes.
        shown("ip -6 addr del 2001:db8::11/64 dev eth0");
        assert_eq!(ping("10.5.12.0", 1420), "64");
        ping_v6("fd00:5:0:12::");
    });
}

#[test]
fn one_device_for_both_families_over_what_reaches_farthest() {
    dual_stack(Mode::Auto, || {
        assert_eq!(routes(), ["10.5.0.0/16", "fd00:5::/48"]);
        // A private IPv4 address and a global IPv6 one: nothing but IPv6 is left between the nodes.
        shown("ip -4 addr del 10.99.0.11/24 dev eth0");
        assert_eq!(ping("10.5.12.0", 1420), "64");
        ping_v6("fd00:5:0:12::");
    });
}

#[test]
fn a_device_for_each_family() {
    dual_stack(Mode::Separate, || {
        assert_eq!(routes()[0], "10.5.0.0/16");
        let v6 = shown("ip -6 route show dev flannel-wg-v6");
        assert!(v6.contains("fd00:5::/48"), "{v6}");
        assert_eq!(ping("10.5.12.0", 1420), "64");
        ping_v6("fd00:5:0:12::");
    });
}

#[test]
fn the_next_life_takes_over_what_outlived_the_last() {
    let (first, second, _) = two_nodes();
    let directory = tempfile::tempdir().expect("tempdir");
    let life = |mode| dual_node_again(mode, directory.path());
    let work = || {
        let index = || {
            let netlink = Netlink::open().expect("netlink");
            let link = netlink.link("flannel-wg").expect("look");
            link.expect("there").index
        };
        drop(life(Mode::Separate));
        let has_kernels = has_kernels();
        let earlier = if has_kernels {
            Some(index())
        } else {
            gone("flannel-wg");
            gone("flannel-wg-v6");
            None
        };
        drop(life(Mode::Separate));
        let later = if has_kernels { Some(index()) } else { None };
        assert_eq!(later, earlier);
        // One of another mode and with other networks does not serve, and the second is left over.
        let backend = life(Mode::Auto);
        gone("flannel-wg-v6");
        assert_eq!(routes(), ["10.5.0.0/16", "fd00:5::/48"]);
        none(backend.teardown());
        gone("flannel-wg");
    };
    first.run(work).expect("enter");
    drop(second);
}

fn dual_node_again(mode: Mode, directory: &Path) -> Backend {
    let (backend, _) = dual_node(mode, 11, directory.join("key"));
    shown("ip addr del 2001:db8::11/64 dev eth0");
    backend
}

#[test]
fn a_kernel_without_wireguard_is_told_of_once() {
    let (first, _second, _) = two_nodes();
    let directory = tempfile::tempdir().expect("tempdir");
    let key = directory.path().join("key");
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).finish();
    // With one alone, a test beside this one that comes to the words first would decide for all threads.
    let _other = tracing::Dispatch::new(tracing_subscriber::registry());
    let work = || {
        tracing::subscriber::with_default(subscriber, || {
            // Another test may have been first to say this, with nobody who listens.
            tracing::callsite::rebuild_interest_cache();
            let (mut backend, _) = dual_node(Mode::Separate, 11, key);
            shown("ip link del flannel-wg");
            none(backend.tick());
            none(backend.teardown());
        });
        has_kernels()
    };
    let has_kernels = first.run(work).expect("enter");
    let text = log.0.lock().expect("nobody panicked").clone();
    let text = String::from_utf8(text).expect("text");
    let told = text.matches("the kernel has no WireGuard: in user space");
    assert_eq!(told.count(), usize::from(!has_kernels), "{text}");
}

/// What is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().expect("nobody panicked");
        log.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl tracing_subscriber::fmt::MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[test]
fn a_node_that_takes_another_subnet_is_reached_whatever_is_heard_first() {
    let (first, second, _) = two_nodes();
    let directory = tempfile::tempdir().expect("tempdir");
    let (near_key, far_key) = (directory.path().join("near"), directory.path().join("far"));
    let (mut theirs, far) = second.run(|| node(12, far_key)).expect("enter");
    let work = || {
        let (mut backend, near) = node(11, near_key);
        none(second.run(|| theirs.sync(&[near])).expect("enter"));
        let mut old = far.clone();
        old.subnet = own("10.5.13.0/24");
        none(backend.sync(&[old.clone()]));
        let told = backend.add(&far);
        assert!(matches!(told[..], [Error::Lease { .. }]), "{told:?}");
        none(backend.remove(&old.subnet));
        assert_eq!(ping("10.5.12.0", 84), "64");
        none(backend.tick());
        none(backend.teardown());
    };
    first.run(work).expect("enter");
    drop(theirs);
}

#[test]
fn ten_thousand_lies_take_their_time_each_and_no_more() {
    let (first, _second, _) = two_nodes();
    let directory = tempfile::tempdir().expect("tempdir");
    let work = || {
        let (mut backend, near) = node(11, directory.path().join("near"));
        none(backend.sync(&[]));
        // One key for all of them, and none that is one.
        let mut lies = Vec::new();
        for number in 0..5000_u16 {
            let [high, low] = number.to_be_bytes();
            let mut lie = lease(
                &format!("10.5.{high}.{low}/32"),
                "10.99.0.12",
                Some("wireguard"),
            );
            lie.attributes.data = near.attributes.data.clone();
            lies.push(lie.clone());
            lie.subnet.v6 = "fd00:5::/64".parse().ok();
            lie.attributes.data = None;
            lies.push(lie);
        }
        let begun = Instant::now();
        for lie in &lies {
            assert_eq!(backend.add(lie).len(), 1, "{lie:?}");
        }
        for lie in &lies {
            none(backend.remove(&lie.subnet));
        }
        let taken = begun.elapsed();
        assert!(taken < Duration::from_secs(20), "{taken:?}");
        none(backend.teardown());
    };
    first.run(work).expect("enter");
}
