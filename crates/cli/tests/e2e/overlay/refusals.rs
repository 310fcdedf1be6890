//! Who may join, and what is said to whom who may not.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, Output};
use serde_json::Value;

use super::stage::{SET_UP, Stage, nothing_of_it, overlay, sound};

fn join(host: &Host, words: &[&str]) -> Result<Output> {
    let words = ["overlay", "join"].into_iter().chain(words.iter().copied());
    host.ignite(words).deadline(SET_UP).output()
}

fn token(host: &Host) -> Result<String> {
    let made = overlay(host, "token", &["new", "-o", "json"])?;
    let made: Value = serde_json::from_str(&made)?;
    Ok(made["token"].as_str().context("a token")?.to_owned())
}

#[test]
fn tokens_are_good_once_and_for_those_who_have_them() -> Result<()> {
    let stage = Stage::new(3)?;
    let (first, second, third) = (&stage.nodes[0], &stage.nodes[1], &stage.nodes[2]);
    let printed = overlay(first, "init", &[])?;
    let good = printed.rsplit(' ').next().context("a token")?.to_owned();

    let host = "192.0.2.1";
    join(second, &[host])?.refused(1, &["wants a token", "ignite overlay token new"])?;
    join(second, &[host, "--token", "nonsense"])?.refused(1, &["not a token"])?;
    let id = good.split('.').next().context("an id")?;
    let forged = good.replacen(&good[13..45], &"0".repeat(32), 1);
    join(second, &[host, "--token", &forged])?.refused(1, &["token"])?;
    let other = format!("{}{}", &good[..46], "ab".repeat(32));
    join(second, &[host, "--token", &other])?.refused(1, &["authority"])?;
    let revoked = token(first)?;
    overlay(first, "token", &["revoke", &revoked])?;
    join(second, &[host, "--token", &revoked])?
        .refused(1, &["token", "ignite overlay token new"])?;
    nothing_of_it(second).context("who was refused")?;

    join(second, &[host, "--token", &good])?.ok()?;
    sound(second, 1)?;
    join(third, &[host, "--token", &good])?.refused(1, &["used", "ignite overlay token new"])?;
    let listed = overlay(first, "token", &["ls"])?;
    let line = listed.lines().find(|line| line.starts_with(id));
    ensure!(line.is_some_and(|line| line.contains("used")), "{listed}");
    // Once more, it goes on where it was, and no token is needed for that.
    join(second, &[host])?.ok()?;
    join(second, &["192.0.2.7"])?.refused(1, &["already", "ignite overlay leave"])?;

    // From a file.
    third.write("/run/token", token(first)?)?;
    join(third, &[host, "--token-file", "/run/token"])?.ok()?;
    sound(third, 2)?;
    // Who joined signs nobody's certificate.
    let refused = third.ignite(["overlay", "token", "new"]).output()?;
    refused.refused(1, &["signs nobody's certificate", "first host"])
}

#[test]
fn what_cannot_be_joined_is_told() -> Result<()> {
    let stage = Stage::new(2)?;
    let node = &stage.nodes[1];
    join(node, &["no-such-host.invalid"])?.refused(1, &["no-such-host.invalid"])?;
    join(node, &["192.0.2.1"])?.refused(1, &["192.0.2.1"])?;
    for verb in ["status", "logs", "token", "reserve", "start"] {
        let refused = node.ignite(["overlay", verb]).deadline(SET_UP).output()?;
        refused.refused(1, &["in no overlay", "ignite overlay init"])?;
    }
    nothing_of_it(node)?;

    // A network that is somebody's stays, and is in the way of ours.
    node.write("/etc/cni/net.d/10-flannel.conflist", "{}")?;
    overlay(&stage.nodes[0], "init", &["--insecure"])?;
    join(node, &["192.0.2.1"])?.refused(1, &["10-flannel.conflist"])?;
    node.sh("rm /etc/cni/net.d/10-flannel.conflist").ok()?;
    join(node, &["192.0.2.1", "--token", &good_looking()])?.refused(1, &["without TLS"])?;
    join(node, &["192.0.2.1", "--name", "blue"])?.refused(1, &["no network", "/blue/network"])?;
    join(node, &["192.0.2.1"])?.ok()?;
    sound(node, 1)?;

    // Another network than the one that is there.
    let words = ["overlay", "init", "--insecure", "--network", "10.77.0.0/16"];
    let refused = stage.nodes[0].ignite(words).deadline(SET_UP).output()?;
    refused.refused(1, &["another configuration", "10.50.0.0/16", "--replace"])?;
    let words = ["overlay", "init", "--subnet-len", "31"];
    let refused = Host::bare("other")?
        .ignite(words)
        .deadline(SET_UP)
        .output()?;
    refused.refused(1, &["SubnetLen"])
}

/// The text of a token that nobody made.
fn good_looking() -> String {
    format!("{}.{}.{}", "0".repeat(12), "1".repeat(32), "2".repeat(64))
}

/// The default network's file goes only if nobody changed it.
#[test]
fn a_default_network_that_was_changed_stays() -> Result<()> {
    let stage = Stage::new(1)?;
    let node = &stage.nodes[0];
    let file = "/etc/cni/net.d/10-ignite.conflist";
    node.ignite(["network", "ls"]).ok()?;
    let ours = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../cni/src/default.rs"
    ))?;
    let begin = ours.find("r#\"").context("the content")? + 3;
    let end = ours.find("\"#;").context("its end")?;
    node.write(file, &ours[begin..end])?;
    overlay(node, "init", &["--insecure"])?;
    ensure!(!node.has(file)?, "the unchanged default network stays");
    let changed = ours[begin..end].replace("10.61.", "10.62.");
    node.write(file, changed.as_str())?;
    let again = node
        .ignite(["overlay", "init", "--insecure"])
        .deadline(SET_UP)
        .output()?;
    ensure!(
        again.code == 0 && again.stderr.contains("10-ignite.conflist"),
        "{}",
        again.stderr
    );
    ensure!(node.has(file)?, "the changed default network is gone");
    Ok(())
}

/// A port that somebody has, and a Flannel that is somebody else's: told before anything is done.
#[test]
fn what_is_in_the_way_is_told_before_anything_is_done() -> Result<()> {
    let stage = Stage::new(1)?;
    let node = &stage.nodes[0];
    let init = |words: &[&str]| -> Result<Output> {
        let words = ["overlay", "init"].into_iter().chain(words.iter().copied());
        node.ignite(words).deadline(SET_UP).output()
    };
    let service = node.serve(&[2379])?;
    init(&[])?.refused(
        1,
        &["2379/tcp", "systemctl disable --now etcd", "--etcd-port"],
    )?;
    nothing_of_it(node)?;
    init(&["--etcd-port", "3379"])?.ok()?;
    sound(node, 0)?;
    overlay(node, "leave", &["--all"])?;
    nothing_of_it(node)?;
    drop(service);

    node.write("/run/flannel/subnet.env", "FLANNEL_NETWORK=10.5.0.0/16\n")?;
    init(&[])?.refused(1, &["somebody else's", "/run/flannel/subnet.env"])?;
    node.sh("rm -r /run/flannel").ok()?;
    node.write("/etc/cni/net.d/10-flannel.conflist", "{}")?;
    init(&[])?.refused(1, &["10-flannel.conflist"])?;
    node.sh("rm /etc/cni/net.d/10-flannel.conflist").ok()?;
    nothing_of_it(node)?;

    // A host whose name can be in no certificate.
    node.sh("echo my_host > /proc/sys/kernel/hostname").ok()?;
    init(&[])?.ok()?;
    init(&["--insecure"])?.refused(1, &["already", "ignite overlay leave"])?;
    sound(node, 0)
}
