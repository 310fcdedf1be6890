//! The driver with the real QEMU, and guests of a few instructions: kernels in the PVH format, as
//! QEMU boots a `vmlinux`.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ignite_host::process::Status;
use ignite_vmm::{Choice, Driver, Reason, Report, Resources, find};
use ignite_wire::supervisor::{Disk, DiskFormat, Machine, Vmm};

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// Prints `Hi` on the first serial port, then waits for ever (`out`; `cli`; `hlt`).
const IDLE: &[u8] = &[
    0x66, 0xba, 0xf8, 0x03, 0xb0, b'H', 0xee, 0xb0, b'i', 0xee, 0xfa, 0xf4, 0xeb, 0xfc,
];

/// An invalid instruction with no handler: the processor resets (`ud2`).
const FAULT: &[u8] = &[0x0f, 0x0b];

/// An ELF file with `code` at 1 MiB and the note that makes it bootable by PVH
/// (`XEN_ELFNOTE_PHYS32_ENTRY`).
fn pvh_kernel(code: &[u8]) -> Vec<u8> {
    const ENTRY: u64 = 0x10_0000;
    const HEADERS: u64 = 64 + 2 * 56;
    let mut note = Vec::new();
    for word in [4u32, 8, 18] {
        note.extend(word.to_le_bytes());
    }
    note.extend(b"Xen\0");
    note.extend(ENTRY.to_le_bytes());
    let program = |kind: u32, offset: u64, address: u64, size: u64| {
        let mut header = Vec::new();
        header.extend(kind.to_le_bytes());
        header.extend(5u32.to_le_bytes());
        for field in [offset, address, address, size, size, 4] {
            header.extend(field.to_le_bytes());
        }
        header
    };
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for field in [ENTRY, 64, 0] {
        elf.extend(field.to_le_bytes());
    }
    elf.extend(0u32.to_le_bytes());
    for field in [64u16, 56, 2, 64, 0, 0] {
        elf.extend(field.to_le_bytes());
    }
    let note_size = note.len() as u64;
    elf.extend(program(4, HEADERS, ENTRY + 0x1000, note_size));
    elf.extend(program(1, HEADERS + note_size, ENTRY, code.len() as u64));
    elf.extend(note);
    elf.extend(code);
    elf
}

struct Guest {
    driver: Driver,
    reports: Vec<Report>,
    _directory: tempfile::TempDir,
}

impl Guest {
    fn start(kernel: &[u8], disks: impl FnOnce(&Path) -> Vec<Disk>) -> Self {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("vmlinux");
        std::fs::write(&path, kernel).expect("write");
        let machine = Machine {
            vmm: Vmm::QemuTcg,
            program: find(Choice::Exactly(Vmm::QemuTcg))
                .expect("QEMU is installed")
                .program,
            cpus: 1,
            memory: 16 << 20,
            kernel: path,
            initramfs: PathBuf::from("/nonexistent"),
            cmdline: String::new(),
            disks: disks(directory.path()),
        };
        let resources = Resources {
            nics: Vec::new(),
            initramfs: ignite_host::fs::memfd("initramfs", b"070701").expect("memory"),
            live: None,
            log: None,
        };
        let driver = Driver::start(&machine, resources, Some(2_000_000)).expect("it starts");
        Self {
            driver,
            reports: Vec::new(),
            _directory: directory,
        }
    }

    fn look(&mut self) {
        let reports = self.driver.reports().expect("the control stream is sound");
        self.reports.extend(reports.reports);
        std::thread::sleep(Duration::from_millis(10));
    }

    fn wait_for_console(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains(text) {
            assert!(Instant::now() < deadline, "the console only said {seen:?}");
            let mut buffer = [0; 100];
            if let Ok(length) = self.driver.console().read(&mut buffer) {
                seen.extend_from_slice(&buffer[..length]);
            }
            self.look();
        }
    }

    fn wait_for_end(&mut self) -> Status {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ended = self.driver.try_wait().expect("our child");
            self.look();
            if let Some(status) = ended {
                return status;
            }
            assert!(
                Instant::now() < deadline,
                "it still runs: {:?}",
                self.reports
            );
        }
    }
}

fn no_disks(_: &Path) -> Vec<Disk> {
    Vec::new()
}

#[test]
fn a_guest_runs_until_the_vmm_is_asked_to_quit() {
    let mut guest = Guest::start(&pvh_kernel(IDLE), no_disks);
    guest.wait_for_console("Hi");
    guest.driver.pause();
    guest.driver.resume();
    guest.driver.quit();
    assert_eq!(guest.wait_for_end(), Status::Code(0));
    assert_eq!(guest.reports, [Report::Shutdown(Reason::Quit)]);
}

#[test]
fn a_reset_ends_the_vmm_and_is_told() {
    let mut guest = Guest::start(&pvh_kernel(FAULT), no_disks);
    assert_eq!(guest.wait_for_end(), Status::Code(0));
    assert_eq!(guest.reports, [Report::Shutdown(Reason::GuestReset)]);
}

#[test]
fn a_killed_vmm_says_nothing() {
    let mut guest = Guest::start(&pvh_kernel(IDLE), no_disks);
    guest.wait_for_console("Hi");
    guest.driver.kill().expect("it runs");
    assert_eq!(guest.wait_for_end(), Status::Signal(9));
    assert_eq!(guest.reports, []);
}

#[test]
fn an_overlay_of_ours_is_taken_whatever_its_path() {
    let mut guest = Guest::start(&pvh_kernel(IDLE), |directory| {
        let (backing, path) = (directory.join("image, shared"), directory.join("disk,1"));
        std::fs::write(&backing, vec![1; 1 << 20]).expect("write");
        ignite_vmm::qcow2::create(&path, &backing, 1 << 30).expect("overlay");
        let format = DiskFormat::Qcow2 { backing };
        vec![Disk {
            path,
            format,
            read_only: false,
        }]
    });
    guest.wait_for_console("Hi");
    guest.driver.quit();
    assert_eq!(guest.wait_for_end(), Status::Code(0));
}

#[test]
fn no_kernel_is_an_end_with_a_code() {
    let mut guest = Guest::start(b"this is no kernel", no_disks);
    assert_eq!(guest.wait_for_end(), Status::Code(1));
}
