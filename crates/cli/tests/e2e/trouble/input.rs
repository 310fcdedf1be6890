//! Options that cannot be, and a user who may not.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, place};

use crate::support::nothing_left;

#[test]
fn sizes_that_are_none_or_too_small() -> Result<()> {
    let host = Host::new("alpha")?;
    let image = place::image("busy")?;
    for (option, value) in [
        ("--memory", "lots"),
        ("--memory", "1.5GB"),
        ("--memory", "12MiBs"),
        ("--memory", "-1MB"),
        ("--size", "4Gb"),
        ("--size", "x"),
    ] {
        let output = host.ignite(["run", option, value, &image]).output()?;
        output
            .refused(2, &[value])
            .with_context(|| format!("{option} {value}"))?;
    }
    for (option, value) in [("--size", "1MB"), ("--memory", "4MB"), ("--cpus", "0")] {
        host.ignite(["run", option, value, &image])
            .output()?
            .complains(&[])
            .with_context(|| format!("{option} {value}"))?;
    }
    nothing_left(&host)
}

#[test]
fn names_labels_and_networks_that_cannot_be() -> Result<()> {
    let host = Host::new("alpha")?;
    let image = place::image("busy")?;
    for (option, value) in [
        ("--name", "Upper"),
        ("--name", "x-"),
        ("--name", "-x"),
        ("--label", "=v"),
        ("--dns", "nowhere"),
        ("--id-prefix", "a b"),
    ] {
        host.ignite(["run", option, value, &image])
            .output()?
            .refused(2, &[])
            .with_context(|| format!("{option} {value}"))?;
    }
    host.ignite(["run", "--network", "unheard-of", &image])
        .output()?
        .refused(1, &["unheard-of"])?;
    host.ignite(["run", "--kernel-image", "/nowhere/vmlinuz", &image])
        .output()?
        .complains(&["/nowhere/vmlinuz"])?;
    nothing_left(&host)
}

#[test]
fn somebody_who_is_not_root() -> Result<()> {
    let host = Host::new("alpha")?;
    let as_nobody = |words: &str| {
        host.sh(&format!(
            "exec setpriv --reuid 65534 --regid 65534 --clear-groups {}/bin/ignite {words}",
            place::build("").display()
        ))
        .output()
    };
    for words in [
        "run busy",
        "image import busy",
        "rm nothing",
        "stop nothing",
    ] {
        as_nobody(words)?.refused(1, &["root"]).context(words)?;
    }
    // Reading asks for nobody's permission.
    for words in [
        "version",
        "ps",
        "images",
        "kernels",
        "completion bash",
        "--help",
    ] {
        let output = as_nobody(words)?;
        ensure!(output.code == 0, "{output}");
    }
    nothing_left(&host)
}
