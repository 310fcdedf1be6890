//! `ignite network`: looking at networks, and cleaning up after VMs that are gone.

use std::time::Duration;

use anyhow::{Context as _, Result};
use ignite_testkit::{Host, Output, place, vmm};
use serde_json::{Value, json};

use crate::support::{Vm, nothing_left};

fn json_of(output: &str) -> Result<Value> {
    serde_json::from_str(output).with_context(|| format!("not JSON: {output}"))
}

/// A network of the distribution's plugins.
fn bridge(name: &str, subnet: &str) -> String {
    json!({
        "cniVersion": "1.0.0", "name": name, "plugins": [
            {
                "type": "bridge", "bridge": format!("{name}0"), "isGateway": true, "ipMasq": true,
                "ipam": { "type": "host-local", "subnet": subnet, "routes": [{ "dst": "0.0.0.0/0" }] },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
            { "type": "firewall" },
        ],
    })
    .to_string()
}

/// A network of version 1.1.0 whose only plugin is a shell script that notes its calls.
fn scripted(host: &Host, name: &str, cases: &str) -> Result<()> {
    let network = json!({ "cniVersion": "1.1.0", "name": name, "plugins": [{ "type": name }] });
    host.write(
        &format!("/etc/cni/net.d/20-{name}.conflist"),
        network.to_string(),
    )?;
    let script = format!(
        "#!/bin/sh\ncat > /run/stdin.$CNI_COMMAND\necho \"$CNI_COMMAND\" >> /run/calls\n\
         case $CNI_COMMAND in\n{cases}\nesac\n"
    );
    host.sh("[ -d /opt/cni/bin ] || { mount -t tmpfs tmpfs /opt; mkdir -p /opt/cni/bin; }")
        .ok()?;
    host.write(&format!("/opt/cni/bin/{name}"), script)?;
    host.sh(&format!("chmod +x /opt/cni/bin/{name}"))
        .ok()
        .map(drop)
}

#[test]
fn networks_are_listed_whatever_is_broken() -> Result<()> {
    let host = Host::bare("alpha")?;
    assert_eq!(
        host.ignite(["network", "ls"]).ok()?.lines().count(),
        1,
        "no networks are a header"
    );
    host.write("/etc/cni/net.d/00-broken.conflist", "{ not json")?;
    host.write(
        "/etc/cni/net.d/10-blue.conflist",
        bridge("blue", "10.78.0.0/24"),
    )?;
    scripted(
        &host,
        "full",
        "STATUS) echo '{\"code\":50,\"msg\":\"no addresses left\"}'; exit 1;;",
    )?;
    scripted(&host, "fine", "")?;
    host.sh("ip netns add one").ok()?;
    host.ignite(["cni", "add", "blue", "/run/netns/one"]).ok()?;

    let listed = host.ignite(["network", "ls"]).output()?;
    assert_eq!(listed.code, 0, "{listed}");
    assert!(listed.stderr.contains("00-broken.conflist"), "{listed}");
    let row = |name: &str| {
        let line = listed.stdout.lines().find(|line| line.starts_with(name));
        line.map(|line| {
            line.split("   ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect::<Vec<_>>()
        })
        .unwrap_or_default()
    };
    assert_eq!(
        row("blue"),
        [
            "blue",
            "/etc/cni/net.d/10-blue.conflist",
            "bridge,portmap,firewall",
            "1.0.0",
            "-",
            "1"
        ]
    );
    assert_eq!(row("full")[3..], ["1.1.0", "not ready", "0"]);
    assert_eq!(row("fine")[3..], ["1.1.0", "ready", "0"]);
    assert_eq!(
        host.ignite(["network", "ls", "--quiet"]).ok()?,
        "blue\nfine\nfull"
    );
    let all = json_of(&host.ignite(["network", "ls", "-o", "json"]).ok()?)?;
    assert_eq!(all[0]["default"], true);
    assert!(
        all[2]["status"]["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("no addresses left"))
    );

    let blue = json_of(&host.ignite(["network", "inspect", "blue"]).ok()?)?;
    assert_eq!(blue["plugins"][0]["ipam"], "host-local");
    assert_eq!(blue["plugins"][1]["program"], "/usr/lib/cni/portmap");
    assert_eq!(blue["attachments"][0]["owner"], "other");
    assert_eq!(blue["attachments"][0]["addresses"][0], "10.78.0.2/24");
    assert_eq!(blue["configuration"]["name"], "blue");
    host.ignite(["network", "inspect", "green"])
        .output()?
        .refused(1, &["green", "blue"])?;

    // Its file gone, a network is known by who is on it.
    host.sh("rm /etc/cni/net.d/10-blue.conflist").ok()?;
    let listed = host.ignite(["network", "ls"]).ok()?;
    assert!(listed.contains("(gone)"), "{listed}");
    Ok(())
}

#[test]
fn a_network_that_is_not_ready_fails_a_start_at_once() -> Result<()> {
    let host = Host::new("alpha")?;
    scripted(
        &host,
        "full",
        "STATUS) echo '{\"cniVersion\":\"1.1.0\",\"code\":50,\"msg\":\"no addresses left\"}'; exit 1;;\nADD) exit 1;;",
    )?;
    Vm::invocation(&host, &["--name", "web"], &place::image("busy")?, &[])
        .deadline(Duration::from_secs(60))
        .output()?
        .refused(1, &["full", "not ready", "no addresses left"])?;
    assert_eq!(host.read("/run/calls")?, "STATUS\n", "nothing was added");
    host.ignite(["cni", "status", "full"])
        .output()?
        .refused(1, &["no addresses left"])
}

#[test]
fn a_running_vm_is_checked() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["--name", "web", "-p", "8080:80"])?;
    let checked = host.ignite(["network", "check"]).output()?;
    assert_eq!(checked.code, 0, "{checked}");
    // This portmap's CHECK fails for IPv4 alone, always; our own look replaces it.
    assert!(
        checked.stdout.contains("not checkable")
            && checked.stdout.contains("portmap")
            && checked.stdout.contains("our own look finds nothing wrong"),
        "{checked}"
    );
    let attached = json_of(
        &host
            .ignite(["network", "inspect", "ignite-cni-bridge"])
            .ok()?,
    )?;
    assert_eq!(attached["attachments"][0]["vm"]["name"], "web");
    assert_eq!(attached["attachments"][0]["owner"], "vm");

    let sandbox = format!("ignite-{}", vm.uid);
    let address = vm.address()?;
    let chain = host
        .sh("iptables-save -t nat | grep -oE 'CNI-DN-[0-9a-f]+' | head -n1")
        .ok()?;
    host.sh(&format!("iptables -t nat -F {chain}")).ok()?;
    let wrong = host.ignite(["network", "check", "web"]).output()?;
    assert_eq!(wrong.code, 1, "{wrong}");
    assert!(wrong.stdout.contains("port 8080"), "{wrong}");
    host.sh(&format!(
        "ip -n {sandbox} address del {address}/16 dev eth0"
    ))
    .ok()?;
    let wrong = host.ignite(["network", "check", "-o", "json"]).output()?;
    assert_eq!(wrong.code, 1, "{wrong}");
    let findings = json_of(&wrong.stdout)?;
    let bridge = findings
        .as_array()
        .expect("a list")
        .iter()
        .find(|finding| finding["plugin"] == "bridge");
    assert_eq!(
        bridge.map(|finding| &finding["verdict"]),
        Some(&json!("wrong")),
        "{findings:#}"
    );
    host.ignite(["rm", "-f", "web"]).ok()?;
    host.ignite(["network", "check", "web"])
        .output()?
        .refused(1, &["web"])?;
    nothing_left(&host)
}

#[test]
fn a_vm_that_died_is_repaired_and_another_programs_container_stays() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["--name", "web", "-p", "8080:80"])?;
    let other = Vm::run(&host, &["--name", "db"])?;
    host.sh("ip netns add podman").ok()?;
    host.ignite(["cni", "add", "ignite-cni-bridge", "/run/netns/podman"])
        .ok()?;
    let pid = host
        .sh(&format!("pgrep -f 'ignite-spawn.*{}' | head -n1", vm.uid))
        .ok()?;
    host.sh(&format!("kill -KILL {pid}")).ok()?;
    ignite_testkit::wait_until("the VMM to end", Duration::from_secs(30), || {
        host.sh(&format!("test $(pgrep -c {}) = 1", vmm::process()))
            .ok()
    })?;

    let dry = host.ignite(["network", "gc", "--dry-run"]).ok()?;
    assert!(dry.contains("web, which died"), "{dry}");
    assert_eq!(host.ignite(["network", "gc", "--dry-run"]).ok()?, dry);
    let done = host.ignite(["network", "gc"]).ok()?;
    assert_eq!(done, dry, "what was said is what is done");
    let again = host.ignite(["network", "gc"]).output()?;
    assert_eq!((again.code, again.stdout.as_str()), (0, ""), "{again}");
    assert_eq!(vm.status("end")?, "lost");
    other.exec(&["true"]).ok()?;
    host.sh("ip netns exec podman ping -c1 -W2 10.61.0.1")
        .ok()?;
    host.ignite(["cni", "del", "ignite-cni-bridge", "/run/netns/podman"])
        .ok()?;
    host.sh("ip netns del podman").ok()?;
    host.ignite(["rm", "-f", "web", "db"]).ok()?;
    nothing_left(&host)
}

/// Container IDs of VMs that never were.
const IDS: &str = "for i in $(seq 1 $N); do printf 'ignite-%016x\\n' $i; done";

/// Attaches `count` containers of VMs' IDs by the real plugins, and takes their namespaces away.
fn vanish(host: &Host, network: &str, count: u32) -> Result<()> {
    let ignite = place::build("bin/ignite");
    let script = format!(
        "N={count}; {IDS} | xargs -P4 -I@ sh -euc 'ip netns add @
         CNI_CONTAINERID=@ CAP_ARGS=\"{{\\\"portMappings\\\":[{{\\\"hostPort\\\":$(( 20000 + 0x$(echo @ | tail -c 5) )),\\\"containerPort\\\":80,\\\"protocol\\\":\\\"tcp\\\"}}]}}\" \
         {} cni add {network} /run/netns/@ > /dev/null'",
        ignite.display()
    );
    host.sh(&script)
        .deadline(Duration::from_secs(600))
        .ok()
        .map(drop)
}

/// All rules but those portmap makes once for everybody, and keeps.
const RULES: &str = "iptables-save | grep -v '^[#:]' | grep -vE 'CNI-HOSTPORT-(DNAT|MASQ)$|CNI-HOSTPORT-(MASQ|SETMARK) -m' || true";

/// Everything an attachment is made of.
const STATE: &str =
    "iptables-save | grep -v '^[#:]' | grep -vE 'CNI-HOSTPORT-(DNAT|MASQ)$|CNI-HOSTPORT-(MASQ|SETMARK) -m' || true
     ls /sys/class/net /var/lib/cni/results /run/netns
     ls /var/lib/cni/networks/blue | grep -v last_";

fn gc(host: &Host) -> Result<Output> {
    let output = host
        .ignite(["network", "gc", "-o", "json"])
        .deadline(Duration::from_secs(600))
        .output()?;
    assert_eq!(output.code, 0, "{output}");
    Ok(output)
}

#[test]
fn three_hundred_attachments_of_vanished_vms_are_collected_by_one_gc() -> Result<()> {
    let host = Host::bare("alpha")?;
    host.write(
        "/etc/cni/net.d/10-blue.conflist",
        bridge("blue", "10.78.0.0/16"),
    )?;
    host.write("/etc/cni/net.d/05-broken.conflist", "{ not json")?;
    host.sh("ip netns add stays").ok()?;
    host.ignite(["cni", "add", "blue", "/run/netns/stays"])
        .ok()?;
    let before = host.sh(STATE).ok()?;
    vanish(&host, "blue", 300)?;
    // As a reboot or a crash leaves them: some without a namespace, some without an interface.
    host.sh("for n in /run/netns/ignite-*[0-7]; do ip netns del ${n##*/}; done; for n in /run/netns/ignite-*[89]; do ip -n ${n##*/} link del eth0; done")
        .ok()?;
    let released = json_of(&gc(&host)?.stdout)?;
    let of_kind = |kind: &str| {
        let all = released.as_array().expect("a list").iter();
        all.filter(|one| one["kind"] == kind).count()
    };
    assert_eq!(of_kind("attachment"), 300);
    assert_eq!(of_kind("lease") + of_kind("rules"), 0, "DEL releases them");
    assert_eq!(host.sh(STATE).ok()?, before);
    host.sh("ip netns exec stays ping -c1 -W2 10.78.0.1").ok()?;
    assert_eq!(json_of(&gc(&host)?.stdout)?, json!([]));
    Ok(())
}

#[test]
fn what_no_cache_knows_is_collected_too() -> Result<()> {
    let host = Host::bare("alpha")?;
    host.write(
        "/etc/cni/net.d/10-blue.conflist",
        bridge("blue", "10.78.0.0/16"),
    )?;
    host.sh("ip netns add stays").ok()?;
    host.ignite(["cni", "add", "blue", "/run/netns/stays"])
        .ok()?;
    let before = host.sh(RULES).ok()?;
    vanish(&host, "blue", 3)?;
    host.sh("rm /var/lib/cni/results/blue-ignite-*").ok()?;
    // Another program's names are not ours, and a namespace alone is a leak as well.
    host.sh("ip netns add other-00000000000000aa; ip netns add ignite-00000000000000aa; ip netns add ignite-x")
        .ok()?;
    let dry = host.ignite(["network", "gc", "--dry-run"]).ok()?;
    assert_eq!(dry.lines().count(), 1 + 3 + 4, "{dry}");
    assert_eq!(host.ignite(["network", "gc"]).ok()?, dry);
    assert_eq!(host.sh(RULES).ok()?, before);
    assert_eq!(
        host.sh("ls /run/netns /var/lib/cni/networks/blue | grep -v last_")
            .ok()?,
        "/run/netns:\nignite-x\nother-00000000000000aa\nstays\n\n/var/lib/cni/networks/blue:\n10.78.0.2\nlock"
    );
    Ok(())
}

#[test]
fn an_address_that_was_given_to_another_stays_his() -> Result<()> {
    let host = Host::bare("alpha")?;
    host.write(
        "/etc/cni/net.d/10-blue.conflist",
        bridge("blue", "10.78.0.0/16"),
    )?;
    vanish(&host, "blue", 1)?;
    // The vanished VM's lease is lost, and its address taken by somebody else: rules that name nothing
    // but the address are his.
    host.sh("rm /var/lib/cni/networks/blue/10.78.0.2; ip netns del ignite-0000000000000001; ip netns add heir")
        .ok()?;
    host.ignite(["cni", "add", "blue", "/run/netns/heir"])
        .env("CNI_ARGS", "IgnoreUnknown=1;IP=10.78.0.2")
        .ok()?;
    let rules = "iptables-save | grep -- '-[sd] 10.78.0.2/32'";
    let before = host.sh(rules).ok()?;
    let released = json_of(&gc(&host)?.stdout)?;
    assert_eq!(released[0]["kind"], "attachment", "{released}");
    let after = host.sh(rules).ok()?;
    let forward = |rules: &str| rules.matches("-A CNI-FORWARD").count();
    assert_eq!(forward(&after), 2, "before:\n{before}\nafter:\n{after}");
    assert!(
        host.read("/var/lib/cni/networks/blue/10.78.0.2")?
            .starts_with("cnitool-")
    );
    host.sh("ip netns exec heir ping -c1 -W2 10.78.0.1").ok()?;
    host.sh("rm /etc/cni/net.d/10-blue.conflist").ok()?;
    host.ignite(["cni", "del", "blue", "/run/netns/heir"])
        .ok()?;
    assert_eq!(host.sh(&format!("{rules} || true")).ok()?, "");
    Ok(())
}

#[test]
fn a_plugin_that_is_gone_is_named_and_the_next_gc_goes_on() -> Result<()> {
    let host = Host::bare("alpha")?;
    host.write(
        "/etc/cni/net.d/10-blue.conflist",
        bridge("blue", "10.78.0.0/16"),
    )?;
    vanish(&host, "blue", 2)?;
    host.sh("mkdir /run/hidden; mount -t tmpfs tmpfs /usr/lib/cni")
        .ok()?;
    let failed = host.ignite(["network", "gc"]).output()?;
    failed.refused(
        1,
        &[
            "ignite-0000000000000001",
            "10.78.0.",
            "portmap",
            "containernetworking-plugins",
            "ignite network gc",
        ],
    )?;
    assert_eq!(host.sh("ls /var/lib/cni/results | wc -l").ok()?, "2");
    host.sh("umount /usr/lib/cni").ok()?;
    gc(&host)?;
    assert_eq!(
        host.sh("ls /var/lib/cni/results /run/netns | grep -c ignite- || true")
            .ok()?,
        "0"
    );
    Ok(())
}

#[test]
fn plugins_that_collect_are_told_of_everybody() -> Result<()> {
    let host = Host::bare("alpha")?;
    let result = r#"{"cniVersion":"1.1.0","ips":[{"address":"10.79.0.2/24"}]}"#;
    scripted(&host, "script", &format!("ADD) echo '{result}';;"))?;
    for (id, inside) in [
        ("ignite-00000000000000aa", "results"),
        ("podmans", "results"),
        ("multuss", "multus/results"),
    ] {
        host.ignite(["cni", "add", "script", "/run/netns/none"])
            .env("CNI_CONTAINERID", id)
            .ok()?;
        host.sh(&format!(
            "mkdir -p /var/lib/cni/{inside}; mv -n /var/lib/cni/results/script-{id}-eth0 /var/lib/cni/{inside}/ 2>/dev/null || true"
        ))
        .ok()?;
    }
    gc(&host)?;
    let stdin = json_of(&host.read("/run/stdin.GC")?)?;
    assert_eq!(
        stdin["cni.dev/valid-attachments"],
        json!([
            { "containerID": "multuss", "ifname": "eth0" },
            { "containerID": "podmans", "ifname": "eth0" },
        ])
    );
    // Somebody whom no cache knows has an address: a list without him would be his end.
    host.sh("rm /run/stdin.GC; mkdir -p /var/lib/cni/networks/script; printf 'crio\\r\\neth0' > /var/lib/cni/networks/script/10.79.0.9")
        .ok()?;
    let remarks = gc(&host)?.stderr;
    assert!(remarks.contains("10.79.0.9 is leased to crio"), "{remarks}");
    assert!(!host.has("/run/stdin.GC")?);
    Ok(())
}
