//! VMs that end by themselves, and what their manifests say about it.

use std::time::Duration;

use anyhow::{Result, ensure};
use ignite_testkit::{Host, vmm, wait_until};
use rustix::process::Signal;

use super::{Daemon, SETTLES, all, becomes, manifest, told, uid, write};

/// Longer than a VM would take to come back.
const LONG_ENOUGH: Duration = Duration::from_secs(4);

#[test]
fn vms_that_end_come_back_as_their_policy_says() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let [always, failure, never] = [1, 2, 3].map(uid);
    let policy = |name: &str, uid: &str, policy: &str| {
        let more = format!("  restartPolicy: {policy}\n");
        write(
            &host,
            &format!("{name}.yaml"),
            &manifest(name, uid, true, &more),
        )
    };
    policy("always", &always, "always")?;
    policy("failure", &failure, "on-failure")?;
    policy("never", &never, "never")?;
    let _daemon = Daemon::start(&host, &[])?;
    let up = [
        (always.as_str(), "running"),
        (&failure, "running"),
        (&never, "running"),
    ];
    becomes(&host, &all(&up))?;
    // In order.
    for name in ["always", "failure", "never"] {
        host.ignite(["exec", name, "--", "poweroff"]).output()?;
    }
    let rested = [
        (always.as_str(), "running"),
        (&failure, "stopped"),
        (&never, "stopped"),
    ];
    becomes(&host, &all(&rested))?;
    std::thread::sleep(LONG_ENOUGH);
    becomes(&host, &all(&rested))?;
    // What a file says anew is brought about.
    for (name, uid) in [("failure", &failure), ("never", &never)] {
        let more = format!(
            "  restartPolicy: {}\n",
            if name == "never" { name } else { "on-failure" }
        );
        let file = format!("{name}.yaml");
        write(&host, &file, &manifest(name, uid, false, &more))?;
        wait_until("the change to be seen", SETTLES, || {
            ensure!(told(&host, &file)?["wanted"] == "stopped", "not yet");
            Ok(())
        })?;
        write(&host, &file, &manifest(name, uid, true, &more))?;
    }
    becomes(&host, &all(&up))?;
    // By a crash.
    for process in host.processes()? {
        if process.name().starts_with(vmm::process()) {
            process.signal(Signal::KILL);
        }
    }
    becomes(
        &host,
        &all(&[
            (&always, "running"),
            (&failure, "running"),
            (&never, "stopped"),
        ]),
    )
}

#[test]
fn supervisors_that_are_killed_are_noticed_without_a_word_from_them() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let web = uid(1);
    write(&host, "web.yaml", &manifest("web", &web, true, ""))?;
    let _daemon = Daemon::start(&host, &["--rescan-interval", "1h"])?;
    becomes(&host, &all(&[(&web, "running")]))?;
    for round in 1..=3 {
        for process in host.processes()? {
            if process.name() == "ignite-spawn" {
                process.signal(Signal::KILL);
            }
        }
        wait_until("the VM to come back", SETTLES, || {
            let restarts = told(&host, "web.yaml")?["restarts"].as_u64();
            ensure!(restarts >= Some(round), "{restarts:?}");
            Ok(())
        })?;
        becomes(&host, &all(&[(&web, "running")]))?;
    }
    Ok(())
}

#[test]
fn one_that_cannot_start_is_tried_less_and_less_and_holds_up_nobody() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let [bad, good] = [1, 2].map(uid);
    let missing = manifest("bad", &bad, true, "").replace("oci: busy", "oci: 127.0.0.1:1/no/such");
    write(&host, "bad.yaml", &missing)?;
    let _daemon = Daemon::start(&host, &[])?;
    super::faulty(&host, "bad.yaml", &["127.0.0.1:1"])?;
    write(&host, "good.yaml", &manifest("good", &good, true, ""))?;
    becomes(&host, &all(&[(&good, "running")]))?;
    wait_until("a pause before the next try", SETTLES, || {
        let told = told(&host, "bad.yaml")?;
        ensure!(told["nextAttempt"].is_string(), "{told:#}");
        Ok(())
    })?;
    write(&host, "bad.yaml", &manifest("bad", &bad, true, ""))?;
    becomes(&host, &all(&[(&good, "running"), (&bad, "running")]))
}
