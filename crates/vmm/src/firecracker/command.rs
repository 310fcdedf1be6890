//! Firecracker's command line and the requests that describe a machine: pure functions.
//!
//! Files are named twice, as we reach them and as the VMM does: it may live in a room of its own
//! ([`Paths`]). All that Firecracker would refuse late or never is refused here.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ignite_wire::guest::AGENT_VSOCK_PORT;
use ignite_wire::supervisor::{DiskFormat, Machine};

use super::request::Request;
use super::version::Version;
use super::volumes;
use crate::Error;
use crate::kernel::arguments;

/// The API's socket, in the work directory.
pub const API: &str = "api.sock";
/// The vsock device's socket.
pub const VSOCK: &str = "vsock.sock";
/// The pipe for the log.
pub const LOG: &str = "log";
/// The pipe for metrics.
pub const METRICS: &str = "metrics";
/// The initramfs, until the guest has it.
pub const INITRAMFS: &str = "initramfs";

/// Most virtual processors.
const MAX_CPUS: u32 = 32;

/// Interrupts for devices: 5 to 23, one each, without those of the two devices Firecracker adds
/// (VMGenID, VMClock).
const DEVICES: usize = 19 - 2;

/// Bytes of the kernel's command line, Firecracker's additions included.
const MAX_ARGUMENTS: usize = 2048;

/// What Firecracker adds to it: ` pci=off` and the end; and for each device
/// ` virtio_mmio.device=4K@0xc0001000:23`.
const ADDED: usize = 16;
const ADDED_FOR_DEVICE: usize = 40;

/// Bytes of a socket's path, with the zero at its end (`sun_path`).
const SOCKET_PATH: usize = 108;

/// The socket on which the guest's agent arrives: Firecracker connects to it.
pub fn agent_socket() -> String {
    format!("{VSOCK}_{AGENT_VSOCK_PORT}")
}

/// What the VMM calls the files it opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Its work directory.
    pub work: PathBuf,
    /// The kernel.
    pub kernel: PathBuf,
    /// The disks, in the machine's order.
    pub disks: Vec<PathBuf>,
}

impl Paths {
    /// As the host calls them, for a VMM that sees what we see.
    pub fn of_host(machine: &Machine, work: &Path) -> Self {
        Self {
            work: work.to_owned(),
            kernel: machine.kernel.clone(),
            disks: machine.disks.iter().map(|disk| disk.path.clone()).collect(),
        }
    }

    /// As they are called in a room: `/run`, `/kernel`, `/disk0`, `/disk1`, ..., and
    /// `/dev/disk2`, ... for volumes.
    pub fn of_room(machine: &Machine) -> Self {
        let disks = machine.disks.iter().enumerate();
        Self {
            work: PathBuf::from("/run"),
            kernel: PathBuf::from("/kernel"),
            disks: disks
                .map(|(number, disk)| match disk.volume {
                    None => PathBuf::from(format!("/disk{number}")),
                    Some(_) => volumes::name(number),
                })
                .collect(),
        }
    }

    fn in_work(&self, name: &str) -> Result<String, Error> {
        text(&self.work.join(name))
    }
}

/// A network interface as the requests need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface<'a> {
    /// Name of the tap.
    pub tap: &'a str,
    /// MAC address.
    pub mac: &'a str,
    /// MTU in bytes.
    pub mtu: u32,
}

/// The arguments, without the program. Told here, it logs to its pipe from the first line on; what it
/// logs before it is told where goes to the guest's console.
pub fn command_line(id: &str, paths: &Paths) -> Result<Vec<OsString>, Error> {
    Ok(name(id)?.into_iter().chain(sockets(paths)?).collect())
}

/// What it is called: the jailer passes this on by itself.
pub(super) fn name(id: &str) -> Result<[OsString; 2], Error> {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if id.is_empty() || id.len() > 64 || !id.bytes().all(sound) {
        return Err(bad(format!("Firecracker takes no name like {id:?}")));
    }
    Ok(["--id", id].map(OsString::from))
}

/// The arguments besides its name: where it listens, and where it logs.
pub(super) fn sockets(paths: &Paths) -> Result<[OsString; 7], Error> {
    let api = paths.in_work(API)?;
    let longest = paths.in_work(&agent_socket())?;
    if longest.len() >= SOCKET_PATH {
        return Err(bad(format!(
            "the path {longest} is too long for a socket, which may have {} bytes",
            SOCKET_PATH - 1
        )));
    }
    let log = paths.in_work(LOG)?;
    let arguments = [
        "--api-sock",
        &api,
        "--log-path",
        &log,
        "--level",
        "Info",
        "--show-level",
    ];
    Ok(arguments.map(OsString::from))
}

/// The requests that describe the machine to Firecracker, in order; `version` knows all their fields.
pub fn requests(
    machine: &Machine,
    paths: &Paths,
    interfaces: &[Interface<'_>],
    version: Version,
) -> Result<Vec<Request>, Error> {
    check(machine, interfaces.len())?;
    let mut requests = vec![
        Request::Metrics {
            path: paths.in_work(METRICS)?,
        },
        Request::Machine {
            cpus: machine.cpus,
            memory_mib: machine.memory >> 20,
        },
        Request::BootSource {
            kernel: text(&paths.kernel)?,
            initramfs: paths.in_work(INITRAMFS)?,
            arguments: arguments(machine, None),
        },
    ];
    for (number, (disk, path)) in machine.disks.iter().zip(&paths.disks).enumerate() {
        requests.push(Request::Drive {
            number,
            path: text(path)?,
            read_only: disk.read_only,
            rate: disk.rate,
        });
    }
    for (number, interface) in interfaces.iter().enumerate() {
        requests.push(Request::Interface {
            number,
            tap: interface.tap.to_owned(),
            mac: interface.mac.to_owned(),
            mtu: version.tells_mtu().then_some(interface.mtu),
        });
    }
    requests.push(Request::Vsock {
        path: paths.in_work(VSOCK)?,
    });
    requests.push(Request::Entropy);
    requests.extend(machine.balloon.map(|bytes| Request::Balloon {
        amount_mib: bytes >> 20,
        reporting: version.reports_free_pages(),
    }));
    Ok(requests)
}

/// Whether Firecracker can run the machine, with that many network interfaces.
fn check(machine: &Machine, nics: usize) -> Result<(), Error> {
    const MIB: u64 = 1 << 20;
    if !(1..=MAX_CPUS).contains(&machine.cpus) {
        return Err(bad(format!(
            "Firecracker gives a machine 1 to {MAX_CPUS} processors, not {}",
            machine.cpus
        )));
    }
    if machine.memory == 0 || !machine.memory.is_multiple_of(MIB) {
        let memory = machine.memory;
        return Err(bad(format!("{memory} bytes of memory are no whole MiB")));
    }
    if machine
        .disks
        .iter()
        .any(|disk| disk.format != DiskFormat::Raw)
    {
        return Err(bad(
            "Firecracker takes raw disks only, and one is an overlay".to_owned(),
        ));
    }
    // The agent's vsock and the source of random numbers.
    let wanted = machine.disks.len() + nics + 2 + usize::from(machine.balloon.is_some());
    if wanted > DEVICES {
        return Err(Error::TooManyDevices {
            wanted,
            disks: machine.disks.len(),
            nics,
            room: DEVICES,
        });
    }
    let length = arguments(machine, None).len();
    let room = MAX_ARGUMENTS - ADDED - wanted * ADDED_FOR_DEVICE;
    if length > room {
        return Err(Error::LongArguments { length, room });
    }
    Ok(())
}

fn text(path: &Path) -> Result<String, Error> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| bad(format!("the path {} is no text", path.display())))
}

fn bad(reason: String) -> Error {
    Error::BadMachine { reason }
}

#[cfg(test)]
mod tests;
