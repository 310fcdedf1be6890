//! Frames sent without an end from the VMM's place into its tap.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::wait_until;

use super::bounds::Meter;
use super::{Place, run};
use crate::spoofing::{IPV4, frame, ipv4};
use crate::support::{SOON, Vm, nothing_left};

/// How many datagrams go each way, and how many a second: nothing repairs the loss of one, and no
/// queue of a second's worth would hide it.
const DATAGRAMS: &str = "1200";
const RATE: &str = "200";

/// Six seconds of them, and more where the machine is busy.
const TAKES: Duration = Duration::from_secs(60);

/// Fewer frames are no flood.
const LEAST: u64 = 10_000;

/// What nobody serves.
const PORT: u16 = 7070;

const MAC: [u8; 6] = [2, 0, 0, 0, 0x61, 0x77];
const OWN: Ipv4Addr = Ipv4Addr::new(10, 61, 0, 119);
const FOREIGN: Ipv4Addr = Ipv4Addr::new(10, 61, 9, 9);
const OTHER_MAC: [u8; 6] = [2, 0, 0, 0, 9, 9];
const GATEWAY: &str = "10.61.0.1";

/// Numbered datagrams between the host and a guest of its, both ways at once: each comes, in order.
fn nothing_is_lost(neighbour: &Vm<'_>) -> Result<()> {
    let host = neighbour.host;
    let port = PORT.to_string();
    let mut there = neighbour
        .exec(&["testkit-helper", "collect", &port, DATAGRAMS])
        .start()?;
    let mut here = host.helper(&["collect", &port, DATAGRAMS])?.start()?;
    for collector in [&mut there, &mut here] {
        collector.wait_for("collecting", SOON)?;
    }
    let (guest, gateway) = (
        format!("{}:{PORT}", neighbour.address()?),
        format!("{GATEWAY}:{PORT}"),
    );
    let to_guest = host.helper(&["pour", &guest, DATAGRAMS, RATE])?.start()?;
    let from_guest = neighbour.exec(&["testkit-helper", "pour", &gateway, DATAGRAMS, RATE]);
    for running in [from_guest.start()?, to_guest, there, here] {
        running.wait(TAKES)?.ok()?;
    }
    Ok(())
}

/// Packets that a link of the VM's sandbox has received so far, as the kernel counts them.
fn received(vm: &Vm<'_>, link: &str) -> Result<u64> {
    let sandbox = format!("ignite-{}", vm.uid);
    let words = ["ip", "netns", "exec", &sandbox, "cat", "/proc/net/dev"];
    let table = vm.host.command(words).ok()?;
    let row = table.lines().find(|line| line.trim().starts_with(link));
    let packets = row.and_then(|row| row.split_whitespace().nth(2));
    Ok(packets
        .with_context(|| format!("no {link} in {table}"))?
        .parse()?)
}

/// Frames that were refused, as the user is shown them.
fn refused(vm: &Vm<'_>) -> Result<u64> {
    let interface = vm.inspect()?["status"]["network"]["interfaces"][0].clone();
    let frames = interface["refused"]["frames"].as_object();
    let kinds = frames.into_iter().flat_map(|kinds| kinds.values());
    Ok(kinds.filter_map(serde_json::Value::as_u64).sum())
}

/// All that comes out of the tap is refused, and counted; but for what is on its way between two looks.
fn all_are_counted(vm: &Vm<'_>) -> Result<()> {
    let (before, shown, after) = (received(vm, "tap0")?, refused(vm)?, received(vm, "tap0")?);
    let is_all = before / 10 * 9 <= shown && shown <= after;
    ensure!(is_all, "{shown} shown of {before} to {after}");
    ensure!(shown > LEAST, "only {shown}");
    Ok(())
}

fn flood(place: Place) -> Result<()> {
    let host = place.host()?;
    let neighbour = Vm::run(&host, &[])?;
    nothing_is_lost(&neighbour).context("before any flood")?;
    let network = "ignite-cni-bridge:ip=10.61.0.119,mac=02:00:00:00:61:77";
    let gateway = host.read("/sys/class/net/ignite0/address")?;
    let gateway = gateway.trim().replace(':', "");
    for (source, mac) in [(FOREIGN, MAC), (OWN, OTHER_MAC), (OWN, MAC)] {
        let mut frame = frame("flood", mac, IPV4, &ipv4(source, 9, 9));
        let is_own = (source, mac) == (OWN, MAC);
        if is_own {
            // What passes is for the gateway: what is for everybody is the neighbour's, too.
            frame.replace_range(..gateway.len(), &gateway);
        }
        let vm = run(
            &host,
            place,
            &["--network", network],
            &format!("standin.flood={frame}"),
        )?;
        let meter = Meter::start(&vm)?;
        nothing_is_lost(&neighbour).with_context(|| format!("{source} {mac:x?}"))?;
        meter.check()?;
        if is_own {
            assert_eq!(refused(&vm)?, 0);
            let sent = received(&vm, "tap0")?;
            ensure!(sent > LEAST, "only {sent}");
        } else {
            wait_until("the drops to be counted", SOON, || all_are_counted(&vm))?;
        }
        host.ignite(["rm", "-f", &vm.uid]).ok()?;
    }
    neighbour.serving()?;
    host.ignite(["rm", "-f", &neighbour.uid]).ok()?;
    nothing_left(&host)
}

#[test]
fn a_flood_from_qemus_place_takes_nothing_from_a_neighbour() -> Result<()> {
    flood(Place::Qemu)
}

#[test]
fn a_flood_from_firecrackers_place_takes_nothing_from_a_neighbour() -> Result<()> {
    flood(Place::Firecracker)
}
