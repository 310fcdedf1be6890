//! A process of our own that keeps a service running where there is no systemd.
//!
//! ```text
//!   <run>/<name>.json   what is to run; there as long as it is to
//!   <run>/<name>.lock   held by the keeper, which is how one knows that it lives
//!   <run>/<name>.pid    its process
//!   <log>/<name>.log    what the service says
//! ```
//!
//! The service ends with its keeper, whatever ends that one.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::log::LogFile;
use super::{Error, Service};
use crate::fs::{self, Lock};
use crate::process::{Child, Spec, Stdio, spawn};
use crate::signal::{PollFd, PollFlags, Signals, poll};

/// Length of a log file in bytes; there are two.
const MAX_LOG: u64 = 4 << 20;
/// Pauses before the service is started again: from the first, doubled, to the second.
const PAUSE: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];
/// A service that ran as long did well.
const WELL: Duration = Duration::from_secs(60);
/// Time for a service to end when asked.
const GRACE: Duration = Duration::from_secs(10);
/// Time for a keeper to appear or to vanish: longer than it gives its service.
const LIMIT: Duration = Duration::from_secs(15);
/// For so long a lock that is taken may be that of somebody who looks.
const LOOKERS: Duration = Duration::from_secs(2);
/// Between two looks at a lock.
const LOOK: Duration = Duration::from_millis(20);
/// No command line of a keeper is longer, in bytes.
const MAX_WORDS: u64 = 1 << 16;
/// No description is longer, in bytes.
const MAX_DESCRIPTION: u64 = 1 << 20;

/// Keepers, one for each service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeper {
    /// Directory of the files that end with the boot.
    pub run: PathBuf,
    /// Directory of the logs.
    pub logs: PathBuf,
    /// The program that calls [`keep`], and its arguments up to the path of the description.
    pub command: Vec<PathBuf>,
}

impl Keeper {
    pub(super) fn start(&self, service: &Service) -> Result<(), Error> {
        let name = &service.name;
        let failed = |source| Error::File {
            name: name.clone(),
            source,
        };
        for directory in [&self.run, &self.logs] {
            std::fs::create_dir_all(directory).map_err(|source| Error::File {
                name: name.clone(),
                source: fs::Error::Io {
                    action: "create",
                    path: directory.clone(),
                    source,
                },
            })?;
        }
        let path = self.file(name, "json");
        let wanted = serde_json::to_vec_pretty(service).expect("plain data is always JSON");
        let there = fs::read_bounded(&path, MAX_DESCRIPTION).ok();
        if self.is_running(name)? {
            if there.as_deref() == Some(&wanted) {
                return Ok(());
            }
            self.stop(name)?;
        }
        fs::write_atomic(&path, &wanted, 0o600).map_err(failed)?;
        let (program, args) = self.command.split_first().expect("a program is named");
        let spec = Spec::new(program)
            .args(args)
            .arg(&path)
            .args(["--log".into(), self.log(name)])
            .cwd("/")
            .session();
        spawn(spec).map_err(|source| Error::Start {
            name: name.clone(),
            source,
        })?;
        // Until it holds its lock: then it can be stopped.
        let deadline = Instant::now() + LIMIT;
        while !self.is_running(name)? {
            if Instant::now() >= deadline {
                return Err(Error::NoKeeper { name: name.clone() });
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    pub(super) fn stop(&self, name: &str) -> Result<(), Error> {
        // First of all: a keeper that is just starting finds nothing to keep.
        let _ = std::fs::remove_file(self.file(name, "json"));
        for (signal, limit) in [(Signal::TERM, LIMIT), (Signal::KILL, LIMIT)] {
            let deadline = Instant::now() + limit;
            if self.is_running(name)?
                && let Some(pid) = self.pid(name)
            {
                // Gone meanwhile is as well.
                let _ = kill_process(pid, signal);
            }
            while Instant::now() < deadline {
                if !self.is_running(name)? {
                    return Ok(());
                }
                std::thread::sleep(LOOK);
            }
        }
        Err(Error::DoesNotEnd {
            name: name.to_owned(),
        })
    }

    pub(super) fn is_running(&self, name: &str) -> Result<bool, Error> {
        let path = self.file(name, "lock");
        if !path.exists() {
            return Ok(false);
        }
        // Shared: who looks is in no other looker's way.
        let free = Lock::try_shared(&path).map_err(|source| Error::File {
            name: name.to_owned(),
            source,
        })?;
        Ok(free.is_none())
    }

    pub(super) fn log(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }

    fn file(&self, name: &str, extension: &str) -> PathBuf {
        self.run.join(format!("{name}.{extension}"))
    }

    /// The keeper's process; of meaning only while its lock is held.
    fn pid(&self, name: &str) -> Option<Pid> {
        let bytes = fs::read_bounded(&self.file(name, "pid"), 32).ok()?;
        let pid: i32 = std::str::from_utf8(&bytes).ok()?.trim().parse().ok()?;
        // Of the keeper before this one, perhaps, whose number is another process's by now.
        let words = fs::read_bounded(Path::new(&format!("/proc/{pid}/cmdline")), MAX_WORDS).ok()?;
        let description = self.file(name, "json");
        let kept = description.as_os_str().as_encoded_bytes();
        let is_keeper = words.split(|byte| *byte == 0).any(|word| word == kept);
        Pid::from_raw(pid).filter(|_| is_keeper)
    }
}

/// Keeps the service that `description` describes running, its words in `log`, until SIGTERM or SIGINT,
/// or until the description is gone. A second keeper of the same service ends at once.
pub fn keep(description: &Path, log: &Path) -> Result<(), Error> {
    let bytes = match fs::read_bounded(description, MAX_DESCRIPTION) {
        Err(error) if error.is_not_found() => return Ok(()),
        other => other.map_err(|source| Error::File {
            name: description.display().to_string(),
            source,
        })?,
    };
    let service: Service = serde_json::from_slice(&bytes).map_err(|source| Error::Unreadable {
        path: description.to_owned(),
        source,
    })?;
    let name = service.name.clone();
    let failed = |source| Error::File {
        name: name.clone(),
        source,
    };
    let Some(_lock) = only_keeper(&description.with_extension("lock")).map_err(failed)? else {
        return Ok(());
    };
    let pid = std::process::id().to_string();
    fs::write_atomic(&description.with_extension("pid"), pid.as_bytes(), 0o644).map_err(failed)?;
    let signals =
        Signals::block(&[libc::SIGTERM, libc::SIGINT]).map_err(|source| Error::Signals {
            name: name.clone(),
            source,
        })?;
    let mut pause = PAUSE[0];
    while description.exists() {
        let began = Instant::now();
        let problem = match live(&service, log, &signals) {
            Ok(Life::Stopped) => return Ok(()),
            Ok(Life::Ended(how)) => how,
            Err(error) => crate::error::chain(&error),
        };
        pause = match began.elapsed() < WELL {
            true => pause,
            false => PAUSE[0],
        };
        if let Ok(mut file) = LogFile::open(log, MAX_LOG) {
            file.line(&format!(
                "ignite: {name} ended ({problem}); it is started again in {} s",
                pause.as_secs()
            ));
        }
        if told_to_stop(&signals, pause) {
            return Ok(());
        }
        pause = (2 * pause).min(PAUSE[1]);
    }
    Ok(())
}

/// The lock of the only keeper; none if there is another. Somebody who just looks holds it for a
/// moment, too.
fn only_keeper(path: &Path) -> Result<Option<Lock>, fs::Error> {
    let deadline = Instant::now() + LOOKERS;
    loop {
        match Lock::try_exclusive(path)? {
            Some(lock) => return Ok(Some(lock)),
            None if Instant::now() >= deadline => return Ok(None),
            None => std::thread::sleep(LOOK / 4),
        }
    }
}

/// How a life of the service ended.
enum Life {
    /// The keeper was told to stop.
    Stopped,
    /// By itself.
    Ended(String),
}

fn live(service: &Service, log: &Path, signals: &Signals) -> Result<Life, Error> {
    let failed = |source| Error::Start {
        name: service.name.clone(),
        source,
    };
    let written = |source| Error::File {
        name: service.name.clone(),
        source: fs::Error::Io {
            action: "write",
            path: log.to_owned(),
            source,
        },
    };
    let mut file = LogFile::open(log, MAX_LOG).map_err(written)?;
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|error| written(error.into()))?;
    let second = write.try_clone().map_err(written)?;
    let spec = Spec::new(&service.program)
        .args(&service.args)
        .stdout(Stdio::Fd(write))
        .stderr(Stdio::Fd(second))
        .cwd("/")
        .parent_death_signal(libc::SIGKILL);
    let child = spawn(spec).map_err(failed)?;
    // Ends with the last one who has the other end.
    std::thread::spawn(move || file.fill(File::from(read)));
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(child.pidfd(), PollFlags::IN),
            PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        ];
        let waited = poll(&mut fds, None);
        if let Err(source) = waited {
            return Err(Error::Signals {
                name: service.name.clone(),
                source,
            });
        }
        if let Some(status) = child.try_wait().map_err(failed)? {
            return Ok(Life::Ended(status.to_string()));
        }
        if matches!(signals.next(), Ok(Some(_))) {
            end(&child).map_err(failed)?;
            return Ok(Life::Stopped);
        }
    }
}

/// Asks it to end, and ends it.
fn end(child: &Child) -> Result<(), crate::process::Error> {
    child.signal(libc::SIGTERM)?;
    if child.wait_timeout(GRACE)?.is_none() {
        child.signal(libc::SIGKILL)?;
        child.wait()?;
    }
    Ok(())
}

/// Waits for that long; whether the keeper was told to stop meanwhile.
fn told_to_stop(signals: &Signals, pause: Duration) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
    matches!(poll(&mut fds, Some(pause)), Ok(1..))
}
