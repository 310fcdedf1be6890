//! `ignite cni`: what CNI's own tool does, with the distribution's plugins.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, place, wait_until};
use serde_json::{Value, json};

use crate::support::{SOON, nothing_left, two_hosts};

/// A network of the distribution's plugins.
fn network(name: &str, version: &str) -> Value {
    json!({
        "cniVersion": version, "name": name, "plugins": [
            {
                "type": "bridge", "bridge": "tool0", "isGateway": true, "ipMasq": true,
                "capabilities": { "ips": true, "mac": true },
                "ipam": { "type": "host-local", "subnet": "10.77.0.0/16", "routes": [{ "dst": "0.0.0.0/0" }] },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
            { "type": "firewall" },
        ],
    })
}

fn host_with(file: &str, network: &Value) -> Result<Host> {
    let host = Host::bare("alpha")?;
    host.write(&format!("/etc/cni/net.d/{file}"), network.to_string())?;
    Ok(host)
}

/// Nothing of an attachment, but for what plugins share and keep.
fn nothing_attached(host: &Host) -> Result<()> {
    let traces = host
        .sh(
            "find /var/lib/cni/results -type f 2>/dev/null || true; find /var/lib/cni/networks -name '[0-9]*.*' 2>/dev/null || true
             iptables-save | grep -E 'id: |--to-destination|CNI-FORWARD -[sd]' || true; ls /sys/class/net | grep veth || true",
        )
        .ok()?;
    assert_eq!(traces, "");
    Ok(())
}

#[test]
fn a_bare_namespace_is_attached_checked_and_detached() -> Result<()> {
    let host = host_with("10-tool.conflist", &network("tool", "1.0.0"))?;
    host.sh("ip netns add blue").ok()?;
    let added = host
        .ignite(["cni", "add", "tool", "/run/netns/blue"])
        .output()?;
    let result: Value = serde_json::from_str(&added.clone().ok()?)
        .with_context(|| format!("the result is JSON: {added}"))?;
    assert_eq!(result["cniVersion"], "1.0.0");
    assert_eq!(result["ips"][0]["address"], "10.77.0.2/16");
    let interface = &result["interfaces"][2];
    assert_eq!(
        (&interface["name"], &interface["sandbox"]),
        (&json!("eth0"), &json!("/run/netns/blue"))
    );
    host.sh("ip netns exec blue ping -c1 -W2 10.77.0.1").ok()?;

    // The file is libcni's, the container ID its tool's.
    let id = host
        .sh("printf %s /run/netns/blue | sha512sum | cut -c1-20")
        .ok()?;
    let cached = host.read(&format!("/var/lib/cni/results/tool-cnitool-{id}-eth0"))?;
    let cached: Value = serde_json::from_str(&cached)?;
    assert_eq!(cached["kind"], "cniCacheV1");

    host.ignite(["cni", "check", "tool", "/run/netns/blue"])
        .ok()?;
    host.ignite(["cni", "add", "tool", "/run/netns/../netns/blue"])
        .output()?
        .refused(1, &["attached"])?;
    host.sh("ip -n blue address del 10.77.0.2/16 dev eth0")
        .ok()?;
    host.ignite(["cni", "check", "tool", "/run/netns/blue"])
        .output()?
        .refused(1, &["bridge", "CHECK"])?;
    for _ in 0..2 {
        assert_eq!(
            host.ignite(["cni", "del", "tool", "/run/netns/blue"])
                .ok()?,
            ""
        );
    }
    nothing_attached(&host)
}

#[test]
fn arguments_come_from_the_tools_variables() -> Result<()> {
    let (_lan, host, world) = two_hosts()?;
    host.write(
        "/srv/nets/10-tool.conflist",
        network("tool", "0.4.0").to_string(),
    )?;
    host.sh("ip netns add blue").ok()?;
    let mapping = json!({
        "portMappings": [{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }],
        "mac": "02:00:00:00:00:99",
    });
    let add = |ifname: &str| {
        host.ignite(["cni", "add", "tool", "/run/netns/blue"])
            .env("NETCONFPATH", "/srv/nets")
            .env("CNI_PATH", "/nowhere:/usr/lib/cni")
            .env("CNI_ARGS", "IgnoreUnknown=1;IP=10.77.0.50")
            .env("CAP_ARGS", mapping.to_string())
            .env("CNI_IFNAME", ifname)
    };
    let result: Value = serde_json::from_str(&add("net7").ok()?)?;
    assert_eq!(result["ips"][0]["address"], "10.77.0.50/16");
    let links = host.sh("ip -n blue -o link show net7").ok()?;
    assert!(links.contains("02:00:00:00:00:99"), "{links}");
    let helper = ignite_testkit::place::helper()?;
    let serve = format!("ip netns exec blue {} serve 80", helper.display());
    let mut service = host.sh(&serve).start()?;
    service.wait_for("serving", std::time::Duration::from_secs(10))?;
    assert!(world.get("192.0.2.1:8080")?.contains(" 80 "));
    drop(service);

    add("").output()?.refused(1, &["interface name"])?;
    let bad = |name: &str, value: &str| {
        host.ignite(["cni", "add", "tool", "/run/netns/blue"])
            .env(name, value)
            .output()
    };
    bad("CNI_ARGS", "IP")?.refused(2, &["CNI_ARGS"])?;
    bad("CAP_ARGS", "[1]")?.refused(2, &["CAP_ARGS"])?;

    // The address is asked for once; DEL takes the rest from the cache.
    host.ignite(["cni", "del", "tool", "/run/netns/blue"])
        .env("NETCONFPATH", "/srv/nets")
        .env("CNI_IFNAME", "net7")
        .ok()?;
    assert!(world.get("192.0.2.1:8080").is_err());
    nothing_attached(&host)
}

#[test]
fn everything_can_be_gone_at_del() -> Result<()> {
    let host = host_with("10-tool.conflist", &network("tool", "1.0.0"))?;
    host.sh("ip netns add blue").ok()?;
    host.ignite(["cni", "add", "tool", "/run/netns/blue"])
        .ok()?;
    host.sh("ip netns del blue; rm /etc/cni/net.d/10-tool.conflist")
        .ok()?;
    // The plugins leave the rules of an interface they cannot look at.
    host.ignite(["cni", "del", "tool", "/run/netns/blue"])
        .ok()?;
    nothing_attached(&host)?;
    host.ignite(["cni", "del", "tool", "/run/netns/blue"])
        .output()?
        .complains(&["tool"])
}

#[test]
fn errors_say_what_the_plugin_said() -> Result<()> {
    let host = host_with("10-tool.conflist", &network("tool", "1.0.0"))?;
    host.write("/etc/cni/net.d/05-broken.conflist", "{ not json")?;
    host.ignite(["cni", "add", "tool", "/run/netns/none"])
        .output()?
        .refused(1, &["/run/netns/none", "bridge", "05-broken.conflist"])?;
    host.ignite(["cni", "add", "other", "/run/netns/none"])
        .output()?
        .refused(1, &["other", "tool"])?;
    nothing_attached(&host)
}

#[test]
fn gc_releases_all_but_what_is_kept() -> Result<()> {
    let host = host_with("10-tool.conflist", &network("tool", "1.0.0"))?;
    for name in ["one", "two", "three"] {
        host.sh(&format!("ip netns add {name}")).ok()?;
        host.ignite(["cni", "add", "tool", &format!("/run/netns/{name}")])
            .env("CNI_CONTAINERID", name)
            .ok()?;
    }
    let released = host
        .ignite(["cni", "gc", "tool", "--keep", "two/eth0"])
        .ok()?;
    assert_eq!(released, "one/eth0\nthree/eth0");
    assert_eq!(host.sh("ls /var/lib/cni/results").ok()?, "tool-two-eth0");
    // As CNI's own tool: nothing is said to be valid, and a namespace is not looked at.
    let released = host.ignite(["cni", "gc", "tool", "/run/netns/two"]).ok()?;
    assert_eq!(released, "two/eth0");
    nothing_attached(&host)
}

#[test]
fn gc_spares_vms_of_another_data_directory() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    // Its VMs are known by the locks in /run alone.
    host.sh(
        "mkdir /var/lib/other; cp -a /var/lib/ignite/image /var/lib/ignite/kernel /var/lib/other/",
    )
    .ok()?;
    let image = place::image("busy")?;
    let other = |words: &[&str]| host.ignite([&["--data-dir", "/var/lib/other"], words].concat());
    let uid = other(&["run", "--quiet", &image]).ok()?;
    let cached = format!("ignite-cni-bridge-ignite-{uid}-eth0");
    let gc = || host.ignite(["cni", "gc", "ignite-cni-bridge"]).ok();
    assert_eq!(gc()?, "");
    assert_eq!(host.sh("ls /var/lib/cni/results").ok()?, cached);

    // Nobody's, once its supervisor is gone.
    host.sh("pkill -KILL ignite-spawn").ok()?;
    let released = wait_until("a VM that does not live", SOON, || {
        let released = gc()?;
        ensure!(!released.is_empty(), "nothing is released");
        Ok(released)
    })?;
    assert_eq!(released, format!("ignite-{uid}/eth0"));
    other(&["rm", "-f", &uid]).ok()?;
    nothing_left(&host)
}

#[test]
fn versions_and_status() -> Result<()> {
    let host = host_with("10-tool.conflist", &network("tool", "1.0.0"))?;
    let text = host.ignite(["cni", "version", "tool", "-o", "json"]).ok()?;
    let plugins: Value = serde_json::from_str(&text)?;
    let names: Vec<&str> = plugins
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|plugin| plugin["plugin"].as_str())
        .collect();
    assert_eq!(names, ["bridge", "host-local", "portmap", "firewall"]);
    assert_eq!(plugins[0]["program"], "/usr/lib/cni/bridge");
    assert!(
        plugins[0]["versions"]
            .as_array()
            .is_some_and(|all| all.contains(&json!("1.0.0")))
    );
    let status = host.ignite(["cni", "status", "tool"]).output()?;
    assert!(status.stderr.contains("1.1.0"), "{status}");
    assert_eq!((status.code, status.stdout.as_str()), (0, ""));

    host.write(
        "/etc/cni/net.d/20-none.conflist",
        json!({"cniVersion": "1.0.0", "name": "none", "plugins": [{ "type": "nobody" }]})
            .to_string(),
    )?;
    let missing = host.ignite(["cni", "version", "none"]).output()?;
    assert_eq!(missing.code, 1, "{missing}");
    assert!(missing.stderr.contains("nobody"), "{missing}");
    Ok(())
}
