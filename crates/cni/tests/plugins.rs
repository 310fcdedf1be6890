//! The runtime with the distribution's own plugins, each test on a host of its
//! own: what an ADD gives, and that a DEL leaves nothing.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{attachment, bridge, files, links, on_own_host, rules, sandbox};
use ignite_cni::capability::{Capabilities, PortMapping, Protocol};
use ignite_cni::default::{self, Ensured};
use ignite_cni::leak::{self, Subject};
use ignite_cni::{Attachment, Error, NetworkConfig, Networks, Runtime, args};
use ignite_host::link::Netlink;

const MAC: &str = "02:11:22:33:44:55";

fn published(container: &str, netns: &Path, address: &str) -> Attachment {
    let mapping = |host_port, protocol| PortMapping {
        host_port,
        container_port: 80,
        protocol,
        host_ip: None,
    };
    let mut attachment = attachment(container, netns);
    attachment.args = args::request(Some(&address), Some(&MAC));
    attachment.capabilities = Capabilities::new()
        .ips(&[address])
        .mac(&MAC)
        .port_mappings(&[mapping(8080, Protocol::Tcp), mapping(5353, Protocol::Udp)])
        .build();
    attachment
}

fn default_network() -> NetworkConfig {
    let directory = Path::new("/run/net.d");
    let written = default::ensure_default(directory).expect("written");
    assert_eq!(written, Ensured::Written(directory.join(default::FILE)));
    let (networks, errors) = Networks::load(directory);
    assert!(errors.is_empty(), "{errors:?}");
    networks.first().expect("the default").clone()
}

fn subject(network: &str, container: &str, address: &str) -> Subject {
    Subject {
        network: network.to_owned(),
        container_id: container.to_owned(),
        ifname: "eth0".to_owned(),
        addresses: vec![address.parse().expect("an address")],
    }
}

#[test]
fn the_default_network_gives_what_was_asked_and_takes_all_back() {
    on_own_host(
        "the_default_network_gives_what_was_asked_and_takes_all_back",
        || {
            let (network, runtime) = (default_network(), Runtime::default());
            runtime.validate(&network).expect("the plugins speak 0.4.0");
            // The first ADD makes the bridge and the chains that stay.
            let (_first, path) = sandbox("first");
            let other = published("first", &path, "10.61.7.2/16");
            runtime.add(&network, &other).expect("attached");
            runtime.del(&network, &other).expect("detached");
            let (rules_before, links_before) = (rules(), links());

            let (namespace, path) = sandbox("one");
            let asked = published("ignite-abc", &path, "10.61.7.50/16");
            let added = runtime.add(&network, &asked).expect("attached");
            let address = &added.result.addresses_of("eth0")[0];
            assert_eq!(address.address.to_string(), "10.61.7.50/16");
            assert_eq!(
                address.gateway.map(|ip| ip.to_string()).as_deref(),
                Some("10.61.0.1")
            );
            let interface = added.result.interface_of("eth0").expect("named");
            assert_eq!(
                interface.ethernet(),
                Some([0x02, 0x11, 0x22, 0x33, 0x44, 0x55])
            );
            assert_eq!(added.result.routes[0].dst.to_string(), "0.0.0.0/0");
            let plugins: Vec<&str> = added.runs.iter().map(|run| run.plugin.as_str()).collect();
            assert_eq!(plugins, ["bridge", "portmap", "firewall"]);
            assert_eq!(added.raw["cniVersion"], "0.4.0");
            let inside = Netlink::open_in(&namespace).expect("netlink");
            assert!(inside.link("eth0").expect("asked").is_some());
            assert!(rules().contains("--dports 8080") && rules().contains("10.61.7.50/32"));
            assert_eq!(
                files("/var/lib/cni"),
                ["10.61.7.50", "ignite-cni-bridge-ignite-abc-eth0"]
            );

            let cached = runtime
                .cached(&network.name, &asked.id())
                .expect("read")
                .expect("there");
            assert_eq!(
                (cached.attachment, cached.config),
                (asked.clone(), network.raw().to_vec())
            );
            let again = runtime.add(&network, &asked).expect_err("attached already");
            assert!(matches!(again, Error::AlreadyAttached { .. }), "{again}");

            // Without arguments: they are those of the ADD.
            runtime
                .del(&network, &attachment("ignite-abc", &path))
                .expect("detached");
            assert!(inside.link("eth0").expect("asked").is_none());
            assert_eq!(
                (rules(), links()),
                (rules_before.clone(), links_before.clone())
            );
            assert!(files("/var/lib/cni").is_empty());
            runtime.del(&network, &asked).expect("any number of times");
            let found = leak::remove(&subject(&network.name, "ignite-abc", "10.61.7.50"));
            assert_eq!((found.0, found.1.len()), (leak::Removed::default(), 0));
        },
    );
}

#[test]
fn what_a_lost_interface_leaves_is_removed() {
    on_own_host("what_a_lost_interface_leaves_is_removed", || {
        let (network, runtime) = (default_network(), Runtime::default());
        let (_first, path) = sandbox("first");
        let other = published("first", &path, "10.61.7.2/16");
        runtime.add(&network, &other).expect("attached");
        let before = rules();
        for (container, address, lose_cache) in [
            ("ignite-abc", "10.61.7.50/16", false),
            ("ignite-abd", "10.61.7.51/16", true),
        ] {
            let (namespace, path) = sandbox(container);
            let asked = published(container, &path, address);
            runtime.add(&network, &asked).expect("attached");
            let inside = Netlink::open_in(&namespace).expect("netlink");
            let link = inside.link("eth0").expect("asked").expect("there");
            inside.delete(link.index).expect("gone");
            if lose_cache {
                runtime
                    .cache()
                    .remove(&network.name, &asked.id())
                    .expect("removed");
            }
            runtime.del(&network, &asked).expect("detached");
            assert_ne!(
                rules(),
                before,
                "the plugins leak no more; this step may go"
            );
            let bare = address.strip_suffix("/16").expect("a prefix");
            let (removed, errors) = leak::remove(&subject(&network.name, container, bare));
            assert!(errors.is_empty(), "{errors:?}");
            assert!(removed.rules >= 3 && removed.chains == 1, "{removed:?}");
            assert_eq!(rules(), before);
        }
        let kept = rules();
        assert!(
            kept.contains("10.61.7.2/32"),
            "the other container's rules stay"
        );
    });
}

#[test]
fn a_network_whose_file_is_gone_is_released_from_the_cache() {
    on_own_host(
        "a_network_whose_file_is_gone_is_released_from_the_cache",
        || {
            let runtime = Runtime::default();
            let (_namespace, path) = sandbox("one");
            let asked = attachment("c1", &path);
            runtime
                .add(&bridge("1.0.0", r#",{"type":"firewall"}"#), &asked)
                .expect("attached");
            // Not even the namespace is there.
            ignite_host::netns::delete(&path).expect("gone");
            runtime.del_cached("test", &asked.id()).expect("detached");
            assert!(files("/var/lib/cni").is_empty());
            let missing = runtime
                .del_cached("test", &asked.id())
                .expect_err("nothing is known");
            assert!(matches!(missing, Error::NotAttached { .. }));
        },
    );
}

#[test]
fn check_sees_what_is_missing() {
    on_own_host("check_sees_what_is_missing", || {
        let (network, runtime) = (bridge("1.0.0", ""), Runtime::default());
        let (namespace, path) = sandbox("one");
        let asked = attachment("c1", &path);
        runtime.add(&network, &asked).expect("attached");
        runtime.check(&network, &asked).expect("as it was made");
        let inside = Netlink::open_in(&namespace).expect("netlink");
        let link = inside.link("eth0").expect("asked").expect("there");
        inside.flush_addresses(link.index).expect("flushed");
        let error = runtime
            .check(&network, &asked)
            .expect_err("the address is gone");
        assert!(error.code().is_some(), "{error}");
        runtime.del(&network, &asked).expect("detached");
        let old = runtime
            .check(&bridge("0.3.1", ""), &asked)
            .expect_err("too old");
        assert!(
            old.to_string()
                .contains("does not support the CHECK command"),
            "{old}"
        );
    });
}

#[test]
fn two_families_and_older_versions() {
    on_own_host("two_families_and_older_versions", || {
        let runtime = Runtime::default();
        for (version, v6) in [
            ("0.3.1", "fd00:9::/64"),
            ("0.2.0", ""),
            ("1.0.0", "fd00:9::/64"),
        ] {
            let more = match v6 {
                "" => String::new(),
                v6 => format!(r#",[{{"subnet":"{v6}"}}]"#),
            };
            let text = format!(
                r#"{{"cniVersion":"{version}","name":"dual","plugins":[{{"type":"bridge",
                "bridge":"br1","isDefaultGateway":true,"ipam":{{"type":"host-local",
                "ranges":[[{{"subnet":"10.8.0.0/24"}}]{more}]}}}}]}}"#
            );
            let network = NetworkConfig::parse(text.as_bytes()).expect("well formed");
            let (_namespace, path) = sandbox(&format!("v{version}"));
            let asked = attachment("c1", &path);
            let added = runtime
                .add(&network, &asked)
                .unwrap_or_else(|error| panic!("{version}: {}", ignite_cni::error::chain(&error)));
            let families: Vec<bool> = added
                .result
                .ips
                .iter()
                .map(|ip| ip.address.addr().is_ipv6())
                .collect();
            let expected: &[bool] = if v6.is_empty() {
                &[false]
            } else {
                &[false, true]
            };
            assert_eq!(families, expected, "{version}");
            assert_eq!(added.raw["cniVersion"], version);
            runtime.del(&network, &asked).expect("detached");
            assert!(files("/var/lib/cni").is_empty(), "{version}");
        }
    });
}

#[test]
fn what_is_not_valid_is_collected() {
    on_own_host("what_is_not_valid_is_collected", || {
        let (network, runtime) = (bridge("1.0.0", ""), Runtime::default());
        let attached: Vec<_> = (0..4)
            .map(|number| {
                let (namespace, path) = sandbox(&format!("c{number}"));
                let asked = attachment(&format!("c{number}"), &path);
                runtime.add(&network, &asked).expect("attached");
                (namespace, asked)
            })
            .collect();
        let valid = [attached[0].1.id(), attached[2].1.id()].into();
        assert_eq!(runtime.stale("test", &valid).expect("listed").len(), 2);
        let collected = runtime.gc(&network, &valid);
        assert!(collected.errors.is_empty(), "{:?}", collected.errors);
        assert_eq!(collected.released, [attached[1].1.id(), attached[3].1.id()]);
        assert_eq!(
            files("/var/lib/cni"),
            ["10.9.0.2", "10.9.0.4", "test-c0-eth0", "test-c2-eth0"]
        );
    });
}

#[test]
fn many_at_once_get_an_address_each() {
    on_own_host("many_at_once_get_an_address_each", || {
        let (network, runtime) = (
            bridge("1.0.0", r#",{"type":"firewall"}"#),
            Runtime::default(),
        );
        let places: Vec<PathBuf> = (0..10).map(|n| sandbox(&format!("c{n}")).1).collect();
        let mut addresses: Vec<String> = std::thread::scope(|scope| {
            let add = |(n, path): (usize, &PathBuf)| {
                let asked = attachment(&format!("c{n}"), path);
                let (network, runtime) = (&network, &runtime);
                scope.spawn(move || {
                    let added = runtime.add(network, &asked).expect("attached");
                    added.result.ips[0].address.to_string()
                })
            };
            let all: Vec<_> = places.iter().enumerate().map(add).collect();
            all.into_iter()
                .map(|thread| thread.join().expect("no panic"))
                .collect()
        });
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses.len(), 10);
    });
}

/// The figure is printed, not judged: benches do that.
#[test]
fn our_own_share_of_add_and_del() {
    on_own_host("our_own_share_of_add_and_del", || {
        let (network, runtime) = (default_network(), Runtime::default());
        let mut own = (Vec::new(), Vec::new());
        for number in 0..9 {
            let (_namespace, path) = sandbox(&format!("c{number}"));
            let asked = published(
                &format!("c{number}"),
                &path,
                &format!("10.61.9.{}/16", number + 2),
            );
            let began = Instant::now();
            let added = runtime.add(&network, &asked).expect("attached");
            own.0.push(began.elapsed() - added.plugin_time());
            let began = Instant::now();
            let runs = runtime.del(&network, &asked).expect("detached");
            let plugins: Duration = runs.iter().map(|run| run.elapsed).sum();
            own.1.push(began.elapsed() - plugins);
        }
        own.0.sort();
        own.1.sort();
        println!(
            "our own share, median of 9: ADD {:?}, DEL {:?}",
            own.0[4], own.1[4]
        );
        let began = Instant::now();
        leak::remove(&subject(&network.name, "c0", "10.61.9.2"));
        println!("a look for leaks that finds none: {:?}", began.elapsed());
        assert!(
            fs::read_dir("/var/lib/cni/results")
                .expect("listed")
                .next()
                .is_none()
        );
    });
}
