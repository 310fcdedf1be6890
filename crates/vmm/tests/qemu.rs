//! The driver with the real QEMU, confined, and guests of a few instructions: kernels in the PVH format, as
//! QEMU boots a `vmlinux`.

mod pvh;

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ignite_host::process::Status;
use ignite_vmm::{Choice, Confinement, Driver, Reason, Report, Request, Resources, Work, find};
use ignite_wire::supervisor::{Disk, DiskFormat, Machine, Share, Vmm};
use pvh::{IDLE, pvh_kernel};

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// No account's.
const USER: u32 = 2_080_374_784;

/// An invalid instruction with no handler: the processor resets (`ud2`).
const FAULT: &[u8] = &[0x0f, 0x0b];

struct Guest {
    driver: Driver,
    reports: Vec<Report>,
    directory: tempfile::TempDir,
}

impl Guest {
    fn start(kernel: &[u8], disks: impl FnOnce(&Path) -> Vec<Disk>) -> Self {
        Self::with_balloon(kernel, disks, None)
    }

    fn with_balloon(
        kernel: &[u8],
        disks: impl FnOnce(&Path) -> Vec<Disk>,
        balloon: Option<u64>,
    ) -> Self {
        Self::with(kernel, |directory, machine| {
            machine.disks = disks(directory);
            machine.balloon = balloon;
        })
    }

    /// Of a machine that has what is given to it.
    fn with(kernel: &[u8], furnish: impl FnOnce(&Path, &mut Machine)) -> Self {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("vmlinux");
        std::fs::write(&path, kernel).expect("write");
        let mut machine = Machine {
            vmm: Vmm::QemuTcg,
            program: find(Choice::Exactly(Vmm::QemuTcg))
                .expect("QEMU is installed")
                .program,
            cpus: 1,
            memory: 16 << 20,
            balloon: None,
            kernel: path,
            initramfs: PathBuf::from("/nonexistent"),
            cmdline: String::new(),
            disks: Vec::new(),
            shares: Vec::new(),
        };
        furnish(directory.path(), &mut machine);
        let resources = Resources {
            nics: Vec::new(),
            initramfs: ignite_host::fs::memfd("initramfs", b"070701").expect("memory"),
            live: None,
            log: None,
            work: Some(Work {
                id: "test".to_owned(),
                directory: directory.path().to_owned(),
            }),
            confinement: Some(Confinement {
                user: USER,
                tasks: 100,
                file_bytes: 1 << 30,
                cgroups: Vec::new(),
                jailer: None,
            }),
        };
        let driver = Driver::start(&machine, resources, Some(2_000_000)).expect("it starts");
        Self {
            driver,
            reports: Vec::new(),
            directory,
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
    guest.driver.pause();
    guest.driver.resume();
    guest.driver.quit();
    assert_eq!(guest.wait_for_end(), Status::Code(0));
    let expected = [
        Report::Answer(Request::Pause, Ok(())),
        Report::Answer(Request::Pause, Ok(())),
        Report::Answer(Request::Resume, Ok(())),
        Report::Shutdown(Reason::Quit),
    ];
    assert_eq!(guest.reports, expected);
}

/// Without a driver in the guest nothing is taken, and nothing is wrong.
#[test]
fn a_balloon_is_asked_of_a_guest_that_has_one() {
    for (balloon, has_balloon) in [(Some(1 << 20), true), (None, false)] {
        let mut guest = Guest::with_balloon(&pvh_kernel(IDLE), no_disks, balloon);
        guest.wait_for_console("Hi");
        guest.driver.inflate(2 << 20);
        guest.driver.quit();
        assert_eq!(guest.wait_for_end(), Status::Code(0));
        let Report::Answer(Request::Inflate, answer) = &guest.reports[0] else {
            panic!("{:?}", guest.reports);
        };
        assert_eq!(answer.is_ok(), has_balloon, "{answer:?}");
        assert_eq!(guest.reports[1..], [Report::Shutdown(Reason::Quit)]);
    }
}

/// A directory with this program as its server.
fn shared(directory: &Path, server: PathBuf) -> Vec<Share> {
    let path = directory.join("shared");
    std::fs::create_dir(&path).expect("mkdir");
    vec![Share {
        path,
        tag: "ignite0".to_owned(),
        read_only: false,
        server,
    }]
}

/// The server of the guest's directory: the process of this program's that is locked up there.
fn server_of(guest: &Guest) -> Option<PathBuf> {
    let place = |path: PathBuf| Some((path.metadata().ok()?.dev(), path.metadata().ok()?.ino()));
    let directory = place(guest.directory.path().join("shared"));
    let is_it = |process: &PathBuf| place(process.join("root/")) == directory;
    let processes = std::fs::read_dir("/proc").expect("processes").flatten();
    processes.map(|process| process.path()).find(is_it)
}

#[test]
fn a_directory_is_served_from_a_room_with_nothing_besides() {
    let program = find::virtiofsd().expect("virtiofsd is installed");
    let mut guest = Guest::with(&pvh_kernel(IDLE), |directory, machine| {
        machine.shares = shared(directory, program);
    });
    guest.wait_for_console("Hi");
    let server = server_of(&guest).expect("it runs");
    // Locked up in the directory, which is empty.
    let mut seen = std::fs::read_dir(server.join("root/")).expect("a root");
    assert!(seen.next().is_none());
    let status = std::fs::read_to_string(server.join("status")).expect("a status");
    let line = status.lines().find(|line| line.starts_with("CapPrm:"));
    let held = line.and_then(|line| line.split_whitespace().last());
    // Of CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_SETGID, CAP_SETUID, CAP_SETFCAP.
    assert_eq!(held, Some("00000000800000db"));
    guest.driver.quit();
    assert_eq!(guest.wait_for_end(), Status::Code(0));
    let is_broken = |report: &Report| matches!(report, Report::Broken { .. });
    assert!(!guest.reports.iter().any(is_broken), "{:?}", guest.reports);
}

#[test]
fn a_server_that_fails_is_told_of_in_its_own_words() {
    let mut guest = Guest::with(&pvh_kernel(IDLE), |directory, machine| {
        // It knows none of the options.
        machine.shares = shared(directory, PathBuf::from("/usr/bin/ls"));
    });
    assert_eq!(guest.wait_for_end(), Status::Code(1));
    let told = guest.reports.iter().find_map(|report| match report {
        Report::Broken { message } => Some(message.as_str()),
        _ => None,
    });
    let told = told.expect("it is told");
    assert!(told.contains("shared ended with exit code 2: "), "{told}");
    assert!(told.contains("ls --help"), "{told}");
}

#[test]
fn a_server_that_is_killed_ends_the_vmm() {
    let program = find::virtiofsd().expect("virtiofsd is installed");
    let mut guest = Guest::with(&pvh_kernel(IDLE), |directory, machine| {
        machine.shares = shared(directory, program);
    });
    guest.wait_for_console("Hi");
    let server = server_of(&guest).expect("it runs");
    let number = server.file_name().and_then(|name| name.to_str());
    let pid = number.and_then(|number| number.parse().ok());
    let pid = pid
        .and_then(rustix::process::Pid::from_raw)
        .expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    assert_eq!(guest.wait_for_end(), Status::Code(0));
    let told = |report: &Report| matches!(report, Report::Broken { message } if message.contains("ended with signal 9"));
    assert!(guest.reports.iter().any(told), "{:?}", guest.reports);
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
        ignite_vmm::disk::qcow2::create(&path, &backing, 1 << 30).expect("overlay");
        let format = DiskFormat::Qcow2 { backing };
        vec![Disk {
            path,
            format,
            read_only: false,
            rate: None,
            volume: None,
        }]
    });
    guest.wait_for_console("Hi");
    guest.driver.quit();
    assert_eq!(guest.wait_for_end(), Status::Code(0));
}

#[test]
fn a_second_vmm_may_read_what_the_first_reads_and_write_nothing_of_its() {
    let root = tempfile::tempdir().expect("tempdir");
    let (base, own, other) = (
        root.path().join("base"),
        root.path().join("own"),
        root.path().join("other"),
    );
    std::fs::write(&base, vec![1; 1 << 20]).expect("write");
    let overlay = |path: &Path| {
        let format = DiskFormat::Qcow2 {
            backing: base.clone(),
        };
        vec![Disk {
            path: path.to_owned(),
            format,
            read_only: false,
            rate: None,
            volume: None,
        }]
    };
    for path in [&own, &other] {
        ignite_vmm::disk::qcow2::create(path, &base, 1 << 30).expect("overlay");
    }
    let mut first = Guest::start(&pvh_kernel(IDLE), |_| overlay(&own));
    first.wait_for_console("Hi");
    let mut neighbour = Guest::start(&pvh_kernel(IDLE), |_| overlay(&other));
    neighbour.wait_for_console("Hi");
    let mut second = Guest::start(&pvh_kernel(IDLE), |_| overlay(&own));
    assert_eq!(second.wait_for_end(), Status::Code(1), "one disk, one VMM");
    for mut guest in [first, neighbour] {
        guest.driver.quit();
        assert_eq!(guest.wait_for_end(), Status::Code(0));
    }
}

#[test]
fn no_kernel_is_an_end_with_a_code() {
    let mut guest = Guest::start(b"this is no kernel", no_disks);
    assert_eq!(guest.wait_for_end(), Status::Code(1));
}

/// What the kernel says of the VMM's process under this name.
fn said(guest: &Guest, name: &str) -> String {
    let pid = guest.driver.process().pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.expect("a line").trim().to_owned()
}

#[test]
fn the_vmm_is_nobody_and_sees_nothing_of_the_host() {
    let mut guest = Guest::start(&pvh_kernel(IDLE), no_disks);
    guest.wait_for_console("Hi");
    let user = USER.to_string();
    assert_eq!(said(&guest, "Uid:"), [&*user; 4].join("\t"));
    assert_eq!(said(&guest, "Gid:"), [&*user; 4].join("\t"));
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(said(&guest, set), "0000000000000000", "{set}");
    }
    assert_eq!(said(&guest, "NoNewPrivs:"), "1");
    assert_eq!(said(&guest, "Seccomp:"), "2");
    // Ours around QEMU's own.
    assert_eq!(said(&guest, "Seccomp_filters:"), "2");
    let pid = guest.driver.process().pid();
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    let mut seen: Vec<_> = std::fs::read_dir(&root)
        .expect("its root")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    seen.sort();
    let known = [
        "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "usr",
    ];
    assert!(
        seen.iter().all(|name| known.contains(&name.as_str())),
        "{seen:?}"
    );
    let devices = std::fs::read_dir(root.join("dev"))
        .expect("its devices")
        .count();
    assert_eq!(devices, 2);
    guest.driver.quit();
    assert_eq!(guest.wait_for_end(), Status::Code(0));
}
