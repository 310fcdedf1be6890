//! Lines for iptables, as values.

use ipnet::IpNet;

use super::forward::{deletion, plan, removal, superseded};

const OPEN: &str = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\nCOMMIT\n";
const JUMP: &str = "-A FORWARD -m comment --comment \"flanneld forward\" -j FLANNEL-FWD";

fn network() -> IpNet {
    "10.5.0.0/16".parse().expect("net")
}

/// The table with these declarations and rules besides.
fn with(policy: &str, lines: &[&str]) -> String {
    let table = OPEN.replace(":FORWARD ACCEPT", &format!(":FORWARD {policy}"));
    table.replace("COMMIT", &format!("{}\nCOMMIT", lines.join("\n")))
}

fn accept(side: &str, network: &str) -> String {
    format!("-A FLANNEL-FWD {side} {network} -m comment --comment \"flanneld forward\" -j ACCEPT")
}

#[test]
fn nothing_to_do_where_nothing_drops() {
    assert_eq!(plan(OPEN, network()), [""; 0]);
    assert_eq!(removal(OPEN, network()), [""; 0]);
}

#[test]
fn flannels_rules_where_the_policy_drops() {
    let expected = [
        "-N FLANNEL-FWD".to_owned(),
        accept("-s", "10.5.0.0/16"),
        accept("-d", "10.5.0.0/16"),
        JUMP.to_owned(),
    ];
    assert_eq!(
        plan(&with("DROP", &["-A FORWARD -j DOCKER-USER"]), network()),
        expected
    );
}

#[test]
fn the_jump_is_before_a_rule_that_drops_everything() {
    let reject = "-A FORWARD -m comment --comment \"no \\\" more\" -j REJECT --reject-with x";
    let lines = ["-A FORWARD -i eth1 -j DROP", reject, JUMP];
    let plan = plan(&with("ACCEPT", &lines), network());
    assert_eq!(
        plan.last().expect("a jump"),
        "-I FORWARD 2 -m comment --comment \"flanneld forward\" -j FLANNEL-FWD"
    );
}

#[test]
fn adds_to_a_chain_of_flannels_only_what_is_not_there() {
    let other = accept("-s", "10.6.0.0/16");
    let ours = accept("-s", "10.5.0.0/16");
    let lines = [":FLANNEL-FWD - [0:0]", JUMP, &other, &ours];
    let saved = with("ACCEPT", &lines);
    assert_eq!(plan(&saved, network()), [accept("-d", "10.5.0.0/16")]);
    // And takes only its own away.
    assert_eq!(removal(&saved, network()), [deletion(&ours)]);
}

#[test]
fn takes_the_chain_away_with_all_jumps_to_it() {
    let ours = accept("-d", "10.5.0.0/16");
    let lines = [":FLANNEL-FWD - [0:0]", JUMP, JUMP, &ours];
    let expected = [
        deletion(&ours),
        deletion(JUMP),
        deletion(JUMP),
        "-X FLANNEL-FWD".into(),
    ];
    assert_eq!(removal(&with("DROP", &lines), network()), expected);
    // Unless somebody else goes there.
    let lines = [
        ":FLANNEL-FWD - [0:0]",
        "-A OTHER -i eth0 -g FLANNEL-FWD",
        &ours,
    ];
    assert_eq!(removal(&with("DROP", &lines), network()), [deletion(&ours)]);
}

#[test]
fn compares_networks_not_their_text() {
    let network: IpNet = "fd00:5::/48".parse().expect("net");
    let lines = [
        ":FLANNEL-FWD - [0:0]",
        "-A FORWARD -j FLANNEL-FWD",
        "-A FLANNEL-FWD -s fd00:0005:0::/48 -j ACCEPT",
        "-A FLANNEL-FWD -d fd00:5::/48 -j ACCEPT",
    ];
    assert_eq!(plan(&with("DROP", &lines), network), [""; 0]);
}

#[test]
fn what_flanneld_left_of_another_network_goes() {
    let rule = |rest: &str| rest.replace('#', "-m comment --comment \"flanneld masq\"");
    let jump = rule("-A POSTROUTING # -j FLANNEL-POSTRTG");
    let mark = rule("-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 # -j RETURN");
    let old = rule("-A FLANNEL-POSTRTG ! -s 10.5.0.0/16 -d 10.5.9.0/24 # -j RETURN");
    let other = rule("-A FLANNEL-POSTRTG -s 10.6.0.0/16 ! -d 224.0.0.0/4 # -j MASQUERADE");
    let saved = |lines: &[&str]| {
        format!(
            "*nat\n:POSTROUTING ACCEPT [0:0]\n:FLANNEL-POSTRTG - [0:0]\n{}\nCOMMIT\n",
            lines.join("\n")
        )
    };
    assert_eq!(
        superseded(&saved(&[&jump, &mark, &old, &other]), network()),
        [deletion(&old)]
    );
    assert_eq!(
        superseded(&saved(&[&jump, &mark, &old]), network()),
        [
            deletion(&mark),
            deletion(&old),
            deletion(&jump),
            "-X FLANNEL-POSTRTG".into()
        ]
    );
    assert_eq!(
        superseded(&saved(&[&jump, &mark, &other]), network()),
        [""; 0]
    );
}

#[test]
fn reads_any_text_without_panicking() {
    for line in [
        "",
        ":",
        "-A",
        "-A FLANNEL-FWD",
        ": ü",
        "-A FORWARD -m comment --comment \"",
        "-A FLANNEL-FWD -m comment --comment \"\\",
        "-A FORWARD -m comment --comment \"ü\"x",
    ] {
        let text = format!("{line}\n:FLANNEL-FWD - [0:0]\n{line} -j FLANNEL-FWD\n");
        plan(&text, network());
        removal(&text, network());
        superseded(&text, network());
    }
}
