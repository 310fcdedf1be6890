//! Whose rules there are: the containers that the plugins' rules name.
//!
//! For what nothing else remembers: a plugin that was killed in the middle of an
//! ADD whose record was lost too leaves rules that only say themselves whose they
//! are, in their comments.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;

use super::{FAMILIES, LeakError, NFT_TABLES, Subject, iptables, listed, names, saved, word};

/// A container that rules name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The network's name; empty where the rule does not say.
    pub network: String,
    /// Container ID.
    pub container_id: String,
    /// Name of the interface, where the rule says it.
    pub ifname: Option<String>,
    /// The address the rule is for, where it says one.
    pub address: Option<IpAddr>,
}

impl Owner {
    /// Whose rules are to be removed, the addresses left out: they may be another's.
    pub fn subject(&self) -> Subject {
        Subject {
            network: self.network.clone(),
            container_id: self.container_id.clone(),
            ifname: self.ifname.clone().unwrap_or_default(),
            addresses: Vec::new(),
        }
    }
}

/// All owners, in the calling thread's network namespace. Goes on after an error
/// and returns all.
pub fn owners() -> (BTreeSet<Owner>, Vec<LeakError>) {
    let mut found = BTreeSet::new();
    let mut errors = Vec::new();
    let whose = || "anybody".to_owned();
    for family in FAMILIES {
        match saved(family) {
            Ok(text) => found.extend(in_iptables(&text.unwrap_or_default())),
            Err(source) => errors.push(LeakError::Iptables {
                container_id: whose(),
                family: word(family),
                source,
            }),
        }
    }
    for (family, table) in NFT_TABLES {
        match listed(family, table) {
            Ok(objects) => found.extend(in_nft(&objects)),
            Err(source) => errors.push(LeakError::Nft {
                container_id: whose(),
                table: format!("{family} {table}"),
                source,
            }),
        }
    }
    (found, errors)
}

/// The owners of rules in the text of `iptables-save`. A rule counts if its comment
/// is a plugin's and it leads to the chain the plugin makes for that very comment:
/// anybody can write a comment.
pub fn in_iptables(saved: &str) -> Vec<Owner> {
    saved.lines().filter_map(owner).collect()
}

fn owner(line: &str) -> Option<Owner> {
    let rule = iptables::Rule::parse(line)?;
    let comment = rule.comment.as_deref()?;
    let target = rule.target.as_deref()?;
    let comment = comment.strip_prefix("dnat ").unwrap_or(comment);
    let (network, rest) = comment.strip_prefix("name: \"")?.split_once("\" id: \"")?;
    let container_id = rest.strip_suffix('"')?;
    let made = [
        names::masquerade_chain(network, container_id),
        names::port_chain(network, container_id),
    ];
    made.iter().any(|chain| chain == target).then(|| Owner {
        network: network.to_owned(),
        container_id: container_id.to_owned(),
        ifname: None,
        address: rule.source(),
    })
}

/// The owners of rules among the objects of an nftables table.
pub fn in_nft(objects: &[Value]) -> Vec<Owner> {
    let rules = objects.iter().filter_map(|object| object.get("rule"));
    rules.filter_map(nft_owner).collect()
}

fn nft_owner(rule: &Value) -> Option<Owner> {
    let comment = rule.get("comment")?.as_str()?;
    match rule.get("table")?.as_str()? {
        "cni_plugins_masquerade" => {
            let (mark, rest) = comment.split_once(", net: ")?;
            let (network, rest) = rest.split_once(", if: ")?;
            let (ifname, container_id) = rest.split_once(", id: ")?;
            let made = names::masquerade_comment(network, container_id, ifname);
            (made == mark).then(|| Owner {
                network: network.to_owned(),
                container_id: container_id.to_owned(),
                ifname: Some(ifname.to_owned()),
                address: None,
            })
        }
        "cni_hostport" => Some(Owner {
            network: String::new(),
            container_id: comment.to_owned(),
            ifname: None,
            address: None,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const SAVED: &str = include_str!("../../tests/data/iptables-save.txt");

    fn owner(network: &str, container_id: &str) -> Owner {
        Owner {
            network: network.to_owned(),
            container_id: container_id.to_owned(),
            ifname: None,
            address: None,
        }
    }

    #[test]
    fn rules_say_whose_they_are() {
        let found = in_iptables(SAVED);
        let ours: Vec<&Owner> = found
            .iter()
            .filter(|owner| owner.container_id == "ignite-abc")
            .collect();
        let masqueraded = Owner {
            address: Some(IpAddr::from([10, 61, 0, 50])),
            ..owner("ignite-cni-bridge", "ignite-abc")
        };
        assert_eq!(
            ours,
            [&masqueraded, &owner("ignite-cni-bridge", "ignite-abc")]
        );
    }

    #[test]
    fn a_comment_alone_proves_nothing() {
        let line = r#"-A X -m comment --comment "name: \"n\" id: \"ignite-abc\"" -j CNI-DN-000000000000000000000"#;
        assert!(in_iptables(line).is_empty());
        let rule = |comment: &str| json!({"rule": {"table": "cni_plugins_masquerade", "comment": comment}});
        let wrong = "0000000000000000-287fc69eff0574a2, net: unit-test, if: eth0, id: one";
        assert!(in_nft(&[rule(wrong)]).is_empty());
        let right = "6fd94d501e58f0aa-287fc69eff0574a2, net: unit-test, if: eth0, id: one";
        let expected = Owner {
            ifname: Some("eth0".to_owned()),
            ..owner("unit-test", "one")
        };
        assert_eq!(in_nft(&[rule(right)]), [expected]);
    }

    proptest! {
        #[test]
        fn no_text_is_a_surprise(comment in "(dnat )?(name: \\\\\")?[ -~]{0,40}", chain in "[A-Z-]{0,9}") {
            let line = format!("-A X -m comment --comment \"{comment}\" -j {chain}");
            prop_assert!(in_iptables(&line).is_empty());
            let rule = json!({"rule": {"table": "cni_plugins_masquerade", "comment": comment}});
            prop_assert!(in_nft(&[rule]).is_empty());
        }
    }
}
