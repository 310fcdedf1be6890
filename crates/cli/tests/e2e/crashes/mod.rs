//! Processes killed anywhere: after each kill the next command works, and when
//! the VM is removed nothing of it is left.
//!
//! Engine, supervisor and CNI plugins are the real ones; the VMM is the
//! stand-in, but for a sample of the kills.

mod after;
pub mod random;
mod rates;
pub mod reboot;
pub mod scenes;
pub mod steps;
mod vanished;
mod volumes;

use anyhow::{Context as _, Result};
use ignite_testkit::host::traces::Traces;
use ignite_testkit::{Host, Invocation, boot, place};

use crate::support::{BOOT, SMALL};

/// The plugins of the default network, with those they run.
const PLUGINS: &[&str] = &["bridge", "host-local", "portmap", "firewall"];

/// A host for kills, and what there is on it while there is no VM.
pub struct Scene {
    host: Host,
    before: Traces,
    /// What every VM of the matrix is created with besides.
    options: &'static [&'static str],
    /// A script that gives back what was made for them on the machine.
    ending: &'static str,
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.host.sh(self.ending).ok();
    }
}

impl Scene {
    /// A host with the stand-in VMM, on which one VM has lived and is gone: what
    /// the first one makes for all others stays.
    fn new() -> Result<Self> {
        let host = Host::with_stand_in("alpha")?;
        host.wrap_plugins(PLUGINS)?;
        Self::upon(host)
    }

    /// `create` of a VM of the matrix, not yet run.
    fn creation(&self, options: &[&str]) -> Result<Invocation> {
        creation(&self.host, &[self.options, options].concat())
    }

    /// The same on a host of any kind.
    fn upon(host: Host) -> Result<Self> {
        let uid = create(&host, &["-p", "8080:80"])?.ok()?;
        let slot = boot::slot()?;
        host.ignite(["start", &uid]).deadline(BOOT).ok()?;
        drop(slot);
        host.ignite(["rm", "-f", &uid]).ok()?;
        host.ignite(["network", "gc"]).ok()?;
        let before = host.traces()?;
        Ok(Self {
            host,
            before,
            options: &[],
            ending: "",
        })
    }
}

/// `create`, not yet run.
fn creation(host: &Host, options: &[&str]) -> Result<Invocation> {
    let image = place::image("busy")?;
    let words = ["create", "--memory", SMALL].into_iter();
    let words = words.chain(options.iter().copied());
    Ok(host.ignite(words.chain([image.as_str()])))
}

fn create(host: &Host, options: &[&str]) -> Result<ignite_testkit::Output> {
    creation(host, options)?.output()
}

/// The state `ps` tells of a VM; none where there is no such VM.
fn state(host: &Host, uid: &str) -> Result<Option<String>> {
    let text = host.ignite(["ps", "-a", "-o", "json"]).ok()?;
    let vms: serde_json::Value =
        serde_json::from_str(&text).with_context(|| format!("ps printed {text}"))?;
    let vm = vms
        .as_array()
        .context("ps prints a list")?
        .iter()
        .find(|vm| vm["uid"] == uid);
    Ok(vm.and_then(|vm| vm["state"].as_str()).map(str::to_owned))
}
