//! The networks of a Kubernetes node.

use anyhow::Result;
use ignite_testkit::Host;
use serde_json::{Value, json};

use super::{Idle, network};
use crate::support::{Vm, two_hosts};

/// containerd's own network, what Flannel's plugin makes of its configuration,
/// and the loopback that comes with them.
fn node(host: &Host) -> Result<()> {
    let containerd = json!([
        {
            "type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "promiscMode": true,
            "ipam": {
                "type": "host-local",
                "ranges": [[{ "subnet": "10.88.0.0/16" }], [{ "subnet": "2001:db8:4860::/64" }]],
                "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }],
            },
        },
        { "type": "portmap", "capabilities": { "portMappings": true } },
    ]);
    network(
        host,
        "10-containerd-net.conflist",
        "containerd-net",
        "1.0.0",
        &containerd,
    )?;
    let flannel = json!([
        {
            "type": "bridge", "bridge": "cbr0", "mtu": 1450, "hairpinMode": true, "ipMasq": false,
            "isGateway": true, "isDefaultGateway": true,
            "ipam": {
                "type": "host-local", "subnet": "10.244.1.0/24", "dataDir": "/var/lib/cni/flannel",
                "routes": [{ "dst": "10.244.0.0/16" }],
            },
        },
        {
            "type": "portmap", "capabilities": { "portMappings": true },
            "externalSetMarkChain": "KUBE-MARK-MASQ",
        },
    ]);
    network(host, "20-flannel.conflist", "cbr0", "0.3.1", &flannel)?;
    // kube-proxy's, which it makes itself.
    host.sh("for i in iptables ip6tables; do $i -t nat -N KUBE-MARK-MASQ; $i -t nat -A KUBE-MARK-MASQ -j MARK --or-mark 0x4000; done; iptables -t nat -A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE")
        .ok()?;
    let loopback = json!({ "cniVersion": "0.3.1", "name": "lo", "type": "loopback" });
    host.write("/etc/cni/net.d/99-loopback.conf", loopback.to_string())
}

#[test]
fn vms_beside_pods() -> Result<()> {
    let (_lan, alpha, world) = two_hosts()?;
    node(&alpha)?;
    let idle = Idle::after_use_of(&alpha, &["containerd-net", "cbr0"])?;
    // A pod of each network.
    alpha.sh("ip netns add pod; ip netns add flannelled").ok()?;
    let add = |name: &str, netns: &str| -> Result<Value> {
        let result = alpha
            .ignite(["cni", "add", name, &format!("/run/netns/{netns}")])
            .ok()?;
        Ok(serde_json::from_str(&result)?)
    };
    add("containerd-net", "pod")?;
    add("cbr0", "flannelled")?;

    let _web = world.serve(&[8000])?;
    let one = Vm::run(&alpha, &["-p", "8080:80"])?;
    let both = [
        "--network",
        "cbr0",
        "--network",
        "containerd-net",
        "-p",
        "8081:80",
    ];
    let two = Vm::run(&alpha, &both)?;
    let (one_name, two_name) = (one.hostname()?, two.hostname()?);
    let addresses = |vm: &Vm<'_>| -> Result<Vec<String>> {
        let status = vm.inspect()?["status"]["network"]["ipAddresses"].clone();
        Ok(serde_json::from_value(status)?)
    };
    let (of_one, of_two) = (addresses(&one)?, addresses(&two)?);
    assert!(of_one[0].starts_with("10.88.0.") && of_one[1].starts_with("2001:db8:4860::"));
    assert!(of_two[0].starts_with("10.244.1.") && of_two[1].starts_with("10.88.0."));

    // VM to VM, host to VM, pods to VMs, the world to VMs and back.
    let get = |vm: &Vm<'_>, server: &str| vm.exec(&["testkit-helper", "get", server]).ok();
    assert_eq!(
        get(&one, &format!("{}:80", of_two[1]))?,
        format!("{two_name} 80 {}", of_one[0])
    );
    assert_eq!(
        get(&two, &format!("[{}]:80", of_one[1]))?,
        format!("{one_name} 80 {}", of_two[2])
    );
    for address in [&of_one[0], &of_two[0], &of_two[1]] {
        alpha.get(&format!("{address}:80"))?;
    }
    let from_pod = |pod: &str, address: &str| {
        alpha
            .sh(&format!("ip netns exec {pod} ping -c1 -W3 {address}"))
            .ok()
    };
    from_pod("pod", &of_one[0])?;
    from_pod("pod", &of_one[1])?;
    from_pod("pod", &of_two[1])?;
    from_pod("flannelled", &of_two[0])?;
    one.exec(&["ping", "-c", "1", "-W", "3", "10.88.0.1"])
        .ok()?;
    two.exec(&["ping", "-c", "1", "-W", "3", "10.244.1.1"])
        .ok()?;
    assert_eq!(get(&one, "192.0.2.2:8000")?, "world 8000 192.0.2.1");
    assert!(world.get("192.0.2.1:8080")?.starts_with(&one_name));
    assert!(world.get("192.0.2.1:8081")?.starts_with(&two_name));
    assert_eq!(two.exec(&["cat", "/sys/class/net/eth0/mtu"]).ok()?, "1450");

    // The pods stay; with them gone too, nothing is left.
    for uid in [&one.uid, &two.uid] {
        alpha.ignite(["rm", "-f", uid]).ok()?;
    }
    alpha.ignite(["network", "gc"]).ok()?;
    alpha.sh("ip netns exec pod ping -c1 -W2 10.88.0.1").ok()?;
    alpha
        .sh("ip netns exec flannelled ping -c1 -W2 10.244.1.1")
        .ok()?;
    for (name, netns) in [("containerd-net", "pod"), ("cbr0", "flannelled")] {
        alpha
            .ignite(["cni", "del", name, &format!("/run/netns/{netns}")])
            .ok()?;
        alpha.sh(&format!("ip netns del {netns}")).ok()?;
    }
    idle.again_without(&[])
}
