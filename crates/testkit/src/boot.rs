//! How many VMs boot at one time, over all tests and test processes: a boot
//! without hardware virtualisation takes both cores of a small machine, and a
//! dozen at once would run into one another's time limits.

use std::fs::File;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::place;

/// The right to boot a VM, until dropped.
pub struct Slot {
    _lock: File,
}

/// Waits for a slot. They are lock files, so a killed test gives its slot back.
///
/// # Errors
/// If the lock files cannot be made.
pub fn slot() -> Result<Slot> {
    let directory = place::build("e2e/slots");
    std::fs::create_dir_all(&directory).context("cannot make the directory of boot slots")?;
    let slots: Vec<File> = (0..count())
        .map(|number| File::create(directory.join(number.to_string())))
        .collect::<std::io::Result<_>>()
        .context("cannot open the boot slots")?;
    loop {
        if let Some(free) = slots.iter().position(|slot| slot.try_lock().is_ok()) {
            let lock = slots.into_iter().nth(free).context("the slot just found")?;
            return Ok(Slot { _lock: lock });
        }
        thread::sleep(Duration::from_millis(100));
    }
}

/// One for each processor, two at least: one VM's boot is not parallel.
fn count() -> usize {
    thread::available_parallelism().map_or(2, |count| count.get().max(2))
}
