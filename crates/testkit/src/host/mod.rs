//! A host: namespaces held by one process that ends with the test.

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::Pid;

mod groups;
pub mod halting;
pub mod processes;
mod reboot;
pub mod traces;

use crate::command::Invocation;
use crate::running::Running;
use crate::{place, template, vmm, wait_until};

/// The steps inside the new namespaces.
const ENTER: &str = include_str!("enter.sh");

/// What every command of a host finds in its environment, besides `PATH`.
const ENVIRONMENT: &[&str] = &[
    "HOME=/run/home",
    "LANG=C.UTF-8",
    "TERM=dumb",
    "RUST_BACKTRACE=1",
];

/// What `/var/lib/ignite` holds at first.
#[derive(Clone, Copy)]
enum Data<'a> {
    /// Nothing: the directory is not there.
    Absent,
    /// The suite's kernel and images, shared with all other hosts; what this
    /// one writes is its own.
    Template(&'a Path),
    /// This directory itself.
    Here(&'a Path),
}

/// One host. Everything that runs in it ends when it is dropped.
pub struct Host {
    name: String,
    directory: PathBuf,
    /// `unshare`, whose child is the holder.
    unshare: Child,
    /// The first process of the host, as the machine sees it.
    holder: Pid,
    /// Programs found before the system's.
    programs: Vec<PathBuf>,
    /// What chooses the VMM, for every command.
    vmm: Vec<OsString>,
}

impl Host {
    /// A host where kernel and images are known already.
    ///
    /// # Errors
    /// If the namespaces cannot be made: that needs root.
    pub fn new(name: &str) -> Result<Self> {
        Self::start(name, Data::Template(template::directory()?))
    }

    /// A host that never saw the product.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn bare(name: &str) -> Result<Self> {
        Self::start(name, Data::Absent)
    }

    /// A host whose VMM is the stand-in: a guest that does nothing is up in ten
    /// milliseconds. Everything else is as on [`Self::new`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_stand_in(name: &str) -> Result<Self> {
        let mut host = Self::new(name)?;
        let programs = place::stand_in()?;
        let firecracker = programs.join("firecracker");
        host.vmm
            .push(vmm::assignment(vmm::FIRECRACKER, firecracker));
        host.programs.insert(0, programs);
        Ok(host)
    }

    /// A host whose data directory is `directory` of the machine.
    pub(crate) fn upon(name: &str, directory: &Path) -> Result<Self> {
        Self::start(name, Data::Here(directory))
    }

    fn start(name: &str, data: Data<'_>) -> Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory =
            place::build("e2e/hosts").join(format!("{}-{number}-{name}", std::process::id()));
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let mut unshare = unshare(name, &directory, data)?;
        let holder =
            ready(&mut unshare).with_context(|| format!("host {name} does not come up"))?;
        Ok(Self {
            name: name.to_owned(),
            directory,
            unshare,
            holder,
            programs: vec![
                place::build("bin"),
                place::build("tools/etcd-server/usr/bin"),
            ],
            vmm: vmm::variables(),
        })
    }

    /// The name, which is its hostname too.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The pid of its first process, as the machine sees it.
    pub fn pid(&self) -> i32 {
        self.holder.as_raw_nonzero().get()
    }

    /// A command to be run in this host.
    pub fn command<W: Into<OsString>>(&self, argv: impl IntoIterator<Item = W>) -> Invocation {
        let argv: Vec<OsString> = argv.into_iter().map(Into::into).collect();
        let mut prefix: Vec<OsString> =
            vec!["nsenter".into(), "-t".into(), self.pid().to_string().into()];
        // A session of its own: a signal reaches the command and its children
        // as one from a terminal would, and nothing else.
        prefix.extend(
            [
                "-m", "-n", "-p", "-u", "--", "setsid", "env", "-i", "-C", "/",
            ]
            .map(OsString::from),
        );
        let programs: Vec<_> = self
            .programs
            .iter()
            .map(|dir| dir.display().to_string())
            .collect();
        prefix.push(format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", programs.join(":")).into());
        prefix.extend(ENVIRONMENT.iter().map(OsString::from));
        prefix.extend(self.vmm.iter().cloned());
        Invocation::new(&prefix, &argv)
    }

    /// The words of a shell command line, run by `sh -c`.
    pub fn sh(&self, script: &str) -> Invocation {
        self.command(["sh", "-euc", script])
    }

    /// The product's program with these arguments.
    pub fn ignite<W: Into<OsString>>(&self, arguments: impl IntoIterator<Item = W>) -> Invocation {
        let program: OsString = place::build("bin/ignite").into();
        self.command(std::iter::once(program).chain(arguments.into_iter().map(Into::into)))
    }

    /// The helper program with these arguments.
    ///
    /// # Errors
    /// If it was not built.
    pub fn helper(&self, arguments: &[&str]) -> Result<Invocation> {
        let program: OsString = place::helper()?.into();
        Ok(self.command(std::iter::once(program).chain(arguments.iter().map(OsString::from))))
    }

    /// A service whose answers name this host, on `ports`, TCP and UDP.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn serve(&self, ports: &[u16]) -> Result<Running> {
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let mut words = vec!["serve"];
        words.extend(ports.iter().map(String::as_str));
        let mut service = self.helper(&words)?.start()?;
        service.wait_for("serving", Duration::from_secs(20))?;
        Ok(service)
    }

    /// What the HTTP server at `address:port` answers to this host.
    ///
    /// # Errors
    /// If nothing answers.
    pub fn get(&self, server: &str) -> Result<String> {
        self.helper(&["get", server])?.ok()
    }

    /// What the UDP server at `address:port` answers to this host.
    ///
    /// # Errors
    /// If nothing answers.
    pub fn ask(&self, server: &str) -> Result<String> {
        self.helper(&["ask", server])?.ok()
    }

    /// Runs `ip`-like commands in this host's network alone, with the machine's
    /// processes in sight, for links between hosts.
    pub(crate) fn network(&self, argv: &[&str]) -> Result<String> {
        let prefix = ["nsenter", "-t", &self.pid().to_string(), "-n", "--"].map(OsString::from);
        let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
        Invocation::new(&prefix, &argv).ok()
    }

    /// Writes a file of this host, with its directories.
    ///
    /// # Errors
    /// If it cannot.
    pub fn write(&self, path: &str, content: impl Into<Vec<u8>>) -> Result<()> {
        let script = format!("mkdir -p \"$(dirname '{path}')\"; cat > '{path}'");
        self.sh(&script).stdin(content).ok().map(drop)
    }

    /// Reads a file of this host.
    ///
    /// # Errors
    /// If it cannot.
    pub fn read(&self, path: &str) -> Result<String> {
        Ok(self.command(["cat", path]).output()?.ok()? + "\n")
    }

    /// Whether a path is there.
    ///
    /// # Errors
    /// If it cannot be told.
    pub fn has(&self, path: &str) -> Result<bool> {
        Ok(self.command(["test", "-e", path]).output()?.code == 0)
    }

    /// Shows the ends of the console logs of this host's VMs, for the reader of
    /// a failed test.
    fn show_consoles(&self) {
        let script = "tail -n 25 /var/lib/ignite/vm/*/console.log /var/lib/ignite/vm/*/status.json 2>/dev/null || true";
        if let Ok(output) = self.sh(script).deadline(Duration::from_secs(5)).output() {
            eprintln!("--- host {}\n{}", self.name, output.stdout);
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_consoles();
        }
        // The holder reads the end of its stdin, and takes all along.
        drop(self.unshare.stdin.take());
        let _ = self.unshare.wait();
        if let Err(error) = groups::remove(&groups::name(&self.directory)) {
            eprintln!("{error:#}");
        }
        let removed = wait_until("its mounts to go", Duration::from_secs(5), || {
            fs::remove_dir_all(&self.directory)
        });
        if let Err(error) = removed {
            eprintln!("cannot remove {}: {error:#}", self.directory.display());
        }
    }
}

fn unshare(name: &str, directory: &Path, data: Data<'_>) -> Result<Child> {
    let none = Path::new("");
    let (data, into) = match data {
        Data::Absent => (none, none),
        Data::Template(lower) => (lower, none),
        Data::Here(here) => (none, here),
    };
    Command::new("unshare")
        .args([
            "--mount",
            "--net",
            "--pid",
            "--uts",
            "--fork",
            "--kill-child",
            "--mount-proc",
        ])
        .args(["sh", "-c", ENTER])
        .env("name", name)
        .env("directory", directory)
        .env("data", data)
        .env("into", into)
        .env("groups", groups::name(directory))
        .env("helper", place::helper()?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start unshare")
}

/// Waits for the holder's word, and finds it.
fn ready(unshare: &mut Child) -> Result<Pid> {
    let mut line = String::new();
    let stdout = unshare.stdout.take().context("stdout is a pipe")?;
    BufReader::new(stdout).read_line(&mut line)?;
    if line.trim() != "ready" {
        let mut said = String::new();
        unshare
            .stderr
            .take()
            .context("stderr is a pipe")?
            .read_to_string(&mut said)?;
        ensure!(false, "unshare said: {said}");
    }
    only_child(unshare.id())
}

/// The child of a process that has one: `nsenter` and `unshare` do.
pub(crate) fn only_child(pid: u32) -> Result<Pid> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    let child = children
        .split_whitespace()
        .next()
        .context("it has no child")?;
    Pid::from_raw(child.parse()?).context("a pid is not 0")
}

/// Whether a process has ended, though nobody has asked how.
pub(crate) fn has_ended(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| &rest[..1]);
    matches!(state, None | Some("Z" | "X"))
}

#[cfg(test)]
mod tests;
