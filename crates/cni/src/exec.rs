//! Running a plugin program: found in the directories, given its environment
//! and configuration, bounded in time and output, ended with all its children.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use ignite_host::process::{self, Limits, Output, Spec};

use crate::error::{Command, PluginError, code};

/// Where distributions and Kubernetes put the plugins.
pub const DEFAULT_DIRECTORIES: [&str; 3] = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];

/// Plugins call `iptables`, `nft` and `ip` by name; a user's PATH often lacks these.
const SYSTEM_PATH: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
    "/usr/local/bin",
    "/usr/bin",
    "/bin",
];

/// How often and how long a program that is just being written is waited for.
const BUSY_TRIES: u32 = 6;
const BUSY_PAUSE: Duration = Duration::from_secs(1);

/// What one plugin process may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Time for ADD.
    pub add: Duration,
    /// Time for DEL.
    pub del: Duration,
    /// Time for each other command.
    pub other: Duration,
    /// Bytes of standard output; more is an error.
    pub stdout_bytes: usize,
    /// Bytes of standard error that are kept.
    pub stderr_bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            add: Duration::from_secs(60),
            del: Duration::from_secs(60),
            other: Duration::from_secs(30),
            stdout_bytes: 1 << 20,
            stderr_bytes: 16 << 10,
        }
    }
}

impl Bounds {
    fn limits(&self, command: Command) -> Limits {
        let time = match command {
            Command::Add => self.add,
            Command::Del => self.del,
            _ => self.other,
        };
        // One byte more than is allowed tells "just fits" from "too much".
        let (stdout_bytes, stderr_bytes) = (self.stdout_bytes + 1, self.stderr_bytes);
        Limits {
            time,
            stdout_bytes,
            stderr_bytes,
        }
    }
}

/// Why a plugin could not be run, or did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// There is no such program.
    #[error("failed to find plugin {plugin:?} in {}", list(directories))]
    NotFound {
        /// The plugin's type.
        plugin: String,
        /// The directories searched.
        directories: Vec<PathBuf>,
    },
    /// The type cannot be a program's name.
    #[error("invalid plugin name {plugin:?}")]
    InvalidName {
        /// The plugin's type.
        plugin: String,
    },
    /// The program could not be started or followed.
    #[error("cannot run {}", path.display())]
    Start {
        /// The program.
        path: PathBuf,
        /// Why.
        #[source]
        source: process::Error,
    },
    /// A descriptor it is to inherit cannot be copied.
    #[error("cannot copy a descriptor for a plugin")]
    Descriptor {
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It did not end in time. It was killed, and all it had started.
    #[error("{} did not end within {} and was killed with all its processes{}", path.display(), seconds(*after), said(stderr))]
    TimedOut {
        /// The program.
        path: PathBuf,
        /// The time it had.
        after: Duration,
        /// What it had written to standard error.
        stderr: String,
    },
    /// It printed more than any result has.
    #[error("{} printed more than {limit} bytes", path.display())]
    TooMuch {
        /// The program.
        path: PathBuf,
        /// The limit.
        limit: usize,
    },
    /// It said so.
    #[error(transparent)]
    Reported(#[from] PluginError),
}

impl ExecError {
    /// The code of the specification, where the plugin gave one.
    pub fn code(&self) -> Option<u32> {
        match self {
            Self::Reported(error) => Some(error.code),
            _ => None,
        }
    }

    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotFound { .. } => Some(
                "install the CNI plugins (package containernetworking-plugins), or put this one \
                 into one of those directories"
                    .to_owned(),
            ),
            Self::Start { source, .. } => source.hint(),
            Self::Reported(error) => match error.code {
                code::INCOMPATIBLE_VERSION => Some(
                    "change cniVersion in the network's file to one the plugin supports".to_owned(),
                ),
                code::TRY_AGAIN | code::NOT_AVAILABLE => {
                    Some("the network cannot take anyone now; try again later".to_owned())
                }
                _ => None,
            },
            Self::InvalidName { .. }
            | Self::Descriptor { .. }
            | Self::TimedOut { .. }
            | Self::TooMuch { .. } => None,
        }
    }
}

fn list(directories: &[PathBuf]) -> String {
    if directories.is_empty() {
        return "no directory at all".to_owned();
    }
    directories
        .iter()
        .map(|dir| dir.display().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

fn seconds(time: Duration) -> String {
    format!("{} s", (time.as_secs_f64() * 10.0).round() / 10.0)
}

fn said(stderr: &str) -> String {
    if stderr.is_empty() {
        String::new()
    } else {
        format!("; its last words: {stderr}")
    }
}

/// The program of a plugin type: the first directory that has a regular file of
/// that name.
pub fn find(plugin: &str, directories: &[PathBuf]) -> Result<PathBuf, ExecError> {
    if plugin.is_empty() || plugin.contains(['/', '\0']) || plugin == "." || plugin == ".." {
        return Err(ExecError::InvalidName {
            plugin: plugin.chars().take(100).collect(),
        });
    }
    let candidates = directories.iter().map(|directory| directory.join(plugin));
    candidates
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| ExecError::NotFound {
            plugin: plugin.to_owned(),
            directories: directories.to_vec(),
        })
}

/// The value of `CNI_PATH`.
pub fn search_path(directories: &[PathBuf]) -> OsString {
    directories
        .iter()
        .map(|dir| dir.as_os_str())
        .collect::<Vec<_>>()
        .join(OsStr::new(":"))
}

/// Names of the specification's variables.
pub const VARIABLES: [&str; 6] = [
    "CNI_COMMAND",
    "CNI_CONTAINERID",
    "CNI_NETNS",
    "CNI_ARGS",
    "CNI_IFNAME",
    "CNI_PATH",
];

/// One variable.
pub type Variable = (OsString, OsString);

/// A plugin's environment: `base` with the `CNI_*` variables in place of any
/// that were there, and with the system's directories in PATH.
pub fn environment(base: impl IntoIterator<Item = Variable>, cni: Vec<Variable>) -> Vec<Variable> {
    let mut variables: Vec<Variable> = Vec::new();
    let mut path = OsString::new();
    for (name, value) in base {
        if name == "PATH" {
            path = value;
        } else if !cni.iter().any(|(set, _)| *set == name) {
            variables.push((name, value));
        }
    }
    variables.push((OsString::from("PATH"), with_system_path(&path)));
    variables.extend(cni);
    variables
}

/// Of this process's environment what every plugin gets that is told all the [`VARIABLES`]; it does
/// not change.
pub fn inherited() -> &'static [Variable] {
    static INHERITED: LazyLock<Vec<Variable>> = LazyLock::new(|| {
        let others = std::env::vars_os()
            .filter(|(name, _)| !VARIABLES.iter().any(|variable| name == variable));
        environment(others, Vec::new())
    });
    &INHERITED
}

fn with_system_path(path: &OsStr) -> OsString {
    let mut directories: Vec<PathBuf> = std::env::split_paths(path)
        .filter(|dir| !dir.as_os_str().is_empty())
        .collect();
    for system in SYSTEM_PATH.map(PathBuf::from) {
        if !directories.contains(&system) {
            directories.push(system);
        }
    }
    search_path(&directories)
}

/// What a plugin process printed, and how long it took.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error, cut at the bound.
    pub stderr: Vec<u8>,
    /// From before its start until after its end.
    pub elapsed: Duration,
}

/// A plugin program and what it may take.
#[derive(Debug, Clone, Copy)]
pub struct Program<'a> {
    /// Its path.
    pub path: &'a Path,
    /// Time and output.
    pub bounds: &'a Bounds,
    /// Descriptors it and its children keep open, from 3 on.
    pub inherited: &'a [Arc<OwnedFd>],
}

/// The signal a plugin gets should its caller be killed: it must not go on while
/// somebody else repairs what it was doing.
const KILL: i32 = 9;

impl Program<'_> {
    /// Runs it in the namespaces of the calling thread.
    pub fn run(
        &self,
        command: Command,
        variables: &[Variable],
        stdin: &[u8],
    ) -> Result<Ran, ExecError> {
        let limits = self.bounds.limits(command);
        let began = Instant::now();
        let output = self.start(variables, stdin, limits)?;
        let elapsed = began.elapsed();
        let plugin = self.path.display();
        if !output.stderr.is_empty() {
            let text = String::from_utf8_lossy(&output.stderr);
            tracing::debug!(%plugin, %command, "{}", text.trim_end());
        }
        tracing::trace!(%plugin, %command, ?elapsed, status = ?output.status);
        verdict(self.path, output, limits, elapsed)
    }

    fn start(
        &self,
        variables: &[Variable],
        stdin: &[u8],
        limits: Limits,
    ) -> Result<Output, ExecError> {
        let failed = |source| ExecError::Start {
            path: self.path.to_owned(),
            source,
        };
        let mut tries = 1;
        loop {
            let spec = self
                .spec(variables)
                .map_err(|source| ExecError::Descriptor { source })?;
            match process::run(spec, stdin, limits) {
                Err(error) if is_busy(&error) && tries < BUSY_TRIES => thread::sleep(BUSY_PAUSE),
                result => return result.map_err(failed),
            }
            tries += 1;
        }
    }

    fn spec(&self, variables: &[Variable]) -> io::Result<Spec> {
        let mut spec = Spec::new(self.path).env_clear().parent_death_signal(KILL);
        for (name, value) in variables {
            spec = spec.env(name, value);
        }
        for (target, fd) in (3..).zip(self.inherited) {
            spec = spec.pass_fd(fd.try_clone()?, target);
        }
        Ok(spec)
    }
}

/// The program file is open for writing: it is just being installed.
fn is_busy(error: &process::Error) -> bool {
    let source = match error {
        process::Error::Start { source, .. } => source,
        _ => return false,
    };
    source.kind() == std::io::ErrorKind::ExecutableFileBusy
}

fn verdict(
    path: &Path,
    output: Output,
    limits: Limits,
    elapsed: Duration,
) -> Result<Ran, ExecError> {
    let path = || path.to_owned();
    if output.timed_out {
        let stderr = crate::json::excerpt(&output.stderr, crate::error::QUOTE);
        return Err(ExecError::TimedOut {
            path: path(),
            after: limits.time,
            stderr,
        });
    }
    if !output.status.success() {
        let ended = output.status.to_string();
        return Err(PluginError::from_output(&output.stdout, &output.stderr, &ended).into());
    }
    if output.stdout.len() >= limits.stdout_bytes {
        return Err(ExecError::TooMuch {
            path: path(),
            limit: limits.stdout_bytes - 1,
        });
    }
    Ok(Ran {
        stdout: output.stdout,
        stderr: output.stderr,
        elapsed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn variable(name: &str, value: &str) -> Variable {
        (OsString::from(name), OsString::from(value))
    }

    #[test]
    fn the_first_directory_with_a_regular_file_wins() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        fs::create_dir_all(a.join("two")).expect("created");
        fs::create_dir_all(&b).expect("created");
        fs::write(b.join("two"), "").expect("written");
        fs::write(b.join("one"), "").expect("written");
        fs::write(a.join("one"), "").expect("written");
        let directories = [a.clone(), b.clone()];
        assert_eq!(find("one", &directories).expect("there"), a.join("one"));
        assert_eq!(find("two", &directories).expect("there"), b.join("two"));
        let missing = find("three", &directories).expect_err("not there");
        let text = missing.to_string();
        assert!(
            text.starts_with("failed to find plugin \"three\" in "),
            "{text}"
        );
        assert!(
            text.contains(a.to_str().expect("plain")) && text.contains(b.to_str().expect("plain"))
        );
        assert!(
            missing
                .hint()
                .expect("a hint")
                .contains("containernetworking-plugins")
        );
    }

    #[test]
    fn names_that_are_paths_are_refused() {
        for bad in ["", "../x", "/bin/sh", ".."] {
            let error = find(bad, &[PathBuf::from("/bin")]).expect_err(bad);
            assert!(matches!(error, ExecError::InvalidName { .. }), "{bad}");
        }
        assert!(matches!(find("x", &[]), Err(ExecError::NotFound { .. })));
    }

    #[test]
    fn cni_variables_replace_those_of_the_process() {
        let base = [variable("CNI_IFNAME", "old"), variable("HOME", "/root")];
        let made = environment(base, vec![variable("CNI_IFNAME", "eth0")]);
        let named = |name: &str| -> Vec<&OsString> {
            made.iter()
                .filter(|(n, _)| n == name)
                .map(|(_, value)| value)
                .collect()
        };
        assert_eq!(named("CNI_IFNAME"), ["eth0"]);
        assert_eq!(named("HOME"), ["/root"]);
        assert_eq!(made.last(), Some(&variable("CNI_IFNAME", "eth0")));
    }

    #[test]
    fn the_path_always_has_the_system_directories() {
        let path = |value: &str| with_system_path(OsStr::new(value));
        assert_eq!(
            path(""),
            "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin"
        );
        assert_eq!(
            path("/my:/bin"),
            "/my:/bin:/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin"
        );
    }
}
