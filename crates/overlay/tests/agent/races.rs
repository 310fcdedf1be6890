//! Few subnets, and several nodes at the same moment.

use crate::lab::{Lab, soon};

/// So many subnets are free: those from 10.5.1.0/24 on.
fn lab_of(free: usize) -> Lab {
    Lab::new(
        2,
        &format!(
            r#"{{"Network":"10.5.0.0/16","SubnetMin":"10.5.1.0","SubnetMax":"10.5.{free}.0","Backend":{{"Type":"alloc"}}}}"#
        ),
    )
}

#[test]
fn the_last_subnet_is_one_nodes() {
    let lab = lab_of(1);
    let mut nodes = [lab.agent(1, &[]), lab.agent(2, &[])];
    let loser = soon("one of them ends", || {
        let over = nodes.iter_mut().position(|node| node.is_over());
        over.ok_or_else(|| format!("{}\n{}", nodes[0].log(), nodes[1].log()))
    });
    let [one, two] = &mut nodes;
    let (winner, loser) = if loser == 0 { (two, one) } else { (one, two) };
    assert_eq!(winner.gateway(), "10.5.1.1");
    assert_eq!(loser.ends(), Some(1));
    loser.says("no IPv4 subnet is free", 1);
    assert_eq!(lab.leases().len(), 1);

    // Its supervisor starts it again, and some day the other's lease is gone.
    winner.kill("TERM");
    loser.start_again();
    assert_eq!(loser.ends(), Some(1));
    lab.delete("subnets/10.5.1.0-24");
    loser.start_again();
    assert_eq!(loser.gateway(), "10.5.1.1");
}

#[test]
fn of_two_subnets_each_node_gets_one() {
    let lab = lab_of(2);
    let mut nodes = [lab.agent(1, &[]), lab.agent(2, &[])];
    for _ in 0..5 {
        let mut subnets = nodes.each_ref().map(|node| node.subnet());
        subnets.sort();
        assert_eq!(subnets, ["10.5.1.0/24", "10.5.2.0/24"]);
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
