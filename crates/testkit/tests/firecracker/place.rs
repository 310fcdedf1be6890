//! A directory with all a VMM needs, and the VMM in it.

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ignite_host::process::Status;
use ignite_vmm::{Confinement, Driver, Error, Nic, Report, Resources, Work};
use ignite_wire::guest::{self, Config};
use ignite_wire::supervisor::{Disk, DiskFormat, Machine, Rate, Vmm};

/// Generous: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The place of one VM.
pub struct Place {
    directory: tempfile::TempDir,
    /// The machine that is started in it.
    pub machine: Machine,
}

impl Place {
    /// With a stand-in that is given these arguments besides the driver's.
    pub fn new(arguments: &str) -> Self {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = |name: &str| directory.path().join(name);
        std::fs::create_dir(path("work")).expect("mkdir");
        std::fs::write(path("vmlinux"), "\x7fELF").expect("write");
        for name in ["disk", "modules"] {
            std::fs::write(path(name), [0; 4096]).expect("write");
        }
        let program = path("firecracker");
        let script = format!(
            "#!/bin/sh\nexec {} \"$@\" {arguments}\n",
            env!("CARGO_BIN_EXE_stand-in-firecracker")
        );
        std::fs::write(&program, script).expect("write");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("chmod");
        let disk = |name, read_only| Disk {
            path: path(name),
            format: DiskFormat::Raw,
            read_only,
            rate: None,
            volume: None,
        };
        let mut disks = vec![disk("disk", false), disk("modules", true)];
        disks[0].rate = Some(Rate {
            bytes_per_second: 1 << 20,
            burst: 1 << 20,
        });
        let machine = Machine {
            vmm: Vmm::Firecracker,
            program,
            cpus: 1,
            memory: 128 << 20,
            balloon: None,
            kernel: path("vmlinux"),
            initramfs: PathBuf::from("/nonexistent"),
            cmdline: String::new(),
            disks,
            shares: Vec::new(),
        };
        Self { directory, machine }
    }

    /// The VMM's work directory.
    pub fn work(&self) -> PathBuf {
        self.directory.path().join("work")
    }

    /// A file or directory in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What lies in the work directory.
    pub fn left(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.work()).expect("readable");
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            let name = entry.expect("an entry").file_name();
            name.to_string_lossy().into_owned()
        };
        entries.map(name).collect()
    }

    /// Starts the VMM.
    pub fn start(&self, nics: Vec<Nic>) -> Result<Driver, Error> {
        self.start_as(nics, None)
    }

    /// Starts the VMM in this confinement.
    pub fn start_as(
        &self,
        nics: Vec<Nic>,
        confinement: Option<Confinement>,
    ) -> Result<Driver, Error> {
        self.start_holding(nics, confinement, None)
    }

    /// Starts the VMM with this liveness lock.
    pub fn start_holding(
        &self,
        nics: Vec<Nic>,
        confinement: Option<Confinement>,
        live: Option<OwnedFd>,
    ) -> Result<Driver, Error> {
        let segment = guest_segment();
        let resources = Resources {
            nics,
            initramfs: ignite_host::fs::memfd("initramfs", &segment).expect("memory"),
            live,
            log: None,
            work: Some(Work {
                id: "stand-in-1".to_owned(),
                directory: self.work(),
            }),
            confinement,
        };
        Driver::start(&self.machine, resources, None)
    }

    /// Processes that have this place's program or socket in their command line.
    pub fn processes(&self) -> Vec<String> {
        let needle = self.directory.path().to_string_lossy().into_owned();
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").expect("proc").flatten() {
            let Ok(line) = std::fs::read(entry.path().join("cmdline")) else {
                continue;
            };
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if line.contains(&needle) {
                found.push(line);
            }
        }
        found
    }
}

fn guest_segment() -> Vec<u8> {
    let path = "/sbin/init".to_owned();
    let config = Config {
        agent: guest::Transport::Vsock,
        agent_token: "t0ken".to_owned(),
        power_off: guest::PowerOff::Reset,
        ..Config::new("vm", guest::Process::Init { path })
    };
    let json = serde_json::to_vec(&config).expect("plain data");
    ignite_wire::cpio::segment(guest::CONFIG_PATH, &json).expect("small")
}

/// Looks until `done` says so; everything that was reported.
pub fn look_until(driver: &mut Driver, mut done: impl FnMut(&[Report]) -> bool) -> Vec<Report> {
    let deadline = Instant::now() + PATIENCE;
    let mut reports = Vec::new();
    loop {
        reports.extend(
            driver
                .reports()
                .expect("the control stream is sound")
                .reports,
        );
        if done(&reports) {
            return reports;
        }
        assert!(Instant::now() < deadline, "it only said {reports:?}");
        sleep(Duration::from_millis(2));
    }
}

/// Reads the console until it has said this; what it has said since the last time.
pub fn wait_for_console(driver: &Driver, text: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    let mut seen = String::new();
    while !seen.contains(text) {
        assert!(Instant::now() < deadline, "the console only said {seen:?}");
        let mut buffer = [0; 100];
        if let Ok(length) = driver.console().read(&mut buffer) {
            seen.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        sleep(Duration::from_millis(2));
    }
    seen
}

/// Waits for the end; what the VMM told of it.
pub fn wait_for_end(driver: &mut Driver) -> (Status, Vec<Report>) {
    let ended = driver.process().wait_timeout(PATIENCE).expect("our child");
    let status = ended.expect("it ends in time");
    let mut reports = driver.reports().expect("sound").reports;
    reports.extend(driver.ended(status));
    (status, reports)
}

/// Whether a path exists, whatever it is.
pub fn exists(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok()
}
