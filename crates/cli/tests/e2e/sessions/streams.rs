//! Much data through a session, both ways at once.

use std::io::{Read as _, Write as _};
use std::thread;

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
