//! What a VM gives back of its memory: from its start on, as changed while it runs, and after its next
//! start.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, wait_until};

use crate::support::{SOON, Vm, nothing_left};

/// A guest takes and gives pages one after the other, and reads them from the disk again.
const PATIENCE: Duration = Duration::from_secs(120);

/// Prints the kB of the host's memory that the only VMM has.
const RESIDENT: &str = "grep VmRSS /proc/$(pgrep -o 'qemu-system|firecracker')/status | tr -dc 0-9";

/// The guest's memory fills with what it wrote, and may forget.
const FILL: &str = "dd if=/dev/zero of=/big bs=1M count=80 2>/dev/null; sync";

/// Waits until the guest has given back so much, as its VMM says.
fn gives_back(vm: &Vm<'_>, size: &str) -> Result<()> {
    wait_until(&format!("the guest to give back {size}"), PATIENCE, || {
        let told = vm.status("balloon")?;
        ensure!(told == size, "it is {told}");
        Ok(())
    })
}

/// MiB that the guest's own driver has taken.
fn taken(vm: &Vm<'_>) -> Result<u64> {
    let text = vm.exec(&["cat", "/proc/vmstat"]).ok()?;
    let pages = |name: &str| -> Result<u64> {
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        Ok(value.with_context(|| format!("no {name}"))?.parse()?)
    };
    Ok((pages("balloon_inflate")? - pages("balloon_deflate")?) / 256)
}

/// kB the guest could use.
fn available(vm: &Vm<'_>) -> Result<u64> {
    let script = "grep MemAvailable /proc/meminfo | tr -dc 0-9";
    Ok(vm.exec(&["sh", "-c", script]).ok()?.parse()?)
}

fn resident(host: &Host) -> Result<u64> {
    Ok(host.sh(RESIDENT).ok()?.trim().parse()?)
}

#[test]
fn a_balloon_gives_memory_back_as_it_is_told() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["--memory", "256MB", "--balloon", "64MB"])?;
    let update = |size: &str| host.ignite(["update", &vm.uid, "--balloon", size]);
    gives_back(&vm, "64MB")?;
    assert_eq!(taken(&vm)?, 64);
    let little = available(&vm)?;

    vm.exec(&["sh", "-c", FILL]).ok()?;
    let before = resident(&host)?;
    update("128MB").ok()?;
    gives_back(&vm, "128MB")?;
    wait_until("the host to have it", SOON, || {
        let now = resident(&host)?;
        ensure!(now + 40 * 1024 < before, "{before} kB before, {now} kB now");
        Ok(())
    })?;
    assert_eq!(vm.inspect()?["spec"]["balloon"], "128MB");

    update("0").ok()?;
    gives_back(&vm, "0B")?;
    assert_eq!(taken(&vm)?, 0);
    let much = available(&vm)?;
    ensure!(much > little + 50 * 1024, "{little} kB, then {much} kB");
    update("200MB")
        .output()?
        .refused(2, &["less than 64MB", "at most 192MB"])?;

    update("96MB").ok()?;
    gives_back(&vm, "96MB")?;
    vm.verb("stop")?;
    vm.verb("start")?;
    vm.serving()?;
    gives_back(&vm, "96MB")?;
    assert_eq!(taken(&vm)?, 96);
    vm.verb("stop")?;
    vm.verb("rm")?;
    nothing_left(&host)
}
