//! What a supervisor is told: computed, then handed over.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ignite_store::{Paths, VmRecord};
use ignite_wire::guest::{self, Config, Dns, Host, Modules, Root};
use ignite_wire::supervisor::{Disk, DiskFormat, Holder, Machine, Plan, Vmm};

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
    /// The kernel's directory.
    pub kernel: PathBuf,
    /// The kernel's initramfs.
    pub initramfs: PathBuf,
    /// Whether the kernel has a disk of modules.
    pub modules: Option<PathBuf>,
    /// The image's ext4 file.
    pub image: PathBuf,
    /// What the network gave.
    pub attached: &'a [Attached],
    /// Whose end is the network's end.
    pub holder: Option<Holder>,
    /// The guest's resolver configuration.
    pub dns: Dns,
    /// Time within which the agent must be ready.
    pub boot_timeout: Duration,
    /// The supervisor's last act.
    pub release: Vec<String>,
    /// The wall clock.
    pub now: SystemTime,
}

/// The plan of one start.
pub fn plan(parts: Parts<'_>) -> Plan {
    let record = parts.record;
    let hostname = record.name.as_str();
    let attachments = parts
        .attached
        .iter()
        .enumerate()
        .map(|(index, attached)| attached.attachment(index, hostname, &parts.dns))
        .collect();
    Plan {
        uid: record.uid.to_string(),
        name: record.name.to_string(),
        vm_dir: parts.paths.vm(record.uid),
        run_dir: parts.paths.vm_run(record.uid),
        machine: machine(&parts),
        guest: guest(&parts),
        attachments,
        holder: parts.holder,
        boot_timeout_ms: u64::try_from(parts.boot_timeout.as_millis()).unwrap_or(u64::MAX),
        console_limit: CONSOLE_LIMIT,
        release: parts.release,
    }
}

fn machine(parts: &Parts<'_>) -> Machine {
    let record = parts.record;
    let mut disks = vec![Disk {
        path: parts.paths.vm(record.uid).join(super::DISK),
        format: DiskFormat::Qcow2 {
            backing: parts.image.clone(),
        },
        read_only: false,
    }];
    disks.extend(parts.modules.iter().map(|path| Disk {
        path: path.clone(),
        format: DiskFormat::Raw,
        read_only: true,
    }));
    Machine {
        vmm: parts.vmm.0,
        program: parts.vmm.1.clone(),
        cpus: u32::try_from(record.spec.cpus).unwrap_or(1),
        memory: record.spec.memory.bytes(),
        kernel: parts.kernel.join(ignite_image::kernel::VMLINUX),
        initramfs: parts.initramfs.clone(),
        cmdline: record.cmdline.clone(),
        disks,
    }
}

fn guest(parts: &Parts<'_>) -> Config {
    let record = parts.record;
    let clock = parts.now.duration_since(UNIX_EPOCH).unwrap_or_default();
    Config {
        version: guest::CONFIG_VERSION,
        hostname: record.name.to_string(),
        clock_ns: u64::try_from(clock.as_nanos()).unwrap_or(u64::MAX),
        interfaces: parts
            .attached
            .iter()
            .map(Attached::guest_interface)
            .collect(),
        dns: parts.dns.clone(),
        hosts: Vec::<Host>::new(),
        ssh_keys: Vec::new(),
        root: Root {
            device: "/dev/vda".into(),
            filesystem: "ext4".into(),
            grow: true,
        },
        modules: parts.modules.as_ref().map(|_| Modules {
            device: "/dev/vdb".into(),
            filesystem: "ext4".into(),
            release: record.kernel.version.clone(),
        }),
        process: record.process.clone(),
    }
}
