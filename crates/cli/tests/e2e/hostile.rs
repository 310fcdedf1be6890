//! Networks that mean no good, as the command line meets them: what they say is
//! one clear error, in bounded memory and time, and nothing is left.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ignite_testkit::{Host, Output};
use serde_json::json;

use crate::support::nothing_left;

/// What any of this may take of memory, whatever the network does.
const MEMORY_KIB: u64 = 64 << 10;

/// `ignite` with these words, measured: its output, and the most memory it had.
fn measured(host: &Host, words: &[&str]) -> Result<(Output, u64)> {
    let program = ignite_testkit::place::build("bin/ignite");
    let program = program.display().to_string();
    let output = host
        .command(
            ["busybox", "time", "-f", "%M KiB", &program]
                .iter()
                .chain(words)
                .copied(),
        )
        .output()?;
    // It takes the kernel's kibibytes for pages of 4096 bytes.
    let peak = output
        .stderr
        .lines()
        .find_map(|line| line.strip_suffix(" KiB")?.parse::<u64>().ok())
        .with_context(|| format!("no figure: {output}"))?;
    Ok((output, peak / 4))
}

/// `ignite` with these words fails with all of `named`, soon, and without much memory.
fn refused(host: &Host, words: &[&str], named: &[&str]) -> Result<Output> {
    let begun = Instant::now();
    let (output, peak) = measured(host, words)?;
    let took = begun.elapsed();
    println!("{words:?}: {peak} KiB, {took:?}\n{}", output.stderr);
    output.complains(named)?;
    assert!(output.stderr.len() < 4000, "{} bytes", output.stderr.len());
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(peak < MEMORY_KIB, "{peak} KiB");
    Ok(output)
}

fn network(name: &str, plugin: &str) -> String {
    json!({ "cniVersion": "1.0.0", "name": name, "plugins": [{ "type": plugin }] }).to_string()
}

/// A plugin that is this shell script.
fn plugin(host: &Host, name: &str, script: &str) -> Result<()> {
    host.write(
        &format!("/etc/cni/net.d/20-{name}.conflist"),
        network(name, name),
    )?;
    host.sh("mountpoint -q /opt || { mount -t tmpfs tmpfs /opt; mkdir -p /opt/cni/bin; }")
        .ok()?;
    let path = format!("/opt/cni/bin/{name}");
    host.write(&path, format!("#!/bin/sh\n{script}\n"))?;
    host.sh(&format!("chmod +x {path}")).ok().map(drop)
}

#[test]
fn configurations_that_are_no_configurations() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let at = |file: &str| format!("/etc/cni/net.d/{file}");
    // Ten megabytes of one string, of brackets, and of members; text and what is none.
    let padding = "x".repeat(10 << 20);
    let large = json!({ "name": "large", "plugins": [{ "type": "bridge", "padding": padding }] });
    host.write(&at("01-large.conflist"), large.to_string())?;
    host.write(&at("02-deep.conflist"), "[".repeat(10 << 20))?;
    let nested = format!(
        r#"{{"name":"nested","plugins":[{{"type":"bridge","x":{}{}}}]}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    host.write(&at("03-nested.conflist"), nested)?;
    host.write(&at("04-bytes.conflist"), vec![0xff; 4096])?;
    host.write(&at("05-types.conflist"), r#"{"name":5,"plugins":"none"}"#)?;
    host.write(
        &at("06-climbs.conflist"),
        network("../../../tmp/x", "bridge"),
    )?;
    host.write(
        &at("07-type.conflist"),
        network("climbing", "../../../bin/sh"),
    )?;
    host.sh("mkfifo /etc/cni/net.d/08-fifo.conflist; ln -s /dev/zero /etc/cni/net.d/09-zero.conflist; ln -s nowhere /etc/cni/net.d/10-gone.conflist; mkdir /etc/cni/net.d/11-directory.conflist")
        .ok()?;
    // Two of one name: the first of them is meant, and that is told.
    host.write(&at("20-twice.conflist"), network("twice", "one"))?;
    host.write(&at("21-twice.conflist"), network("twice", "other"))?;

    let (listed, peak) = measured(&host, &["network", "ls"])?;
    println!("{peak} KiB\n{listed}");
    assert_eq!(listed.code, 0, "{listed}");
    assert!(peak < MEMORY_KIB, "{peak} KiB");
    for file in [
        "01-large",
        "02-deep",
        "03-nested",
        "04-bytes",
        "05-types",
        "06-climbs",
    ] {
        assert!(listed.stderr.contains(file), "{file}: {listed}");
    }
    let twice = host.ignite(["network", "inspect", "twice"]).ok()?;
    assert!(twice.contains("20-twice"), "{twice}");

    for (name, named) in [
        ("large", &["01-large.conflist"][..]),
        ("nested", &["03-nested.conflist"]),
        ("../../../tmp/x", &["../../../tmp/x"]),
        ("climbing", &["../../../bin/sh"]),
        ("twice", &["\"one\""]),
    ] {
        refused(&host, &["cni", "add", name, "/run/netns/none"], named)?;
    }
    let image = ignite_testkit::place::image("busy")?;
    refused(
        &host,
        &["run", "--memory", "64MB", "--network", "climbing", &image],
        &["../../../bin/sh"],
    )?;
    nothing_left(&host)
}

#[test]
fn plugins_that_do_not_do_as_they_should() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let image = ignite_testkit::place::image("busy")?;
    host.sh("ip netns add none").ok()?;
    let del = "[ $CNI_COMMAND = DEL ] && exit 0";
    let result = r#"{"cniVersion":"1.0.0"}"#;
    plugin(
        &host,
        "floods",
        &format!("{del}\nhead -c 1000000000 /dev/zero"),
    )?;
    plugin(
        &host,
        "whines",
        &format!("{del}\nhead -c 1000000000 /dev/zero >&2; exit 1"),
    )?;
    // Reads nothing of a configuration larger than a pipe, says nothing, and fails.
    plugin(&host, "deaf", &format!("{del}\nexec 0<&-; exit 3"))?;
    let padding = "x".repeat(500_000);
    let plugins = json!([{ "type": "deaf", "padding": padding }]);
    let long = json!({ "cniVersion": "1.0.0", "name": "deaf", "plugins": plugins });
    host.write("/etc/cni/net.d/20-deaf.conflist", long.to_string())?;
    for (name, named) in [
        ("floods", &["floods", "1048576"][..]),
        ("whines", &["whines"]),
        ("deaf", &["deaf"]),
    ] {
        refused(&host, &["cni", "add", name, "/run/netns/none"], named)?;
        let run = ["run", "--memory", "64MB", "--network", name, &image];
        refused(&host, &run, named)?;
    }

    // Closing its input early is nobody's business, if it answers.
    let deaf = format!("exec 0<&-\n[ $CNI_COMMAND = DEL ] || echo '{result}'");
    host.write("/opt/cni/bin/deaf", format!("#!/bin/sh\n{deaf}\n"))?;
    host.ignite(["cni", "add", "deaf", "/run/netns/none"])
        .ok()?;
    host.ignite(["cni", "del", "deaf", "/run/netns/none"])
        .ok()?;

    // One that leaves a daemon behind, with all it was given: nobody waits for it.
    let forks = format!(
        "[ $CNI_COMMAND = DEL ] || {{ setsid sleep 4711 & setsid sh -c 'sleep 4712' & echo '{result}'; }}"
    );
    plugin(&host, "forks", &forks)?;
    let begun = Instant::now();
    let (added, _) = measured(&host, &["cni", "add", "forks", "/run/netns/none"])?;
    println!("{added}\n{:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(15), "{added}");
    let (deleted, _) = measured(&host, &["cni", "del", "forks", "/run/netns/none"])?;
    assert_eq!(deleted.code, 0, "{deleted}");
    host.sh("pkill -f 'sleep 471[12]' || true; ip netns del none")
        .ok()?;
    nothing_left(&host)
}
