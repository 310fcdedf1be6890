//! What `nft -j list table` shows of a container in the tables newer plugins
//! write, and the commands that remove it.

use serde_json::Value;

use super::{Subject, names};
use crate::json::Object;

/// The commands that delete the container's rules among `objects`, one for each.
pub fn plan(objects: &[Value], subject: &Subject) -> Vec<String> {
    let rules = objects
        .iter()
        .filter_map(|object| object.get("rule")?.as_object());
    rules
        .filter(|rule| is_owned(rule, subject))
        .filter_map(deletion)
        .collect()
}

fn is_owned(rule: &Object, subject: &Subject) -> bool {
    let Some(comment) = rule.get("comment").and_then(Value::as_str) else {
        return false;
    };
    match rule.get("table").and_then(Value::as_str) {
        Some("cni_plugins_masquerade") => {
            let (network, id) = (&subject.network, &subject.container_id);
            comment.starts_with(&names::masquerade_comment(network, id, &subject.ifname))
        }
        // Its comment does not say by which network; the addresses do.
        Some("cni_hostport") => comment == subject.container_id && mentions(rule, subject),
        _ => false,
    }
}

/// Whether the rule leads to an address of the container; where none is known,
/// all that carry its ID count.
fn mentions(rule: &Object, subject: &Subject) -> bool {
    let expressions = rule.get("expr").map(Value::to_string).unwrap_or_default();
    let quoted = |ip| expressions.contains(&format!("\"{ip}\""));
    subject.addresses.is_empty() || subject.addresses.iter().any(quoted)
}

fn deletion(rule: &Object) -> Option<String> {
    let word = |key: &str| {
        let text = rule.get(key)?.as_str()?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        Some(text).filter(|text| !text.is_empty() && text.bytes().all(plain))
    };
    let (family, table, chain) = (word("family")?, word("table")?, word("chain")?);
    let handle = rule.get("handle")?.as_u64()?;
    Some(format!(
        "delete rule {family} {table} {chain} handle {handle}\n"
    ))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use serde_json::json;

    use super::*;

    fn subject() -> Subject {
        Subject {
            network: "unit-test".to_owned(),
            container_id: "one".to_owned(),
            ifname: "eth0".to_owned(),
            addresses: vec![IpAddr::from([10, 0, 0, 2])],
        }
    }

    fn rule(table: &str, comment: &str, expr: Value) -> Value {
        json!({"rule": {"family": "ip", "table": table, "chain": "c", "handle": 7,
                        "comment": comment, "expr": expr}})
    }

    #[test]
    fn rules_are_known_by_their_comments() {
        let masquerade = "6fd94d501e58f0aa-287fc69eff0574a2, net: unit-test, if: eth0, id: one";
        let dnat = json!([{"dnat": {"addr": "10.0.0.2", "port": 80}}]);
        let other = json!([{"dnat": {"addr": "10.0.0.22", "port": 80}}]);
        let objects = [
            json!({"metainfo": {}}),
            rule("cni_plugins_masquerade", masquerade, json!([])),
            rule(
                "cni_plugins_masquerade",
                "6fd94d501e58f0aa-0000000000000000",
                json!([]),
            ),
            rule("cni_hostport", "one", dnat.clone()),
            rule("cni_hostport", "one", other),
            rule("cni_hostport", "two", dnat.clone()),
            rule("somebody", "one", dnat),
            rule("cni_hostport", "one", Value::Null),
        ];
        assert_eq!(
            plan(&objects, &subject()),
            [
                "delete rule ip cni_plugins_masquerade c handle 7\n",
                "delete rule ip cni_hostport c handle 7\n",
            ]
        );
    }

    #[test]
    fn names_that_are_no_words_are_not_used() {
        let mut bad = rule("cni_hostport", "one", json!([{"x": "10.0.0.2"}]));
        bad["rule"]["chain"] = json!("c; flush ruleset");
        assert!(plan(&[bad], &subject()).is_empty());
    }
}
