//! What `iptables-save` shows of a container, and the script that removes it.
//!
//! A rule is removed by its own text with `-A` turned into `-D`, so whatever it
//! holds means the same to `iptables-restore`.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use super::{Removed, Subject, names};

/// What is to be removed from the tables of one family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    tables: Vec<TablePlan>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct TablePlan {
    name: String,
    /// Rules outside the container's chains, as `-A ...` lines.
    rules: Vec<String>,
    /// The container's own chains, and how many rules they hold.
    chains: BTreeSet<String>,
    inside: usize,
}

impl Plan {
    /// Whether there is nothing to remove.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// How much it removes.
    pub fn removed(&self) -> Removed {
        let count = |of: fn(&TablePlan) -> usize| self.tables.iter().map(of).sum();
        Removed {
            rules: count(|t| t.rules.len() + t.inside),
            chains: count(|t| t.chains.len()),
        }
    }

    /// The script for `iptables-restore --noflush`.
    pub fn script(&self) -> String {
        self.tables.iter().map(TablePlan::script).collect()
    }
}

impl TablePlan {
    fn script(&self) -> String {
        let mut lines = vec![format!("*{}", self.name)];
        // A chain can go when nothing jumps to it and it is empty.
        let delete = |rule: &String| rule.replacen("-A ", "-D ", 1);
        lines.extend(self.rules.iter().map(delete));
        lines.extend(self.chains.iter().map(|chain| format!("-F {chain}")));
        lines.extend(self.chains.iter().map(|chain| format!("-X {chain}")));
        lines.push("COMMIT\n".to_owned());
        lines.join("\n")
    }

    fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.chains.is_empty()
    }
}

/// Finds everything of the container in the text of `iptables-save`. Lines that
/// cannot be understood are not touched.
pub fn plan(saved: &str, subject: &Subject) -> Plan {
    plan_all(saved, std::slice::from_ref(subject))
}

/// The same of many containers, in one reading of the text.
pub fn plan_all(saved: &str, subjects: &[Subject]) -> Plan {
    let marks = Marks::of(subjects);
    let mut tables: Vec<TablePlan> = Vec::new();
    for line in saved.lines() {
        if let Some(name) = line.strip_prefix('*') {
            tables.push(TablePlan {
                name: name.trim().to_owned(),
                ..TablePlan::default()
            });
        } else if let Some(table) = tables.last_mut() {
            marks.collect(line, table);
        }
    }
    tables.retain(|table| !table.is_empty() && is_word(&table.name));
    Plan { tables }
}

/// By what the containers' chains and rules are known.
#[derive(Default)]
struct Marks {
    chains: HashSet<String>,
    comments: HashSet<String>,
    firewall: HashSet<Vec<String>>,
}

impl Marks {
    fn of(subjects: &[Subject]) -> Self {
        let mut marks = Self::default();
        for subject in subjects {
            let (network, id) = (&subject.network, &subject.container_id);
            let comment = format!("name: \"{network}\" id: \"{id}\"");
            marks.chains.extend([
                names::masquerade_chain(network, id),
                names::port_chain(network, id),
                names::old_port_chain(network, id),
            ]);
            marks
                .comments
                .extend([cut(format!("dnat {comment}")), comment]);
            let rules = subject.addresses.iter().flat_map(|ip| firewall_rules(*ip));
            marks.firewall.extend(rules);
        }
        marks
    }

    fn collect(&self, line: &str, table: &mut TablePlan) {
        if let Some(chain) = line
            .strip_prefix(':')
            .and_then(|rest| rest.split(' ').next())
        {
            if self.owns(chain) {
                table.chains.insert(chain.to_owned());
            }
        } else if let Some(rule) = Rule::parse(line) {
            if self.owns(&rule.chain) {
                table.inside += 1;
            } else if self.matches(&rule, &table.name) {
                table.rules.push(line.to_owned());
            }
        }
    }

    fn owns(&self, chain: &str) -> bool {
        self.chains.contains(chain)
    }

    fn matches(&self, rule: &Rule, table: &str) -> bool {
        let jumps = rule
            .target
            .as_deref()
            .is_some_and(|target| self.owns(target));
        let commented = || {
            rule.comment
                .as_ref()
                .is_some_and(|text| self.comments.contains(text))
        };
        let firewall = || table == "filter" && self.firewall.contains(&rule.tokens);
        jumps || commented() || firewall()
    }
}

/// The portmap plugin cuts its comments so, to about what iptables takes.
fn cut(comment: String) -> String {
    if comment.len() <= 255 {
        return comment;
    }
    let kept: String = comment.chars().take(253).collect();
    kept + "..."
}

/// The two rules of the firewall plugin for an address, as they are printed.
fn firewall_rules(ip: IpAddr) -> [Vec<String>; 2] {
    let host = format!("{ip}/{}", if ip.is_ipv4() { 32 } else { 128 });
    let words = |text: String| text.split(' ').map(str::to_owned).collect();
    [
        words(format!(
            "-A CNI-FORWARD -d {host} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
        )),
        words(format!("-A CNI-FORWARD -s {host} -j ACCEPT")),
    ]
}

/// One rule, taken apart.
pub(super) struct Rule {
    chain: String,
    pub(super) target: Option<String>,
    pub(super) comment: Option<String>,
    tokens: Vec<String>,
}

impl Rule {
    pub(super) fn parse(line: &str) -> Option<Self> {
        let tokens = tokens(line)?;
        let [append, chain, rest @ ..] = &tokens[..] else {
            return None;
        };
        if append != "-A" || !is_word(chain) || line.contains(char::is_control) {
            return None;
        }
        let (mut target, mut comment) = (None, None);
        let mut rest = rest.iter();
        while let Some(token) = rest.next() {
            match token.as_str() {
                // Its value may look like an option.
                "--comment" => comment = rest.next().cloned(),
                "-j" | "-g" => target = rest.next().cloned(),
                _ => {}
            }
        }
        Some(Self {
            chain: chain.clone(),
            target,
            comment,
            tokens,
        })
    }

    /// The single address it is for (`-s 10.0.0.2/32`).
    pub(super) fn source(&self) -> Option<IpAddr> {
        let at = self.tokens.iter().position(|token| token == "-s")?;
        let (address, prefix) = self.tokens.get(at + 1)?.split_once('/')?;
        let address: IpAddr = address.parse().ok()?;
        let whole = if address.is_ipv4() { "32" } else { "128" };
        (prefix == whole).then_some(address)
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// The words of a line as `iptables-restore` reads them: blanks between them,
/// double quotes around what holds blanks, backslashes before signs in quotes.
fn tokens(line: &str) -> Option<Vec<String>> {
    let mut tokens = Vec::new();
    let mut chars = line.chars().peekable();
    loop {
        while chars.next_if(|c| *c == ' ').is_some() {}
        let Some(first) = chars.next() else {
            return Some(tokens);
        };
        let mut token = String::new();
        if first == '"' {
            loop {
                match chars.next()? {
                    '"' => break,
                    '\\' => token.push(chars.next()?),
                    c => token.push(c),
                }
            }
            if chars.peek().is_some_and(|c| *c != ' ') {
                return None;
            }
        } else {
            token.push(first);
            while let Some(c) = chars.next_if(|c| *c != ' ') {
                token.push(c);
            }
        }
        tokens.push(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What three plugins leave for one container, among others' rules.
    const SAVED: &str = include_str!("../../tests/data/iptables-save.txt");

    fn subject(container_id: &str, addresses: &[&str]) -> Subject {
        Subject {
            network: "ignite-cni-bridge".to_owned(),
            container_id: container_id.to_owned(),
            ifname: "eth0".to_owned(),
            addresses: addresses
                .iter()
                .map(|ip| ip.parse().expect("an address"))
                .collect(),
        }
    }

    #[test]
    fn all_of_the_container_goes_and_nothing_else() {
        let plan = plan(SAVED, &subject("ignite-abc", &["10.61.0.50"]));
        let expected = r#"*filter
-D CNI-FORWARD -d 10.61.0.50/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-D CNI-FORWARD -s 10.61.0.50/32 -j ACCEPT
COMMIT
*nat
-D POSTROUTING -s 10.61.0.50/32 -m comment --comment "name: \"ignite-cni-bridge\" id: \"ignite-abc\"" -j CNI-3b9a26a30bde7fc5f38a1f23
-D CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \"ignite-cni-bridge\" id: \"ignite-abc\"" -m multiport --dports 8080 -j CNI-DN-3b9a26a30bde7fc5f38a1
-F CNI-3b9a26a30bde7fc5f38a1f23
-F CNI-DN-3b9a26a30bde7fc5f38a1
-X CNI-3b9a26a30bde7fc5f38a1f23
-X CNI-DN-3b9a26a30bde7fc5f38a1
COMMIT
"#;
        assert_eq!(plan.script(), expected);
        assert_eq!(
            plan.removed(),
            Removed {
                rules: 9,
                chains: 2
            }
        );
    }

    #[test]
    fn another_container_of_a_similar_name_is_left_alone() {
        assert!(plan(SAVED, &subject("ignite-ab", &[])).is_empty());
        assert!(plan(SAVED, &subject("gnite-abc", &["10.61.0.5"])).is_empty());
        let without_addresses = plan(SAVED, &subject("ignite-abc", &[]));
        assert!(!without_addresses.script().contains("*filter"));
    }

    #[test]
    fn comments_that_look_like_options_do_not_mislead() {
        let chain = names::port_chain("ignite-cni-bridge", "ignite-abc");
        let line = format!(
            "*nat\n-A FOO -m comment --comment -j -j ACCEPT\n-A BAR -m comment --comment \"-j {chain}\" -j ACCEPT\n"
        );
        assert!(plan(&line, &subject("ignite-abc", &[])).is_empty());
        let jump = format!("*nat\n-A FOO -m comment --comment -g -g {chain}\n");
        assert_eq!(plan(&jump, &subject("ignite-abc", &[])).removed().rules, 1);
    }

    #[test]
    fn words_are_those_of_iptables() {
        let words = |line: &str| tokens(line);
        let some = |words: &[&str]| Some(words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            words(r#"-A X --comment "a \"b\" \\ c" -j Y"#),
            some(&["-A", "X", "--comment", r#"a "b" \ c"#, "-j", "Y"])
        );
        assert_eq!(words(r#"-A "open"#), None);
        assert_eq!(words(r#"-A "a"b"#), None);
        assert_eq!(words(""), some(&[]));
    }

    #[test]
    fn long_comments_are_cut_as_the_plugin_cuts_them() {
        let long = cut("x".repeat(300));
        assert_eq!((long.len(), &long[253..]), (256, "..."));
    }

    proptest! {
        #[test]
        fn no_text_is_a_surprise(text in "(\\*nat\n)?([-:A-Za-z0-9 \"\\\\]{0,60}\n){0,8}") {
            let _ = plan(&text, &subject("ignite-abc", &["10.61.0.50"]));
        }

        #[test]
        fn a_script_only_deletes(text in "\\*nat\n(-A [A-Z]{1,5} -j CNI-DN-3b9a26a30bde7fc5f38a1[ -~]{0,20}\n){0,4}") {
            let script = plan(&text, &subject("ignite-abc", &[])).script();
            for line in script.lines() {
                let starts = ["*nat", "COMMIT", "-D ", "-F CNI-", "-X CNI-"];
                prop_assert!(starts.iter().any(|start| line.starts_with(start)), "{}", line);
            }
        }
    }
}
