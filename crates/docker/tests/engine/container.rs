//! A holder's life.

use anyhow::{Context as _, Result};
use ignite_docker::{ApiVersion, Reason};
use ignite_testkit::{Docker as Engine, Host};

use crate::{MAC, client, holder, run};

#[test]
fn a_holder_lives_with_our_mac_and_ends_when_told() -> Result<()> {
    let host = Host::bare("engine")?;
    let engine = Engine::start_with(&host, &["--ipv6", "--fixed-cidr-v6=fd00:d0c::/64"])?;
    let docker = client(&engine)?;
    let theirs = engine
        .docker(&["version", "--format", "{{.Server.APIVersion}}"])?
        .ok()?;
    assert_eq!(
        docker.version(),
        theirs.parse::<ApiVersion>()?.min(ApiVersion::OURS)
    );

    let container = run(&docker, &holder("ignite-1", &[])?)?;
    assert!(container.running);
    assert_eq!(
        (container.name.as_str(), container.error.as_str()),
        ("ignite-1", "")
    );
    assert_eq!(container.labels["ignite.name"], "ignite-1");
    let network = container.network.context("it is on a network")?;
    assert_eq!(network.network, "bridge");
    let (address, gateway) = (network.address.context("an address")?, network.gateway);
    assert!(gateway.is_some_and(|gateway| address.contains(&gateway) && gateway != address.addr()));
    let (address6, gateway6) = (network.address6.context("IPv6")?, network.gateway6);
    assert!(gateway6.is_some_and(|gateway| address6.contains(&gateway)));

    // What was said of its process is so: its namespace shows the interface.
    let pid = container.pid.context("it runs")?.to_string();
    let name = host.read(&format!("/proc/{pid}/comm"))?;
    assert_eq!(name.trim(), "holder");
    let enter = format!("nsenter --net=/proc/{pid}/ns/net ip");
    let shown = host.sh(&format!(
        "{enter} -o address show eth0; {enter} link show eth0"
    ));
    let shown = shown.ok()?;
    for word in [MAC, &address.to_string(), &address6.to_string()] {
        assert!(shown.contains(word), "{word} is not in {shown}");
    }
    // It is confined: nobody, no capability, no way to get any.
    let status = host.read(&format!("/proc/{pid}/status"))?;
    for line in [
        "Uid:\t65534\t65534",
        "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000000",
        "NoNewPrivs:\t1",
    ] {
        assert!(status.contains(line), "{line:?} is not in {status}");
    }

    let listed = docker.list("ignite.name=ignite-1")?;
    assert_eq!(
        (listed.len(), &listed[0].id, listed[0].running),
        (1, &container.id, true)
    );
    assert!(docker.list("ignite.name=another")?.is_empty());

    // It ends by the signal, not by the kill that follows it.
    engine.docker(&["stop", "-t", "60", "ignite-1"])?.ok()?;
    let ended = docker.inspect("ignite-1")?.context("it is still there")?;
    assert_eq!(
        (ended.running, ended.pid, ended.exit_code),
        (false, None, 0)
    );
    assert!(!docker.list("ignite.name")?[0].running);

    docker.remove(&container.id)?;
    assert_eq!(docker.inspect(&container.id)?, None);
    docker.remove(&container.id)?;
    assert!(engine.cgroups()?.is_empty());
    Ok(())
}

#[test]
fn what_somebody_does_behind_our_back_is_seen() -> Result<()> {
    let host = Host::bare("engine")?;
    let engine = Engine::start(&host)?;
    let docker = client(&engine)?;
    let first = run(&docker, &holder("ignite-1", &[])?)?;
    docker.start(&first.id)?;

    let error = run(&docker, &holder("ignite-1", &[])?).expect_err("the name is taken");
    let error = error.downcast::<ignite_docker::Error>()?;
    assert_eq!(error.reason(), Some(Reason::NameTaken), "{error}");
    assert!(error.to_string().contains(&first.id), "{error}");

    engine.docker(&["kill", "ignite-1"])?.ok()?;
    let killed = docker.inspect(&first.id)?.context("it is still there")?;
    assert_eq!(
        (killed.running, killed.pid, killed.exit_code),
        (false, None, 137)
    );
    engine.docker(&["rm", "-f", "ignite-1"])?.ok()?;
    assert_eq!(docker.inspect(&first.id)?, None);
    let error = docker.start(&first.id).expect_err("it is gone");
    assert_eq!(error.reason(), Some(Reason::NoSuchContainer), "{error}");
    docker.remove(&first.id)?;

    let error = docker
        .create("ignite-holder:gone", &holder("x", &[])?)
        .expect_err("no image");
    assert_eq!(error.reason(), Some(Reason::NoSuchImage), "{error}");
    Ok(())
}
