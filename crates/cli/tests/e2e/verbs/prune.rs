//! `prune`: what is not in use goes, and nothing else.

use anyhow::{Result, ensure};
use ignite_testkit::{Host, boot, place};

use super::json;
use crate::support::{BOOT, SOON, Vm};

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

    // The image is web's: it stays. The other one goes.
    let all = host.ignite(["prune", "-f", "--all"]).output()?;
    ensure!(
        all.stderr.contains("VMs: 1, images: 1, kernels: 0"),
        "{}",
        all.stderr
    );
    assert_eq!(host.ignite(["ps", "-aq"]).ok()?, vm.uid);
    vm.exec(&["true"]).ok()?;
    vm.verb("kill")?;
    let all = host.ignite(["prune", "-f", "--all"]).output()?;
    ensure!(
        all.stderr.contains("VMs: 1, images: 1, kernels: 0"),
        "{}",
        all.stderr
    );
    // The kernel is what the next VM boots.
    for (list, lines) in [
        (["image", "ls"], 1),
        (["kernel", "ls"], 2),
        (["vm", "ls"], 1),
    ] {
        assert_eq!(host.ignite(list).ok()?.lines().count(), lines, "{list:?}");
    }
    host.ignite(["create", "--name", "next", &image]).ok()?;
    Ok(())
}

/// A person is asked, and nothing but yes is taken for it.
#[test]
fn who_is_asked_decides() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    host.ignite(["create", "--name", "web", "busy"]).ok()?;
    for (answer, left) in [("n", 1), ("", 1), ("y", 0)] {
        let mut person = host.ignite(["prune", "-a"]).at_terminal(30, 100)?;
        person.wait_for("but the newest? [y/N]", SOON)?;
        person.type_in(format!("{answer}\r"))?;
        person.ends_with(0, SOON)?;
        assert_eq!(
            host.ignite(["ps", "-aq"]).ok()?.lines().count(),
            left,
            "{answer:?}"
        );
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
