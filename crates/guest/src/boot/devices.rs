//! Devices that appear some time after their driver.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ignite_wire::guest::AGENT_PORT;
use thiserror::Error;

/// A device that is not there by then will not come.
const WITHIN: Duration = Duration::from_secs(10);

/// Looking costs less than waiting too long.
const PAUSE: Duration = Duration::from_micros(500);

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
}

/// Opens the virtio-serial port of the agent.
pub fn agent_port() -> Result<File, Error> {
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
