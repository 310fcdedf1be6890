//! What the start of a VMM costs beyond the VMM's own: the driver, and confinement.
//!
//! Firecracker's place is taken by its stand-in, which answers at once; what the driver does beside it
//! is what the program itself, sent the same requests by hand, did not need. Confinement is measured on
//! QEMU until it greets, so that what it finds slower in its room counts as well.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ignite_host::cgroup::{Bounds, Group};
use ignite_host::process::{self, Spec};
use ignite_host::signal::{PollFd, PollFlags, poll};
use ignite_testkit::place;
use ignite_vmm::firecracker::answer::Decoder;
use ignite_vmm::firecracker::command::{self, Paths};
use ignite_vmm::firecracker::request::Request;
use ignite_vmm::firecracker::version::Version;
use ignite_vmm::{Choice, Confinement, Driver, Resources, Work, find};
use ignite_wire::guest::{self, Config};
use ignite_wire::supervisor::{Disk, DiskFormat, Machine, Vmm};

use super::{Case, Unit};

const RUNS: usize = 41;

/// No account's.
const USER: u32 = 2_080_374_784;

/// The group of the VMMs measured.
const GROUP: &str = "ignite-bench/vmm";

/// For an answer that comes in a millisecond.
const PATIENCE: Duration = Duration::from_secs(20);

pub fn run() -> Result<Vec<Case>> {
    let directory = place::build("bench/vmm");
    // What a run that was killed left.
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(directory.join("work"))?;
    let mut cases = firecracker(&directory)?;
    cases.extend(qemu(&directory)?);
    fs::remove_dir_all(&directory)?;
    Ok(cases)
}

fn firecracker(directory: &Path) -> Result<Vec<Case>> {
    let program = place::built("testkit/stand-in/firecracker")?;
    let machine = machine(Vmm::Firecracker, program, directory)?;
    let (mut by_hand, mut own, mut confined) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..=RUNS {
        let hand = started_by_hand(&machine, directory)?;
        let driver = started(&machine, directory, false)?;
        let room = started(&machine, directory, true)?;
        if round > 0 {
            by_hand.push(hand);
            own.push(driver - hand);
            confined.push(room - driver);
        }
    }
    let case = |name, values: &[f64]| Case::new("vmm", name, Unit::Milliseconds, values);
    Ok(vec![
        case(
            "Firecracker's stand-in, asked by hand, to started",
            &by_hand,
        ),
        case("Firecracker's driver to started, beyond that", &own).at_most(5.0),
        case(
            "confinement of Firecracker's stand-in, beyond the driver",
            &confined,
        )
        .at_most(5.0),
    ])
}

fn qemu(directory: &Path) -> Result<Vec<Case>> {
    let program = find(Choice::Exactly(Vmm::QemuTcg))?.program;
    let machine = machine(Vmm::QemuTcg, program, directory)?;
    let (mut plain, mut confined) = (Vec::new(), Vec::new());
    for round in 0..=RUNS {
        let without = started(&machine, directory, false)?;
        let with = started(&machine, directory, true)?;
        if round > 0 {
            plain.push(without);
            confined.push(with - without);
        }
    }
    let case = |name, values: &[f64]| Case::new("vmm", name, Unit::Milliseconds, values);
    Ok(vec![
        case("QEMU to its greeting", &plain),
        case(
            "confinement of QEMU to its greeting, beyond that",
            &confined,
        )
        .at_most(5.0),
    ])
}

/// A machine whose guest does nothing.
fn machine(vmm: Vmm, program: PathBuf, directory: &Path) -> Result<Machine> {
    let path = |name: &str| directory.join(name);
    fs::write(path("vmlinux"), "\x7fELF")?;
    fs::write(path("disk"), [0; 1 << 20])?;
    Ok(Machine {
        vmm,
        program,
        cpus: 1,
        memory: 128 << 20,
        balloon: None,
        kernel: path("vmlinux"),
        initramfs: PathBuf::new(),
        cmdline: String::new(),
        disks: vec![Disk {
            path: path("disk"),
            format: DiskFormat::Raw,
            read_only: false,
            rate: None,
            volume: None,
        }],
        shares: Vec::new(),
    })
}

/// Milliseconds until the driver has started it, and for QEMU until it greets.
fn started(machine: &Machine, directory: &Path, is_confined: bool) -> Result<f64> {
    let initramfs = ignite_host::fs::memfd("initramfs", &guest_segment()?)?;
    let began = Instant::now();
    let group = is_confined
        .then(|| Group::make(GROUP, &bounds()))
        .transpose()?;
    let confinement = group.as_ref().map(confinement).transpose()?;
    let resources = Resources {
        nics: Vec::new(),
        initramfs,
        live: None,
        log: None,
        confinement,
        work: Some(Work {
            id: "bench".to_owned(),
            directory: directory.join("work"),
        }),
    };
    let driver = Driver::start(machine, resources, Some(2_000_000))?;
    if matches!(driver, Driver::Qemu(_)) {
        let mut fds: Vec<PollFd<'_>> = driver
            .control()
            .into_iter()
            .map(|(fd, _)| PollFd::from_borrowed_fd(fd, PollFlags::IN))
            .collect();
        ensure!(poll(&mut fds, Some(PATIENCE))? > 0, "QEMU does not greet");
    }
    let took = milliseconds(began);
    driver.kill()?;
    driver.process().wait()?;
    group.map(|group| group.remove()).transpose()?;
    Ok(took)
}

fn confinement(group: &Group) -> Result<Confinement> {
    Ok(Confinement {
        user: USER,
        tasks: 128,
        file_bytes: 64 << 20,
        cgroups: group.joints()?,
        jailer: None,
    })
}

fn bounds() -> Bounds {
    Bounds {
        memory: 512 << 20,
        cpu_millis: 1500,
        tasks: 128,
    }
}

/// The same without a driver: the program, its socket, the same requests one after the other.
fn started_by_hand(machine: &Machine, directory: &Path) -> Result<f64> {
    let work = directory.join("by-hand");
    fs::create_dir(&work)?;
    let paths = Paths::of_host(machine, &work);
    fs::write(work.join(command::INITRAMFS), guest_segment()?)?;
    for name in [command::LOG, command::METRICS] {
        fs::write(work.join(name), "")?;
    }
    let mut requests = command::requests(machine, &paths, &[], Version::OLDEST)?;
    requests.insert(0, Request::Version);
    requests.push(Request::Start);
    let arguments = command::command_line("bench", &paths)?;
    let spec = Spec::new(&machine.program).args(arguments).env_clear();
    let began = Instant::now();
    let process = process::spawn(spec)?;
    let mut socket = connected(&work.join(command::API))?;
    let mut decoder = Decoder::default();
    for request in requests {
        socket.write_all(&request.encode())?;
        answered(&mut socket, &mut decoder)
            .with_context(|| format!("the stand-in would not {}", request.purpose()))?;
    }
    let took = milliseconds(began);
    process.signal(9)?;
    process.wait()?;
    fs::remove_dir_all(&work)?;
    Ok(took)
}

/// Asks again without a pause: nobody could be sooner.
fn connected(path: &Path) -> Result<UnixStream> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match UnixStream::connect(path) {
            Ok(socket) => return Ok(socket),
            Err(_) if Instant::now() < deadline => std::thread::yield_now(),
            Err(error) => return Err(error.into()),
        }
    }
}

fn answered(socket: &mut UnixStream, decoder: &mut Decoder) -> Result<()> {
    let mut buffer = [0; 4096];
    let mut answers = Vec::new();
    while answers.is_empty() {
        let length = socket.read(&mut buffer)?;
        ensure!(length > 0, "it closed the connection");
        decoder.push(&buffer[..length], &mut answers)?;
    }
    ensure!(answers[0].is_success(), "{}", answers[0].fault());
    Ok(())
}

fn guest_segment() -> Result<Vec<u8>> {
    let path = "/sbin/init".to_owned();
    let config = Config {
        agent: guest::Transport::Vsock,
        power_off: guest::PowerOff::Reset,
        ..Config::new("vm", guest::Process::Init { path })
    };
    let json = serde_json::to_vec(&config)?;
    Ok(ignite_wire::cpio::segment(guest::CONFIG_PATH, &json)?)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}
