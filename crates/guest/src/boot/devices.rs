//! Devices that appear some time after their driver, and the host behind them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::console;
use ignite_host::vsock;
use ignite_wire::guest::{AGENT_PORT, AGENT_VSOCK_PORT, Transport};
use rustix::io::Errno;
use thiserror::Error;

/// A device that is not there by then will not come.
const WITHIN: Duration = Duration::from_secs(10);

/// Looking costs less than waiting too long.
const PAUSE: Duration = Duration::from_micros(500);

/// The first and the longest pause between two attempts to connect, which cost the host more than
/// looking costs the guest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// Where the supervisor listens to the agent over vsock.
pub const AGENT_ADDRESS: vsock::Address = vsock::Address {
    cid: vsock::HOST,
    port: AGENT_VSOCK_PORT,
};

/// Why a device cannot be used.
#[derive(Debug, Error)]
pub enum Error {
    /// It did not appear.
    #[error("{what} did not appear within {} seconds: does the kernel have its driver?", WITHIN.as_secs())]
    Absent {
        /// What was waited for.
        what: String,
    },
    /// It cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// Its path.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Neither the kernel nor the modules of the initramfs have vsock.
    #[error("this kernel has no vsock, which this machine needs to reach the host")]
    NoVsock,
    /// There is vsock, but no way to the supervisor.
    #[error("cannot reach port {AGENT_VSOCK_PORT} of the host by vsock within {} seconds", WITHIN.as_secs())]
    Unreachable {
        /// The kernel's last answer.
        source: io::Error,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "the VM's supervisor should listen there: does it run?",
            Self::NoVsock => {
                "use a kernel with virtio-vsock (CONFIG_VIRTIO_VSOCKETS), or QEMU: --vmm qemu"
            }
            Self::Absent { .. } | Self::Open { .. } => "use a kernel with the virtio drivers",
        }
    }
}

/// Opens the stream to the supervisor.
pub fn agent_stream(transport: Transport) -> Result<OwnedFd, Error> {
    match transport {
        Transport::Serial => agent_port().map(OwnedFd::from),
        Transport::Vsock => agent_connection(),
    }
}

/// Connects to the supervisor, again and again while the device or the listener is not there yet.
fn agent_connection() -> Result<OwnedFd, Error> {
    let deadline = Instant::now() + WITHIN;
    let (mut pause, longest) = PAUSES;
    loop {
        let source = match vsock::dial(AGENT_ADDRESS) {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        if source.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error()) {
            return Err(Error::NoVsock);
        }
        if Instant::now() > deadline {
            return Err(Error::Unreachable { source });
        }
        if pause == PAUSES.0 {
            console::say(&format!("waiting for the host: {source}"));
        }
        std::thread::sleep(pause);
        pause = longest.min(pause * 2);
    }
}

/// Opens the virtio-serial port of the agent.
fn agent_port() -> Result<File, Error> {
    let what = format!("the virtio-serial port {AGENT_PORT}");
    let path = wait_for(&what, find_agent_port)?;
    let opened = OpenOptions::new().read(true).write(true).open(&path);
    opened.map_err(|source| Error::Open { path, source })
}

/// Waits for a block device.
pub fn block_device(path: &str) -> Result<(), Error> {
    wait_for(path, || Path::new(path).exists().then_some(()))
}

/// Repeats `look` until it finds something.
pub fn wait_for<T>(what: &str, look: impl Fn() -> Option<T>) -> Result<T, Error> {
    let deadline = Instant::now() + WITHIN;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(Error::Absent {
                what: what.to_owned(),
            });
        }
        std::thread::sleep(PAUSE);
    }
}

/// The port's device, by the name the host gave it.
fn find_agent_port() -> Option<PathBuf> {
    let ports = fs::read_dir("/sys/class/virtio-ports").ok()?;
    ports.flatten().find_map(|port| {
        let name = fs::read_to_string(port.path().join("name")).ok()?;
        let device = Path::new("/dev").join(port.file_name());
        (name.trim_end() == AGENT_PORT && device.exists()).then_some(device)
    })
}
