//! The table of nftables.
//!
//! Flannel's set of six rules (v0.21 to today, the iptables one), two of them in one. With network `N`
//! and this node's subnet `S`, the first that fits a connection decides:
//!
//! ```text
//!   marked 0x4000        as it is      kube-proxy masquerades it itself
//!   S -> N               as it is      between VMs, here or elsewhere
//!   any -> S             as it is      VMs see who calls them
//!   N -> not multicast   masqueraded   VM -> outside
//!   not N -> N           masqueraded   host or outside -> a VM of another node
//! ```
//!
//! (Flannel's own nftables mode returns for `not S -> N`, and so never masquerades the last; its nodes
//! of the other mode do, and answers then find this node.)

use ignite_host::iptables::Family;
use serde_json::Value;

use super::{Missing, Part, Rules};

/// The one chain.
const CHAIN: &str = "postrouting";

/// Before every table of ours.
const PREFIX: &str = "ignite-overlay";

/// A statement and the comment by which it is known again: what `nft -j` makes of a statement differs
/// from version to version. It names all addresses, so that it changes with them.
struct Rule {
    statement: String,
    comment: String,
}

/// The name of the table: one for each network, as one host may be in several.
pub fn table(rules: &Rules) -> String {
    match (rules.ipv4, rules.ipv6) {
        (Some(ipv4), _) => name(&ipv4.network.trunc().to_string()),
        (None, Some(ipv6)) => name(&ipv6.network.trunc().to_string()),
        (None, None) => PREFIX.to_owned(),
    }
}

/// nft takes letters, digits, `/`, `\`, `_`, `.` and `-` in a name; `/` reads badly behind `inet`.
fn name(network: &str) -> String {
    let network = network.replace('/', "-").replace(':', "_");
    format!("{PREFIX}-{network}")
}

/// One transaction that makes the table anew, whatever is in it; without masquerading it only goes.
pub fn plan(rules: &Rules) -> String {
    let mut script = removal(rules);
    if !rules.ip_masq {
        return script;
    }
    script.push_str(&format!(
        "table inet {} {{\n\tchain {CHAIN} {{\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n",
        table(rules)
    ));
    for Rule { statement, comment } in list(rules) {
        script.push_str(&format!("\t\t{statement} comment \"{comment}\"\n"));
    }
    script.push_str("\t}\n}\n");
    script
}

/// One transaction after which there is no table. nft 1.0.6 knows no `destroy`, and fails to delete
/// what is not there.
pub fn removal(rules: &Rules) -> String {
    let table = table(rules);
    format!("add table inet {table}\ndelete table inet {table}\n")
}

/// What `found`, the table's objects, lacks.
pub fn missing(rules: &Rules, found: Option<&[Value]>) -> Vec<Missing> {
    let table = table(rules);
    let found = found.unwrap_or_default();
    if !found.iter().any(is_chain) {
        return vec![Missing::Table { table }];
    }
    let comments: Vec<&str> = found.iter().filter_map(comment).collect();
    let wanted = list(rules);
    if wanted
        .iter()
        .map(|rule| rule.comment.as_str())
        .eq(comments.iter().copied())
    {
        return Vec::new();
    }
    let missing: Vec<Missing> = wanted
        .into_iter()
        .filter(|rule| !comments.contains(&rule.comment.as_str()))
        .map(|rule| Missing::Rule {
            table: table.clone(),
            rule: rule.comment,
        })
        .collect();
    if missing.is_empty() {
        // All are there, but others too, or in another order.
        return vec![Missing::Table { table }];
    }
    missing
}

fn is_chain(object: &Value) -> bool {
    let chain = &object["chain"];
    chain["name"] == CHAIN && chain["type"] == "nat" && chain["hook"] == "postrouting"
}

/// The comment of a rule; empty where it has none.
fn comment(object: &Value) -> Option<&str> {
    let rule = object.get("rule")?;
    Some(rule["comment"].as_str().unwrap_or_default())
}

fn list(rules: &Rules) -> Vec<Rule> {
    let mut list = vec![rule(
        "meta mark & 0x4000 == 0x4000 return".to_owned(),
        "marked 0x4000: kube-proxy masquerades it".to_owned(),
    )];
    for (family, part) in rules.scopes() {
        list.extend(family_rules(family, part, rules.random_fully));
    }
    list
}

fn family_rules(family: Family, part: Part, random_fully: bool) -> [Rule; 4] {
    let (ip, multicast) = match family {
        Family::V4 => ("ip", "224.0.0.0/4"),
        Family::V6 => ("ip6", "ff00::/8"),
    };
    let Part { network, subnet } = part;
    let masquerade = match random_fully {
        true => "masquerade fully-random",
        false => "masquerade",
    };
    [
        rule(
            format!("{ip} saddr {subnet} {ip} daddr {network} return"),
            format!("{subnet} to {network}: as it is"),
        ),
        rule(
            format!("{ip} daddr {subnet} return"),
            format!("any to {subnet}: as it is"),
        ),
        rule(
            format!("{ip} saddr {network} {ip} daddr != {multicast} {masquerade}"),
            format!("{network} to outside: {masquerade}"),
        ),
        rule(
            format!("{ip} saddr != {network} {ip} daddr {network} {masquerade}"),
            format!("outside to {network}: {masquerade}"),
        ),
    ]
}

fn rule(statement: String, comment: String) -> Rule {
    Rule { statement, comment }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::tests::{dual, single};

    #[test]
    fn text_of_one_family() {
        let expected = r#"add table inet ignite-overlay-10.5.0.0-16
delete table inet ignite-overlay-10.5.0.0-16
table inet ignite-overlay-10.5.0.0-16 {
	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		meta mark & 0x4000 == 0x4000 return comment "marked 0x4000: kube-proxy masquerades it"
		ip saddr 10.5.9.0/24 ip daddr 10.5.0.0/16 return comment "10.5.9.0/24 to 10.5.0.0/16: as it is"
		ip daddr 10.5.9.0/24 return comment "any to 10.5.9.0/24: as it is"
		ip saddr 10.5.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random comment "10.5.0.0/16 to outside: masquerade fully-random"
		ip saddr != 10.5.0.0/16 ip daddr 10.5.0.0/16 masquerade fully-random comment "outside to 10.5.0.0/16: masquerade fully-random"
	}
}
"#;
        assert_eq!(plan(&single()), expected);
    }

    #[test]
    fn text_of_both_families() {
        let text = plan(&Rules {
            random_fully: false,
            ..dual()
        });
        let ipv6 = r#"		ip saddr != 10.5.0.0/16 ip daddr 10.5.0.0/16 masquerade comment "outside to 10.5.0.0/16: masquerade"
		ip6 saddr fd00:5:0:9::/64 ip6 daddr fd00:5::/48 return comment "fd00:5:0:9::/64 to fd00:5::/48: as it is"
		ip6 daddr fd00:5:0:9::/64 return comment "any to fd00:5:0:9::/64: as it is"
		ip6 saddr fd00:5::/48 ip6 daddr != ff00::/8 masquerade comment "fd00:5::/48 to outside: masquerade"
		ip6 saddr != fd00:5::/48 ip6 daddr fd00:5::/48 masquerade comment "outside to fd00:5::/48: masquerade"
	}
}
"#;
        assert!(text.ends_with(ipv6), "{text}");
    }

    #[test]
    fn without_masquerading_there_is_no_table() {
        let rules = Rules {
            ip_masq: false,
            ..single()
        };
        assert_eq!(plan(&rules), removal(&rules));
    }

    #[test]
    fn each_network_has_its_table() {
        let ipv6 = Rules {
            ipv4: None,
            ..dual()
        };
        assert_eq!(table(&dual()), "ignite-overlay-10.5.0.0-16");
        assert_eq!(table(&ipv6), "ignite-overlay-fd00_5__-48");
    }

    #[test]
    fn a_comment_is_never_longer_than_the_kernel_takes() {
        let long = "2001:db80:1111:2222:3333:4444:5555:6666/128";
        let rules = Rules {
            ipv6: Some(super::super::Scope {
                network: long.parse().expect("net"),
                subnet: long.parse().expect("net"),
            }),
            ..single()
        };
        // NFTNL_UDATA_COMMENT_MAXLEN, with the zero at its end.
        assert!(list(&rules).iter().all(|rule| rule.comment.len() < 128));
    }

    #[test]
    fn says_what_is_missing() {
        let chain = serde_json::json!({"chain": {
            "name": "postrouting", "type": "nat", "hook": "postrouting"}});
        let mut found = vec![chain];
        found.extend(
            list(&single())
                .into_iter()
                .map(|rule| serde_json::json!({"rule": {"comment": rule.comment, "expr": []}})),
        );
        assert_eq!(missing(&single(), Some(&found)), []);
        found.swap(1, 2);
        let table = table(&single());
        assert_eq!(
            missing(&single(), Some(&found)),
            [Missing::Table {
                table: table.clone()
            }]
        );
        found.remove(1);
        let rule = "10.5.9.0/24 to 10.5.0.0/16: as it is".to_owned();
        assert_eq!(
            missing(&single(), Some(&found)),
            [Missing::Rule {
                table: table.clone(),
                rule
            }]
        );
        assert_eq!(missing(&single(), None), [Missing::Table { table }]);
    }
}
