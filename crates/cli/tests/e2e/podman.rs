//! Podman and Ignite on the same networks: each other's neighbours, nobody's
//! housekeeper.

use anyhow::{Context as _, Result};
use ignite_testkit::{Host, Invocation, place};
use serde_json::Value;

use crate::support::Vm;

/// Podman with CNI, on a host of its own: no control groups (they are the
/// machine's), no signatures, images and layers copied.
struct Podman<'h> {
    host: &'h Host,
    path: String,
}

const CONFIGURATION: &str = r#"
[containers]
cgroups = "disabled"
log_driver = "k8s-file"
[network]
network_backend = "cni"
cni_plugin_dirs = ["/usr/lib/cni"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "crun"
"#;

const STORAGE: &str = r#"
[storage]
driver = "vfs"
runroot = "/run/containers"
graphroot = "/var/lib/containers"
"#;

impl<'h> Podman<'h> {
    fn new(host: &'h Host) -> Result<Self> {
        let programs = place::built("podman/bin")?;
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display());
        let podman = Self { host, path };
        let crun = programs.join("crun");
        let conmon = programs.join("conmon");
        let configuration = format!(
            "{CONFIGURATION}conmon_path = [{conmon:?}]\n[engine.runtimes]\ncrun = [{crun:?}]\n"
        );
        host.write("/etc/containers/containers.conf", configuration)?;
        host.write("/etc/containers/storage.conf", STORAGE)?;
        let policy = r#"{"default":[{"type":"insecureAcceptAnything"}]}"#;
        host.write("/etc/containers/policy.json", policy)?;
        // crun wants control groups of one version, though it uses none; Podman's locks are in
        // /dev/shm, which would be the machine's.
        host.sh("mount -t cgroup2 cgroup2 /sys/fs/cgroup; for place in /dev/shm /var/tmp; do mount -t tmpfs tmpfs $place; done")
            .ok()?;
        let helper = place::helper()?;
        host.sh(&format!(
            "mkdir -p /run/image/bin; cp /bin/busybox {} /run/image/bin; for name in ping hostname; do ln -s busybox /run/image/bin/$name; done; tar -C /run/image -cf /run/image.tar .",
            helper.display()
        ))
        .ok()?;
        podman
            .command(&["import", "-q", "/run/image.tar", "busy"])
            .ok()?;
        Ok(podman)
    }

    fn command(&self, words: &[&str]) -> Invocation {
        let words = ["podman"].iter().chain(words);
        self.host.command(words.copied()).env("PATH", &self.path)
    }

    /// A container whose service answers on port 8000; its address.
    fn run(&self, name: &str, network: &str) -> Result<String> {
        let serve = ["run", "-d", "--name", name, "--network", network, "busy"];
        self.command(&[&serve[..], &["/bin/testkit-helper", "serve", "8000"]].concat())
            .ok()?;
        let inspected: Value = serde_json::from_str(&self.command(&["inspect", name]).ok()?)?;
        let address = &inspected[0]["NetworkSettings"]["Networks"][network]["IPAddress"];
        Ok(address
            .as_str()
            .with_context(|| format!("no address in {inspected:#}"))?
            .to_owned())
    }

    fn exec(&self, name: &str, words: &[&str]) -> Result<String> {
        self.command(&[&["exec", name], words].concat()).ok()
    }
}

/// All that the networks of a host hold for their members, but for what those share and leave there
/// (chains, bridges).
fn members(host: &Host) -> Result<String> {
    host.sh(
        "iptables-save | grep -E '^-A.*(10\\.90\\.|id: )' || true
         ls /sys/class/net
         find /var/lib/cni -type f ! -name lock | sort | while read -r f; do echo \"$f\"; case $f in *last_*) ;; *) sha256sum <\"$f\";; esac; done",
    )
    .ok()
}

#[test]
fn containers_and_vms_share_networks() -> Result<()> {
    let host = Host::new("alpha")?;
    let podman = Podman::new(&host)?;
    // On the network that Ignite made.
    let default = Vm::run(&host, &[])?;
    let third = podman.run("third", "ignite-cni-bridge")?;
    default.exec(&["ping", "-c", "1", "-W", "2", &third]).ok()?;
    podman.exec(
        "third",
        &["/bin/ping", "-c", "1", "-W", "2", &default.address()?],
    )?;
    podman.command(&["rm", "-f", "-t", "0", "third"]).ok()?;
    default
        .exec(&["ping", "-c", "1", "-W", "2", "10.61.0.1"])
        .ok()?;
    host.ignite(["rm", "-f", &default.uid]).ok()?;

    // And on one that Podman makes.
    podman
        .command(&["network", "create", "--subnet", "10.90.0.0/24", "site"])
        .ok()?;
    let first = podman.run("first", "site")?;
    let alone = members(&host)?;

    let vm = Vm::run(&host, &["--network", "site", "-p", "8080:80"])?;
    let (name, address) = (vm.hostname()?, vm.address()?);
    assert!(
        address.starts_with("10.90.0.") && address != first,
        "{address}"
    );
    vm.exec(&["ping", "-c", "2", "-W", "2", &first]).ok()?;
    podman.exec("first", &["/bin/ping", "-c", "2", "-W", "2", &address])?;
    let container = podman.exec("first", &["/bin/hostname"])?;
    assert_eq!(
        vm.exec(&["testkit-helper", "get", &format!("{first}:8000")])
            .ok()?,
        format!("{container} 8000 {address}")
    );
    assert_eq!(
        podman.exec(
            "first",
            &["/bin/testkit-helper", "get", &format!("{address}:80")]
        )?,
        format!("{name} 80 {first}")
    );
    let listed = host.ignite(["network", "inspect", "site"]).ok()?;
    let site: Value = serde_json::from_str(&listed)?;
    let mut owners: Vec<_> = site["attachments"]
        .as_array()
        .context("a list")?
        .iter()
        .filter_map(|one| one["owner"].as_str())
        .collect();
    owners.sort_unstable();
    assert_eq!(owners, ["other", "vm"]);

    // A container comes and goes, and another takes over where it was: the VM stays.
    let with_vm = members(&host)?;
    let second = podman.run("second", "site")?;
    vm.exec(&["ping", "-c", "1", "-W", "2", &second]).ok()?;
    podman.command(&["rm", "-f", "-t", "0", "second"]).ok()?;
    assert_eq!(members(&host)?, with_vm);
    assert_eq!(host.ignite(["network", "gc"]).ok()?, "");
    assert_eq!(members(&host)?, with_vm);
    assert!(host.get(&format!("{address}:80"))?.starts_with(&name));
    assert!(host.get("127.0.0.1:8080")?.starts_with(&name));

    // The VM goes: the container stays, whatever we clean up, with its interface and all.
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    assert_eq!(members(&host)?, alone);
    assert_eq!(host.ignite(["network", "gc"]).ok()?, "");
    assert_eq!(members(&host)?, alone);
    assert_eq!(
        host.get(&format!("{first}:8000"))?,
        format!("{container} 8000 10.90.0.1")
    );
    podman.command(&["rm", "-f", "-t", "0", "first"]).ok()?;
    let leases = host
        .sh("ls /var/lib/cni/results; ls /var/lib/cni/networks/site | grep '^[0-9]' || true")
        .ok()?;
    assert_eq!(leases, "");
    Ok(())
}
