//! The initramfs's `/init`: from a bare kernel to the user's program.
//!
//! ```text
//!   /dev /proc /sys -> configuration -> modules -> clock -> network -> root -> volumes -> agent: ready
//!   -> root becomes /, grown, with its modules, files of /etc -> agent takes requests
//!   -> the image's init, or our own (`init`)
//! ```
//!
//! The host hears of the agent as soon as nothing can fail any more; what a program in the guest
//! would miss is made while the host does its part, and before any program runs.
//!
//! Anything that fails on the way is said on the console and to the supervisor, and powers the VM
//! off: a guest without its network or its disk is of no use, and a hung one tells nobody why.

mod devices;
mod disk;
mod etc;
mod files;
mod handover;
mod modules;
mod network;
mod volumes;

use std::convert::Infallible;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use ignite_wire::agent::{Frame, Message, PowerAction};
use ignite_wire::guest::{CONFIG_PATH, CONFIG_VERSION, Config, Transport};
use rustix::mount::MountFlags;
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};
use serde::Deserialize;
use thiserror::Error;

use crate::agent::Port;
use crate::machine::Machine;
use crate::root::Root;
use crate::{console, power};

pub use devices::AGENT_ADDRESS;

/// Modules without which the guest does not start, in the initramfs.
const MODULES: &str = "/lib/ignite/modules";

/// Modules that carry the agent's stream where it goes over vsock.
const VSOCK_MODULES: &str = "/lib/ignite/modules/vsock";

/// Modules that user space may want, but can wait for.
const LATE_MODULES: &str = "/lib/ignite/modules/late";

/// How long the supervisor may take to hear why there will be no agent.
const TELL_WITHIN: Duration = Duration::from_secs(1);

/// Where the initramfs mounts the VM's root file system.
const ROOT: &str = "/sysroot";

/// Why a VM does not start.
#[derive(Debug, Error)]
pub enum Error {
    /// A file system of the kernel's.
    #[error("cannot mount {filesystem} on {target}")]
    Mount {
        /// Its type.
        filesystem: &'static str,
        /// Its mount point.
        target: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The configuration is missing.
    #[error(
        "cannot read /{CONFIG_PATH}: it belongs into the initramfs, in a cpio segment of its own that begins on a 4-byte boundary"
    )]
    NoConfig {
        /// The kernel's answer.
        source: io::Error,
    },
    /// The configuration is not what it should be.
    #[error("/{CONFIG_PATH} is no configuration of a guest")]
    BadConfig {
        /// The reason.
        source: serde_json::Error,
    },
    /// The configuration is for another program.
    #[error(
        "/{CONFIG_PATH} has version {version}, this program understands version {CONFIG_VERSION}"
    )]
    ConfigVersion {
        /// Its version.
        version: u32,
    },
    /// A kernel module.
    #[error(transparent)]
    Module(#[from] modules::Error),
    /// A device that does not appear.
    #[error(transparent)]
    Device(#[from] devices::Error),
    /// The network.
    #[error(transparent)]
    Network(#[from] network::Error),
    /// The root file system or the disk of modules.
    #[error(transparent)]
    Disk(#[from] disk::Error),
    /// A volume.
    #[error(transparent)]
    Volume(#[from] volumes::Error),
    /// Files that belong into the root.
    #[error(transparent)]
    Files(#[from] files::Error),
    /// The way into user space.
    #[error(transparent)]
    Handover(#[from] handover::Error),
}

impl Error {
    /// What to do about it.
    fn hint(&self) -> Option<String> {
        match self {
            Self::Files(error) => error.hint(),
            Self::Module(_) => Some(
                "remove the kernel and import it again: ignite kernel rm, ignite kernel import"
                    .to_owned(),
            ),
            Self::Device(error) => Some(error.hint().to_owned()),
            Self::Network(network::Error::Absent { .. }) => {
                Some("use a kernel with the virtio drivers".to_owned())
            }
            Self::Handover(error) => error.hint(),
            Self::Volume(error) => error.hint(),
            _ => None,
        }
    }
}

/// Brings the guest up. Never returns.
pub fn run() -> ! {
    let mut reach = Reach::default();
    let Err(error) = boot(&mut reach);
    let message = console::chain(&error);
    console::say(&format!("the VM cannot start: {message}"));
    match (reach.port, error.hint()) {
        (Some(port), hint) => tell(port, reach.machine.agent, message, hint),
        (None, Some(hint)) => console::say(&format!("hint: {hint}")),
        (None, None) => {}
    }
    power::down(PowerAction::PowerOff, reach.machine.power_off)
}

/// What is known of the machine when the start fails.
#[derive(Default)]
struct Reach {
    machine: Machine,
    /// Whom to tell; it is the agent's once there is one.
    port: Option<OwnedFd>,
}

fn boot(reach: &mut Reach) -> Result<Infallible, Error> {
    mount_kernel_filesystems()?;
    // Without a console there is nobody to tell; the agent's port may still work.
    let _ = console::adopt();
    let config = read_config()?;
    reach.machine = Machine::of(&config);
    modules::load(Path::new(MODULES))?;
    if config.agent == Transport::Vsock {
        modules::load(Path::new(VSOCK_MODULES))?;
    }
    set_clock(config.clock_ns);
    // The port takes a moment to appear, so its failures wait for it, not its work.
    let network = network::configure(&config.interfaces);
    reach.port = Some(devices::agent_stream(config.agent)?);
    network?;
    let root = disk::mount_root(&config.root, Path::new(ROOT))?;
    if let Some(device) = &config.copy_files {
        // What the image's own size has no room for.
        if config.root.grow {
            disk::grow(&config.root.device, &root)?;
        }
        files::copy(device, Path::new(ROOT))?;
    }
    volumes::mount(&config, &root)?;
    Ok(handover::hand_over(&config, &root, &mut reach.port)?)
}

/// Makes the root, which is `/` by now, what programs expect it to be. It is a root without any of
/// it: what fails is warned about.
fn complete(config: &Config, root: &Root) {
    if let Err(error) = network::set_loopback_up() {
        console::warn(&error);
    }
    if config.root.grow
        && let Err(error) = disk::grow(&config.root.device, root)
    {
        console::warn(&error);
    }
    // What the guest itself needs is loaded; for volumes they are there already.
    if let Some(modules) = &config.modules
        && config.volumes.is_empty()
        && let Err(error) = disk::mount_modules(modules, root)
    {
        console::warn(&error);
    }
    etc::write(config, root);
}

/// They move into the root file system later: every user space finds them mounted.
fn mount_kernel_filesystems() -> Result<(), Error> {
    let safe = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    let mounts = [
        ("devtmpfs", "/dev", MountFlags::NOSUID),
        ("proc", "/proc", safe),
        ("sysfs", "/sys", safe),
    ];
    for (filesystem, target, flags) in mounts {
        let _ = std::fs::create_dir(target);
        rustix::mount::mount(filesystem, target, filesystem, flags, None).map_err(|errno| {
            Error::Mount {
                filesystem,
                target,
                source: errno.into(),
            }
        })?;
    }
    Ok(())
}

/// Loads the modules the start did not need to wait for, and gives back the last of the initramfs.
/// For the agent, which still sees it, once the supervisor knows that the guest is up.
pub fn load_late_modules() {
    if let Err(error) = modules::load(Path::new(LATE_MODULES)) {
        console::warn(&error);
    }
    handover::empty_initramfs();
}

fn read_config() -> Result<Config, Error> {
    let path = Path::new("/").join(CONFIG_PATH);
    let bytes = std::fs::read(path).map_err(|source| Error::NoConfig { source })?;
    parse_config(&bytes)
}

/// Parses once for the version this program understands, which is the one that comes.
fn parse_config(bytes: &[u8]) -> Result<Config, Error> {
    let config = serde_json::from_slice::<Config>(bytes);
    let version = match &config {
        Ok(config) => Some(config.version),
        // Another version may have other fields.
        Err(_) => serde_json::from_slice::<Version>(bytes)
            .ok()
            .map(|known| known.version),
    };
    match version {
        Some(version) if version != CONFIG_VERSION => Err(Error::ConfigVersion { version }),
        _ => config.map_err(|source| Error::BadConfig { source }),
    }
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Sets the wall clock from the host's at the VMM's start and the time since then; the guest has no
/// other source. Not worth failing for.
fn set_clock(at_start_ns: u64) {
    let uptime = clock_gettime(ClockId::Boottime);
    let uptime_ns = (uptime.tv_sec as u64).saturating_mul(1_000_000_000) + uptime.tv_nsec as u64;
    let now = at_start_ns.saturating_add(uptime_ns);
    let time = Timespec {
        tv_sec: (now / 1_000_000_000).cast_signed(),
        tv_nsec: (now % 1_000_000_000).cast_signed(),
    };
    if let Err(errno) = clock_settime(ClockId::Realtime, time) {
        console::say(&format!("warning: cannot set the clock: {errno}"));
    }
}

/// Tells the supervisor why there will be no agent, and waits for it to be told.
fn tell(port: OwnedFd, transport: Transport, message: String, hint: Option<String>) {
    let frame = Frame::link(Message::Error { message, hint });
    match transport {
        // A writing that may block ends when the host has the bytes.
        Transport::Serial => {
            let mut bytes = Vec::new();
            if frame.encode(&mut bytes).is_ok() {
                let _ = File::from(port).write_all(&bytes);
            }
        }
        Transport::Vsock => {
            if let Ok(mut port) = Port::new(port, transport) {
                port.send(&frame);
                // Nobody is there to obey what comes meanwhile.
                let _ = port.deliver(TELL_WITHIN);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_is_told_before_its_fields() {
        let error = parse_config(br#"{"version": 2, "new": true}"#).expect_err("another version");
        assert!(matches!(error, Error::ConfigVersion { version: 2 }));
        assert!(matches!(parse_config(b"{}"), Err(Error::BadConfig { .. })));
        assert!(matches!(parse_config(b"\0"), Err(Error::BadConfig { .. })));
    }
}
