//! QEMU's command line: a pure function of the machine.
//!
//! Everything the guest is made of is open already and passed by number ([`fd`]): QEMU opens no file
//! of the host's but its own. The machine is `microvm` with ACPI: without it distribution kernels find no
//! virtio-mmio device. Devices are put on their transports by number, because the guest names disks
//! in the order it finds them.

use std::ffi::OsString;

use ignite_wire::guest::AGENT_PORT;
use ignite_wire::supervisor::{Disk, DiskFormat, Machine, Share, Vmm, VolumeKind};

use crate::Error;
use crate::kernel::arguments;

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
    /// The kernel.
    pub const KERNEL: i32 = 8;
    /// The first tap; the others follow, and then the files of the disks, and the shares' sockets.
    pub const FIRST_TAP: i32 = 9;
}

/// Name of the agent's port in QMP events.
pub(super) const AGENT_ID: &str = "agent";

/// Transports a device can sit on. `microvm` with its second I/O APIC, which ACPI brings, has 24,
/// numbered from 0; the interrupt of number 0 never reaches a guest (seen with QEMU 7.2).
const TRANSPORTS: usize = 23;

/// The processor under TCG. One that says its string instructions are fast is believed: guests then copy
/// and clear memory byte by byte, where TCG moves eight in the same time. Without, copies are three times
/// as fast (a port's stream, Linux 6.1). QEMU 7.2 does not know the name of a third such word, `fsrs`,
/// which later ones announce and kernels from 6.4 on believe.
pub const TRANSLATED_CPU: &str = "max,erms=off,fsrm=off";

/// MiB of translated code kept under TCG. Without a bound QEMU takes up to 1 GiB; 64 boots as fast as
/// 128, 32 boots some 5 % slower, 16 a sixth slower.
const TRANSLATION_CACHE: u32 = 64;

/// What QEMU may not do, whatever a guest makes of it: start programs, change its user, set limits
/// and priorities, and call what is obsolete.
const SANDBOX: &str = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/// A balloon that a guest in need lets go of; and what the guest frees besides is given back as well.
const BALLOON: &str = "virtio-balloon-device,deflate-on-oom=on,free-page-reporting=on";

/// A network interface as the command line needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface<'a> {
    /// MAC address.
    pub mac: &'a str,
    /// MTU in bytes, told to the guest's driver.
    pub mtu: u32,
}

/// What a machine needs whose instructions are translated.
#[derive(Debug, Clone, Copy)]
pub struct Translation {
    /// Whether its processors run at the same time: each in a thread of its own.
    pub is_parallel: bool,
    /// The rate of the host's time stamp counter.
    pub tsc_khz: Option<u32>,
}

/// The arguments, without the program.
pub fn command_line(
    machine: &Machine,
    interfaces: &[Interface<'_>],
    translation: Translation,
) -> Result<Vec<OsString>, Error> {
    check(machine, interfaces.len())?;
    let mut line = Line {
        next_file: first_file(interfaces.len()),
        ..Line::default()
    };
    base(machine, translation, &mut line);
    streams(&mut line);
    for (number, disk) in machine.disks.iter().enumerate() {
        block_device(number, disk, &mut line);
    }
    for (number, interface) in interfaces.iter().enumerate() {
        network_device(number, interface, &mut line);
    }
    for (number, share) in machine.shares.iter().enumerate() {
        shared_directory(number, share, &mut line);
    }
    line.device("virtio-rng-device");
    if machine.balloon.is_some() {
        line.device(BALLOON);
    }
    Ok(line.arguments)
}

/// Number of the first share's socket, behind the disks' files.
pub(super) fn first_share(nics: usize, files: usize) -> i32 {
    number(first_file(nics), files)
}

/// Number of the first disk's file, behind the taps.
pub(super) fn first_file(nics: usize) -> i32 {
    number(fd::FIRST_TAP, nics)
}

fn number(first: i32, index: usize) -> i32 {
    first + i32::try_from(index).expect("a machine has few interfaces and disks")
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
    let own = 2 + usize::from(machine.balloon.is_some());
    let wanted = machine.disks.len() + machine.shares.len() + nics + own;
    if wanted > TRANSPORTS {
        return Err(Error::TooManyDevices {
            wanted,
            disks: machine.disks.len() + machine.shares.len(),
            nics,
            room: TRANSPORTS,
        });
    }
    Ok(())
}

fn base(machine: &Machine, translation: Translation, line: &mut Line) {
    // Whoever serves a directory reads and writes the guest's memory, too.
    if machine.shares.is_empty() {
        line.option("-machine", "microvm,acpi=on");
    } else {
        line.option("-machine", "microvm,acpi=on,memory-backend=memory");
        // What serves a directory speaks version 1 of virtio; a microvm has the drafts unless told.
        line.option("-global", "virtio-mmio.force-legacy=false");
        let size = machine.memory >> 20;
        let memory = format!("memory-backend-memfd,id=memory,size={size}M,share=on");
        line.option("-object", memory);
    }
    match machine.vmm {
        Vmm::QemuTcg => {
            let threads = match translation.is_parallel {
                true => "multi",
                false => "single",
            };
            line.option(
                "-accel",
                format!("tcg,thread={threads},tb-size={TRANSLATION_CACHE}"),
            );
            line.option("-cpu", TRANSLATED_CPU);
        }
        Vmm::QemuKvm | Vmm::Firecracker => {
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
    line.option("-sandbox", SANDBOX);
    line.option("-kernel", format!("/proc/self/fd/{}", fd::KERNEL));
    line.option("-initrd", format!("/proc/self/fd/{}", fd::INITRAMFS));
    line.option("-append", arguments(machine, translation.tsc_khz));
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
    let driver = match disk.volume {
        Some(VolumeKind::BlockDevice) => "host_device",
        Some(VolumeKind::File) | None => "file",
    };
    line.file_node(driver, &file, disk.read_only);
    let read_only = on_off(disk.read_only);
    match &disk.format {
        DiskFormat::Raw => line.option(
            "-blockdev",
            format!("driver=raw,node-name={node},file={file},read-only={read_only},discard=unmap"),
        ),
        DiskFormat::Qcow2 { .. } => {
            let (base, base_file) = (
                format!("disk{number}-base"),
                format!("disk{number}-base-file"),
            );
            line.file_node("file", &base_file, true);
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
    let drive = drive(number);
    line.device(&format!("virtio-blk-device,id={drive},drive={node}"));
}

/// Name of a disk's device in QMP.
pub(super) fn drive(number: usize) -> String {
    format!("drive{number}")
}

fn network_device(number: usize, interface: &Interface<'_>, line: &mut Line) {
    let tap = self::number(fd::FIRST_TAP, number);
    line.option("-netdev", format!("tap,id=net{number},fd={tap},vhost=off"));
    line.device(&format!(
        "virtio-net-device,netdev=net{number},mac={},host_mtu={}",
        interface.mac, interface.mtu
    ));
}

/// The queues of a directory are its server's, over the socket that is already connected to it.
fn shared_directory(number: usize, share: &Share, line: &mut Line) {
    let socket = line.next_file;
    line.next_file += 1;
    line.option("-chardev", format!("socket,id=share{number},fd={socket}"));
    let tag = &share.tag;
    line.device(&format!(
        "vhost-user-fs-device,chardev=share{number},tag={tag}"
    ));
}

fn on_off(value: bool) -> &'static str {
    if value { "on" } else { "off" }
}

#[derive(Default)]
struct Line {
    arguments: Vec<OsString>,
    devices: usize,
    /// Number of the next open file of a disk.
    next_file: i32,
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

    /// The next open file as a node. QEMU takes it from a set of descriptors by its access mode.
    fn file_node(&mut self, driver: &str, node: &str, read_only: bool) {
        let file = self.next_file;
        self.next_file += 1;
        self.option("-add-fd", format!("set={file},fd={file}"));
        self.option(
            "-blockdev",
            format!(
                "driver={driver},node-name={node},read-only={},auto-read-only=off,discard=unmap,filename=/dev/fdset/{file}",
                on_off(read_only)
            ),
        );
    }
}

#[cfg(test)]
mod tests;
