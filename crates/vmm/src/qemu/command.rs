//! QEMU's command line: a pure function of the machine.
//!
//! Everything the guest is made of is open already and passed by number ([`fd`]), except the kernel
//! and the disks. The machine is `microvm` with ACPI: without it distribution kernels find no
//! virtio-mmio device. Devices are put on their transports by number, because the guest names disks
//! in the order it finds them.

use std::ffi::OsString;
use std::path::Path;

use ignite_wire::guest::AGENT_PORT;
use ignite_wire::supervisor::{Disk, DiskFormat, Machine, Vmm};

use crate::Error;

/// Numbers of the descriptors QEMU finds open.
pub mod fd {
    /// The serial console.
    pub const CONSOLE: i32 = 3;
    /// The agent's stream.
    pub const AGENT: i32 = 4;
    /// QMP.
    pub const CONTROL: i32 = 5;
    /// The initramfs.
    pub const INITRAMFS: i32 = 6;
    /// The liveness lock, which QEMU knows nothing of.
    pub const LIVE: i32 = 7;
    /// The first tap; the others follow.
    pub const FIRST_TAP: i32 = 8;
}

/// Name of the agent's port in QMP events.
pub(super) const AGENT_ID: &str = "agent";

/// Transports a device can sit on. `microvm` with its second I/O APIC, which ACPI brings, has 24,
/// numbered from 0; the interrupt of number 0 never reaches a guest (seen with QEMU 7.2).
const TRANSPORTS: usize = 23;

/// MiB of translated code kept under TCG. Without a bound QEMU takes up to 1 GiB; 64 boots as fast as
/// 128, 32 boots some 5 % slower, 16 a sixth slower.
const TRANSLATION_CACHE: u32 = 64;

/// A network interface as the command line needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface<'a> {
    /// MAC address.
    pub mac: &'a str,
    /// MTU in bytes, told to the guest's driver.
    pub mtu: u32,
}

/// The arguments, without the program.
pub fn command_line(
    machine: &Machine,
    interfaces: &[Interface<'_>],
    tsc_khz: Option<u32>,
) -> Result<Vec<OsString>, Error> {
    check(machine, interfaces.len())?;
    let mut line = Line::default();
    base(machine, tsc_khz, &mut line);
    streams(&mut line);
    for (number, disk) in machine.disks.iter().enumerate() {
        block_device(number, disk, &mut line);
    }
    for (number, interface) in interfaces.iter().enumerate() {
        network_device(number, interface, &mut line);
    }
    line.device("virtio-rng-device");
    Ok(line.arguments)
}

/// Arguments of the kernel: the plan's, and what this machine type needs or starts faster with, as
/// far as the plan's do not speak of it.
pub fn kernel_arguments(machine: &Machine, tsc_khz: Option<u32>) -> String {
    let mut arguments: Vec<String> = machine
        .cmdline
        .split_ascii_whitespace()
        .map(str::to_owned)
        .collect();
    let tsc = tsc_khz.map(|khz| format!("tsc_early_khz={khz}"));
    let translated: &[&str] = match machine.vmm {
        Vmm::QemuTcg => &["mitigations=off", "random.trust_cpu=on"],
        Vmm::QemuKvm => &[],
    };
    let common = [
        "console=ttyS0",
        "panic=-1",
        "8250.nr_uarts=1",
        "cryptomgr.notests",
    ];
    const LOG_LEVEL: [&str; 4] = ["quiet", "loglevel", "debug", "ignore_loglevel"];
    if !arguments
        .iter()
        .any(|given| LOG_LEVEL.contains(&key(given)))
    {
        arguments.push("quiet".to_owned());
    }
    let ours = common.iter().chain(translated).map(|&text| text.to_owned());
    for argument in ours.chain(tsc) {
        if !arguments.iter().any(|given| key(given) == key(&argument)) {
            arguments.push(argument);
        }
    }
    arguments.join(" ")
}

fn key(argument: &str) -> &str {
    argument.split_once('=').map_or(argument, |(key, _)| key)
}

fn check(machine: &Machine, nics: usize) -> Result<(), Error> {
    const MIB: u64 = 1 << 20;
    let bad = |reason: String| Err(Error::BadMachine { reason });
    if machine.cpus == 0 {
        return bad("it has no processor".to_owned());
    }
    if machine.memory == 0 || !machine.memory.is_multiple_of(MIB) {
        return bad(format!(
            "{} bytes of memory are no whole MiB",
            machine.memory
        ));
    }
    // The agent's serial bus and the source of random numbers.
    let wanted = machine.disks.len() + nics + 2;
    if wanted > TRANSPORTS {
        return Err(Error::TooManyDevices {
            wanted,
            disks: machine.disks.len(),
            nics,
            room: TRANSPORTS,
        });
    }
    Ok(())
}

fn base(machine: &Machine, tsc_khz: Option<u32>, line: &mut Line) {
    line.option("-machine", "microvm,acpi=on");
    match machine.vmm {
        Vmm::QemuTcg => {
            line.option(
                "-accel",
                format!("tcg,thread=multi,tb-size={TRANSLATION_CACHE}"),
            );
            line.option("-cpu", "max");
        }
        Vmm::QemuKvm => {
            line.option("-accel", "kvm");
            line.option("-cpu", "host");
        }
    }
    line.option("-smp", machine.cpus.to_string());
    line.option("-m", format!("{}M", machine.memory >> 20));
    // The guest waits (`-S`) until QMP is negotiated: before, no event is told.
    for flag in [
        "-nodefaults",
        "-no-user-config",
        "-nographic",
        "-no-reboot",
        "-S",
    ] {
        line.arguments.push(flag.into());
    }
    line.option("-kernel", machine.kernel.as_os_str());
    line.option("-initrd", format!("/proc/self/fd/{}", fd::INITRAMFS));
    line.option("-append", kernel_arguments(machine, tsc_khz));
}

fn streams(line: &mut Line) {
    line.option("-chardev", format!("socket,id=console,fd={}", fd::CONSOLE));
    line.option("-serial", "chardev:console");
    line.option("-chardev", format!("socket,id=control,fd={}", fd::CONTROL));
    line.option("-mon", "chardev=control,mode=control");
    line.option("-chardev", format!("socket,id=agent,fd={}", fd::AGENT));
    // A guest sets up queues for all the ports there may be; the first is kept for a console.
    line.device("virtio-serial-device,max_ports=2");
    line.option(
        "-device",
        format!("virtserialport,id={AGENT_ID},chardev=agent,name={AGENT_PORT}"),
    );
}

/// A disk: the file, the format on it and, for an overlay, the nodes below by name, so that nothing
/// a guest could have written into the file's header chooses a file of the host.
fn block_device(number: usize, disk: &Disk, line: &mut Line) {
    let (node, file) = (format!("disk{number}"), format!("disk{number}-file"));
    line.file_node(&file, &disk.path, disk.read_only);
    let read_only = on_off(disk.read_only);
    match &disk.format {
        DiskFormat::Raw => line.option(
            "-blockdev",
            format!("driver=raw,node-name={node},file={file},read-only={read_only},discard=unmap"),
        ),
        DiskFormat::Qcow2 { backing } => {
            let (base, base_file) = (
                format!("disk{number}-base"),
                format!("disk{number}-base-file"),
            );
            line.file_node(&base_file, backing, true);
            line.option(
                "-blockdev",
                format!("driver=raw,node-name={base},file={base_file},read-only=on"),
            );
            line.option(
                "-blockdev",
                format!(
                    "driver=qcow2,node-name={node},file={file},backing={base},read-only={read_only},discard=unmap"
                ),
            );
        }
    }
    line.device(&format!("virtio-blk-device,drive={node}"));
}

fn network_device(number: usize, interface: &Interface<'_>, line: &mut Line) {
    let tap = fd::FIRST_TAP + i32::try_from(number).expect("a machine has few interfaces");
    line.option("-netdev", format!("tap,id=net{number},fd={tap},vhost=off"));
    line.device(&format!(
        "virtio-net-device,netdev=net{number},mac={},host_mtu={}",
        interface.mac, interface.mtu
    ));
}

fn on_off(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}

#[derive(Default)]
struct Line {
    arguments: Vec<OsString>,
    devices: usize,
}

impl Line {
    fn option(&mut self, name: &str, value: impl Into<OsString>) {
        self.arguments.push(name.into());
        self.arguments.push(value.into());
    }

    /// A device on the next free virtio-mmio transport. A guest finds the one with the highest number
    /// first, so they are taken from there down.
    fn device(&mut self, description: &str) {
        let bus = TRANSPORTS - self.devices;
        self.option(
            "-device",
            format!("{description},bus=virtio-mmio-bus.{bus}"),
        );
        self.devices += 1;
    }

    fn file_node(&mut self, node: &str, path: &Path, read_only: bool) {
        let mut value = OsString::from(format!(
            "driver=file,node-name={node},read-only={},auto-read-only=off,discard=unmap,filename=",
            on_off(read_only)
        ));
        value.push(escape(path));
        self.option("-blockdev", value);
    }
}

/// A path as a value of QEMU's `key=value,...` syntax, where a comma is doubled.
fn escape(path: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut escaped = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        escaped.push(byte);
        if byte == b',' {
            escaped.push(byte);
        }
    }
    OsString::from_vec(escaped)
}

#[cfg(test)]
mod tests;
