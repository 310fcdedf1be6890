//! What the page shows, asked of the engine.

use ignite_api::Uid;
use ignite_engine::overlay::OverlaySeen;
use ignite_engine::{ConsolePiece, ConsolePlace, Engine, Error, NetworkSeen, Sample, VmLine};
use ignite_host::error::chain;
use serde::Serialize;

/// All that is, but for what changes each second.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The host's name.
    pub host: String,
    /// The VMs.
    pub vms: Vec<VmLine>,
    /// The networks, with who is on them.
    pub networks: Vec<NetworkSeen>,
    /// The overlays this host is in.
    pub overlays: Vec<OverlaySeen>,
    /// What could not be read, in words.
    pub faults: Vec<String>,
}

impl State {
    /// Those whose VMM there is to ask.
    pub fn running(&self) -> Vec<Uid> {
        let live = self
            .vms
            .iter()
            .filter(|vm| matches!(vm.state, "running" | "paused" | "starting"));
        live.map(|vm| vm.uid).collect()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// There is no such VM.
    #[error("there is no such VM")]
    Gone,
    /// Something failed.
    #[error("{0}")]
    Failed(String),
}

/// Whoever knows.
pub trait Source: Send + Sync + 'static {
    /// All that is.
    fn state(&self) -> Result<State, Trouble>;

    /// What a VM has used until now; none where it does not say.
    fn sample(&self, uid: Uid) -> Option<Sample>;

    /// All that is known of a VM, as JSON.
    fn vm(&self, uid: Uid) -> Result<String, Trouble>;

    /// A VM's console from `place` on.
    fn console(&self, uid: Uid, place: ConsolePlace) -> Result<ConsolePiece, Trouble>;
}

impl Source for Engine {
    fn state(&self) -> Result<State, Trouble> {
        let (mut vms, mut faults) = self.list(true)?;
        faults.extend(self.add_interfaces(&mut vms));
        let (networks, broken) = self.networks_seen()?;
        // The records of VMs are read for both.
        faults.extend(broken);
        faults.dedup();
        let overlays = self.overlays();
        let overlays = overlays
            .iter()
            .filter_map(|name| self.overlay_seen(name).ok());
        Ok(State {
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            vms,
            networks,
            overlays: overlays.collect(),
            faults,
        })
    }

    fn sample(&self, uid: Uid) -> Option<Sample> {
        Engine::sample(self, uid.as_str()).ok()
    }

    fn vm(&self, uid: Uid) -> Result<String, Trouble> {
        let vm = self.look_at(uid)?;
        serde_json::to_string(&vm).map_err(|error| Trouble::Failed(error.to_string()))
    }

    fn console(&self, uid: Uid, place: ConsolePlace) -> Result<ConsolePiece, Trouble> {
        Ok(Engine::console(self, uid, place)?)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) if error.is_not_found() => Self::Gone,
            error => Self::Failed(chain(&error)),
        }
    }
}
