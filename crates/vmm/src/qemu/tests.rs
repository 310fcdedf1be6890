//! Disks that are throttled, in the real QEMU: read as the guest's device reads, through its limits.

#[path = "../../tests/pvh/mod.rs"]
mod pvh;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ignite_wire::supervisor::{Disk, DiskFormat, Vmm};

use super::*;
use crate::{Choice, Report, find};

const MIB: u64 = 1 << 20;

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

fn slow() -> Rate {
    Rate {
        bytes_per_second: MIB,
        burst: 0,
    }
}

/// A guest that idles, with a disk of 16 MiB.
fn start(directory: &Path, rate: Option<Rate>) -> Qemu {
    let (kernel, disk) = (directory.join("vmlinux"), directory.join("disk"));
    std::fs::write(&kernel, pvh::pvh_kernel(pvh::IDLE)).expect("write");
    let file = std::fs::File::create(&disk).expect("create");
    file.set_len(16 * MIB).expect("a hole");
    let machine = Machine {
        vmm: Vmm::QemuTcg,
        program: find(Choice::Exactly(Vmm::QemuTcg)).expect("QEMU").program,
        cpus: 1,
        memory: 16 << 20,
        balloon: None,
        kernel,
        initramfs: PathBuf::from("/nonexistent"),
        cmdline: String::new(),
        disks: vec![Disk {
            path: disk,
            format: DiskFormat::Raw,
            read_only: false,
            rate,
            volume: None,
        }],
        shares: Vec::new(),
    };
    let resources = Resources {
        nics: Vec::new(),
        initramfs: ignite_host::fs::memfd("initramfs", b"070701").expect("memory"),
        live: None,
        log: None,
        confinement: None,
        work: None,
    };
    Qemu::start(&machine, resources, Some(2_000_000)).expect("it starts")
}

/// The answer to the next request.
fn answer(qemu: &mut Qemu) -> Report {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let reports = qemu.reports().expect("the control stream is sound").reports;
        if let Some(report) = reports.into_iter().next() {
            return report;
        }
        assert!(Instant::now() < deadline, "no answer");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How long reading 4 MiB takes, piece by piece.
fn read(qemu: &mut Qemu) -> Duration {
    let begun = Instant::now();
    for number in 0..4 {
        let command = format!("qemu-io -d drive0 \\\"read {number}M 1M\\\"");
        let arguments = format!("{{\"command-line\":\"{command}\"}}");
        // Answered like any request: the monitor waits for the read.
        qemu.send(&format!(
            "{{\"execute\":\"human-monitor-command\",\"arguments\":{arguments},\"id\":\"limit-disk\"}}\n"
        ));
        assert_eq!(answer(qemu), Report::Answer(Request::LimitDisk, Ok(())));
    }
    begun.elapsed()
}

#[test]
fn a_disk_is_as_fast_as_it_may_be_from_the_start_and_as_changed() {
    let directory = tempfile::tempdir().expect("tempdir");
    let mut qemu = start(directory.path(), Some(slow()));
    // Three seconds after the first piece, but for a tenth.
    let took = read(&mut qemu);
    assert!(took > Duration::from_millis(2500), "{took:?}");
    qemu.limit_disk(0, None);
    assert_eq!(
        answer(&mut qemu),
        Report::Answer(Request::LimitDisk, Ok(()))
    );
    let took = read(&mut qemu);
    assert!(took < Duration::from_millis(2500), "{took:?}");
    qemu.limit_disk(0, Some(slow()));
    assert_eq!(
        answer(&mut qemu),
        Report::Answer(Request::LimitDisk, Ok(()))
    );
    let took = read(&mut qemu);
    assert!(took > Duration::from_millis(2500), "{took:?}");
}

#[test]
fn a_disk_that_is_not_there_is_refused() {
    let directory = tempfile::tempdir().expect("tempdir");
    let mut qemu = start(directory.path(), None);
    qemu.limit_disk(7, Some(slow()));
    let Report::Answer(Request::LimitDisk, Err(refusal)) = answer(&mut qemu) else {
        panic!("a refusal");
    };
    assert!(refusal.contains("drive7"), "{refusal}");
}
