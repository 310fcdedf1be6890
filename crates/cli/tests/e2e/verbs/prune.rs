//! `prune`: what is not in use goes, and nothing else.

use anyhow::{Result, ensure};
use ignite_testkit::{Host, boot, place};

use super::json;
use crate::support::{BOOT, Vm};

#[test]
fn only_what_has_ended_goes() -> Result<()> {
    let host = Host::new("alpha")?;
    let image = place::image("busy")?;
    let vm = Vm::run(&host, &["--name", "web"])?;
    for (name, label) in [("old", "job=nightly"), ("other", "job=daily")] {
        host.ignite(["create", "--name", name, "--label", label, &image])
            .ok()?;
    }
    host.ignite(["prune"]).output()?.refused(2, &["--force"])?;
    host.ignite(["prune", "-f", "--filter", "age=1h"])
        .output()?
        .refused(2, &["age=1h"])?;
    let none = host.ignite(["prune", "-f", "--filter", "until=1h"]).ok()?;
    assert_eq!(none, "");
    let nightly = json(&host, &["prune", "-f", "--filter", "label=job=nightly"])?;
    assert_eq!(nightly["vms"].as_array().map(Vec::len), Some(1));
    ensure!(nightly["freedBytes"].as_u64() > Some(0), "{nightly:#}");
    let left = host.ignite(["ps", "-a"]).ok()?;
    ensure!(
        left.contains("web") && left.contains("other") && !left.contains("old"),
        "{left}"
    );

    // The image is web's: it stays, and so does web's kernel.
    let all = host.ignite(["prune", "-f", "--all"]).output()?;
    ensure!(
        all.stderr.contains("images: 0, kernels: 0"),
        "{}",
        all.stderr
    );
    assert_eq!(host.ignite(["ps", "-aq"]).ok()?, vm.uid);
    vm.exec(&["true"]).ok()?;
    vm.verb("kill")?;
    let all = host.ignite(["prune", "-f", "--all"]).output()?;
    ensure!(
        all.stderr.contains("VMs: 1, images: 1, kernels: 1"),
        "{}",
        all.stderr
    );
    for list in [["image", "ls"], ["kernel", "ls"], ["vm", "ls"]] {
        assert_eq!(host.ignite(list).ok()?.lines().count(), 1, "{list:?}");
    }
    Ok(())
}

/// Whoever comes first has it: a VM that is started stays, with its disk.
#[test]
fn a_start_beside_it_is_whole_or_not_at_all() -> Result<()> {
    let host = Host::new("alpha")?;
    let image = place::image("busy")?;
    let memory = ["--memory", crate::support::SMALL];
    let _slot = boot::slot()?;
    for round in 0..4 {
        let name = format!("vm{round}");
        let create = ["create", "--name", &name].into_iter().chain(memory);
        host.ignite(create.chain([image.as_str()]))
            .deadline(BOOT)
            .ok()?;
        let start = host.ignite(["start", &name]).start()?;
        let prune = host.ignite(["prune", "-f", "--all"]).start()?;
        let (start, prune) = (start.wait(BOOT)?, prune.wait(BOOT)?);
        ensure!(prune.code == 0, "{prune}");
        if start.code == 0 {
            host.ignite(["exec", &name, "--", "true"]).ok()?;
            host.ignite(["rm", "-f", &name]).ok()?;
        } else {
            start.refused(1, &["there is no VM"])?;
        }
        assert_eq!(host.ignite(["ps", "-aq"]).ok()?, "");
    }
    Ok(())
}
