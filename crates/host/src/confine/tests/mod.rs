//! Rooms from inside: the test program itself is what is put there, and says what it came to.

mod death;
mod life;
mod mounts;
mod table;

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

use super::probe::{self, Aims};
use super::*;
use crate::process::{self, Output, Spec, Stdio, run};

/// Of a VM that runs nowhere.
const USER: u32 = 2_080_374_999;

/// Where the test program is in a room.
const PROGRAM: &str = "/probe";

const WORK: Work<'_> = Work {
    path: "/run",
    bytes: 1 << 20,
    files: 64,
};

/// A [`super::Work`] as a constant.
struct Work<'a> {
    path: &'a str,
    bytes: u64,
    files: u64,
}

const LIMITS: Limits = Limits {
    open_files: 64,
    tasks: 32,
    file_bytes: 16 << 20,
};

/// A room as a VMM's is, for the test program.
fn plan() -> Plan {
    let program = std::env::current_exe().expect("this program");
    let Libraries { binds, links } = libraries(&program).expect("understood");
    let mut plan = Plan {
        binds,
        links,
        devices: vec!["/dev/null".into(), "/dev/net/tun".into()],
        blocks: Vec::new(),
        work: Some(super::Work {
            target: WORK.path.into(),
            bytes: WORK.bytes,
            files: WORK.files,
        }),
        proc: Some("/proc".into()),
    };
    plan.binds.push(Bind {
        source: program,
        target: PROGRAM.into(),
        access: Access::ReadExecute,
    });
    plan
}

fn room() -> Room {
    Room::make(&plan(), USER).expect("a room")
}

/// Runs one of the tests below that is not run otherwise, as a program of its own.
fn inner(program: impl Into<PathBuf>, name: &str) -> Spec {
    let name = format!("confine::tests::{name}");
    Spec::new(program)
        .args([
            "--exact",
            &name,
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env_clear()
}

fn finished(spec: Spec) -> Output {
    run(spec, b"", process::Limits::default()).expect("run")
}

/// What a program can reach on a host that does not hide it.
struct Outside {
    _directory: tempfile::TempDir,
    _listeners: [UnixListener; 2],
    aims: Aims,
}

impl Outside {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("tempdir");
        let at = |name: &str| directory.path().join(name);
        let open = |path: &Path, mode| {
            fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("chmod");
        };
        open(directory.path(), 0o755);
        fs::write(at("disk"), "of another VM").expect("write");
        open(&at("disk"), 0o644);
        let listener = UnixListener::bind(at("socket")).expect("bind");
        open(&at("socket"), 0o777);
        let name = at("abstract").display().to_string();
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let aims = Aims {
            file: at("disk"),
            socket: at("socket"),
            abstract_socket: name,
            process: std::process::id().cast_signed(),
            work: Some(WORK.path.into()),
            held: Vec::new(),
        };
        let other = UnixListener::bind_addr(&address).expect("bind");
        Self {
            _directory: directory,
            _listeners: [listener, other],
            aims,
        }
    }

    /// Tells a program of all that.
    fn told(&self, spec: Spec) -> Spec {
        let Aims {
            file,
            socket,
            abstract_socket,
            process,
            work,
            held: _,
        } = &self.aims;
        let work = work.as_deref().unwrap_or(Path::new(""));
        spec.env("AIM_FILE", file)
            .env("AIM_SOCKET", socket)
            .env("AIM_ABSTRACT", abstract_socket)
            .env("AIM_PROCESS", process.to_string())
            .env("AIM_WORK", work)
    }
}

/// What the program inside was told.
fn aims() -> Aims {
    let variable = |name| std::env::var(name).expect("told");
    let work = PathBuf::from(variable("AIM_WORK"));
    Aims {
        file: variable("AIM_FILE").into(),
        socket: variable("AIM_SOCKET").into(),
        abstract_socket: variable("AIM_ABSTRACT"),
        process: variable("AIM_PROCESS").parse().expect("a number"),
        work: (!work.as_os_str().is_empty()).then_some(work),
        held: probe::held().iter().map(|held| held.number).collect(),
    }
}

fn null() -> OwnedFd {
    File::open("/dev/null").expect("open").into()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
