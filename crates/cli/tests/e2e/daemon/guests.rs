//! Real guests: ten from files, ports that change while they are used, a reboot.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use ignite_testkit::{Host, boot, wait_until};

use super::{DIRECTORY, Daemon, all, becomes, manifest, uid, write};
use crate::crashes::reboot::interface;
use crate::support::{BOOT, SOON, Vm, nothing_left};

const MANY: usize = 10;

fn ports(list: &[(u16, u16)]) -> String {
    let ports = list
        .iter()
        .map(|(host, vm)| format!("{{ hostPort: {host}, vmPort: {vm} }}"));
    format!(
        "  network: {{ ports: [ {} ] }}\n",
        ports.collect::<Vec<_>>().join(", ")
    )
}

#[test]
fn ten_guests_run_as_their_files_say() -> Result<()> {
    let host = Host::new("alpha")?;
    let mut wanted = BTreeMap::new();
    for number in 0..MANY {
        let name = format!("vm{number}");
        let port = 8000 + u16::try_from(number)?;
        write(
            &host,
            &format!("{name}.yaml"),
            &manifest(&name, &uid(number), true, &ports(&[(port, 80)])),
        )?;
        wanted.insert(uid(number), "running".to_owned());
    }
    {
        let _slots = [boot::slot()?, boot::slot()?];
        let mut daemon = Daemon::start(&host, &[])?;
        wait_until("ten guests to be up", BOOT * 2, || {
            ensure!(super::states(&host)? == wanted);
            Ok(())
        })?;
        daemon.stop()?;
    }
    for number in 0..MANY {
        let answer = wait_until("its port", SOON, || {
            host.get(&format!("127.0.0.1:{}", 8000 + number))
        })?;
        ensure!(answer.starts_with(&format!("vm{number} ")), "{answer}");
    }
    let _daemon = Daemon::start(&host, &[])?;
    host.sh(&format!("rm {DIRECTORY}/*")).ok()?;
    becomes(&host, &BTreeMap::new())?;
    nothing_left(&host)
}

#[test]
fn ports_and_labels_change_under_a_guest_that_runs() -> Result<()> {
    let host = Host::new("alpha")?;
    let web = uid(1);
    let vm = Vm {
        host: &host,
        uid: web.clone(),
    };
    write(
        &host,
        "web.yaml",
        &manifest("web", &web, true, &ports(&[(8080, 80)])),
    )?;
    let _slot = boot::slot()?;
    let _daemon = Daemon::start(&host, &[])?;
    wait_until("the guest to be up", BOOT, || vm.exec(&["true"]).ok())?;
    vm.serving()?;
    wait_until("its port", SOON, || host.get("127.0.0.1:8080"))?;
    let boot_id = || vm.exec(&["cat", "/proc/sys/kernel/random/boot_id"]).ok();
    let before = (boot_id()?, interface(&host, &web)?);
    let text = manifest("web", &web, true, &ports(&[(9090, 80)]))
        .replace("metadata: {", "metadata: { labels: { tier: front },");
    write(&host, "web.yaml", &text)?;
    wait_until("the new port", SOON, || host.get("127.0.0.1:9090"))?;
    wait_until("the old port to be free", SOON, || {
        match host.get("127.0.0.1:8080") {
            Ok(answer) => Err(answer),
            Err(_) => Ok(()),
        }
    })?;
    let vm_object = vm.inspect()?;
    assert_eq!(vm_object["metadata"]["labels"]["tier"], "front");
    assert_eq!(
        (boot_id()?, interface(&host, &web)?),
        before,
        "the guest was left alone"
    );
    host.sh(&format!("rm {DIRECTORY}/*")).ok()?;
    becomes(&host, &BTreeMap::new())?;
    nothing_left(&host)
}

#[test]
fn after_a_reboot_what_should_run_runs_with_the_same_addresses() -> Result<()> {
    let host = Host::new("alpha")?;
    let [web, idle] = [1, 2].map(uid);
    write(
        &host,
        "web.yaml",
        &manifest("web", &web, true, &ports(&[(8080, 80)])),
    )?;
    write(&host, "idle.yaml", &manifest("idle", &idle, false, ""))?;
    let vm = Vm {
        host: &host,
        uid: web.clone(),
    };
    let _slot = boot::slot()?;
    let daemon = Daemon::start(&host, &[])?;
    wait_until("the guest to be up", BOOT, || vm.exec(&["true"]).ok())?;
    let before = interface(&host, &web)?;
    vm.exec(&["sh", "-c", "echo data > /data; sync"]).ok()?;
    host.reboot()?;
    drop(daemon);
    host.sh("ip link set lo up").ok()?;
    let _daemon = Daemon::start(&host, &[])?;
    wait_until("the guest to be back", BOOT, || vm.exec(&["true"]).ok())?;
    assert_eq!(interface(&host, &web)?, before);
    assert_eq!(vm.exec(&["cat", "/data"]).ok()?, "data");
    wait_until("its port", SOON, || host.get("127.0.0.1:8080"))?;
    becomes(&host, &all(&[(&web, "running"), (&idle, "created")]))
}

/// The documented walk: a manifest is dropped, five seconds later the VM runs; it
/// is taken away, five seconds later the VM is gone. The times are not measured.
#[test]
fn a_manifest_that_is_dropped_and_taken_away() -> Result<()> {
    let host = Host::new("alpha")?;
    let _slot = boot::slot()?;
    let _daemon = Daemon::start(&host, &[])?;
    let text = "apiVersion: ignite.weave.works/v1alpha2\nkind: VM\nmetadata:\n  name: old\n  uid: 599615df99804ae8\n\
                spec:\n  image:\n    oci: busy\n  cpus: 1\n  diskSize: 3GB\n  memory: 800MB\n  ssh: true\nstatus:\n  running: true\n";
    write(&host, "smoke-test.yml", text)?;
    let vm = Vm {
        host: &host,
        uid: "599615df99804ae8".into(),
    };
    wait_until("the guest to be up", BOOT, || vm.exec(&["true"]).ok())?;
    let spec = vm.inspect()?["spec"].clone();
    assert_eq!(
        (&spec["memory"], &spec["diskSize"]),
        (&"800MB".into(), &"3GB".into())
    );
    let own = host.read(&format!("{DIRECTORY}/smoke-test.yml"))?;
    assert_eq!(own.trim_end(), text.trim_end(), "the file is the user's");
    host.sh(&format!("rm {DIRECTORY}/smoke-test.yml")).ok()?;
    becomes(&host, &BTreeMap::new())?;
    nothing_left(&host)
}
