//! A reboot, as far as what runs on a host can tell.

use std::time::Duration;

use anyhow::{Result, ensure};
use rustix::process::Signal;

use super::Host;
use crate::wait_until;

const SCRIPT: &str = include_str!("reboot.sh");

impl Host {
    /// Ends every process at once, as a power cut does, and takes away all that
    /// does not survive one.
    ///
    /// # Errors
    /// If something stays.
    pub fn reboot(&self) -> Result<()> {
        wait_until("every process to end", Duration::from_secs(10), || {
            let left = self.processes()?;
            left.iter().for_each(|process| process.signal(Signal::KILL));
            ensure!(left.is_empty(), "still there: {left:?}");
            Ok(())
        })?;
        self.sh(SCRIPT).ok().map(drop)
    }
}
