//! Starting a child: all that can be prepared is prepared in the parent, then one `clone`.
//!
//! The child shares the parent's memory until it executes the program (as with `vfork`, or
//! `posix_spawn`), so a start costs the same whatever the parent's size. A child that changes its user
//! gets a copy instead: two users in one address space would let the lesser one reach the greater
//! one's memory. Either way the parent's thread is held until the program runs, and finds the step
//! that failed in a page both see.

use std::ffi::{CString, OsString};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Pid;

use super::before_exec::{self, Plan, Strings};
use super::confined::Walls;
use super::shared::Shared;
use super::spec::search_path;
use super::{Child, Error, Spec, Stdio, find_program};
use crate::step::{self, Step};

/// How long a program that is being written (`ETXTBSY`) is tried again.
const BUSY_PATIENCE: Duration = Duration::from_secs(5);

/// Starts the program; returns once it runs, or with the step that failed.
///
/// A program file that another process has open for writing is tried again for some seconds: a
/// thread of ours that starts a program at the same time may hold it open for a moment.
pub fn spawn(spec: Spec) -> Result<Child, Error> {
    let path = resolve(&spec)?;
    let prepared = Prepared::new(&spec, &path)?;
    let mut pause = Duration::from_millis(5);
    let start = std::time::Instant::now();
    loop {
        match prepared.start(&path) {
            Err(Error::Start { source, .. })
                if source.raw_os_error() == Some(libc::ETXTBSY)
                    && start.elapsed() < BUSY_PATIENCE =>
            {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(500));
            }
            result => return result,
        }
    }
}

/// Everything the child needs, in the form system calls take.
struct Prepared<'a> {
    program: CString,
    args: Strings,
    env: Strings,
    cwd: Option<CString>,
    /// (source, target) of every descriptor the child gets.
    moves: Vec<(RawFd, RawFd)>,
    /// Numbers of the child's descriptors, sorted.
    kept: Vec<RawFd>,
    /// Its own control groups, and those of its confinement.
    cgroups: Vec<RawFd>,
    walls: Option<Walls<'a>>,
    spec: &'a Spec,
    _null: Option<OwnedFd>,
}

impl<'a> Prepared<'a> {
    fn new(spec: &'a Spec, path: &Path) -> Result<Self, Error> {
        let zero = || Error::ZeroByte {
            program: path.to_owned(),
        };
        let text = |text: &Path| CString::new(text.as_os_str().as_bytes()).map_err(|_| zero());
        let mut args = vec![spec.program.clone().into_os_string()];
        args.extend(spec.args.iter().cloned());
        let null = null_if_needed(spec, path)?;
        let moves = moves(spec, null.as_ref());
        let mut kept = vec![0, 1, 2];
        kept.extend(moves.iter().map(|&(_, target)| target));
        kept.sort_unstable();
        kept.dedup();
        let highest = kept.last().copied().unwrap_or(2);
        let walls = spec.confine.as_ref().map(|confine| {
            Walls::new(confine, highest)
                .map_err(|source| Error::start(path, Some("hold a descriptor"), source))
        });
        Ok(Self {
            program: text(path)?,
            args: Strings::new(args).ok_or_else(zero)?,
            env: Strings::new(environment(spec)).ok_or_else(zero)?,
            cwd: spec.cwd.as_deref().map(text).transpose()?,
            moves,
            kept,
            cgroups: cgroups(spec),
            walls: walls.transpose()?,
            spec,
            _null: null,
        })
    }

    fn start(&self, path: &Path) -> Result<Child, Error> {
        let shared =
            Shared::new().map_err(|source| Error::start(path, Some("get memory"), source))?;
        let mut scratch = vec![-1; self.moves.len()];
        let plan = Plan {
            program: &self.program,
            args: &self.args,
            env: &self.env,
            cwd: self.cwd.as_deref(),
            moves: &self.moves,
            scratch: &mut scratch,
            kept: &self.kept,
            cgroups: &self.cgroups,
            netns: self.netns(),
            session: self.spec.session,
            process_group: self.spec.process_group,
            user: self.user(),
            parent_death_signal: self.spec.parent_death_signal,
            parent: rustix::process::getpid().as_raw_nonzero().get(),
            confined: self.walls.as_ref().map(Walls::confined),
            // No other child joins groups than a VMM, or what becomes one, and who serves it.
            halts: !self.cgroups.is_empty() && step::halts(Step::SuperviseCloned),
            failure: shared.failure(),
        };
        let (pid, pidfd) = before_exec::start(plan, &shared)
            .map_err(|source| Error::start(path, Some("make a process"), source))?;
        // SAFETY: the kernel just made this descriptor for us alone (CLONE_PIDFD).
        let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
        let pid = Pid::from_raw(pid).expect("a child's number is positive");
        let child = Child::new(pid, pidfd);
        match shared.failure().get() {
            None => Ok(child),
            Some((step, source)) => {
                child.wait()?;
                Err(Error::start(path, step.text(), source))
            }
        }
    }
}

impl Prepared<'_> {
    fn user(&self) -> Option<(u32, u32)> {
        let own = self.walls.as_ref().map(Walls::user);
        own.map(|user| (user, user)).or(self.spec.user)
    }

    /// The network namespace to enter; a new one comes with the process.
    fn netns(&self) -> Option<RawFd> {
        let empty = self.walls.as_ref().is_some_and(Walls::has_empty_network);
        self.spec.netns.as_ref().filter(|_| !empty).map(raw)
    }
}

fn raw(fd: &impl std::os::fd::AsFd) -> RawFd {
    fd.as_fd().as_raw_fd()
}

fn resolve(spec: &Spec) -> Result<PathBuf, Error> {
    if spec.program.as_os_str().as_bytes().contains(&b'/') {
        return Ok(spec.program.clone());
    }
    let name = spec.program.to_string_lossy();
    find_program(&name, &search_path(std::env::var_os("PATH").as_deref()))
}

fn cgroups(spec: &Spec) -> Vec<RawFd> {
    let confined = spec.confine.iter().flat_map(|confine| &confine.cgroups);
    spec.cgroups.iter().chain(confined).map(raw).collect()
}

fn null_if_needed(spec: &Spec, path: &Path) -> Result<Option<OwnedFd>, Error> {
    if !spec.stdio.iter().any(|stdio| matches!(stdio, Stdio::Null)) {
        return Ok(None);
    }
    let file = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map_err(|source| Error::start(path, Some("open /dev/null"), source))?;
    Ok(Some(file.into()))
}

fn moves(spec: &Spec, null: Option<&OwnedFd>) -> Vec<(RawFd, RawFd)> {
    let standard = spec
        .stdio
        .iter()
        .zip(0..)
        .filter_map(|(stdio, target)| match stdio {
            Stdio::Null => null.map(|fd| (raw(fd), target)),
            Stdio::Inherit => None,
            Stdio::Fd(fd) => Some((raw(fd), target)),
        });
    let passed = spec.pass_fds.iter().map(|(fd, target)| (raw(fd), *target));
    standard.chain(passed).collect()
}

/// The child's environment as `NAME=value`, the last setting of a name winning.
fn environment(spec: &Spec) -> Vec<OsString> {
    let mut variables: Vec<(OsString, OsString)> = if spec.inherit_env {
        std::env::vars_os().collect()
    } else {
        Vec::new()
    };
    for (name, value) in &spec.env {
        variables.retain(|(known, _)| known != name);
        if let Some(value) = value {
            variables.push((name.clone(), value.clone()));
        }
    }
    variables
        .into_iter()
        .map(|(name, value)| {
            let mut bytes = name.into_vec();
            bytes.push(b'=');
            bytes.extend(value.as_bytes());
            OsString::from_vec(bytes)
        })
        .collect()
}
