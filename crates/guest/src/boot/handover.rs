//! From the initramfs into the root file system, and on to the user's program.
//!
//! ```text
//!   /            initramfs: the agent stays here, and empties it, out of user space's way
//!   '-- /sysroot becomes the / of everybody else (as switch_root does it: move, chroot)
//! ```

use std::convert::Infallible;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::fchown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use ignite_host::fs::RootDir;
use ignite_wire::agent::ExitStatus;
use ignite_wire::guest::{CONFIG_PATH, Config, Process, Terminal};
use rustix::fs::{FsWord, statfs};
use rustix::mount::{MountFlags, mount_move};
use rustix::process::{chdir, chroot};
use thiserror::Error;

use super::ROOT;
use crate::execute::{self, Execution};
use crate::launch::{DEFAULT_PATH, Launch, find_user};
use crate::link::{self, Message};
use crate::machine::Machine;
use crate::root::{Mount, Root};
use crate::{agent, console, init, root};

/// Why the user's program cannot be started.
#[derive(Debug, Error)]
pub enum Error {
    /// The image has no such init.
    #[error("the image's init {path} cannot be run: it is {problem}")]
    NoInit {
        /// Its path.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// The agent cannot be started.
    #[error("cannot start the agent")]
    Agent {
        /// The kernel's answer.
        source: io::Error,
    },
    /// The root cannot become `/`.
    #[error("cannot {action} the root file system")]
    Switch {
        /// What was attempted.
        action: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel does not run the image's init.
    #[error("cannot run the image's init {path}")]
    Exec {
        /// Its path.
        path: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The root file system refuses.
    #[error(transparent)]
    Root(#[from] root::Error),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoInit { .. } | Self::Exec { .. } => {
                Some("name a command to run in its place: ignite run IMAGE -- COMMAND".to_owned())
            }
            _ => None,
        }
    }
}

/// Starts the agent, makes the root file system `/`, completes it, and becomes the image's init or
/// our own.
pub fn hand_over(
    config: &Config,
    root: &Root,
    port: &mut Option<OwnedFd>,
) -> Result<Infallible, Error> {
    // While there is a /proc to ask.
    let program = std::env::current_exe().map_err(|source| Error::Agent { source })?;
    if let Process::Init { path } = &config.process {
        check_init(path, root)?;
    }
    move_kernel_filesystems(root)?;
    let (agent, agents) = link::pair().map_err(|source| Error::Agent { source })?;
    link::give_token(&agent, &config.agent_token).map_err(|source| Error::Agent { source })?;
    start_agent(&program, port.take(), agents, config)?;
    // It goes first where there is one processor.
    link::wait_for(Message::Ready, &agent, None);
    switch_root()?;
    let root = Root::open(Path::new("/"))?;
    super::complete(config, &root);
    match &config.process {
        // The link ends here, and the agent takes requests.
        Process::Init { path } => Err(exec_init(path)),
        Process::Command {
            argv,
            env,
            user,
            cwd,
            stop_signal,
        } => {
            mount_for_command(&root);
            let env = &with_terminal(config.terminal.as_ref(), env);
            let launch = Launch {
                argv,
                env,
                user,
                cwd,
                terminal: true,
            };
            let command = prepare(&launch, &root);
            let _ = link::tell(&agent, Message::Complete);
            let stop_signal = stop_signal.unwrap_or(libc::SIGTERM);
            init::run(command, stop_signal, agent, config.power_off)
        }
    }
}

/// Gives `/sys` and `/dev` to user space, with the links in `/dev` that a device manager makes, where
/// there is one. `/proc` goes last: paths into the root lead through it.
fn move_kernel_filesystems(root: &Root) -> Result<(), Error> {
    root.move_mount("/sys", "/sys")?;
    root.move_mount("/dev", "/dev")?;
    let links = [
        ("/proc/self/fd", "/dev/fd"),
        ("/proc/self/fd/0", "/dev/stdin"),
        ("/proc/self/fd/1", "/dev/stdout"),
        ("/proc/self/fd/2", "/dev/stderr"),
    ];
    for (target, path) in links {
        root.link(target, path)?;
    }
    Ok(root.move_mount("/proc", "/proc")?)
}

/// The console as large as the terminal in front of it, and the environment with its name, where there
/// is one and the environment has none.
fn with_terminal(terminal: Option<&Terminal>, env: &[String]) -> Vec<String> {
    let Some(terminal) = terminal else {
        return env.to_vec();
    };
    // A console without a size is one all the same.
    let _ = crate::agent::resize(rustix::stdio::stdin(), terminal.size);
    let named = (!terminal.name.is_empty()).then(|| format!("TERM={}", terminal.name));
    named.into_iter().chain(env.iter().cloned()).collect()
}

/// What an init would mount. A command may do without any of it.
fn mount_for_command(root: &Root) {
    let safe = MountFlags::NOSUID | MountFlags::NODEV;
    let mounts = [
        (
            "devpts",
            "/dev/pts",
            MountFlags::NOSUID | MountFlags::NOEXEC,
            c"gid=5,mode=620,ptmxmode=666",
        ),
        ("tmpfs", "/dev/shm", safe, c"mode=1777"),
        ("tmpfs", "/run", safe, c"mode=755"),
        ("cgroup2", "/sys/fs/cgroup", safe | MountFlags::NOEXEC, c""),
    ];
    for (filesystem, target, flags, options) in mounts {
        if let Err(error) = root.mount(&Mount {
            source: filesystem,
            filesystem,
            target,
            flags,
            options,
        }) {
            console::warn(&error);
        }
    }
}

/// An init the kernel would refuse is found while there still is somebody to tell.
fn check_init(path: &str, root: &Root) -> Result<(), Error> {
    const HEAD: u64 = 4;
    let problem = match root.is_executable(path) {
        Ok(true) => match root.read_head(path, HEAD) {
            Ok(head) if execute::is_known(&head) => return Ok(()),
            Ok(_) => format!("no program ({})", execute::UNKNOWN),
            Err(error) => format!("not readable ({error})"),
        },
        Ok(false) => "no executable file".to_owned(),
        Err(error) => format!("not there ({error})"),
    };
    Err(Error::NoInit {
        path: path.to_owned(),
        problem,
    })
}

/// Starts the agent as a process of its own. Its standard input is the stream to the host, its standard
/// output the link to PID 1, its environment what it gives to the programs it runs.
///
/// It runs from the initramfs's program, which stays in memory as long as somebody runs it, and its
/// root is the initramfs: the root file system can be made read-only and whatever else under it.
fn start_agent(
    program: &Path,
    port: Option<OwnedFd>,
    link: OwnedFd,
    config: &Config,
) -> Result<(), Error> {
    let failed = |source| Error::Agent { source };
    let env: &[String] = match &config.process {
        Process::Init { .. } => &[],
        Process::Command { env, .. } => env,
    };
    let pairs = env.iter().filter_map(|entry| entry.split_once('='));
    let port = port.ok_or_else(|| failed(io::ErrorKind::NotConnected.into()))?;
    let mut command = Command::new(program);
    command
        .arg0(agent::ARGV0)
        .args(Machine::of(config).words())
        .env_clear()
        .env("PATH", DEFAULT_PATH);
    command.envs(pairs.filter(|(key, _)| !key.is_empty()));
    command.current_dir(ROOT).stdin(port).stdout(link);
    command.spawn().map_err(failed)?;
    Ok(())
}

fn switch_root() -> Result<(), Error> {
    let failed = |action| {
        move |errno: rustix::io::Errno| Error::Switch {
            action,
            source: errno.into(),
        }
    };
    chdir(ROOT).map_err(failed("enter"))?;
    mount_move(".", "/").map_err(failed("move"))?;
    chroot(".").map_err(failed("change into"))?;
    chdir("/").map_err(failed("enter"))
}

/// Gives back the memory of the initramfs, which must be this process's root. The kernel keeps what
/// still runs.
pub fn empty_initramfs() {
    const RAMFS: FsWord = 0x8584_58f6;
    const TMPFS: FsWord = 0x0102_1994;
    let in_memory = statfs("/").is_ok_and(|stat| stat.f_type == RAMFS || stat.f_type == TMPFS);
    let Ok(initramfs) = RootDir::open(Path::new("/")) else {
        return;
    };
    if in_memory {
        // By name: its other directories are mount points, of the root file system too.
        for path in ["init", CONFIG_PATH, "lib"] {
            let _ = initramfs.remove(Path::new(path));
        }
    }
}

/// Replaces this process by the image's init, with the environment the kernel would give it.
fn exec_init(path: &str) -> Error {
    let env = [("HOME", "/"), ("TERM", "linux"), ("PATH", DEFAULT_PATH)];
    let execution = Execution::new(&[path.to_owned()], &env);
    Error::Exec {
        path: path.to_owned(),
        source: execution.map_or_else(|error| error, |execution| execution.execute()),
    }
}

/// The command, with its directory there and its terminal its own.
fn prepare(launch: &Launch<'_>, root: &Root) -> Result<Command, ExitStatus> {
    if !launch.cwd.is_empty() {
        // As other runtimes do; what cannot be made is told when it is entered.
        let _ = root.create_directory(launch.cwd, 0o755);
    }
    if let Ok(user) = find_user(launch.user, root) {
        // So that the command can open /dev/stdout, where many send their logs.
        let _ = fchown(rustix::stdio::stdin(), Some(user.uid), None);
    }
    launch.command(root)
}
