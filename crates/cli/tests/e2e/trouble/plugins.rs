//! CNI plugins that are not there, fail, hang or talk nonsense.

use std::time::Duration;

use anyhow::Result;
use ignite_testkit::{Host, Output, place};
use serde_json::json;

use crate::support::{Vm, nothing_left};

/// A host whose only network is this plugin, a shell script that notes its
/// calls.
fn host(add: &str) -> Result<Host> {
    let host = Host::new("alpha")?;
    let network = json!({
        "cniVersion": "1.0.0", "name": "faulty", "plugins": [{ "type": "faulty" }],
    });
    host.write("/etc/cni/net.d/10-faulty.conflist", network.to_string())?;
    host.sh("mount -t tmpfs tmpfs /opt; mkdir -p /opt/cni/bin")
        .ok()?;
    let script = format!(
        "#!/bin/sh\ncat > /dev/null\necho \"$CNI_COMMAND\" >> /run/calls\ncase $CNI_COMMAND in\n\
         VERSION) echo '{{\"cniVersion\":\"1.0.0\",\"supportedVersions\":[\"0.4.0\",\"1.0.0\"]}}';;\n\
         ADD)\n{add}\n;;\nesac\n"
    );
    host.write("/opt/cni/bin/faulty", script)?;
    host.sh("chmod +x /opt/cni/bin/faulty").ok()?;
    Ok(host)
}

fn run(host: &Host) -> Result<Output> {
    Vm::invocation(host, &[], &place::image("busy")?, &[])
        .deadline(Duration::from_secs(240))
        .output()
}

fn undone(host: &Host) -> Result<()> {
    let calls = host.read("/run/calls")?;
    assert!(calls.contains("ADD\n"), "{calls}");
    assert!(
        calls
            .split("ADD\n")
            .last()
            .is_some_and(|after| after.contains("DEL")),
        "no DEL: {calls}"
    );
    nothing_left(host)
}

#[test]
fn a_plugin_that_fails() -> Result<()> {
    let error =
        r#"{"cniVersion":"1.0.0","code":11,"msg":"no more frobs","details":"all 3 are out"}"#;
    let host = host(&format!("echo '{error}'; exit 1"))?;
    run(&host)?.refused(1, &["faulty", "no more frobs", "all 3 are out"])?;
    undone(&host)
}

#[test]
fn a_plugin_that_prints_garbage() -> Result<()> {
    let host = host("echo 'Segmentation fault (core dumped)'")?;
    run(&host)?.refused(1, &["faulty"])?;
    undone(&host)
}

#[test]
fn a_plugin_that_hangs_is_ended_with_its_children() -> Result<()> {
    let host = host("sleep 4711 & sleep 4711")?;
    run(&host)?.refused(1, &["faulty"])?;
    assert_ne!(
        host.sh("pgrep -f 'sleep 471[1]'").output()?.code,
        0,
        "its children still run"
    );
    undone(&host)
}

#[test]
fn no_plugins_at_all() -> Result<()> {
    let host = Host::new("alpha")?;
    host.sh("mount -t tmpfs tmpfs /usr/lib/cni; mount -t tmpfs tmpfs /opt")
        .ok()?;
    run(&host)?.refused(
        1,
        &[
            "/opt/cni/bin",
            "/usr/lib/cni",
            "containernetworking-plugins",
        ],
    )?;
    nothing_left(&host)
}

#[test]
fn a_network_that_cannot_publish_says_so_before_anything_is_made() -> Result<()> {
    let host = host("echo attached >> /run/calls; exit 1")?;
    let publish = Vm::invocation(&host, &["-p", "8080:80"], &place::image("busy")?, &[]);
    publish
        .output()?
        .refused(1, &["faulty", "cannot publish", "portMappings"])?;
    assert!(!host.has("/run/calls")?, "its plugin was asked");
    nothing_left(&host)
}

#[test]
fn a_configuration_that_is_malformed_blocks_nothing_else() -> Result<()> {
    let host = Host::new("alpha")?;
    host.write("/etc/cni/net.d/00-broken.conflist", "{ not json")?;
    let good = json!({
        "cniVersion": "1.0.0", "name": "good", "plugins": [{
            "type": "bridge", "bridge": "good0", "isGateway": true,
            "ipam": { "type": "host-local", "subnet": "10.99.0.0/24" },
        }],
    });
    host.write("/etc/cni/net.d/10-good.conflist", good.to_string())?;
    let vm = Vm::run(&host, &[])?;
    assert!(vm.address()?.starts_with("10.99.0."));
    Ok(())
}
