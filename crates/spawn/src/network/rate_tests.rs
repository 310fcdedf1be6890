//! Limits of interfaces, as the kernel has them.

use super::tests::{attachment, in_sandbox};
use super::*;

/// What `tc` says of the queues of an interface.
fn queues(interface: &str) -> String {
    let output = std::process::Command::new("tc")
        .args(["qdisc", "show", "dev", interface])
        .output()
        .expect("tc is installed");
    String::from_utf8(output.stdout).expect("text")
}

fn megabyte() -> Rate {
    Rate {
        bytes_per_second: 1_000_000,
        burst: 128 << 10,
    }
}

#[test]
fn both_ways_are_bounded_changed_and_left_alone() {
    in_sandbox(|_| {
        let limited = Attachment {
            rate: Some(megabyte()),
            ..attachment()
        };
        let (mut network, _nics) = Network::build(&[limited]).expect("an interface");
        for interface in ["eth0", "tap0"] {
            let queues = queues(interface);
            assert!(queues.contains("tbf 1917: root"), "{queues}");
            assert!(queues.contains("rate 8Mbit burst 128Kb"), "{queues}");
        }
        let faster = Rate {
            bytes_per_second: 2_000_000,
            ..megabyte()
        };
        let rates = BTreeMap::from([("eth0".to_owned(), faster)]);
        network.limit(&rates).expect("changed");
        assert!(queues("eth0").contains("rate 16Mbit"));
        assert!(queues("tap0").contains("rate 16Mbit"));
        network.limit(&BTreeMap::new()).expect("let go");
        assert!(!queues("eth0").contains("tbf"));
        assert!(!queues("tap0").contains("tbf"));
        network.limit(&rates).expect("bounded again");
        assert!(network.remove().is_empty());
        assert!(!queues("eth0").contains("tbf"), "it outlives the VM");
        let nobody = BTreeMap::from([("eth7".to_owned(), faster)]);
        let error = network.limit(&nobody).expect_err("no such interface");
        assert_eq!(error.to_string(), "the VM has no interface eth7");
    });
}

#[test]
fn a_limit_that_a_dead_run_left_is_taken_away() {
    in_sandbox(|netlink| {
        let index = netlink.link("eth0").expect("links").expect("eth0").index;
        let shape = ignite_host::tc::Shape {
            rate: 1000,
            burst: 2000,
        };
        netlink.shape(index, 1500, shape).expect("a limit");
        let (_network, _nics) = Network::build(&[attachment()]).expect("an interface");
        assert!(!queues("eth0").contains("tbf"));
    });
}

#[test]
fn a_limit_of_the_network_is_not_touched() {
    in_sandbox(|_| {
        let theirs = "qdisc add dev eth0 root tbf rate 1gbit burst 64kb latency 25ms";
        let made = std::process::Command::new("tc")
            .args(theirs.split(' '))
            .status();
        assert!(made.expect("tc is installed").success());
        let before = queues("eth0");
        let (mut network, nics) = Network::build(&[attachment()]).expect("no limit of ours");
        drop(nics);
        network.remove();
        let limited = Attachment {
            tap: "tap1".to_owned(),
            rate: Some(megabyte()),
            ..attachment()
        };
        let error = Network::build(&[limited]).expect_err("two limits");
        let hint = error.hint().expect("a hint");
        assert!(hint.contains("bandwidth"), "{error}: {hint}");
        assert_eq!(queues("eth0"), before);
    });
}
