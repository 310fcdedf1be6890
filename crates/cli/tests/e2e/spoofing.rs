//! What a guest sends in another's name reaches no one, is counted, and can be allowed.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, place, wait_until};
use serde_json::Value;

use crate::support::{SOON, Vm};

/// Every frame of these tests holds it, and behind it the frame's name.
const WORD: &str = "TRACER:";

const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 0x66, 1];
const FOREIGN: Ipv4Addr = Ipv4Addr::new(10, 61, 9, 5);
const ARP: u16 = 0x0806;
pub(crate) const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
/// Bytes of the IPv6 frames: what is in them is 48 bytes long.
const IPV6_LEN: usize = 14 + 40 + 48;

/// A frame to everybody that ends in its name.
pub(crate) fn frame(name: &str, source: [u8; 6], protocol: u16, payload: &[u8]) -> String {
    let mut frame = vec![0xff; 6];
    frame.extend(source);
    frame.extend(protocol.to_be_bytes());
    frame.extend(payload);
    frame.extend(WORD.bytes().chain(name.bytes()).chain([0]));
    let least = if protocol == IPV6 { IPV6_LEN } else { 60 };
    frame.resize(frame.len().max(least), 0);
    hex::encode(frame)
}

/// An answer: `address` is at `sender`.
fn arp(sender: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    let head = [0, 1, 8, 0, 6, 4, 0, 2];
    [
        &head[..],
        &sender,
        &address.octets(),
        &[0xff; 6],
        &[10, 61, 0, 1],
    ]
    .concat()
}

/// UDP to everybody, as long as the shortest frame. Bridges look whether the header is right.
pub(crate) fn ipv4(source: Ipv4Addr, from: u16, to: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0];
    packet.extend(source.octets());
    packet.extend([255; 4]);
    let words = packet
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum: u32 = words.sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(from.to_be_bytes());
    packet.extend(to.to_be_bytes());
    packet.extend([0, 26, 0, 0]);
    packet
}

/// ICMPv6 to all nodes.
fn ipv6(source: Ipv6Addr, kind: u8, target: Ipv6Addr) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 48, 58, 255];
    packet.extend(source.octets());
    packet.extend(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1).octets());
    packet.extend([kind, 0, 0, 0, 0, 0, 0, 0]);
    packet.extend(target.octets());
    packet
}

/// Made of the MAC, as the guest's kernel does.
fn link_local([a, b, c, d, e, f]: [u8; 6]) -> Ipv6Addr {
    let bytes = [
        0xfe,
        0x80,
        0,
        0,
        0,
        0,
        0,
        0,
        a ^ 2,
        b,
        c,
        0xff,
        0xfe,
        d,
        e,
        f,
    ];
    bytes.into()
}

fn mac(vm: &Vm<'_>) -> Result<[u8; 6]> {
    let text = vm.exec(&["cat", "/sys/class/net/eth0/address"]).ok()?;
    let bytes = hex::decode(text.replace(':', ""))?;
    bytes.try_into().ok().context("six bytes")
}

fn send(vm: &Vm<'_>, frames: &[String]) -> Result<()> {
    let frames = frames.iter().map(String::as_str);
    let words: Vec<&str> = ["testkit-helper", "send", "eth0"]
        .into_iter()
        .chain(frames)
        .collect();
    vm.exec(&words).ok().map(drop)
}

/// The refused frames of its first interface by kind, once there are as many in all.
fn refused(vm: &Vm<'_>, least: u64) -> Result<Value> {
    wait_until("the refused frames", SOON, || {
        let refused = vm.inspect()?["status"]["network"]["interfaces"][0]["refused"].clone();
        let frames = refused["frames"].as_object().context("no frames")?;
        let total: u64 = frames.values().filter_map(Value::as_u64).sum();
        ensure!(total >= least, "only {refused}");
        Ok(refused)
    })
}

#[test]
fn what_is_not_the_guests_own_reaches_no_one_and_is_counted() -> Result<()> {
    let host = Host::new("alpha")?;
    let (vm, neighbour) = (Vm::run(&host, &[])?, Vm::run(&host, &[])?);
    let mut bridge = host.helper(&["sniff", WORD])?.start()?;
    bridge.wait_for("sniffing", SOON)?;
    let mut inside = neighbour.exec(&["testkit-helper", "sniff", WORD]).start()?;
    inside.wait_for("sniffing", SOON)?;

    let own_mac = mac(&vm)?;
    let own: Ipv4Addr = vm.address()?.parse()?;
    let neighbours: Ipv4Addr = neighbour.address()?.parse()?;
    let global: Ipv6Addr = "2001:db8::5".parse()?;
    let link_local = link_local(own_mac);
    let tagged = [&[0, 5, 8, 0][..], &ipv4(own, 1, 2)].concat();
    send(
        &vm,
        &[
            frame("mac", OTHER_MAC, IPV4, &ipv4(own, 1, 2)),
            frame("arp", own_mac, ARP, &arp(own_mac, neighbours)),
            frame("arp-mac", own_mac, ARP, &arp(OTHER_MAC, own)),
            frame("ipv4", own_mac, IPV4, &ipv4(FOREIGN, 1, 2)),
            frame("dhcp-server", own_mac, IPV4, &ipv4(own, 67, 68)),
            frame("ipv6", own_mac, IPV6, &ipv6(global, 128, global)),
            frame(
                "advertisement",
                own_mac,
                IPV6,
                &ipv6(link_local, 136, global),
            ),
            frame("router", own_mac, IPV6, &ipv6(link_local, 134, global)),
            frame("vlan", own_mac, 0x8100, &tagged),
            frame("own-arp", own_mac, ARP, &arp(own_mac, own)),
            frame("own-ipv4", own_mac, IPV4, &ipv4(own, 1, 2)),
        ],
    )?;
    for sniffer in [&mut bridge, &mut inside] {
        sniffer.wait_for("seen own-ipv4", SOON)?;
        let said = sniffer.said();
        let seen: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with("seen"))
            .collect();
        let own = |line: &&str| line.starts_with("seen own-");
        assert!(seen.iter().all(own), "{said}");
        assert!(said.contains("seen own-arp"), "{said}");
    }

    let refused = refused(&vm, 9)?;
    let least = [
        ("mac", 1),
        ("arp", 2),
        ("ipv4", 2),
        ("ipv6", 1),
        ("neighbour", 2),
    ];
    for (kind, least) in least {
        let count = refused["frames"][kind].as_u64();
        assert!(count >= Some(least), "{kind}: {refused}");
    }
    let addresses = refused["addresses"].to_string();
    assert!(addresses.contains(&FOREIGN.to_string()), "{refused}");
    assert!(!addresses.contains(&own.to_string()), "{refused}");

    // Said where people look, with what to do.
    let said = host.ignite(["ps"]).output()?.stderr;
    let name = vm.inspect()?["metadata"]["name"].clone();
    let name = name.as_str().context("a name")?;
    assert!(said.contains(name) && said.contains("10.61.9.5"), "{said}");
    assert!(said.contains("--network ignite-cni-bridge:"), "{said}");
    assert!(said.contains("allow=10.61.9.5/32"), "{said}");
    // Who behaves is not spoken of.
    let other = neighbour.inspect()?;
    assert_eq!(
        other["status"]["network"]["interfaces"][0].get("refused"),
        None
    );
    Ok(())
}

#[test]
fn an_allowed_prefix_is_the_guests_own() -> Result<()> {
    let host = Host::new("alpha")?;
    let option = ["--network", "ignite-cni-bridge:allow=10.61.9.0/24"];
    // The default network is written by the first VM.
    let first = Vm::run(&host, &[])?;
    let vm = Vm::run(&host, &option)?;
    let mut bridge = host.helper(&["sniff", WORD])?.start()?;
    bridge.wait_for("sniffing", SOON)?;
    let own_mac = mac(&vm)?;
    let beside = Ipv4Addr::new(10, 61, 8, 5);
    send(
        &vm,
        &[
            frame("beside", own_mac, IPV4, &ipv4(beside, 1, 2)),
            frame("beside-arp", own_mac, ARP, &arp(own_mac, beside)),
            frame("permitted-arp", own_mac, ARP, &arp(own_mac, FOREIGN)),
            frame("allowed", own_mac, IPV4, &ipv4(FOREIGN, 1, 2)),
        ],
    )?;
    bridge.wait_for("seen allowed", SOON)?;
    assert!(
        bridge.said().contains("seen permitted-arp"),
        "{}",
        bridge.said()
    );
    assert!(!bridge.said().contains("beside"), "{}", bridge.said());

    // An address configured in the guest works both ways.
    vm.exec(&["ip", "address", "add", "10.61.9.5/16", "dev", "eth0"])
        .ok()?;
    let answer = wait_until("the static address", SOON, || host.get("10.61.9.5:80"))?;
    assert!(answer.starts_with(&vm.hostname()?), "{answer}");
    first
        .exec(&["ip", "address", "add", "10.61.9.6/16", "dev", "eth0"])
        .ok()?;
    assert!(host.get("10.61.9.6:80").is_err());
    Ok(())
}

/// systemd-networkd, told to believe in nothing but router advertisements and DHCPv6.
#[test]
fn an_image_that_asks_gets_routes_and_addresses_of_ipv6() -> Result<()> {
    let host = Host::new("alpha")?;
    let list = serde_json::json!({
        "cniVersion": "1.0.0", "name": "dual", "plugins": [{
            "type": "bridge", "bridge": "dual0", "isGateway": true,
            "dns": { "nameservers": ["fd00:73::53"], "search": ["dual.example"] },
            "ipam": {
                "type": "host-local",
                "ranges": [[{ "subnet": "10.73.0.0/24" }], [{ "subnet": "fd00:73::/64" }]],
                "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }],
            },
        }],
    });
    host.write("/etc/cni/net.d/10-dual.conflist", list.to_string())?;
    let vm = Vm::run_image(
        &host,
        &["--memory", "256MB", "--cpus", "2"],
        &place::image("systemd")?,
        &[],
    )?;
    let addresses = vm.inspect()?["status"]["network"]["ipAddresses"].clone();
    let address = addresses[1].as_str().context("an IPv6 address")?;
    let mut bridge = host.helper(&["sniff", "\u{2}\"\u{2}#"])?.start()?;
    bridge.wait_for("sniffing", SOON)?;
    let script = "printf '[Match]\\nName=eth0\\n[Network]\\nDHCP=yes\\nIPv6AcceptRA=yes\\n' > /etc/systemd/network/00-test.network
        systemctl restart systemd-networkd";
    let up = std::time::Duration::from_secs(240);
    wait_until("systemd-networkd", up, || {
        vm.exec(&["sh", "-c", script]).ok()
    })?;
    wait_until("address and routes", up, || {
        let shown = vm
            .exec(&["ip", "-6", "address", "show", "dev", "eth0"])
            .ok()?;
        let routes = vm.exec(&["ip", "-6", "route"]).ok()?;
        ensure!(
            shown.contains(&format!("{address}/128")),
            "{shown}\n{routes}"
        );
        let default = "default via fe80::69:67ff:fe6e:6974 dev eth0 proto ra";
        ensure!(routes.contains(default), "{routes}");
        Ok(())
    })?;
    // The way out leads to the bridge, whose address is of another name.
    host.command(["ip", "address", "add", "2001:db8::1/128", "dev", "lo"])
        .ok()?;
    let _service = host.serve(&[8000])?;
    let answer = wait_until("an answer from beyond the gateway", SOON, || {
        vm.exec(&["testkit-helper", "get", "[2001:db8::1]:8000"])
            .ok()
    })?;
    assert_eq!(answer, format!("alpha 8000 {address}"));
    assert!(!bridge.said().contains("seen"), "DHCPv6 on the network");
    Ok(())
}
