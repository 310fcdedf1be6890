//! What is started, and in which surroundings.

use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::Error;
use crate::confine::Confine;
use crate::netns::Namespace;

/// Where one of a child's three standard streams goes.
#[derive(Debug, Default)]
pub enum Stdio {
    /// `/dev/null`.
    #[default]
    Null,
    /// The parent's own.
    Inherit,
    /// This descriptor; the parent's copy closes when the [`Spec`] is dropped.
    Fd(OwnedFd),
}

/// A program and its surroundings.
///
/// The child gets the three standard streams and the descriptors passed by number, nothing else; no
/// signal is blocked or (but for those the parent ignores) ignored. The environment is the parent's
/// until [`Self::env_clear`].
#[derive(Debug)]
pub struct Spec {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) inherit_env: bool,
    pub(super) env: Vec<(OsString, Option<OsString>)>,
    pub(super) stdio: [Stdio; 3],
    pub(super) netns: Option<Namespace>,
    pub(super) process_group: bool,
    pub(super) session: bool,
    pub(super) parent_death_signal: Option<i32>,
    pub(super) pass_fds: Vec<(OwnedFd, i32)>,
    pub(super) cwd: Option<PathBuf>,
    pub(super) user: Option<(u32, u32)>,
    pub(super) cgroups: Vec<OwnedFd>,
    pub(super) confine: Option<Confine>,
}

impl Spec {
    /// `program` with no arguments. A name without a slash is looked for in `PATH` when it starts.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            inherit_env: true,
            env: Vec::new(),
            stdio: [Stdio::Null, Stdio::Null, Stdio::Null],
            netns: None,
            process_group: false,
            session: false,
            parent_death_signal: None,
            pass_fds: Vec::new(),
            cwd: None,
            user: None,
            cgroups: Vec::new(),
            confine: None,
        }
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable; the last value of a name holds.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), Some(value.into())));
        self
    }

    /// Takes a variable of the parent's away.
    pub fn env_remove(mut self, name: impl Into<OsString>) -> Self {
        self.env.push((name.into(), None));
        self
    }

    /// Starts from an empty environment: only what [`Self::env`] and [`Self::env_keep`] name.
    pub fn env_clear(mut self) -> Self {
        self.inherit_env = false;
        self.env.clear();
        self
    }

    /// Keeps these variables of the parent's, those that are set (after [`Self::env_clear`]).
    pub fn env_keep(mut self, names: &[&str]) -> Self {
        for name in names {
            if let Some(value) = std::env::var_os(name) {
                self.env.push((name.into(), Some(value)));
            }
        }
        self
    }

    /// Standard input.
    pub fn stdin(mut self, stdio: Stdio) -> Self {
        self.stdio[0] = stdio;
        self
    }

    /// Standard output.
    pub fn stdout(mut self, stdio: Stdio) -> Self {
        self.stdio[1] = stdio;
        self
    }

    /// Standard error.
    pub fn stderr(mut self, stdio: Stdio) -> Self {
        self.stdio[2] = stdio;
        self
    }

    /// Runs in this network namespace; the mount namespace stays, so `/sys` shows the parent's.
    pub fn netns(mut self, namespace: &Namespace) -> Self {
        self.netns = Some(namespace.clone());
        self
    }

    /// Leads a process group of its own.
    pub fn process_group(mut self) -> Self {
        self.process_group = true;
        self
    }

    /// Leads a session of its own, so it has no terminal and survives the parent's.
    pub fn session(mut self) -> Self {
        self.session = true;
        self
    }

    /// The signal the child gets when the *thread* that started it ends. It is set after the user
    /// was changed, which would clear it.
    pub fn parent_death_signal(mut self, signal: i32) -> Self {
        self.parent_death_signal = Some(signal);
        self
    }

    /// Gives the child `fd` under the number `target`; the parent's copy closes when the spec is
    /// dropped.
    pub fn pass_fd(mut self, fd: OwnedFd, target: i32) -> Self {
        self.pass_fds.push((fd, target));
        self
    }

    /// Working directory.
    pub fn cwd(mut self, directory: impl Into<PathBuf>) -> Self {
        self.cwd = Some(directory.into());
        self
    }

    /// Drops to this user and group, without supplementary groups.
    pub fn user(mut self, uid: u32, gid: u32) -> Self {
        self.user = Some((uid, gid));
        self
    }

    /// Joins these control groups before anything else: `tasks` or `cgroup.procs` of each, open for
    /// writing ([`crate::cgroup::Group::joints`]). One that is confined may name them there.
    pub fn cgroups(mut self, joints: Vec<OwnedFd>) -> Self {
        self.cgroups = joints;
        self
    }

    /// Confines it: the user is the room's, whatever [`Self::user`] says, and the program and the
    /// working directory are the room's, too.
    pub fn confine(mut self, confine: Confine) -> Self {
        self.confine = Some(confine);
        self
    }
}

/// The first executable regular file `name` in `directories`. A `name` with a slash in it is taken as
/// a path and not searched.
pub fn find_program(name: &str, directories: &[PathBuf]) -> Result<PathBuf, Error> {
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    directories
        .iter()
        .map(|directory| directory.join(name))
        .find(|path| !name.is_empty() && is_program(path))
        .ok_or_else(|| Error::NotFound {
            name: name.to_owned(),
            directories: directories.to_vec(),
        })
}

/// The directories of `PATH`, with those of system programs behind them: a person's `PATH` often has
/// no `/usr/sbin`.
pub(super) fn search_path(path: Option<&OsStr>) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = path
        .map(|path| std::env::split_paths(path).collect())
        .unwrap_or_default();
    for system in ["/usr/sbin", "/usr/bin", "/sbin", "/bin"] {
        if !directories
            .iter()
            .any(|directory| directory == Path::new(system))
        {
            directories.push(PathBuf::from(system));
        }
    }
    directories
}

fn is_program(path: &Path) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_executable_files_only() {
        let directory = tempfile::tempdir().expect("tempdir");
        let plain = directory.path().join("plain");
        std::fs::write(&plain, "").expect("write");
        std::fs::create_dir(directory.path().join("sh")).expect("mkdir");
        let directories = [directory.path().to_owned(), PathBuf::from("/bin")];
        let error = find_program("plain", &directories).expect_err("not executable");
        let text = error.to_string();
        assert!(
            text.contains("plain not found in ") && text.ends_with(", /bin"),
            "{text}"
        );
        assert_eq!(
            find_program("sh", &directories).expect("sh"),
            Path::new("/bin/sh")
        );
        assert!(find_program("", &directories).is_err());
    }

    #[test]
    fn searches_system_directories_too() {
        let path = search_path(Some(OsStr::new("/home/me/bin:/bin")));
        let expected = ["/home/me/bin", "/bin", "/usr/sbin", "/usr/bin", "/sbin"];
        assert_eq!(path, expected.map(PathBuf::from));
    }
}
