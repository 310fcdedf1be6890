//! Nodes that start at the same moment.

use std::time::{Duration, Instant};

use crate::config;
use crate::lab::{Lab, Node, Place, soon, within};

#[test]
fn twenty_times_two_nodes_that_start_together_reach_each_other() {
    let lab = Lab::new(2, &config(r#"{"Type":"vxlan"}"#));
    let mut nodes = [lab.agent(1, &[]), lab.agent(2, &[])];
    for round in 1..=20 {
        reach_soon(&nodes, round);
        if round == 20 {
            break;
        }
        for node in &mut nodes {
            node.kill("KILL");
            node.forget_subnet();
        }
        lab.delete_leases();
        for node in &mut nodes {
            node.start_again();
        }
    }
}

/// From the address of each device to that of the other, within 15 s of the start.
fn reach_soon(nodes: &[Node<'_>; 2], round: usize) {
    let begun = Instant::now();
    let addresses = nodes
        .each_ref()
        .map(|node| node.subnet().replace("/24", ""));
    let logs = || format!("round {round}\n{}\n{}", nodes[0].log(), nodes[1].log());
    for (from, to) in [(0, 1), (1, 0)] {
        let left = Duration::from_secs(15).saturating_sub(begun.elapsed());
        within(left, "they reach each other", || {
            nodes[from]
                .ping(&addresses[from], &addresses[to], 1450)
                .map_err(|problem| format!("{problem}{}", logs()))
        });
    }
}

#[test]
fn three_nodes_that_restart_together_know_each_other() {
    let lab = Lab::new(3, &config(r#"{"Type":"vxlan"}"#));
    let mut nodes: Vec<Node<'_>> = (1..=3).map(|node| lab.agent(node, &[])).collect();
    for node in &nodes {
        node.bridge();
    }
    for _ in 0..3 {
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            nodes[from].reaches(&nodes[to], 1450);
        }
        for node in &mut nodes {
            node.kill("KILL");
        }
        for node in &mut nodes {
            node.start_again();
        }
    }
    for node in &nodes {
        node.knows(2);
    }
}

/// A node of Flannel up to v0.21.2 that missed our key hears of it when it is written again: about
/// 2 s and 10 s after the first time, each pause shortened by chance, by half at most.
#[test]
fn a_key_is_written_again_for_old_peers() {
    let lab = Lab::new(1, &config(r#"{"Type":"vxlan"}"#));
    let one = lab.agent(1, &[]);
    let (own, begun) = (one.key(), Instant::now());
    let record = || lab.records().pop().expect("one key");
    let first = record();
    let next = |after: i64| {
        soon("the key is written again", || {
            let (key, pair) = record();
            assert_eq!(key, own);
            assert_eq!((&pair.value, pair.lease), (&first.1.value, first.1.lease));
            assert_eq!(pair.create_revision, first.1.create_revision);
            match pair.mod_revision > after {
                true => Ok(pair.mod_revision),
                false => Err(one.log()),
            }
        })
    };
    let second = next(first.1.mod_revision);
    let at = begun.elapsed();
    assert!(at < Duration::from_secs(5), "{at:?}");
    assert_eq!(second, first.1.mod_revision + 1, "nothing between");
    next(second);
    let at = begun.elapsed();
    let expected = Duration::from_secs(4)..Duration::from_secs(13);
    assert!(expected.contains(&at), "{at:?}");
    assert_eq!(one.said("Allocated lease"), 1);
    assert_eq!(
        lab.sh(Place::Node(1), "ls /sys/class/net | grep -c flannel"),
        "1"
    );
}
