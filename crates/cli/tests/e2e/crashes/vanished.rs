//! A VM that died is released though what it was attached with is gone.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::Host;

use super::after::Fate;
use super::reboot::interface;
use super::scenes::kill_supervisor;
use super::{Scene, create};

/// What somebody does to the host of a VM, `$uid`, whose supervisor was killed.
const DEEDS: &[(&str, &str)] = &[
    ("the namespace", "ip netns delete ignite-$uid"),
    (
        "the interface",
        "ip netns exec ignite-$uid ip link delete eth0",
    ),
    (
        "the interface's name",
        "ip netns exec ignite-$uid ip link set eth0 name eth7",
    ),
    (
        "its address",
        "ip netns exec ignite-$uid ip address flush dev eth0",
    ),
    ("the bridge", "ip link delete ignite0"),
    ("the cached result", "rm /var/lib/cni/results/*$uid*"),
    (
        "the cached result's end",
        "for file in /var/lib/cni/results/*$uid*; do truncate -s 40 $file; done",
    ),
    ("the lease", "rm /var/lib/cni/networks/*/10.*"),
    ("all leases", "rm -r /var/lib/cni"),
    ("the network's file", "rm /etc/cni/net.d/*"),
    (
        "the network's file, which is another's now",
        "sed -i s/ignite-cni-bridge/other/ /etc/cni/net.d/*",
    ),
    ("the rules", "nft flush ruleset"),
    ("the runtime directory", "rm -r /run/ignite"),
    ("the plan", "rm /run/ignite/vm/$uid/*"),
];

#[test]
fn a_dead_vm_is_released_whatever_is_gone() -> Result<()> {
    let mut scene = Scene::new()?;
    for (what, deed) in DEEDS {
        let uid = dead(&scene.host)?;
        let deed = format!("uid={uid}; {deed}");
        scene.host.sh(&deed).ok().context(*what)?;
        let file = "/etc/cni/net.d/10-ignite.conflist";
        let changed = what.starts_with("the network's file");
        let went = if changed {
            // The record knows how it was attached.
            scene.host.ignite(["rm", &uid]).ok().map(drop)
        } else {
            scene.goes_on(&uid, Fate::Lives)
        };
        went.and_then(|()| scene.nothing_left())
            .with_context(|| format!("without {what}"))?;
        if changed || !scene.host.has(file)? {
            scene = Scene::new()?;
        }
    }
    Ok(())
}

#[test]
fn without_its_plugin_a_dead_vm_stays_and_is_released_later() -> Result<()> {
    let scene = Scene::new()?;
    let host = &scene.host;
    let uid = dead(host)?;
    // Found no more: it is no file.
    host.sh("rm /opt/cni/bin/portmap; mount --bind /dev/null /usr/lib/cni/portmap")
        .ok()?;
    for verb in ["start", "rm"] {
        let refused = host.ignite([verb, &uid]).output()?;
        refused.refused(
            1,
            &[
                "portmap",
                "/usr/lib/cni",
                "eth0 (10.61.",
                "ignite network gc",
            ],
        )?;
    }
    ensure!(
        host.ignite(["ps", "-a", "-q"]).ok()? == uid,
        "it is forgotten"
    );
    host.sh("umount /usr/lib/cni/portmap").ok()?;
    let collected = host.ignite(["network", "gc"]).output()?;
    ensure!(
        collected.code == 0 && collected.to_string().contains(&uid),
        "{collected}"
    );
    let record = host.read(&format!("/var/lib/ignite/vm/{uid}/network.json"))?;
    ensure!(!record.contains("releasing"), "{record}");
    scene.goes_on(&uid, Fate::Lives)?;
    scene.nothing_left()
}

#[test]
fn an_address_that_is_anothers_by_now_keeps_its_rules() -> Result<()> {
    let scene = Scene::new()?;
    let host = &scene.host;
    let (dead, address) = {
        let uid = create(host, &[])?.ok()?;
        host.ignite(["start", &uid]).ok()?;
        let address = interface(host, &uid)?.1;
        kill_supervisor(host)?;
        (uid, address)
    };
    // Its release was cut off after the address was given back.
    let record = format!("/var/lib/ignite/vm/{dead}/network.json");
    host.sh(&format!(
        "sed -i s/attached/releasing/ {record}; rm /var/lib/cni/networks/*/{address}"
    ))
    .ok()?;
    let other = create(host, &["--ip", &address])?.ok()?;
    host.ignite(["start", &other]).ok()?;
    let rules = || {
        host.sh(&format!("iptables-save -t filter | grep -F {address}/32"))
            .ok()
    };
    let before = rules()?;
    host.ignite(["rm", &dead]).ok()?;
    assert_eq!(rules()?, before);
    host.ignite(["rm", "-f", &other]).ok()?;
    scene.nothing_left()
}

/// A VM that ran, and whose processes were killed.
fn dead(host: &Host) -> Result<String> {
    let uid = create(host, &["-p", "8080:80"])?.ok()?;
    host.ignite(["start", &uid]).ok()?;
    kill_supervisor(host)?;
    Ok(uid)
}
