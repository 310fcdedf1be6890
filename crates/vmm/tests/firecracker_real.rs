//! A real Firecracker through the driver: configuration, start, pause, rate limits, metrics, stop. It
//! runs where hardware does, with a small guest that needs no more than a console:
//!
//! ```text
//! IGNITE_FIRECRACKER=/path/firecracker IGNITE_TEST_GUEST=/path/kernel.elf make test-firecracker-api
//! ```

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ignite_host::link::Netlink;
use ignite_host::netns::Namespace;
use ignite_host::process::Status;
use ignite_host::tap::{self, Tap as HostTap};
use ignite_vmm::{Confinement, Driver, Nic, Reason, Report, Request, Resources, Tap, Work};
use ignite_wire::supervisor::{Disk, DiskFormat, Machine, Rate, Vmm};

const PATIENCE: Duration = Duration::from_secs(60);

/// No account's.
const USER: u32 = 2_080_374_784;

fn named(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} is not set"));
    PathBuf::from(path)
}

fn rate() -> Rate {
    Rate {
        bytes_per_second: 1 << 20,
        burst: 1 << 20,
    }
}

struct Place {
    directory: tempfile::TempDir,
    machine: Machine,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("tempdir");
        let disk = directory.path().join("disk");
        std::fs::write(&disk, vec![0; 1 << 20]).expect("write");
        let machine = Machine {
            vmm: Vmm::Firecracker,
            program: named("IGNITE_FIRECRACKER"),
            cpus: 1,
            memory: 128 << 20,
            balloon: None,
            kernel: named("IGNITE_TEST_GUEST"),
            initramfs: PathBuf::from("/nonexistent"),
            cmdline: String::new(),
            disks: vec![Disk {
                path: disk,
                format: DiskFormat::Raw,
                read_only: false,
                rate: Some(rate()),
                volume: None,
            }],
            shares: Vec::new(),
        };
        Self { directory, machine }
    }

    fn start(&self, nics: Vec<Nic>, confinement: Option<Confinement>) -> Driver {
        let resources = Resources {
            nics,
            // One whole page, so that it is one to the kernel.
            initramfs: ignite_host::fs::memfd("initramfs", &[0; 4096]).expect("memory"),
            live: None,
            log: None,
            confinement,
            work: Some(Work {
                id: "real-1".to_owned(),
                directory: self.directory.path().to_owned(),
            }),
        };
        Driver::start(&self.machine, resources, None).expect("it starts")
    }
}

/// Looks until that many reports came.
fn reports(driver: &mut Driver, number: usize) -> Vec<Report> {
    let deadline = Instant::now() + PATIENCE;
    let mut reports = Vec::new();
    while reports.len() < number {
        reports.extend(driver.reports().expect("sound").reports);
        reports.retain(|report| !matches!(report, Report::Said { .. }));
        assert!(Instant::now() < deadline, "it only said {reports:?}");
        sleep(Duration::from_millis(1));
    }
    reports
}

fn steer(driver: &mut Driver) {
    driver.pause();
    driver.pause();
    driver.limit_disk(0, None);
    driver.limit_disk(0, Some(rate()));
    driver.resume();
    driver.limit_disk(9, None);
    let answers = reports(driver, 6);
    let done = |asked| Report::Answer(asked, Ok(()));
    let expected = [
        done(Request::Pause),
        done(Request::Pause),
        done(Request::LimitDisk),
        done(Request::LimitDisk),
        done(Request::Resume),
    ];
    assert_eq!(answers[..5], expected);
    assert!(matches!(
        &answers[5],
        Report::Answer(Request::LimitDisk, Err(_))
    ));
    let before = driver.counters().expect("counted");
    driver.count();
    let deadline = Instant::now() + PATIENCE;
    while driver.counters() == Some(before) {
        reports(driver, 0);
        assert!(Instant::now() < deadline, "no metrics came: {before:?}");
        driver.count();
        driver.reports().expect("sound");
        sleep(Duration::from_millis(1));
    }
}

fn stop(mut driver: Driver) {
    driver.power_button();
    driver.reports().expect("sound");
    driver.quit();
    let ended = driver.process().wait_timeout(PATIENCE).expect("our child");
    let status = ended.expect("it ends");
    let told = driver.ended(status);
    // A guest that listens to the keyboard is faster.
    let reason = match status {
        Status::Signal(9) => Reason::Quit,
        _ => Reason::GuestReset,
    };
    assert!(
        told.contains(&Report::Shutdown(reason)),
        "{status}: {told:?}"
    );
}

#[test]
#[ignore = "wants a real Firecracker: make test-firecracker-api"]
fn a_real_firecracker_is_configured_started_steered_and_stopped() {
    let place = Place::new();
    let mut driver = place.start(Vec::new(), None);
    steer(&mut driver);
    stop(driver);
    let left: Vec<_> = std::fs::read_dir(place.directory.path())
        .expect("readable")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(left, ["disk"]);
}

#[test]
#[ignore = "wants a real Firecracker: make test-firecracker-api"]
fn a_real_firecracker_lives_confined_with_a_tap() {
    let place = Place::new();
    let namespace = Namespace::anonymous().expect("root makes namespaces");
    namespace
        .run(|| {
            let made = HostTap::create("tap0").expect("a tap");
            let index = made.index();
            tap::leave(&made.into_fd(), "tap0", Some(USER)).expect("left");
            let nic = Nic {
                tap: Tap::Named {
                    name: "tap0".to_owned(),
                    index,
                },
                mac: "02:00:00:00:00:01".to_owned(),
                mtu: 1500,
            };
            let confinement = Confinement {
                user: USER,
                tasks: 100,
                file_bytes: 1 << 30,
                cgroups: Vec::new(),
                jailer: None,
            };
            let mut driver = place.start(vec![nic], Some(confinement));
            steer(&mut driver);
            stop(driver);
            let netlink = Netlink::open().expect("netlink");
            netlink.delete(index).expect("deleted");
        })
        .expect("a thread");
}
