//! What `status` says when something is wrong, and that it is right again afterwards.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, wait_until};
use serde_json::Value;

use super::stage::{Stage, overlay, sound, status};

/// Waits until status tells of a trouble of this kind, and gives it.
fn told(host: &Host, kind: &str) -> Result<Value> {
    wait_until(kind, Duration::from_secs(60), || {
        let status = status(host)?;
        let all = status["troubles"].as_array().context("troubles")?;
        let found = all.iter().find(|trouble| trouble["kind"] == kind);
        found.cloned().with_context(|| format!("{status:#}"))
    })
}

fn says(trouble: &Value, words: &[&str]) -> Result<()> {
    let text = format!(
        "{} {}",
        trouble["text"].as_str().unwrap_or_default(),
        trouble["remedy"].as_str().unwrap_or_default()
    );
    for word in words {
        ensure!(text.contains(word), "{word} is not in {text}");
    }
    Ok(())
}

/// A firewall between hosts: the port is named, and nothing else is broken by it.
#[test]
fn a_firewall_is_told_with_the_port() -> Result<()> {
    let stage = Stage::new(2)?;
    stage.overlay(&[])?;
    let (first, second) = (&stage.nodes[0], &stage.nodes[1]);
    for node in &stage.nodes {
        sound(node, 1)?;
    }
    second
        .sh("iptables -I INPUT -p udp --dport 8472 -j DROP")
        .ok()?;
    says(&told(first, "port-filtered")?, &["8472/udp", "192.0.2.2"])?;
    second
        .sh("iptables -D INPUT -p udp --dport 8472 -j DROP")
        .ok()?;
    sound(first, 1)?;

    first
        .sh("iptables -I INPUT -p tcp --dport 2379 -s 192.0.2.2 -j DROP")
        .ok()?;
    says(&told(second, "etcd-filtered")?, &["2379/tcp", "192.0.2.1"])?;
    // Traffic does not need etcd.
    let reached = status(second)?;
    ensure!(reached["peers"][0]["reachable"] == "yes", "{reached:#}");
    first
        .sh("iptables -D INPUT -p tcp --dport 2379 -s 192.0.2.2 -j DROP")
        .ok()?;
    sound(second, 1)?;

    first
        .sh("iptables -I INPUT -p tcp --dport 2379 -s 192.0.2.2 -j REJECT --reject-with tcp-reset")
        .ok()?;
    says(&told(second, "etcd-refused")?, &["2379/tcp", "192.0.2.1"])?;
    first
        .sh("iptables -D INPUT -p tcp --dport 2379 -s 192.0.2.2 -j REJECT --reject-with tcp-reset")
        .ok()?;
    sound(second, 1)?;
    let text = overlay(second, "status", &[])?;
    for part in ["10.50.", "192.0.2.1", "yes", "MTU 1450", "TLS"] {
        ensure!(text.contains(part), "{part} is not in\n{text}");
    }
    Ok(())
}

/// A pool of two subnets and three hosts; a configuration that changes.
#[test]
fn a_pool_that_is_used_up_and_a_changed_configuration_are_told() -> Result<()> {
    let stage = Stage::new(3)?;
    let small = [
        "--insecure",
        "--subnet-min",
        "10.50.10.0",
        "--subnet-max",
        "10.50.11.0",
    ];
    overlay(&stage.nodes[0], "init", &small)?;
    overlay(&stage.nodes[1], "join", &["192.0.2.1"])?;
    let words = ["overlay", "join", "192.0.2.1"];
    let third = &stage.nodes[2];
    let refused = third
        .ignite(words)
        .deadline(super::stage::SET_UP)
        .output()?;
    refused.refused(1, &["subnet"])?;
    says(&told(third, "pool-exhausted")?, &["10.50."])?;
    // A subnet that comes free is taken without anybody's help.
    overlay(&stage.nodes[1], "leave", &["--all"])?;
    sound(third, 1)?;

    let larger = ["--insecure", "--replace"];
    let words = ["overlay", "init"].into_iter().chain(larger);
    stage.nodes[0]
        .ignite(words)
        .deadline(super::stage::SET_UP)
        .ok()?;
    told(third, "configuration-changed").map(drop)
}
