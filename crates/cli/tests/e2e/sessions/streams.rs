//! Much data through a session, both ways at once.

use std::io::{Read as _, Write as _};
use std::process::Child;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::Host;

use crate::support::Vm;

/// More than every buffer on the way, many times.
const LENGTH: usize = 64 << 20;

/// Bytes that never repeat within a window.
fn pattern(length: usize) -> Vec<u8> {
    let words = (0..length as u64 / 8).map(|word| word.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    words.flat_map(u64::to_le_bytes).collect()
}

#[test]
fn what_goes_in_comes_out_both_ways_at_once() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let sent = pattern(LENGTH);
    let mut child = vm.exec(&["cat"]).child()?;
    let mut input = child.stdin.take().context("its input")?;
    let mut output = child.stdout.take().context("its output")?;
    let feed = sent.clone();
    let feeder = thread::spawn(move || input.write_all(&feed));
    let mut received = Vec::with_capacity(LENGTH);
    output.read_to_end(&mut received)?;
    feeder.join().ok().context("the feeder")??;
    ensure!(child.wait()?.success());
    ensure!(
        received == sent,
        "{} of {LENGTH} bytes came back",
        received.len()
    );
    Ok(())
}

/// More than may wait anywhere on the way, in kB.
const BOUND: u64 = 24 << 10;

/// kB in the memory of the VM's supervisor, and of the agent in the guest.
fn resident(vm: &Vm<'_>) -> Result<[u64; 2]> {
    let script = |name: &str| {
        format!(
            "for p in /proc/[0-9]*; do [ \"$(cat $p/comm)\" = {name} ] && grep VmRSS $p/status && break; done 2>/dev/null | tr -dc 0-9"
        )
    };
    let supervisor = vm.host.sh(&script("ignite-spawn")).ok()?;
    let agent = vm.exec(&["sh", "-c", &script("ignite-agent")]).ok()?;
    Ok([supervisor.trim().parse()?, agent.trim().parse()?])
}

#[test]
fn who_does_not_read_holds_up_who_writes_and_nobody_else() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let before = resident(&vm)?;
    let written = format!("head -c {LENGTH} /dev/zero");
    let mut writer = vm.exec(&["sh", "-c", &written]).child()?;
    let counts = "until [ -e /tmp/go ]; do sleep 1; done; wc -c";
    let mut reader = vm.exec(&["sh", "-c", counts]).child()?;
    let mut input = reader.stdin.take().context("its input")?;
    let feeder = thread::spawn(move || input.write_all(&pattern(LENGTH)));
    // Time to fill whatever is on the way, had it no bounds.
    thread::sleep(Duration::from_secs(5));
    ensure!(!feeder.is_finished(), "{LENGTH} bytes wait somewhere");
    for (before, now) in before.into_iter().zip(resident(&vm)?) {
        ensure!(now < before + BOUND, "{before} kB became {now} kB");
    }
    // Nothing is lost of what waited.
    vm.exec(&["touch", "/tmp/go"]).ok()?;
    assert_eq!(
        read_all(&mut reader)?.trim_ascii(),
        LENGTH.to_string().as_bytes()
    );
    feeder.join().ok().context("the feeder")??;
    assert_eq!(read_all(&mut writer)?.len(), LENGTH);
    ensure!(reader.wait()?.success() && writer.wait()?.success());
    Ok(())
}

fn read_all(child: &mut Child) -> Result<Vec<u8>> {
    let mut received = Vec::new();
    let mut output = child.stdout.take().context("its output")?;
    output.read_to_end(&mut received)?;
    Ok(received)
}
