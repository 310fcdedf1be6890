//! A VM's life on Docker's bridge.

use anyhow::{Context as _, Result};
use ignite_testkit::{Host, place, vmm};
use rustix::process::Signal;

use super::{PLUGIN, Stage, line};
use crate::support::{BOOT, Vm};

#[test]
fn a_vm_is_a_neighbour_of_containers_and_docker_says_which() -> Result<()> {
    let host = Host::new("alpha")?;
    let stage = Stage::new(&host)?;
    let peer = stage.peer("peer")?;
    let vm = stage.run(&["--name", "web"])?;
    let address = vm.address()?;
    assert!(address.starts_with("172.17.0."), "{address}");

    // Docker's own tools tell whose the container is.
    let shown = stage.ask(&[
        "ps",
        "--filter",
        "label=ignite.name=web",
        "--format",
        "{{.Names}} {{.Label \"ignite.uid\"}} {{.State}}",
    ])?;
    assert_eq!(shown, format!("ignite-{} {} running", vm.uid, vm.uid));

    // The VM's MAC is its own, in Docker, in the guest and in the record.
    let container = stage.container(&vm)?;
    let format = "{{.NetworkSettings.MacAddress}} {{.NetworkSettings.IPAddress}}";
    let docker = stage.ask(&["inspect", "--format", format, &container])?;
    let mac = vm.exec(&["cat", "/sys/class/net/eth0/address"]).ok()?;
    assert_eq!(docker, format!("{mac} {address}"));
    let status = vm.inspect()?["status"]["network"].clone();
    assert_eq!(status["plugin"], "docker-bridge");
    assert_eq!(status["interfaces"][0]["mac"], mac.as_str());
    assert_eq!(status["interfaces"][0]["gateway"], "172.17.0.1");

    // Both ways, and from the host; it is the guest that answers, and no one in its place.
    let name = vm.hostname()?;
    vm.exec(&["ping", "-c", "2", "-W", "2", &peer]).ok()?;
    stage.ask(&["exec", "peer", "/bin/ping", "-c", "2", "-W", "2", &address])?;
    let hostname = stage.ask(&["exec", "peer", "/bin/hostname"])?;
    assert_eq!(
        vm.exec(&["testkit-helper", "get", &format!("{peer}:8000")])
            .ok()?,
        format!("{hostname} 8000 {address}")
    );
    let service = format!("{address}:80");
    assert_eq!(
        stage.ask(&["exec", "peer", "/bin/testkit-helper", "get", &service])?,
        format!("{name} 80 {peer}")
    );
    assert_eq!(host.get(&service)?, format!("{name} 80 172.17.0.1"));
    assert_eq!(host.ignite(["network", "check", "web"]).output()?.code, 0);

    stage.ask(&["rm", "-f", "peer"])?;
    host.ignite(["rm", "-f", "web"]).ok()?;
    stage.nothing_left()
}

#[test]
fn stopped_and_started_again_and_removed() -> Result<()> {
    let host = Host::new("alpha")?;
    let stage = Stage::new(&host)?;
    let vm = stage.run(&["--id-prefix=lab", "--name=web"])?;
    let first = stage.container(&vm)?;
    assert_eq!(first, format!("lab-{}", vm.uid));
    let mac = vm.inspect()?["status"]["network"]["interfaces"][0]["mac"].clone();

    vm.verb("stop")?;
    assert_eq!(vm.status("end")?, "powered-off");
    assert_eq!(line(&host, &vm.uid)?["addresses"], serde_json::json!([]));
    stage.nothing_left_but_records()?;

    // Somebody has its address by then: it has another, and says so.
    let taker = stage.peer("taker")?;
    let started = host.ignite(["start", "web"]).deadline(BOOT).output()?;
    assert_eq!(started.code, 0, "{started}");
    assert_eq!(started.stderr.matches("deprecated").count(), 1, "{started}");
    assert!(started.stderr.contains("--network-plugin cni"), "{started}");
    vm.serving()?;
    let address = vm.address()?;
    assert_ne!(address, taker);
    assert_eq!(line(&host, &vm.uid)?["addresses"][0], address.as_str());
    assert_eq!(
        vm.inspect()?["status"]["network"]["interfaces"][0]["mac"],
        mac
    );
    assert!(host.get(&format!("{address}:80"))?.starts_with("web 80 "));

    stage.ask(&["rm", "-f", "taker"])?;
    host.ignite(["rm", "-f", "web"]).ok()?;
    stage.nothing_left()
}

#[test]
fn names_are_resolved_as_on_the_host() -> Result<()> {
    let host = Host::new("alpha")?;
    let stage = Stage::new(&host)?;
    let words = ["dns", "172.17.0.1", "web.example=192.0.2.7"];
    let mut server = host.helper(&words)?.start()?;
    server.wait_for("serving", crate::support::SOON)?;
    host.write(
        "/etc/resolv.conf",
        "nameserver 172.17.0.1\nsearch lab.example\n",
    )?;
    let vm = stage.run(&[])?;
    let told = vm.exec(&["cat", "/etc/resolv.conf"]).ok()?;
    assert!(
        told.contains("nameserver 172.17.0.1") && told.contains("lab.example"),
        "{told}"
    );
    let found = vm.wait_exec("the name server", &["nslookup", "web.example"])?;
    assert!(found.contains("192.0.2.7"), "{found}");
    Ok(())
}

#[test]
fn a_guest_that_ends_by_itself_takes_its_container_along() -> Result<()> {
    let host = Host::new("alpha")?;
    let stage = Stage::new(&host)?;
    let vm = Vm::run_script(&host, &[PLUGIN, "-p", "8080:80"], "sleep 3")?;
    assert_eq!(vm.ended()?, "powered-off");
    stage.nothing_left_but_records()?;
    host.ignite(["rm", &vm.uid]).ok()?;
    stage.nothing_left()
}

#[test]
fn a_data_directory_is_one_however_it_is_spelled() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let stage = Stage::new(&host)?;
    let ignite = place::build("bin/ignite").display().to_string();
    let image = place::image("busy")?;
    host.sh("ln -s ignite /var/lib/other").ok()?;
    let run =
        format!("cd /var/lib && {ignite} --data-dir=ignite run --memory=128MB {PLUGIN} {image}");
    let uid = host.sh(&run).deadline(BOOT).ok()?;
    // A guest that ends by itself takes its container along, wherever its supervisor is.
    let vmm = host.processes()?;
    let vmm = vmm
        .iter()
        .find(|process| process.name().starts_with(vmm::process()));
    vmm.context("the VMM runs")?.signal(Signal::KILL);
    stage.nothing_left_but_records()?;
    host.ignite(["start", &uid]).deadline(BOOT).ok()?;
    let other = "--data-dir=/var/lib/other";
    host.ignite([other, "stop", &uid]).deadline(BOOT).ok()?;
    stage.nothing_left_but_records()?;
    host.ignite([other, "start", &uid]).deadline(BOOT).ok()?;
    host.ignite(["rm", "-f", &uid]).ok()?;
    stage.nothing_left()
}
