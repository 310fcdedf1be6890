//! Rules of the packet filter as other programs print them, read to find those a network has left.

use std::sync::LazyLock;

use ignite_cni::leak::{
    Subject, in_iptables, in_nft, masquerade_chain, plan, plan_nft, port_chain,
};
use ignite_cni::lease;
use serde_json::Value;

static SUBJECT: LazyLock<Subject> = LazyLock::new(|| Subject {
    network: "ignite-cni-bridge".into(),
    container_id: "ignite-abc".into(),
    ifname: "eth0".into(),
    addresses: vec!["10.61.0.50".parse().expect("an address")],
});

/// Nothing is removed but rules that are there and chains that are the container's own.
pub fn run(bytes: &[u8]) {
    if let Some((container_id, _)) = lease::parse(bytes) {
        assert!(!container_id.is_empty());
    }
    if let Ok(objects) = serde_json::from_slice::<Vec<Value>>(bytes) {
        in_nft(&objects);
        for command in plan_nft(&objects, &SUBJECT) {
            let words: Vec<&str> = command.trim_end().split(' ').collect();
            assert!(
                matches!(&words[..], ["delete", "rule", _, _, _, "handle", _]),
                "{command:?}"
            );
        }
    }
    if let Ok(saved) = std::str::from_utf8(bytes) {
        for owner in in_iptables(saved) {
            assert!(saved.contains(&owner.container_id), "{owner:?}");
        }
        let script = plan(saved, &SUBJECT).script();
        for line in script.lines() {
            assert!(is_allowed(line, saved), "{line:?}");
        }
    }
}

fn is_allowed(line: &str, saved: &str) -> bool {
    if let Some(rule) = line.strip_prefix("-D ") {
        return saved
            .lines()
            .any(|line| line.strip_prefix("-A ") == Some(rule));
    }
    if let Some(chain) = line.strip_prefix("-F ").or(line.strip_prefix("-X ")) {
        let (network, id) = (&SUBJECT.network, &SUBJECT.container_id);
        let own = [masquerade_chain(network, id), port_chain(network, id)];
        return own.iter().any(|own| own == chain) || chain.starts_with("CNI-SN-");
    }
    line == "COMMIT" || line.starts_with('*')
}
