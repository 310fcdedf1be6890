//! What the daemon tells: metrics, health, status, its log, and systemd.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, boot, wait_until};
use rustix::process::Signal;

use super::{Daemon, SETTLES, all, becomes, manifest, status, told, uid, write};
use crate::support::{BOOT, SOON, Vm};

fn curl(host: &Host, path: &str) -> Result<String> {
    let url = format!("http://ignited{path}");
    host.command([
        "curl",
        "-fsS",
        "--unix-socket",
        "/run/ignite/daemon.sock",
        url.as_str(),
    ])
    .ok()
}

/// The value of the first line that begins with `name` and holds `label`.
fn metric(text: &str, name: &str, label: &str) -> Result<f64> {
    let line = text
        .lines()
        .find(|line| line.starts_with(name) && line.contains(label));
    let line = line.with_context(|| format!("no {name} with {label} in:\n{text}"))?;
    let value = line.rsplit(' ').next().unwrap_or_default();
    value.parse().with_context(|| line.to_owned())
}

#[test]
fn metrics_tell_of_vms_and_what_passes_through_them() -> Result<()> {
    let host = Host::new("alpha")?;
    let web = uid(1);
    write(&host, "web.yaml", &manifest("web", &web, true, ""))?;
    write(&host, "bad.yaml", "kind: [")?;
    let _slot = boot::slot()?;
    let mut daemon = Daemon::start(&host, &["--metrics-address", "127.0.0.1:9464"])?;
    let vm = Vm {
        host: &host,
        uid: web.clone(),
    };
    wait_until("the guest to be up", BOOT, || vm.exec(&["true"]).ok())?;
    vm.serving()?;
    wait_until("the VM to be counted", SOON, || {
        let text = curl(&host, "/metrics")?;
        ensure!(metric(&text, "ignited_vms", "state=\"running\"")? >= 1.0);
        ensure!(metric(&text, "ignited_manifests", "result=\"fault\"")? >= 1.0);
        ensure!(metric(&text, "ignited_actions_total", "action=\"create\"")? >= 1.0);
        Ok(())
    })?;
    let network = |name: &str| -> Result<f64> {
        metric(
            &curl(&host, "/metrics")?,
            &format!("ignite_vm_network_{name}_total"),
            &web,
        )
    };
    let before = (network("receive_bytes")?, network("transmit_packets")?);
    let address = vm.address()?;
    for _ in 0..20 {
        host.get(&format!("{address}:80"))?;
    }
    let after = (network("receive_bytes")?, network("transmit_packets")?);
    assert!(
        after.0 > before.0 + 1000.0 && after.1 > before.1 + 20.0,
        "{before:?} {after:?}"
    );
    let by_tcp = host
        .command(["curl", "-fsS", "http://127.0.0.1:9464/metrics"])
        .ok()?;
    assert!(
        by_tcp.contains("ignite_vm_network_refused_packets_total"),
        "{by_tcp}"
    );
    assert!(curl(&host, "/nothing").is_err());
    let said = daemon.stop()?;
    assert!(
        said.contains("bad.yaml") && said.contains("line 1"),
        "{said}"
    );
    assert!(said.contains("action=\"create\""), "{said}");
    // Its VMs are not its own.
    vm.exec(&["true"]).ok()?;
    Ok(())
}

#[test]
fn the_status_file_tells_of_every_manifest() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let web = uid(1);
    write(&host, "web.yaml", &manifest("web", &web, true, ""))?;
    let mut daemon = Daemon::start(&host, &[])?;
    becomes(&host, &all(&[(&web, "running")]))?;
    wait_until("the status", SETTLES, || {
        let told = told(&host, "web.yaml")?;
        ensure!(told["uid"] == *web && told["name"] == "web", "{told:#}");
        ensure!(
            told["wanted"] == "running" && told["state"] == "running",
            "{told:#}"
        );
        ensure!(told["addresses"][0].is_string(), "{told:#}");
        Ok(())
    })?;
    assert_eq!(status(&host)?["source"], super::DIRECTORY);
    let over_socket: serde_json::Value = serde_json::from_str(&curl(&host, "/status")?)?;
    assert_eq!(over_socket["manifests"][0]["file"], "web.yaml");
    host.sh(&format!("rm {}/web.yaml", super::DIRECTORY)).ok()?;
    becomes(&host, &Default::default())?;
    wait_until("the manifest to be forgotten", SETTLES, || {
        match told(&host, "web.yaml") {
            Ok(told) => Err(told),
            Err(_) => Ok(()),
        }
    })?;
    daemon.stop().map(drop)
}

#[test]
fn systemd_is_told_and_signals_are_obeyed() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    write(&host, "web.yaml", &manifest("web", &uid(1), true, ""))?;
    let mut words = host.helper(&["notified", "/run/notify"])?.start()?;
    words.wait_for("listening", SOON)?;
    let daemon = [
        "env",
        "NOTIFY_SOCKET=/run/notify",
        "WATCHDOG_USEC=1000000",
        "ignited",
        "daemon",
    ];
    let running = host.command(daemon).start()?;
    words.wait_for("READY=1", SOON)?;
    words.wait_for("WATCHDOG=1", SOON)?;
    running.signal_alone(Signal::HUP)?;
    words.wait_for("RELOADING=1", SOON)?;
    words.wait_for("READY=1", SOON)?;
    running.signal_alone(Signal::TERM)?;
    words.wait_for("STOPPING=1", SOON)?;
    let output = running.wait(SETTLES)?;
    ensure!(output.code == 0, "{}", output.stderr);
    Ok(())
}

#[test]
fn the_log_says_as_much_as_is_asked_for() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let said = |level: &str| Daemon::start(&host, &["--log-level", level])?.stop();
    let info = said("info")?;
    ensure!(info.contains("INFO keeping the VMs of"), "{info}");
    assert_eq!(said("error")?, "");
    host.command(["ignited", "--log-level", "loud", "version"])
        .output()?
        .refused(2, &["loud", "--log-level"])
}

#[test]
fn the_program_says_what_it_is_without_touching_anything() -> Result<()> {
    let host = Host::bare("alpha")?;
    for words in [
        &["ignited", "--help"][..],
        &["ignited", "daemon", "--help"],
        &["ignited", "gitops", "--help"],
        &["ignited", "version"],
        &["ignited", "completion", "bash"],
    ] {
        let output = host.command(words.iter().copied()).output()?;
        assert_eq!(output.code, 0, "{words:?}: {}", output.stderr);
    }
    assert!(!host.has("/etc/firecracker")? && !host.has("/var/lib/ignite")?);
    let wrong = host.command(["ignited", "deamon"]).output()?;
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("daemon"), "{}", wrong.stderr);
    Ok(())
}
