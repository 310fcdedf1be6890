//! Docker's bridge and CNI beside each other, and from one to the other.

use anyhow::Result;
use ignite_testkit::Host;

use super::{PLUGIN, Stage};
use crate::support::{BOOT, Vm};

/// Starts a VM, and what it says.
fn start(vm: &Vm<'_>, options: &[&str]) -> Result<String> {
    let words = [options, &["start", &vm.uid]].concat();
    let started = vm.host.ignite(words).deadline(BOOT).output()?;
    assert_eq!(started.code, 0, "{started}");
    vm.serving()?;
    Ok(started.stderr)
}

/// Its first address, and the plugin that gave it.
fn place(vm: &Vm<'_>) -> Result<(bool, bool, String)> {
    let address = vm.address()?;
    let plugin = vm.inspect()?["status"]["network"]["plugin"].clone();
    let docker = address.starts_with("172.17.");
    let cni = address.starts_with("10.61.");
    Ok((docker, cni, plugin.as_str().unwrap_or_default().to_owned()))
}

#[test]
fn a_vm_changes_its_plugin_at_a_start_and_keeps_it() -> Result<()> {
    let host = Host::new("alpha")?;
    let stage = Stage::new(&host)?;
    let vm = stage.run(&[])?;
    let on_docker = (true, false, "docker-bridge".to_owned());
    let on_cni = (false, true, "cni".to_owned());
    assert_eq!(place(&vm)?, on_docker);
    vm.verb("stop")?;
    assert!(start(&vm, &[])?.contains("deprecated"));
    assert_eq!(place(&vm)?, on_docker);
    vm.verb("stop")?;
    assert!(!start(&vm, &["--network-plugin=cni"])?.contains("deprecated"));
    assert_eq!(place(&vm)?, on_cni);
    assert_eq!(stage.ask(&["ps", "-aq"])?, "");
    vm.verb("stop")?;
    start(&vm, &[])?;
    assert_eq!(place(&vm)?, on_cni);
    vm.verb("stop")?;
    start(&vm, &[PLUGIN])?;
    assert_eq!(place(&vm)?, on_docker);
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    stage.nothing_left()
}

#[test]
fn one_of_each_lives_beside_the_other() -> Result<()> {
    let host = Host::new("alpha")?;
    let stage = Stage::new(&host)?;
    let cni = Vm::run(&host, &["-p", "8080:80"])?;
    let docker = stage.run(&["-p", "8081:80"])?;
    for (vm, port, other) in [(&cni, 8080, &docker), (&docker, 8081, &cni)] {
        let name = vm.hostname()?;
        let published = host.get(&format!("127.0.0.1:{port}"))?;
        assert!(published.starts_with(&format!("{name} 80 ")), "{published}");
        // Through the host, each by the other's published port.
        let gateway = if port == 8080 {
            "172.17.0.1"
        } else {
            "10.61.0.1"
        };
        let server = format!("{gateway}:{port}");
        let answer = other.exec(&["testkit-helper", "get", &server]).ok()?;
        assert!(answer.starts_with(&format!("{name} 80 ")), "{answer}");
    }
    assert_eq!(host.ignite(["network", "gc"]).ok()?, "");
    let networks = host.ignite(["network", "ls", "--quiet"]).ok()?;
    assert_eq!(networks, "ignite-cni-bridge");
    assert_eq!(host.ignite(["network", "check"]).output()?.code, 0);
    host.ignite(["rm", "-f", &docker.uid]).ok()?;
    assert!(host.get("127.0.0.1:8080").is_ok());
    host.ignite(["rm", "-f", &cni.uid]).ok()?;
    stage.nothing_left()
}
