//! Disk, memory and time.

use ignite_api::VmmChoice;
use ignite_host::probe::clock;
use ignite_host::probe::disk::{self, Disk};
use ignite_host::probe::memory::Memory;

use super::host::Host;
use super::{Line, Section};
use crate::Config;

const SECTION: Section = Section::Resources;

/// Below this a few images fill the disk.
const LOW_SPACE: u64 = 5_000_000_000;
/// Below this there is no room for one.
const NO_SPACE: u64 = 500_000_000;
/// A VM has some thirty files, an image while it is made as many as it holds.
const LOW_INODES: u64 = 10_000;
/// A small VM's memory, with its VMM's.
const LOW_MEMORY: u64 = 512 << 20;
/// When this program was young, in seconds since the epoch: no clock is earlier (2025-01-01).
const EPOCH: i64 = 1_735_689_600;

struct Facts {
    data: String,
    disk: Result<Disk, String>,
    /// Whether files can share blocks; none where it was not tried.
    reflink: Option<Result<bool, String>>,
    /// What VMs are to run in unless told otherwise.
    choice: VmmChoice,
    memory: Option<Memory>,
    now: i64,
    synchronised: Option<bool>,
}

pub(super) fn look(config: &Config, host: &Host) -> Vec<Line> {
    let data = &config.paths.data;
    let disk = disk::look(data);
    let directory = disk.as_ref().ok().filter(|_| host.is_root);
    let reflink =
        directory.map(|disk| disk::can_reflink(&disk.directory).map_err(|error| error.to_string()));
    let facts = Facts {
        data: data.display().to_string(),
        reflink,
        choice: config.vm_defaults.vmm.unwrap_or_default(),
        disk: disk.map_err(|error| error.to_string()),
        memory: Memory::read(),
        now: crate::now(),
        synchronised: clock::is_synchronised(),
    };
    judge(&facts, host)
}

fn judge(facts: &Facts, host: &Host) -> Vec<Line> {
    let mut lines = match &facts.disk {
        Ok(disk) => vec![space(disk, &facts.data), inodes(disk)],
        Err(why) => {
            let text = format!("{}: {why}", facts.data);
            let remedy = "use another directory: --data-dir, or IGNITE_DATA_DIR";
            vec![Line::missing(SECTION, "disk", text, remedy).essential()]
        }
    };
    lines.extend([reflink(facts, host), memory(facts.memory), time(facts)]);
    lines
}

fn space(disk: &Disk, data: &str) -> Line {
    const NAME: &str = "disk";
    let kind = disk.kind.as_deref().unwrap_or("unknown file system");
    let (free, size) = (gigabytes(disk.free), gigabytes(disk.size));
    let text = format!("{data}: {free} of {size} free, {kind}");
    let remedy = "see `ignite image ls` and remove what is not used with `ignite rmi`, or use another \
                  disk: --data-dir";
    if disk.read_only {
        let remedy = "mount it writable, or use another directory: --data-dir";
        return Line::missing(SECTION, NAME, text + ", read-only", remedy).essential();
    }
    match disk.free {
        ..NO_SPACE => Line::missing(SECTION, NAME, text, remedy).essential(),
        NO_SPACE..LOW_SPACE => {
            Line::degraded(SECTION, NAME, text, "the next image may not fit").remedy(remedy)
        }
        _ => Line::good(SECTION, NAME, text),
    }
}

fn inodes(disk: &Disk) -> Line {
    const NAME: &str = "inodes";
    match (disk.inodes, disk.free_inodes) {
        (0, _) => Line::good(SECTION, NAME, "as many as there is space for"),
        (_, free @ ..LOW_INODES) => {
            let text = format!("{free} free");
            Line::degraded(
                SECTION,
                NAME,
                text,
                "unpacking an image may fail with space left",
            )
            .remedy(format!(
                "find what has so many files: `du --inodes -x {}`",
                disk.directory.display()
            ))
        }
        (_, free) => Line::good(SECTION, NAME, format!("{free} free")),
    }
}

fn reflink(facts: &Facts, host: &Host) -> Line {
    const NAME: &str = "reflink";
    let why = match &facts.reflink {
        Some(Ok(true)) => return Line::good(SECTION, NAME, "files share blocks"),
        Some(Ok(false)) => "not on this file system".to_owned(),
        Some(Err(why)) => format!("cannot be tried: {why}"),
        None => return Line::hidden(SECTION, NAME, "not tried: that takes root"),
    };
    let is_firecracker = match facts.choice {
        VmmChoice::Auto => host.kvm.is_available(),
        choice => choice == VmmChoice::Firecracker,
    };
    if !is_firecracker {
        return Line::good(SECTION, NAME, why + "; QEMU's disks do without");
    }
    let costs = "each disk of a VM in Firecracker is a copy of its image";
    Line::degraded(SECTION, NAME, why, costs)
        .remedy("put the data directory on xfs or btrfs: --data-dir")
}

fn memory(memory: Option<Memory>) -> Line {
    const NAME: &str = "memory";
    let Some(memory) = memory else {
        return Line::degraded(
            SECTION,
            NAME,
            "/proc does not say",
            "nothing is known of it",
        )
        .remedy("mount -t proc proc /proc");
    };
    let (available, total) = (gigabytes(memory.available), gigabytes(memory.total));
    let text = format!("{available} of {total} available");
    match memory.available {
        ..LOW_MEMORY => Line::degraded(
            SECTION,
            NAME,
            text,
            "the next VM may be killed for want of it",
        )
        .remedy("see `ignite ps` and stop what is not used, or run VMs with a smaller --memory"),
        _ => Line::good(SECTION, NAME, text),
    }
}

fn time(facts: &Facts) -> Line {
    const NAME: &str = "clock";
    let remedy = "timedatectl set-ntp true";
    match facts.synchronised {
        _ if facts.now < EPOCH => Line::degraded(
            SECTION,
            NAME,
            "it is years behind",
            "certificates of registries and of overlays are not valid yet",
        )
        .remedy(remedy),
        Some(true) => Line::good(SECTION, NAME, "synchronised"),
        Some(false) => Line::degraded(
            SECTION,
            NAME,
            "nobody keeps it right, as far as the kernel knows",
            "an overlay's hosts may disagree, and certificates seem to be out of date",
        )
        .remedy(remedy),
        None => Line::good(SECTION, NAME, "the kernel does not say whether it is right"),
    }
}

/// Bytes in gigabytes, as disks are sold.
fn gigabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000_000;
    format!("{}.{} GB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use ignite_host::cpu::Virtualisation;

    use super::super::host::tests::GOOD;
    use super::super::{Verdict, can_run};
    use super::*;

    fn disk(free: u64) -> Disk {
        Disk {
            directory: "/var/lib".into(),
            kind: Some("ext4".into()),
            read_only: false,
            size: 100_000_000_000,
            free,
            inodes: 1_000_000,
            free_inodes: 500_000,
        }
    }

    #[test]
    fn the_less_is_free_the_worse_it_is() {
        let verdict = |free| space(&disk(free), "/d").verdict();
        assert_eq!(verdict(LOW_SPACE), Verdict::Good);
        assert_eq!(verdict(LOW_SPACE - 1), Verdict::Degraded);
        assert_eq!(verdict(NO_SPACE), Verdict::Degraded);
        let full = space(&disk(NO_SPACE - 1), "/d");
        assert!(!can_run(&[full]));
        let text = space(&disk(12_345_000_000), "/d").detail().to_owned();
        assert_eq!(text, "/d: 12.3 GB of 100.0 GB free, ext4");
    }

    #[test]
    fn a_file_system_that_cannot_be_written_holds_no_vm() {
        let disk = Disk {
            read_only: true,
            ..disk(LOW_SPACE)
        };
        assert!(!can_run(&[space(&disk, "/d")]));
    }

    #[test]
    fn inodes_run_out_where_they_are_counted() {
        let verdict = |inodes, free_inodes| {
            let disk = Disk {
                inodes,
                free_inodes,
                ..disk(0)
            };
            super::inodes(&disk).verdict()
        };
        assert_eq!(verdict(1000, 5), Verdict::Degraded);
        assert_eq!(verdict(0, 0), Verdict::Good);
    }

    #[test]
    fn shared_blocks_are_missed_where_firecracker_runs() {
        let told = |reflink, choice, kvm| {
            let facts = Facts {
                data: "/d".into(),
                disk: Ok(disk(0)),
                reflink: Some(reflink),
                choice,
                memory: None,
                now: EPOCH,
                synchronised: None,
            };
            super::reflink(&facts, &Host { kvm, ..GOOD }).verdict()
        };
        let (kvm, none) = (Virtualisation::Available, Virtualisation::NoFlag);
        for no in [Ok(false), Err("it is not supported".to_owned())] {
            for (choice, kvm, verdict) in [
                (VmmChoice::Auto, kvm, Verdict::Degraded),
                (VmmChoice::Auto, none, Verdict::Good),
                (VmmChoice::Qemu, kvm, Verdict::Good),
                (VmmChoice::Firecracker, none, Verdict::Degraded),
            ] {
                assert_eq!(told(no.clone(), choice, kvm), verdict, "{no:?} {choice}");
            }
        }
        assert_eq!(told(Ok(true), VmmChoice::Auto, kvm), Verdict::Good);
    }

    #[test]
    fn a_clock_of_the_last_century_is_told() {
        let facts = |now, synchronised| Facts {
            data: "/d".into(),
            disk: Ok(disk(0)),
            reflink: None,
            choice: VmmChoice::Auto,
            memory: None,
            now,
            synchronised,
        };
        assert_eq!(time(&facts(0, Some(true))).verdict(), Verdict::Degraded);
        assert_eq!(time(&facts(EPOCH, Some(true))).detail(), "synchronised");
    }
}
