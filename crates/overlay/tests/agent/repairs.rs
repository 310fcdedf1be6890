//! What somebody else changes under a running agent, and what becomes of it.

use std::process::{Child, Command, Stdio};

use crate::lab::{ENDPOINT, Lab, Node, Place, reach, soon};
use crate::{config, vxlan_value};

const ONE: Place = Place::Node(1);
const VXLAN: &str = r#"{"Type":"vxlan"}"#;

fn two_nodes(lab: &Lab) -> (Node<'_>, Node<'_>) {
    let (one, two) = (lab.agent(1, &[]), lab.agent(2, &[]));
    for node in [&one, &two] {
        node.bridge();
    }
    reach(&one, &two, 1400);
    (one, two)
}

/// The value of its lease; nothing while there is none.
fn lease(lab: &Lab, node: &Node<'_>) -> String {
    let key = node.key();
    let found = lab.leases().into_iter().find(|(found, ..)| *found == key);
    found.map(|(_, value, _)| value).unwrap_or_default()
}

fn says(lab: &Lab, node: &Node<'_>, words: &str) {
    soon(&format!("its lease says {words:?}"), || {
        let value = lease(lab, node);
        match value.contains(words) {
            true => Ok(()),
            false => Err(format!("{value}\n{}", node.log())),
        }
    });
}

#[test]
fn a_device_that_is_deleted_or_set_down_comes_back() {
    let lab = Lab::new(2, &config(VXLAN));
    let (one, two) = two_nodes(&lab);
    for harm in ["ip link del flannel.1", "ip link set flannel.1 down"] {
        lab.sh(ONE, harm);
        reach(&one, &two, 1400);
        let kept = lab.sh(ONE, "ip neigh show dev flannel.1 nud permanent; bridge fdb show dev flannel.1; ip route show dev flannel.1");
        assert_eq!(kept.lines().count(), 3, "{kept}");
    }
    // One that would do is used, and the others are told of its MAC address.
    lab.sh(
        ONE,
        "ip link del flannel.1
         ip link add flannel.1 address 02:00:00:00:00:77 type vxlan id 1 dev eth0 local 10.99.0.11 dstport 8472 nolearning",
    );
    says(&lab, &one, "02:00:00:00:00:77");
    reach(&one, &two, 1400);
}

#[test]
fn another_address_is_told_and_the_subnet_kept() {
    for backend in ["vxlan", "host-gw", "udp"] {
        let lab = Lab::new(2, &config(&format!(r#"{{"Type":"{backend}"}}"#)));
        let (one, two) = two_nodes(&lab);
        let key = one.key();
        lab.sh(
            ONE,
            "ip addr del 10.99.0.11/24 dev eth0; ip addr add 10.99.0.51/24 dev eth0",
        );
        says(&lab, &one, "10.99.0.51");
        assert_eq!(one.key(), key);
        assert_eq!(lab.leases().len(), 2, "{backend}");
        reach(&one, &two, 1400);
        assert!(!one.log().contains("is lost"), "{}", one.log());
    }
}

#[test]
fn an_interface_that_comes_back_is_used_again() {
    let lab = Lab::new(2, &config(VXLAN));
    let (one, two) = two_nodes(&lab);
    lab.sh(ONE, "ip link del eth0");
    one.says("is gone", 1);
    let (sw, n1) = (lab.namespace(Place::Switch), lab.namespace(ONE));
    lab.sh(
        Place::Switch,
        &format!(
            "ip link add p1 type veth peer name eth0 netns {n1}; ip -n {sw} link set p1 master br0 up
             ip -n {n1} link set eth0 up; ip -n {n1} addr add 10.99.0.11/24 dev eth0"
        ),
    );
    reach(&one, &two, 1400);
}

#[test]
fn an_overwritten_lease_is_written_again_and_a_peers_changes_nothing() {
    let lab = Lab::new(2, &config(VXLAN));
    let (one, mut two) = two_nodes(&lab);
    let (key, value) = (one.key(), lease(&lab, &one));
    lab.put(&format!("subnets/{key}"), "nonsense");
    says(&lab, &one, &value);
    assert!(lab.leases().iter().all(|(.., ends)| *ends));

    let key = two.key();
    two.kill("KILL");
    let routes = lab.sh(ONE, "ip route show dev flannel.1");
    for _ in 0..3 {
        lab.put(&format!("subnets/{key}"), "nonsense");
    }
    one.says(
        &format!("passing over the record \"/coreos.com/network/subnets/{key}\""),
        1,
    );
    // A new word that is understood comes after all of it.
    lab.put(
        "subnets/10.5.250.0-24",
        &vxlan_value("10.99.0.99", "6e:00:00:00:00:01"),
    );
    one.says("Subnet added: 10.5.250.0/24", 1);
    let after = lab.sh(ONE, "ip route show dev flannel.1");
    assert!(after.contains(&routes), "{after}");
    assert_eq!(one.said("passing over"), 2, "{}", one.log());
}

/// An agent that finds few programs.
struct Poor(Child);

impl Drop for Poor {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn forward_rules_need_no_nft() {
    let lab = Lab::new(1, &config(VXLAN));
    lab.sh(ONE, "iptables -P FORWARD DROP");
    // In its place of mounts the directory of system programs has no others than these.
    let one = lab.node(1);
    let programs = one.path("sbin");
    let copies = format!(
        "mkdir {0}; for p in iptables-save iptables-restore; do cp -L $(command -v $p) {0}/$p; done",
        programs.display()
    );
    lab.sh(Place::Switch, &copies);
    let script = format!(
        "mount --make-rprivate /; mount --bind {} $(readlink -f /usr/sbin); exec \"$@\"",
        programs.display()
    );
    for masquerade in [false, true] {
        lab.sh(ONE, "iptables -F; iptables -X");
        let log = one.path(&format!("poor-{masquerade}"));
        let child = Command::new("ip")
            .args(["netns", "exec", &lab.namespace(ONE), "unshare", "-m"])
            .args(["sh", "-euc", &script, "sh"])
            .arg(env!("CARGO_BIN_EXE_ignite-overlay"))
            .arg(format!("--etcd-endpoints={ENDPOINT}"))
            .arg(format!("--ip-masq={masquerade}"))
            .arg("--subnet-file")
            .arg(one.path("subnet.env"))
            .stdin(Stdio::null())
            .stderr(std::fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("ip runs");
        let _agent = Poor(child);
        soon("the forward rules", || {
            let rules = lab.try_sh(ONE, "iptables -S FLANNEL-FWD");
            match rules.status.success() {
                true => Ok(()),
                false => Err(std::fs::read_to_string(&log).unwrap_or_default()),
            }
        });
        let said = || std::fs::read_to_string(&log).unwrap_or_default();
        if masquerade {
            soon("what is not done is said", || {
                match said().contains("cannot keep the masquerade rules") {
                    true => Ok(()),
                    false => Err(said()),
                }
            });
        }
        assert_eq!(said().contains("ERROR"), masquerade, "{}", said());
    }
}
