//! libcni, the library of most container runtimes, and Ignite: what one adds, the
//! other checks and removes, and both at once give no address twice.

use std::time::Duration;

use anyhow::Result;
use ignite_testkit::{Host, Invocation, Running, place};
use serde_json::{Value, json};

const FILE: &str = "/etc/cni/net.d/10-shared.conflist";

/// Long enough for what takes a quarter of a minute on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(300);

/// A host with one network; portmap 1.1.1's CHECK fails without IPv6, whoever asks.
fn host(plugins: &Value) -> Result<Host> {
    let host = Host::bare("alpha")?;
    let network = json!({ "cniVersion": "1.0.0", "name": "shared", "plugins": plugins });
    host.write(FILE, network.to_string())?;
    Ok(host)
}

fn bridge() -> Value {
    json!({
        "type": "bridge", "bridge": "shared0", "isGateway": true, "ipMasq": true,
        "capabilities": { "ips": true, "mac": true },
        "ipam": { "type": "host-local", "subnet": "10.91.0.0/24", "routes": [{ "dst": "0.0.0.0/0" }] },
    })
}

/// libcni's `add`, `check` or `del`.
fn libcni(host: &Host, verb: &str, container: &str, namespace: &str) -> Result<Invocation> {
    let driver = place::built("tools/libcni-driver")?.display().to_string();
    let netns = format!("/run/netns/{namespace}");
    let command = host.command([&driver, verb, FILE, container, &netns, "eth0"]);
    Ok(command.env("CNI_PATH", "/usr/lib/cni"))
}

/// Ours.
fn ignite(host: &Host, verb: &str, container: &str, namespace: &str) -> Invocation {
    let netns = format!("/run/netns/{namespace}");
    host.ignite(["cni", verb, "shared", &netns])
        .env("CNI_CONTAINERID", container)
}

fn cached(host: &Host, container: &str) -> Result<Value> {
    let path = format!("/var/lib/cni/results/shared-{container}-eth0");
    Ok(serde_json::from_str(&host.read(&path)?)?)
}

#[test]
fn each_removes_what_the_other_added() -> Result<()> {
    let host = host(&json!([bridge(), { "type": "firewall" }]))?;
    host.sh("ip netns add one; ip netns add two").ok()?;
    let arguments = |command: Invocation| {
        command
            .env("CNI_ARGS", "IgnoreUnknown=1;MAC=02:00:00:00:00:91")
            .env(
                "CAP_ARGS",
                r#"{"ips":["10.91.0.91/24"],"odd":[1,{"a":null}]}"#,
            )
    };
    // Bridges, chains and the lock of gc stay.
    host.ignite(["network", "gc"]).ok()?;
    for namespace in ["one", "two"] {
        ignite(&host, "add", "first", namespace).ok()?;
        ignite(&host, "del", "first", namespace).ok()?;
    }
    let before = host.traces()?;

    let ours: Value = serde_json::from_str(&arguments(ignite(&host, "add", "c1", "one")).ok()?)?;
    let our_file = cached(&host, "c1")?;
    libcni(&host, "check", "c1", "one")?.ok()?;
    libcni(&host, "del", "c1", "one")?.ok()?;
    host.traces()?.nothing_new(&before)?;

    let added = arguments(libcni(&host, "add", "c1", "one")?).ok()?;
    let theirs: Value = serde_json::from_str(&added)?;
    let their_file = cached(&host, "c1")?;
    ignite(&host, "check", "c1", "one").ok()?;

    // The files say the same, up to the host's interfaces; so do the results.
    let same = |mut one: Value| {
        let interfaces = match one.get("result") {
            Some(_) => &mut one["result"]["interfaces"],
            None => &mut one["interfaces"],
        };
        interfaces[0]["mac"].take();
        interfaces[1].take();
        // Written by libcni since 1.3.
        one.as_object_mut().map(|members| members.remove("netns"));
        one
    };
    assert_eq!(same(our_file), same(their_file));
    assert_eq!(same(ours), same(theirs));

    // Somebody else's attachment is nothing to collect.
    assert_eq!(host.ignite(["network", "gc"]).ok()?, "");
    ignite(&host, "check", "c1", "one").ok()?;
    // Without namespace and file, as after a reboot.
    host.sh(&format!("ip netns del one; mv {FILE} /run/"))
        .ok()?;
    ignite(&host, "del", "c1", "one").ok()?;
    host.sh(&format!("mv /run/10-shared.conflist {FILE}"))
        .ok()?;
    host.traces()?.nothing_new(&before)?;

    // What has changed since is found by either.
    ignite(&host, "add", "c2", "two").ok()?;
    host.sh("ip -n two address flush dev eth0").ok()?;
    for check in [
        ignite(&host, "check", "c2", "two"),
        libcni(&host, "check", "c2", "two")?,
    ] {
        let said = check.output()?;
        assert_eq!(said.code, 1, "{said}");
        assert!(said.stderr.contains("10.91.0."), "{said}");
    }
    // The plugins leave the rules of an address that is gone; ours goes after them.
    ignite(&host, "del", "c2", "two").ok()?;
    host.traces()?.nothing_new(&before)
}

/// Attaches and detaches in turn, with up to three at one time. Every address is
/// marked as taken while its owner has it: a mark that is there fails the loop.
const LOOP: &str = r#"
export CNI_PATH=/usr/lib/cni
member() {
    export CNI_CONTAINERID=$who-$1
    export CAP_ARGS="{\"portMappings\":[{\"hostPort\":$((base + $1)),\"containerPort\":80,\"protocol\":\"tcp\"}]}"
}
attach() {
    member "$1"
    result=$(eval "$add")
    address=$(printf %s "$result" | grep -o '"10\.91\.[0-9.]*/24"' | tr -d '"')
    mkdir "/run/taken/${address%/24}" || { echo "$address is given twice"; exit 1; }
    echo "${address%/24}" > "/run/have/$CNI_CONTAINERID"
}
detach() {
    # libcni does not remember what was asked for at ADD.
    member "$1"
    rmdir "/run/taken/$(cat "/run/have/$CNI_CONTAINERID")"
    eval "$del"
}
n=0
while [ $n -lt 63 ]; do
    netns=/run/netns/$who-$((n % 3))
    if [ $n -ge 3 ]; then detach $((n - 3)); fi
    if [ $n -lt 60 ]; then attach $n; fi
    n=$((n + 1))
done
echo finished
"#;

/// One process after the other, by these commands, beside everybody else.
fn attaches_and_detaches(host: &Host, who: &str, base: u16, verb: &str) -> Result<Running> {
    host.sh(&format!("for n in 0 1 2; do ip netns add {who}-$n; done"))
        .ok()?;
    let named = |action: &str| verb.replace("VERB", action);
    host.sh(LOOP)
        .env("who", who)
        .env("base", base.to_string())
        .env("add", named("add"))
        .env("del", named("del"))
        .start()
}

#[test]
fn two_of_ours_and_libcni_in_parallel_on_one_network() -> Result<()> {
    let portmap = json!({ "type": "portmap", "capabilities": { "portMappings": true } });
    let host = host(&json!([bridge(), portmap, { "type": "firewall" }]))?;
    host.sh("mkdir /run/taken /run/have; ip netns add warm")
        .ok()?;
    let mapping = r#"{"portMappings":[{"hostPort":9,"containerPort":9,"protocol":"tcp"}]}"#;
    ignite(&host, "add", "warm", "warm")
        .env("CAP_ARGS", mapping)
        .ok()?;
    ignite(&host, "del", "warm", "warm").ok()?;
    host.sh("ip netns del warm").ok()?;
    let before = host.traces()?;

    let driver = place::built("tools/libcni-driver")?.display().to_string();
    let ours = format!(
        "{} cni VERB shared $netns",
        place::build("bin/ignite").display()
    );
    let theirs = format!("{driver} VERB {FILE} $CNI_CONTAINERID $netns eth0");
    let loops = [
        attaches_and_detaches(&host, "one", 10_000, &ours)?,
        attaches_and_detaches(&host, "two", 20_000, &ours)?,
        attaches_and_detaches(&host, "lib", 30_000, &theirs)?,
    ];
    for each in loops {
        let said = each.wait(PATIENCE)?.ok()?;
        assert_eq!(said, "finished");
    }
    let had = host
        .sh("ls /run/have | wc -l; ls /run/taken | wc -l")
        .ok()?;
    assert_eq!(had, "180\n0");
    let addresses = host.sh("sort -u /run/have/* | wc -l").ok()?;
    println!("180 ADD and DEL by three callers, {addresses} addresses, none twice at any time");
    host.sh("for n in /run/netns/*; do ip netns del ${n##*/}; done")
        .ok()?;
    host.traces()?.nothing_new(&before)
}
