//! What etcd and the agent have to say.

use ignite_overlay::checkup;
use ignite_overlay::etcd::Settings;

use crate::lab::{Lab, Node, Place, soon};
use crate::{config, kinds, look, look_at, place, told, until, until_well};

const ALLOC: &str = r#"{"Type":"alloc"}"#;
const VXLAN: &str = r#"{"Type":"vxlan"}"#;

fn at(lab: &Lab, endpoint: &str) -> checkup::Place {
    checkup::Place {
        etcd: Settings::new([endpoint]),
        ..place(lab, 1)
    }
}

#[test]
fn etcd_goes_away() {
    let lab = Lab::new(2, &config(VXLAN));
    let (_one, _two) = (lab.agent(1, &[]), lab.agent(2, &[]));
    until_well(&lab, 1, 1);
    // Filtered for one host: it finds out when it asks.
    lab.sh(Place::Node(1), "nft 'add table inet t; add chain inet t o { type filter hook output priority 0; }; add rule inet t o tcp dport 2379 drop'");
    let found = look(&lab, 1);
    let text = told(&found, "etcd-filtered");
    assert!(
        text.contains("2379/tcp of 10.99.0.1 does not answer"),
        "{text}"
    );
    assert_eq!(found["etcd"][0]["state"], "etcd-filtered");
    lab.sh(Place::Node(1), "nft delete table inet t");
    until_well(&lab, 1, 1);
    // Ended: both find out at once.
    lab.stop_etcd();
    let found = until(&lab, 1, "the agent tells it", |found| {
        kinds(found).contains(&"etcd-away")
    });
    assert!(told(&found, "etcd-away").contains("Traffic goes on"));
    assert!(told(&found, "etcd-refused").contains("10.99.0.1 refuses connections to 2379/tcp"));
    let peer = &found["peers"][0];
    assert_eq!(
        (peer["publicIp"].as_str(), peer["reachable"].as_str()),
        (Some("10.99.0.12"), Some("yes"))
    );
    assert!(found["node"]["leaseSecondsLeft"].as_u64() > Some(86_000));
}

#[test]
fn names_and_agents_that_are_not_there() {
    let lab = Lab::new(1, &config(ALLOC));
    let found = look_at(&lab, 1, &at(&lab, "http://etcd.invalid:2379"));
    assert_eq!(kinds(&found), ["agent-not-running", "name-unresolved"]);
    assert!(told(&found, "name-unresolved").contains("The name etcd.invalid"));
    let found = look_at(&lab, 1, &at(&lab, "ftp://10.99.0.1"));
    assert_eq!(kinds(&found), ["agent-not-running", "etcd-settings"]);
    let mut one = lab.agent(1, &[]);
    until_well(&lab, 1, 0);
    one.kill("KILL");
    let found = look(&lab, 1);
    assert_eq!(kinds(&found), ["agent-not-running"]);
    assert_eq!(found["node"]["agent"], "stopped");
    // What it was is known still.
    assert_eq!(found["node"]["publicIp"], "10.99.0.11");
}

#[test]
fn the_pool_is_exhausted() {
    let lab = Lab::new(
        2,
        r#"{"Network":"10.5.0.0/22","SubnetLen":24,"SubnetMin":"10.5.1.0","SubnetMax":"10.5.1.0","Backend":{"Type":"alloc"}}"#,
    );
    let one = lab.agent(1, &[]);
    one.subnet_env();
    let mut two = lab.agent(2, &[]);
    assert_ne!(two.ends(), Some(0));
    let found = look(&lab, 2);
    assert_eq!(kinds(&found)[0], "agent-not-running");
    let text = told(&found, "pool-exhausted");
    assert!(
        text.contains("10.5.1.0/24") && text.contains("delete their keys"),
        "{text}"
    );
    assert_eq!(found["node"]["freeSubnets"], 0);
    let found = until(&lab, 1, "the first has one", |found| {
        found["node"]["subnet"].is_string()
    });
    assert_eq!(found["node"]["freeSubnets"], 0);
    assert!(!kinds(&found).contains(&"pool-exhausted"), "{found}");
}

#[test]
fn one_address_of_two_hosts() {
    // Of `alloc` and `udp` the values are the same.
    for backend in [ALLOC, VXLAN] {
        let lab = Lab::new(2, &config(backend));
        let _one = lab.agent(1, &[]);
        until_well(&lab, 1, 0);
        let _two = lab.agent(2, &["--public-ip=10.99.0.11"]);
        let found = until(&lab, 1, "the first sees it", |found| {
            kinds(found).contains(&"shared-public-ip")
        });
        let text = told(&found, "shared-public-ip");
        assert!(
            text.contains("both have the public address 10.99.0.11"),
            "{text}"
        );
    }
}

/// Waits until the agent has heard of all there was, and says so in its status.
fn has_heard(lab: &Lab, one: &Node<'_>, number: usize) {
    let value = r#"{"PublicIP":"10.99.0.99","BackendType":"host-gw"}"#;
    lab.put(&format!("subnets/10.5.{}.0-24", 200 + number), value);
    one.knows(number);
    let troubles = one.status()["troubles"].to_string();
    assert!(!troubles.contains("shared-public-ip"), "{troubles}");
}

#[test]
fn nobody_else_is_taken_for_another_host_with_this_address() {
    for backend in [ALLOC, VXLAN] {
        let lab = Lab::new(1, &config(backend));
        let one = lab.agent(1, &[]);
        // Others write between our first write and the listing that tells of it.
        while !one.status()["troubles"].to_string().contains("unreadable") {
            lab.put("subnets/10.5.209.0-24", "not json");
        }
        has_heard(&lab, &one, 1);
        // An administrator reserves the subnet, in our words and in few.
        let key = format!("subnets/{}", one.key());
        lab.put(&key, &lab.value(&one.key()));
        has_heard(&lab, &one, 2);
        lab.put_leased(&key, &lab.value(&one.key()), &lab.grant(3600));
        has_heard(&lab, &one, 3);
        lab.put(&key, r#"{"PublicIP":"10.99.0.11"}"#);
        has_heard(&lab, &one, 4);
    }
    // We have another address of Ethernet from now on.
    let lab = Lab::new(1, &config(VXLAN));
    let one = lab.agent(1, &[]);
    until_well(&lab, 1, 0);
    let before = lab.value(&one.key());
    lab.sh(one.place(), "ip link del flannel.1; ip link add flannel.1 address 02:00:00:00:00:77 type vxlan id 1 dev eth0 local 10.99.0.11 dstport 8472 nolearning");
    soon("it is told", || match lab.value(&one.key()) {
        after if after.contains("02:00:00:00:00:77") => Ok(()),
        after => Err(format!("{before} {after}")),
    });
    has_heard(&lab, &one, 1);
}

#[test]
fn configurations_come_late_and_change() {
    let lab = Lab::new(1, r#"{"Network":"10.5.0.0/30","Backend":{"Type":"vxlan"}}"#);
    let one = lab.agent(1, &[]);
    one.says("Couldn't fetch network config", 1);
    let found = look(&lab, 1);
    // Found by both, told once.
    assert_eq!(kinds(&found), ["configuration-invalid"]);
    assert_eq!(found["node"]["agent"], "running");
    assert!(told(&found, "configuration-invalid").contains("too small"));
    lab.delete("config");
    until(&lab, 1, "none", |found| {
        kinds(found) == ["no-configuration"]
    });
    lab.put("config", &config(ALLOC));
    until_well(&lab, 1, 0);
    lab.put("config", &config(VXLAN));
    let found = until(&lab, 1, "a change", |found| {
        kinds(found) == ["configuration-changed"]
    });
    assert!(told(&found, "configuration-changed").contains("restart the agent"));
    lab.put("config", &config(ALLOC));
    until_well(&lab, 1, 0);
    // A lease that somebody deletes is told or written again, whichever is first.
    lab.put("config", "{");
    until(&lab, 1, "invalid", |found| {
        kinds(found) == ["configuration-invalid"]
    });
}
