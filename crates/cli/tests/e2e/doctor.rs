//! `ignite doctor`: what it says of hosts that are well, of broken ones, and to a normal user; and that
//! it leaves them as they were.

use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, Output, place, vmm, wait_until};
use serde_json::{Value, json};

use crate::support::{SOON, Vm, nothing_left};
use crate::volumes::hide_virtiofsd;

/// Every line a bare host has, as `section/name`.
const NAMES: [&str; 39] = [
    "processor/processor",
    "processor/system",
    "processor/kvm",
    "vmm/firecracker",
    "vmm/jailer",
    "vmm/qemu",
    "vmm/virtiofsd",
    "vmm/auto",
    "programs/configuration",
    "programs/ignite-spawn",
    "programs/ignite-guest",
    "programs/ignite-cni",
    "programs/ignite-overlay",
    "programs/mkfs.ext4",
    "kernel/network namespaces",
    "kernel/tap",
    "kernel/tc",
    "kernel/nft",
    "kernel/nft program",
    "kernel/iptables",
    "kernel/forward policy",
    "kernel/bridge",
    "kernel/br_netfilter",
    "kernel/vxlan",
    "kernel/wireguard",
    "confinement/cgroup",
    "confinement/seccomp",
    "confinement/landlock",
    "confinement/users",
    "networks/configurations",
    "networks/forwarding",
    "networks/dns",
    "docker/docker engine",
    "overlay/overlay",
    "resources/disk",
    "resources/inodes",
    "resources/reflink",
    "resources/memory",
    "resources/clock",
];

/// Longer than the deadlines of all probes, on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

/// The lines as they are printed for programs, each well formed.
struct Page(Vec<Value>);

impl Page {
    fn read(output: &Output) -> Result<Self> {
        let lines: Vec<Value> = serde_json::from_str(&output.stdout)
            .with_context(|| format!("not a list: {output}"))?;
        for line in &lines {
            let told = match line["verdict"].as_str() {
                Some("good") => line["detail"].is_string(),
                Some("degraded") => line["costs"].is_string(),
                Some("missing") => line["remedy"].is_string(),
                _ => false,
            };
            ensure!(told, "not a line: {line:#}");
        }
        Ok(Self(lines))
    }

    fn of(host: &Host, code: i32) -> Result<Self> {
        let output = host
            .ignite(["doctor", "-o", "json"])
            .deadline(LIMIT)
            .output()?;
        ensure!(output.code == code, "{output}");
        Self::read(&output)
    }

    fn line(&self, name: &str) -> Result<&Value> {
        let is_it = |line: &&Value| name == name_of(line);
        let line = self.0.iter().find(is_it);
        line.with_context(|| format!("no line {name}: {:#?}", self.0))
    }

    /// Whether the line has this verdict, and says all of these words.
    fn says(&self, name: &str, verdict: &str, words: &[&str]) -> Result<()> {
        let line = self.line(name)?;
        let text = line.to_string();
        ensure!(line["verdict"] == verdict, "{line:#}");
        for word in words {
            ensure!(text.contains(word), "{word} is not in {line:#}");
        }
        Ok(())
    }
}

fn name_of(line: &Value) -> String {
    let word = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
    format!("{}/{}", word("section"), word("name"))
}

/// What a probe could leave: files, links, namespaces, rules, modules, processes.
const STATE: &str = "\
find /etc/cni /etc/ignite /run /var/lib/cni /var/lib/ignite -xdev 2>/dev/null | grep -v '^/run/xtables.lock$' | sort
ls /sys/class/net; ip netns list; nft list ruleset; cat /proc/modules 2>/dev/null | cut -d' ' -f1 || true
cat /proc/sys/net/ipv4/ip_forward; ps -e -o args | grep -v -e 'ps -e' -e grep -e 'sh -euc' -e sort | sort";

#[test]
fn a_host_that_is_well_has_every_line_and_is_left_as_it_was() -> Result<()> {
    let host = Host::bare("alpha")?;
    let before = host.sh(STATE).ok()?;
    let page = Page::of(&host, 0)?;
    assert_eq!(host.sh(STATE).ok()?, before);
    for name in NAMES {
        page.line(name)?;
    }
    page.says(
        "vmm/qemu",
        "good",
        &["QEMU emulator version", "/qemu-system-x86_64"],
    )?;
    page.says("vmm/auto", "good", &["qemu-"])?;
    for name in [
        "network namespaces",
        "tap",
        "tc",
        "nft",
        "nft program",
        "iptables",
    ] {
        page.says(&format!("kernel/{name}"), "good", &[])?;
    }
    for plugin in ["bridge", "host-local", "portmap", "firewall"] {
        page.says(&format!("plugins/{plugin}"), "good", &["/cni"])?;
    }
    page.says("docker/docker engine", "good", &["not used"])?;
    page.says("leftovers/leftovers", "good", &["none"])?;
    // For people: a mark that reads without colour, no line wider than the page.
    let text = host.ignite(["doctor"]).output()?;
    assert!(text.stdout.contains("\n  ok        qemu "), "{text}");
    assert!(
        text.stdout.lines().all(|line| line.chars().count() <= 100),
        "{text}"
    );
    assert!(text.stderr.contains("VMs can run on this host"), "{text}");
    Ok(())
}

#[test]
fn what_is_missing_is_told_with_the_command_that_mends_it() -> Result<()> {
    let host = Host::bare("alpha")?;
    // Without a PATH the system's directories are searched all the same.
    let output = host
        .ignite(["doctor", "-o", "json"])
        .env("PATH", "")
        .output()?;
    assert_eq!(output.code, 0, "{output}");
    Page::read(&output)?.says("vmm/virtiofsd", "good", &["/virtiofsd"])?;
    hide_virtiofsd(&host)?;
    Page::of(&host, 0)?.says(
        "vmm/virtiofsd",
        "degraded",
        &["copies", "install virtiofsd"],
    )?;
    host.sh("for name in qemu-system-x86_64 qemu-kvm nft iptables; do
         for file in /usr/bin/$name /usr/sbin/$name /usr/libexec/$name; do
             [ ! -e $file ] || mount --bind /dev/null $file
         done
     done
     mount -t tmpfs none /usr/lib/cni")
        .ok()?;
    let page = Page::of(&host, 1)?;
    page.says("vmm/qemu", "missing", &["install qemu-system-x86"])?;
    page.says("vmm/virtiofsd", "good", &["not needed"])?;
    page.says(
        "vmm/auto",
        "missing",
        &["no virtual machine monitor found", "install"],
    )?;
    page.says("kernel/nft program", "missing", &["install nftables"])?;
    page.says("kernel/iptables", "missing", &["install iptables"])?;
    page.says(
        "plugins/bridge",
        "missing",
        &["install containernetworking-plugins"],
    )?;
    let text = host.ignite(["doctor"]).output()?;
    assert!(text.stderr.contains("no VM can run on this host"), "{text}");
    Ok(())
}

#[test]
fn broken_networks_are_told_and_hold_up_nobody() -> Result<()> {
    let host = Host::bare("alpha")?;
    host.write("/etc/cni/net.d/00-broken.conflist", "{ not json \u{1b}[2J")?;
    let page = Page::of(&host, 1)?;
    page.says(
        "networks/configurations",
        "missing",
        &["00-broken.conflist"],
    )?;

    let network = |name: &str| {
        json!({ "cniVersion": "1.1.0", "name": name, "plugins": [{ "type": name }] }).to_string()
    };
    host.sh("[ -d /opt/cni/bin ] || { mount -t tmpfs tmpfs /opt; mkdir -p /opt/cni/bin; }")
        .ok()?;
    let cases = [
        ("fine", "exit 0"),
        (
            "full",
            "echo '{\"code\":50,\"msg\":\"no addresses left\"}'; exit 1",
        ),
        ("hung", "sleep 611"),
    ];
    for (name, answer) in cases {
        host.write(&format!("/etc/cni/net.d/10-{name}.conflist"), network(name))?;
        let program = format!("/opt/cni/bin/{name}");
        host.write(&program, format!("#!/bin/sh\n{answer}\n"))?;
        host.command(["chmod", "+x", &program]).ok()?;
    }
    host.write("/etc/cni/net.d/20-away.conflist", network("away"))?;
    let page = Page::of(&host, 0)?;
    page.says(
        "networks/configurations",
        "degraded",
        &["00-broken.conflist"],
    )?;
    page.says("networks/network fine", "good", &["ready"])?;
    page.says("networks/network full", "missing", &["no addresses left"])?;
    page.says("networks/network hung", "missing", &["not ready"])?;
    page.says("plugins/away", "missing", &["/opt/cni/bin"])?;
    let left = host.sh("ps -e -o args | grep '[s]leep 611' || true").ok()?;
    assert_eq!(left, "", "a plugin that hung goes on");
    Ok(())
}

#[test]
fn an_engine_that_is_silent_costs_only_its_own_line() -> Result<()> {
    let host = Host::bare("alpha")?;
    let directory = tempfile::tempdir_in(place::build("e2e"))?;
    let socket = directory.path().join("docker.sock");
    let _listens = UnixListener::bind(&socket)?;
    let begun = Instant::now();
    let output = host
        .ignite(["--network-plugin", "docker-bridge", "doctor", "-o", "json"])
        .env("DOCKER_HOST", format!("unix://{}", socket.display()))
        .deadline(LIMIT)
        .output()?;
    assert!(begun.elapsed() < LIMIT, "it was waited for");
    assert_eq!(output.code, 0, "{output}");
    let page = Page::read(&output)?;
    page.says(
        "docker/docker engine",
        "degraded",
        &["no answer", "systemctl restart docker"],
    )?;
    page.says("kernel/tap", "good", &[])
}

#[test]
fn what_a_dead_vm_left_is_told_with_the_command() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let vm = Vm::run_image(&host, &["--name", "web"], &place::image("busy")?, &[])?;
    let page = Page::of(&host, 0)?;
    page.says("leftovers/dead vms", "good", &["none"])?;
    page.says("leftovers/leftovers", "good", &["none"])?;
    host.sh("pkill -KILL ignite-spawn").ok()?;
    wait_until("the VMM to end", SOON, || {
        host.sh(&format!("! pgrep {}", vmm::process())).ok()
    })?;
    let page = Page::of(&host, 0)?;
    page.says(
        "leftovers/dead vms",
        "degraded",
        &["web", "ignite network gc"],
    )?;
    page.says(
        "leftovers/leftovers",
        "degraded",
        &["attachment", "ignite network gc"],
    )?;
    // It was told, and nothing more.
    assert_eq!(
        host.ignite(["network", "gc", "--dry-run", "-q"])
            .ok()?
            .lines()
            .count(),
        1
    );
    host.ignite(["network", "gc"]).ok()?;
    Page::of(&host, 0)?.says("leftovers/dead vms", "good", &["none"])?;
    host.ignite(["rm", &vm.uid]).ok()?;
    nothing_left(&host)
}

#[test]
fn a_normal_user_is_told_what_takes_root() -> Result<()> {
    let host = Host::bare("alpha")?;
    host.sh("mkdir -p /var/lib/ignite && chmod 700 /var/lib/ignite")
        .ok()?;
    let ignite = place::build("bin/ignite").display().to_string();
    let words = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    let command = words
        .into_iter()
        .chain([ignite.as_str(), "doctor", "-o", "json"]);
    let output = host.command(command).deadline(LIMIT).output()?;
    assert_eq!(output.code, 0, "{output}");
    let page = Page::read(&output)?;
    for name in NAMES {
        page.line(name)?;
    }
    page.says("vmm/qemu", "good", &[])?;
    for name in [
        "kernel/network namespaces",
        "leftovers/leftovers",
        "resources/reflink",
    ] {
        page.says(name, "degraded", &["sudo ignite doctor"])?;
    }
    Ok(())
}

#[test]
fn a_configuration_that_cannot_be_used_is_one_line_of_the_page() -> Result<()> {
    let host = Host::bare("alpha")?;
    host.write("/etc/ignite/config.yaml", "kind: [")?;
    let page = Page::of(&host, 1)?;
    page.says("programs/configuration", "missing", &["config.yaml"])?;
    page.says("vmm/qemu", "good", &[])
}

#[test]
fn without_proc_and_sys_there_is_a_page_all_the_same() -> Result<()> {
    let host = Host::bare("alpha")?;
    let ignite = place::build("bin/ignite").display().to_string();
    let script = format!(
        "mount -t tmpfs none /sys && mount -t tmpfs none /proc && exec {ignite} doctor -o json"
    );
    let output = host
        .command(["unshare", "-m", "sh", "-c", &script])
        .deadline(LIMIT)
        .output()?;
    assert_eq!(output.code, 1, "{output}");
    let page = Page::read(&output)?;
    page.says("kernel/network namespaces", "missing", &[])?;
    page.says("resources/memory", "degraded", &["mount -t proc"])
}
