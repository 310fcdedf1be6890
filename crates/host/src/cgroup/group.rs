//! A group: made, found, changed, and removed with all that is in it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::hierarchy::{self, Controller, Hierarchy, Version};
use super::plan::{Write, writes};
use super::{Bounds, Error, Usage};
use crate::fs::read_bounded;

/// Others take away the parent of a group when it is empty; so often it is made again.
const ATTEMPTS: u32 = 100;

/// Time in which killed processes end. Those that wait for a disk take longest.
const PATIENCE: Duration = Duration::from_secs(20);

/// Time between two looks.
const PAUSE: Duration = Duration::from_millis(1);

/// Bytes of a list of processes: those of a group with bounds are few.
const MAX_PROCESSES: u64 = 1 << 20;

/// A control group, in every hierarchy that has something of it. Dropping it leaves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    places: Vec<Place>,
}

/// The group in one hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    version: Version,
    root: PathBuf,
    directory: PathBuf,
    controllers: Vec<Controller>,
}

impl Group {
    /// Makes the group `name` (`ignite/<uid>`), with its parents, and sets its bounds. One that is
    /// there already is taken over. A group that cannot be made in a hierarchy is there in none.
    pub fn make(name: &str, bounds: &Bounds) -> Result<Self, Error> {
        Self::make_in(hierarchy::mounted()?, name, bounds)
    }

    pub(super) fn make_in(
        hierarchies: Vec<Hierarchy>,
        name: &str,
        bounds: &Bounds,
    ) -> Result<Self, Error> {
        let all = Self::find_in(hierarchies, name);
        let make = || {
            let places = all.places.iter().cloned().map(made);
            let places = places.filter_map(Result::transpose);
            let places = places.collect::<Result<Vec<Place>, Error>>()?;
            let group = Self {
                places: joined(places),
            };
            group.change(bounds)?;
            Ok(group)
        };
        make().inspect_err(|_| {
            // The first failure is what the caller must hear of.
            let _ = all.clone().remove();
        })
    }

    /// The group `name`, as far as it is there, made by whomever.
    pub fn find(name: &str) -> Result<Self, Error> {
        let mut group = Self::find_in(hierarchy::mounted()?, name);
        for place in &mut group.places {
            place.controllers =
                hierarchy::of_group(place.version, &place.directory, &place.controllers);
        }
        Ok(group)
    }

    pub(super) fn find_in(hierarchies: Vec<Hierarchy>, name: &str) -> Self {
        let places = hierarchies
            .into_iter()
            .map(|hierarchy| Place::new(hierarchy, name));
        Self {
            places: places.collect(),
        }
    }

    /// Whether it is anywhere.
    pub fn exists(&self) -> bool {
        self.places.iter().any(|place| place.directory.is_dir())
    }

    /// The controllers that it has nowhere.
    pub fn missing(&self) -> Vec<Controller> {
        let has = |controller: &Controller| {
            let of = |place: &Place| place.controllers.contains(controller);
            self.places.iter().any(of)
        };
        let mut missing = Controller::ALL.to_vec();
        missing.retain(|controller| !has(controller));
        missing
    }

    /// Open files, close-on-exec: a process with one thread joins the group by writing `0` to each.
    pub fn joints(&self) -> Result<Vec<OwnedFd>, Error> {
        self.places.iter().map(Place::joint).collect()
    }

    /// Sets other bounds.
    pub fn change(&self, bounds: &Bounds) -> Result<(), Error> {
        for place in &self.places {
            for &controller in &place.controllers {
                for write in writes(controller, place.version, bounds) {
                    apply(&place.directory, &write)?;
                }
            }
        }
        Ok(())
    }

    /// What its processes have used.
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for place in &self.places {
            for &controller in &place.controllers {
                usage.read(controller, place.version, &place.directory);
            }
        }
        usage
    }

    /// Numbers of the processes in it, in this process's PID namespace.
    pub fn processes(&self) -> Result<Vec<i32>, Error> {
        let mut processes = Vec::new();
        for place in &self.places {
            processes.extend(place.processes()?);
        }
        processes.sort_unstable();
        processes.dedup();
        Ok(processes)
    }

    /// Kills all that is in it, waits until it is empty, and takes it away, with its parents where
    /// nothing else is in them. One that is gone is fine.
    pub fn remove(self) -> Result<(), Error> {
        let mut failed = None;
        for place in &self.places {
            let removed = place.until(|| {
                place.kill()?;
                place.take_away()
            });
            if let Err(error) = removed {
                failed.get_or_insert(error);
                continue;
            }
            place.forget_parents();
        }
        failed.map_or(Ok(()), Err)
    }
}

/// The places worth joining: those that bound or count something, else one to be killed in.
fn joined(mut places: Vec<Place>) -> Vec<Place> {
    match places.iter().any(|place| !place.controllers.is_empty()) {
        true => places.retain(|place| !place.controllers.is_empty()),
        false => places.truncate(1),
    }
    places
}

/// Makes the group's directory in one hierarchy, and its controllers available there. None where
/// groups may only be looked at.
fn made(mut place: Place) -> Result<Option<Place>, Error> {
    for attempt in 1.. {
        match place.make() {
            Ok(controllers) => {
                place.controllers = controllers;
                break;
            }
            // Another's clean-up took a parent away in this moment.
            Err(error) if is_gone(&error) && attempt < ATTEMPTS => {}
            Err(error) if is_forbidden(&error) => return Ok(None),
            Err(error) => return Err(Error::at("make the control group", &place.directory)(error)),
        }
    }
    Ok(Some(place))
}

/// The hierarchy is mounted read-only, or somebody else's.
fn is_forbidden(error: &io::Error) -> bool {
    let errno = error.raw_os_error();
    matches!(errno, Some(libc::EROFS | libc::EACCES | libc::EPERM))
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

impl Place {
    fn new(hierarchy: Hierarchy, name: &str) -> Self {
        Self {
            version: hierarchy.version,
            directory: hierarchy.root.join(name),
            root: hierarchy.root,
            controllers: hierarchy.controllers,
        }
    }

    /// Directories from the hierarchy's root down to the group, both without.
    fn parents(&self) -> Vec<&Path> {
        let mut parents: Vec<&Path> = self
            .directory
            .ancestors()
            .skip(1)
            .take_while(|directory| *directory != self.root)
            .collect();
        parents.reverse();
        parents
    }

    /// Makes the directories; those controllers that the group has.
    fn make(&self) -> io::Result<Vec<Controller>> {
        let mut enabled = self.enable(&self.root, &self.controllers);
        for parent in self.parents() {
            directory(parent)?;
            enabled = self.enable(parent, &enabled);
        }
        directory(&self.directory)?;
        Ok(enabled)
    }

    /// Makes controllers available below `parent`; those that are. A hierarchy whose root is not
    /// the kernel's own, as in a container, may refuse.
    fn enable(&self, parent: &Path, controllers: &[Controller]) -> Vec<Controller> {
        let enable = |controller: Controller| {
            let word = format!("+{}", controller.name());
            put(&parent.join("cgroup.subtree_control"), &word).is_ok()
        };
        let mut enabled = controllers.to_vec();
        if self.version == Version::V2 {
            enabled.retain(|&controller| match controller {
                // Counted in every group.
                Controller::CpuAccounting => true,
                Controller::Memory | Controller::Cpu | Controller::Tasks => enable(controller),
            });
        }
        enabled
    }

    /// Version 1 moves a single thread by `tasks` without stopping every fork of the machine, which
    /// takes some milliseconds; version 2 knows whole processes only.
    fn joint(&self) -> Result<OwnedFd, Error> {
        let path = self.directory.join(match self.version {
            Version::V1 => "tasks",
            Version::V2 => "cgroup.procs",
        });
        OpenOptions::new()
            .write(true)
            .open(&path)
            .map(OwnedFd::from)
            .map_err(Error::at("open", &path))
    }

    /// Those of other PID namespaces have no number here, and are left out.
    fn processes(&self) -> Result<Vec<i32>, Error> {
        let path = self.directory.join("cgroup.procs");
        match read_bounded(&path, MAX_PROCESSES) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes)
                .lines()
                .filter_map(|line| line.trim().parse().ok())
                .filter(|&number| number > 0)
                .collect()),
            Err(error) if error.is_not_found() || is_removed(&error) => Ok(Vec::new()),
            Err(error) => Err(Error::at("read", &path)(io::Error::other(error))),
        }
    }

    fn kill(&self) -> Result<(), Error> {
        // All at once where the kernel can; else one by one, as often as there are any.
        if self.version == Version::V2 && put(&self.directory.join("cgroup.kill"), "1").is_ok() {
            return Ok(());
        }
        for number in self.processes()? {
            self.kill_one(number)?;
        }
        Ok(())
    }

    /// A number may come to mean another process, so it is looked for again while it is held.
    fn kill_one(&self, number: i32) -> Result<(), Error> {
        let held = Pid::from_raw(number).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        if let Some(Ok(pidfd)) = held
            && self.processes()?.contains(&number)
        {
            // Gone in this moment is as good.
            let _ = pidfd_send_signal(pidfd, Signal::KILL);
        }
        Ok(())
    }

    /// Whether the directory is gone.
    fn take_away(&self) -> Result<bool, Error> {
        match std::fs::remove_dir(&self.directory) {
            Ok(()) => Ok(true),
            Err(error) if is_gone(&error) => Ok(true),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => Ok(false),
            // The kernel says this first, whether there is something or not.
            Err(error) if is_forbidden(&error) && !self.directory.exists() => Ok(true),
            Err(error) => Err(Error::at("remove the control group", &self.directory)(
                error,
            )),
        }
    }

    /// Removes the parents that are empty; the kernel keeps those that are not.
    fn forget_parents(&self) {
        for parent in self.parents().into_iter().rev() {
            if std::fs::remove_dir(parent).is_err() {
                break;
            }
        }
    }

    /// Does `work` again and again until it says that it is done.
    fn until(&self, mut work: impl FnMut() -> Result<bool, Error>) -> Result<(), Error> {
        const NAMED: usize = 8;
        let deadline = Instant::now() + PATIENCE;
        while !work()? {
            if Instant::now() > deadline {
                let mut processes = self.processes()?;
                processes.truncate(NAMED);
                return Err(Error::Busy {
                    path: self.directory.clone(),
                    waited: PATIENCE,
                    processes,
                });
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }
}

fn is_removed(error: &crate::fs::Error) -> bool {
    matches!(error, crate::fs::Error::Io { source, .. } if is_gone(source))
}

fn directory(path: &Path) -> io::Result<()> {
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Writes to a file that is there; none is made.
fn put(path: &Path, value: &str) -> io::Result<()> {
    let file: File = OpenOptions::new().write(true).open(path)?;
    io::Write::write_all(&mut &file, value.as_bytes())
}

fn apply(directory: &Path, write: &Write) -> Result<(), Error> {
    let path = directory.join(write.file);
    match put(&path, &write.value) {
        Err(error) if !write.required && error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(Error::at("write", &path)),
    }
}
