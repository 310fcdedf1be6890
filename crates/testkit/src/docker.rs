//! A real Docker Engine, the distribution's, in a host.
//!
//! It has the host's network, `/var/lib/docker`, `/run` and processes, so that it ends with the host.
//! Control groups alone are the machine's: its containers' are below a parent of its own, which goes
//! with it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::{Host, Invocation, Running, place, wait_until};

/// The engine's socket, in the host.
pub const SOCKET: &str = "/var/run/docker.sock";
/// For its start and its end, of an engine that clears up after a crash.
const READY: Duration = Duration::from_secs(60);
/// Where the machine has its control groups.
const CGROUPS: &str = "/sys/fs/cgroup";

/// An engine. Dropping it ends it and its containers.
pub struct Docker<'a> {
    host: &'a Host,
    /// None while it does not run.
    service: Option<Running>,
    options: Vec<String>,
    cgroup: String,
}

impl<'a> Docker<'a> {
    /// Starts one in `host`, with its default bridge.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start(host: &'a Host) -> Result<Self> {
        Self::start_with(host, &[])
    }

    /// The same with further options of `dockerd`.
    ///
    /// # Errors
    /// If it does not come up.
    pub fn start_with(host: &'a Host, options: &[&str]) -> Result<Self> {
        let mut docker = Self {
            host,
            service: None,
            options: options.iter().map(|&word| word.to_owned()).collect(),
            cgroup: format!("/ignite-test-{}", host.pid()),
        };
        docker.up()?;
        Ok(docker)
    }

    /// Starts it again, after [`Self::kill`] or [`Self::stop`].
    ///
    /// # Errors
    /// If it does not come up.
    pub fn up(&mut self) -> Result<()> {
        let service = command(self.host, "dockerd")?.args(&[
            "--host=unix://".to_owned() + SOCKET,
            "--data-root=/var/lib/docker".into(),
            "--exec-root=/run/docker".into(),
            "--pidfile=/run/docker.pid".into(),
            // Works on any file system, and for one small file nothing is lost.
            "--storage-driver=vfs".into(),
            // What the machine uses is none of this host's.
            "--exec-opt=native.cgroupdriver=cgroupfs".into(),
            format!("--cgroup-parent={}", self.cgroup),
            "--log-level=warn".into(),
        ]);
        let mut service = service.args(&self.options).start()?;
        let ready = wait_until("the Docker Engine", READY, || {
            match service.is_over() {
                // Its last words are the reason.
                Ok(true) => Ok(false),
                _ => self.docker(&["version"])?.ok().map(|_| true),
            }
        })?;
        if !ready {
            anyhow::bail!("the Docker Engine ended: {}", service.wait(READY)?);
        }
        self.service = Some(service);
        Ok(())
    }

    /// The distribution's client with these arguments.
    ///
    /// # Errors
    /// If it was not unpacked.
    pub fn docker(&self, arguments: &[&str]) -> Result<Invocation> {
        Ok(command(self.host, "docker")?.args(arguments))
    }

    /// Kills it, as a crash would: its containers live on, as far as they can.
    ///
    /// # Errors
    /// If it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.end(Signal::KILL)
    }

    /// Stops it in order, with its containers.
    ///
    /// # Errors
    /// If it does not run, or does not end.
    pub fn stop(&mut self) -> Result<()> {
        self.end(Signal::TERM)
    }

    fn end(&mut self, signal: Signal) -> Result<()> {
        let service = self.service.take().context("the engine does not run")?;
        service.signal_alone(signal)?;
        service.wait(READY).map(drop)
    }

    /// Stops it in order and starts it again.
    ///
    /// # Errors
    /// As [`Self::stop`] and [`Self::up`].
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.up()
    }

    /// Its socket, as this process reaches it.
    pub fn socket(&self) -> PathBuf {
        // Short, as names of sockets have to be, wherever the build directory is.
        PathBuf::from(format!("/proc/{}/root/run/docker.sock", self.host.pid()))
    }

    /// The engine's programs, unpacked.
    ///
    /// # Errors
    /// If they are not there.
    pub fn programs() -> Result<PathBuf> {
        place::built("docker/bin")
    }

    /// The control groups of its containers, of all controllers: none after they ended.
    ///
    /// # Errors
    /// If they cannot be listed.
    pub fn cgroups(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for parent in parents(&self.cgroup) {
            for entry in fs::read_dir(&parent)? {
                found.extend(Some(entry?.path()).filter(|path| path.is_dir()));
            }
        }
        Ok(found)
    }
}

impl Drop for Docker<'_> {
    fn drop(&mut self) {
        if self.service.is_some()
            && let Err(error) = self.stop()
        {
            eprintln!("the Docker Engine does not end: {error:#}");
        }
        // What outlived a killed engine: the parents of its containers, and those.
        for process in self.host.processes().unwrap_or_default() {
            if process.name().starts_with("containerd-shim") {
                process.signal(Signal::KILL);
            }
        }
        for parent in parents(&self.cgroup) {
            let removed = wait_until("its processes to end", Duration::from_secs(10), || {
                remove(&parent)
            });
            if let Err(error) = removed {
                eprintln!("cannot remove {}: {error:#}", parent.display());
            }
        }
    }
}

/// One of the engine's programs, which find each other by `PATH`.
fn command(host: &Host, program: &str) -> Result<Invocation> {
    let programs = Docker::programs()?;
    let path = format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", programs.display());
    let words: [OsString; 3] = ["env".into(), path.into(), programs.join(program).into()];
    Ok(host.command(words))
}

/// The directory of a control group in every hierarchy that has it.
fn parents(cgroup: &str) -> Vec<PathBuf> {
    let name = cgroup.trim_start_matches('/');
    let version2 = Path::new(CGROUPS).join(name);
    let version1 = fs::read_dir(CGROUPS).into_iter().flatten().flatten();
    version1
        .map(|hierarchy| hierarchy.path().join(name))
        .chain([version2])
        .filter(|path| path.is_dir())
        .collect()
}

/// Removes a control group with those below it, and ends what lives there.
fn remove(group: &Path) -> std::io::Result<()> {
    let processes = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for pid in processes.lines().filter_map(|line| line.parse().ok()) {
        // One that is gone needs none.
        let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
    }
    for entry in fs::read_dir(group)?.flatten() {
        if entry.path().is_dir() {
            remove(&entry.path())?;
        }
    }
    match fs::remove_dir(group) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_starts_is_killed_starts_again_and_leaves_nothing() -> Result<()> {
        let host = Host::bare("engine")?;
        let mut docker = Docker::start(&host)?;
        let parent = docker.cgroup.clone();
        assert!(host.has("/sys/class/net/docker0")?);
        docker.kill()?;
        assert_ne!(docker.docker(&["version"])?.output()?.code, 0);
        docker.up()?;
        docker.restart()?;
        assert_eq!(docker.docker(&["ps", "-aq"])?.ok()?, "");
        drop(docker);
        assert_eq!(parents(&parent), Vec::<PathBuf>::new());
        Ok(())
    }
}
