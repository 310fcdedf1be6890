//! The verbs: what `ignite` and its daemon do.
//!
//! There is no daemon in the way: every verb works with the state on disk, under locks. Nothing here
//! prints; what there is to say goes to a [`Report`], what went wrong into an [`Error`] with a hint.

mod cancel;
mod config;
pub mod configuration;
pub mod doctor;
mod error;
mod grown;
mod image;
mod imports;
pub mod keep;
mod kernel;
pub mod manifest;
mod network;
pub mod overlay;
mod report;
mod termination;
mod timings;
mod vm;

pub use cancel::{Cancel, Cancelled};
pub use config::{Config, DEFAULT_GRACE, Onlooker, StartOptions};
pub use error::Error;
pub use ignite_cni::AttachmentId;
pub use ignite_image::Progress;
pub use ignite_store::journal::Happening;
pub use ignite_store::{Managed, State};
pub use ignite_wire::agent::{ExecRequest, ExitStatus, TerminalSize};
pub use ignite_wire::guest::Terminal;
pub use ignite_wire::processes::Process;
pub use ignite_wire::supervisor::End;
pub use imports::Imported;
pub use network::manage::{
    AttachmentLine, Checkup, Finding, Garbage, GarbageKind, GarbageMode, NetworkDetail,
    NetworkLine, NetworkSeen, Owner, PluginDetail, Readiness, Released, Verdict, VmRef,
};
pub use network::tool::{EnvironmentError, PluginVersions, Tool, ToolEnvironment, ToolStatus};
pub use report::{Report, Silent};
pub use termination::{Inbox, on_termination};
pub use timings::{Phase, PhaseReport, Timings, TimingsReport};
pub use vm::attach::Console;
pub use vm::console::{CONSOLE_PIECE, ConsolePiece, ConsolePlace};
pub use vm::copy::{Attendants, CopyError, CopyOptions, From as CopyFrom, To as CopyTo};
pub use vm::create::{CreateRequest, Created};
pub use vm::exec::{Ended, Local, Streams as ExecStreams, size_of as terminal_size};
pub use vm::list::VmLine;
pub use vm::logs::LogOptions;
pub use vm::prune::{Prune, Pruned};
pub use vm::rates::Rates;
pub use vm::ssh::SshError;
pub use vm::start::Started;
pub use vm::stats::{InterfaceRates, Sample, Usage, rates};
pub use vm::stop::Done;
pub use vm::top::ProcessesError;
pub use vm::update::Changes;
pub use vm::volumes::{VolumeError, volumes_of};

use std::path::PathBuf;

use ignite_store::{Images, Kernels, Vms};

/// All verbs, on one host.
#[derive(Debug)]
pub struct Engine {
    config: Config,
    vms: Vms,
    images: Images,
    kernels: Kernels,
}

impl Engine {
    /// For verbs that change something, which only root may.
    pub fn new(config: Config) -> Result<Self, Error> {
        let engine = Self::for_networks(config)?;
        // Left by a process that died; what cannot be swept is in nobody's way.
        for swept in [
            engine.vms.repair(),
            engine.images.repair(),
            engine.kernels.repair(),
        ] {
            if let Err(error) = swept {
                tracing::warn!(%error, "leftovers stay");
            }
        }
        Ok(engine)
    }

    /// The keys that leave a terminal session where nothing else is said.
    pub fn detach_keys(&self) -> &ignite_api::DetachKeys {
        &self.config.detach_keys
    }

    /// What a new VM has where nothing else is said.
    pub fn vm_defaults(&self) -> &ignite_api::VmSpec {
        &self.config.vm_defaults
    }

    /// For verbs that change networks and nothing of VMs, images and kernels.
    pub fn for_networks(config: Config) -> Result<Self, Error> {
        if !rustix::process::geteuid().is_root() {
            return Err(Error::NotRoot);
        }
        Self::reader(config)
    }

    /// For verbs that only read.
    pub fn reader(config: Config) -> Result<Self, Error> {
        Ok(Self {
            vms: Vms::new(&config.paths),
            images: Images::new(&config.paths),
            kernels: Kernels::new(&config.paths),
            config,
        })
    }
}

/// The VMM this host would use.
#[derive(Debug, Clone, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VmmVersion {
    /// Its kind: `firecracker`, `qemu-kvm`, `qemu-tcg`.
    pub kind: ignite_wire::supervisor::Vmm,
    /// Its program.
    pub program: PathBuf,
    /// What it says of itself.
    pub version: String,
}

/// The VMM this host would use by its configuration; none where there is none.
pub fn vmm_version(config: &Config) -> Option<VmmVersion> {
    use ignite_host::process::{Limits, Spec, run};
    let choice = vm::vmm::choice(config.vm_defaults.vmm.unwrap_or_default());
    let found = ignite_vmm::find_among(choice, &config.vmm_programs).ok()?;
    let output = run(
        Spec::new(&found.program).arg("--version"),
        b"",
        Limits::default(),
    )
    .ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text.lines().next().unwrap_or_default().to_owned();
    Some(VmmVersion {
        kind: found.vmm,
        program: found.program,
        version,
    })
}

/// The wall clock, seconds since the epoch.
pub fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
