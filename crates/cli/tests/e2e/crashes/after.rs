//! What must hold after a kill, whatever was killed.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::wait_until;

use super::scenes::has_gift;
use super::{Scene, state};
use crate::support::SOON;

/// What ends by itself after the last command: processes that are being killed.
const SETTLE: Duration = Duration::from_secs(10);

/// What becomes of a VM one of whose processes was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It runs, or can be started.
    Lives,
    /// It may be gone, as was asked for.
    MayBeGone,
    /// It cannot be started at all.
    NeverRuns,
}

impl Scene {
    /// The VM works or can be started at once, whatever it is in the middle of,
    /// unless its fate is another. Then it is removed.
    pub fn goes_on(&self, uid: &str, fate: Fate) -> Result<()> {
        let running = self.truth(uid)?.is_some_and(|state| state == "running");
        if fate == Fate::Lives && !running {
            self.starts(uid)?;
            ensure!(!has_gift(&self.host)?, "its files are still to come");
        }
        let removed = self.host.ignite(["rm", "-f", uid]).output()?;
        let gone = fate == Fate::MayBeGone && removed.stderr.contains("there is no VM");
        ensure!(removed.code == 0 || gone, "it cannot be removed: {removed}");
        Ok(())
    }

    /// The state `ps` tells, once it is one that stays: a VM that runs answers.
    fn truth(&self, uid: &str) -> Result<Option<String>> {
        wait_until("ps to tell the truth", SOON, || {
            let state = state(&self.host, uid)?;
            if state.as_deref() == Some("running") {
                self.host.ignite(["exec", uid, "--", "true"]).ok()?;
            }
            anyhow::Ok(state)
        })
    }

    /// `start` works; or says that the VM runs, and it does.
    fn starts(&self, uid: &str) -> Result<()> {
        let started = self.host.ignite(["start", uid]).output()?;
        ensure!(
            started.code == 0 || started.stderr.contains("running"),
            "it cannot be started: {started}"
        );
        wait_until("the VM to run", SOON, || {
            self.host
                .ignite(["exec", uid, "--", "true"])
                .ok()
                .with_context(|| format!("after {started}"))
        })
        .map(drop)
    }

    /// No VM, and nothing of one once garbage was collected.
    pub fn nothing_left(&self) -> Result<()> {
        self.host.ignite(["network", "gc"]).ok()?;
        let listed = self.host.ignite(["ps", "-a", "-q"]).ok()?;
        ensure!(listed.is_empty(), "there is still {listed}");
        wait_until("every trace to go", SETTLE, || {
            self.host.traces()?.nothing_new(&self.before)
        })
    }
}
