//! What a supervisor is told: computed, then handed over.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ignite_api::HostName;
use ignite_store::{Paths, VmRecord};
use ignite_wire::guest::{self, Config, Dns, Modules};
use ignite_wire::supervisor::{
    Attachment, Confinement, Disk, DiskFormat, Holder, Machine, Plan, Vmm,
};

use super::rates;
use super::vmm::disk_file;
use super::volumes::{Joined, device};
use crate::network::attached::Attached;

/// The console log is cut to its newer half past this.
const CONSOLE_LIMIT: u64 = 4 << 20;

/// Everything a plan is made of.
pub struct Parts<'a> {
    /// The host's directories.
    pub paths: &'a Paths,
    /// The VM.
    pub record: &'a VmRecord,
    /// The driver and its program.
    pub vmm: (Vmm, PathBuf),
    /// The user of its VMM.
    pub user: u32,
    /// Firecracker's jailer, where that confines it.
    pub jailer: Option<PathBuf>,
    /// The kernel's directory.
    pub kernel: PathBuf,
    /// The kernel's initramfs.
    pub initramfs: PathBuf,
    /// Whether the kernel has a disk of modules.
    pub modules: Option<PathBuf>,
    /// Its volumes.
    pub volumes: Joined,
    /// The archive of files to copy into the root, while that is still to be done.
    pub copy_files: Option<PathBuf>,
    /// The image's ext4 file.
    pub image: PathBuf,
    /// What the network gave.
    pub attached: &'a [Attached],
    /// Whose end is the network's end.
    pub holder: Option<Holder>,
    /// The guest's resolver configuration.
    pub dns: Dns,
    /// Further lines of the guest's `/etc/hosts`.
    pub hosts: Vec<guest::Host>,
    /// Time within which the agent must be ready.
    pub boot_timeout: Duration,
    /// Public keys that may enter by ssh.
    pub ssh_keys: Vec<String>,
    /// The terminal before the guest's console, if there is one.
    pub terminal: Option<guest::Terminal>,
    /// The supervisor's last act.
    pub release: Vec<String>,
    /// The wall clock.
    pub now: SystemTime,
}

/// The plan of one start.
pub fn plan(parts: Parts<'_>) -> Plan {
    let record = parts.record;
    let hostname = hostname(record);
    let limits = rates::limits(record);
    let attachment = |(index, attached): (usize, &Attached)| Attachment {
        rate: limits.interfaces.get(&attached.interface).copied(),
        ..attached.attachment(index, hostname, &parts.dns)
    };
    let attachments = parts.attached.iter().enumerate().map(attachment).collect();
    Plan {
        uid: record.uid.to_string(),
        name: record.name.to_string(),
        vm_dir: parts.paths.vm(record.uid),
        run_dir: parts.paths.vm_run(record.uid),
        machine: machine(&parts),
        confinement: Some(confinement(&parts)),
        guest: guest(&parts),
        attachments,
        holder: parts.holder,
        boot_timeout_ms: u64::try_from(parts.boot_timeout.as_millis()).unwrap_or(u64::MAX),
        console_limit: CONSOLE_LIMIT,
        release: parts.release,
    }
}

/// The guest's host name.
fn hostname(record: &VmRecord) -> &str {
    let own = record.spec.hostname.as_ref().map(HostName::as_str);
    own.unwrap_or(record.name.as_str())
}

/// Bounds of the VMM: what the guest was given, and what the VMM needs for itself.
fn confinement(parts: &Parts<'_>) -> Confinement {
    /// Besides the guest's processors: disks, network and console are served by threads.
    const CPU_MILLIS: u32 = 500;
    const TASKS: u32 = 128;
    let machine = machine(parts);
    Confinement {
        user: parts.user,
        memory: machine
            .memory
            .saturating_add(ignite_vmm::own_memory(&machine)),
        cpu_millis: machine.cpus.saturating_mul(1000).saturating_add(CPU_MILLIS),
        tasks: machine.cpus.saturating_add(TASKS),
        file_bytes: file_bytes(parts),
        jailer: parts.jailer.clone(),
    }
}

/// The largest file the VMM may make: of its disk, of a volume, and of the memory it shares with those
/// who serve directories.
fn file_bytes(parts: &Parts<'_>) -> u64 {
    let disk = ignite_vmm::file_bytes(parts.record.spec.disk_size.bytes());
    let memory = match parts.volumes.shares.as_slice() {
        [] => 0,
        _ => parts.record.spec.memory.bytes(),
    };
    disk.max(parts.volumes.largest).max(memory)
}

fn machine(parts: &Parts<'_>) -> Machine {
    let record = parts.record;
    let mut disks = vec![root(parts)];
    // The archive is after the modules.
    let read_only = parts.modules.iter().chain(&parts.copy_files);
    disks.extend(read_only.map(|path| Disk {
        path: path.clone(),
        format: DiskFormat::Raw,
        read_only: true,
        rate: None,
        volume: None,
    }));
    disks.extend(parts.volumes.disks.iter().cloned());
    Machine {
        vmm: parts.vmm.0,
        program: parts.vmm.1.clone(),
        cpus: u32::try_from(record.spec.cpus).unwrap_or(1),
        memory: record.spec.memory.bytes(),
        balloon: record.spec.balloon.map(ignite_api::Size::bytes),
        kernel: parts.kernel.join(ignite_image::kernel::VMLINUX),
        initramfs: parts.initramfs.clone(),
        cmdline: record.cmdline.clone(),
        disks,
        shares: parts.volumes.shares.clone(),
    }
}

/// The VM's own disk.
fn root(parts: &Parts<'_>) -> Disk {
    let record = parts.record;
    Disk {
        path: parts.paths.vm(record.uid).join(disk_file(record.disk)),
        format: match record.disk.format() {
            ignite_api::DiskFormat::Raw => DiskFormat::Raw,
            ignite_api::DiskFormat::Qcow2 => DiskFormat::Qcow2 {
                backing: parts.image.clone(),
            },
        },
        read_only: false,
        rate: rates::limits(record).disk,
        volume: None,
    }
}

fn guest(parts: &Parts<'_>) -> Config {
    let record = parts.record;
    // Firecracker has neither virtio-serial nor a switch.
    let (agent, power_off) = match parts.vmm.0 {
        Vmm::Firecracker => (guest::Transport::Vsock, guest::PowerOff::Reset),
        Vmm::QemuTcg | Vmm::QemuKvm => (guest::Transport::Serial, guest::PowerOff::Acpi),
    };
    let clock = parts.now.duration_since(UNIX_EPOCH).unwrap_or_default();
    Config {
        clock_ns: u64::try_from(clock.as_nanos()).unwrap_or(u64::MAX),
        interfaces: parts
            .attached
            .iter()
            .map(Attached::guest_interface)
            .collect(),
        dns: parts.dns.clone(),
        modules: parts.modules.as_ref().map(|_| Modules {
            device: "/dev/vdb".into(),
            filesystem: "ext4".into(),
            release: record.kernel.version.clone(),
        }),
        copy_files: parts
            .copy_files
            .as_ref()
            .map(|_| device(1 + parts.modules.iter().count())),
        agent,
        power_off,
        terminal: parts.terminal.clone(),
        ssh_keys: parts.ssh_keys.clone(),
        volumes: parts.volumes.mounts.clone(),
        // The supervisor makes the token, for each start one.
        hosts: parts.hosts.clone(),
        ..Config::new(hostname(record), record.process.clone())
    }
}
