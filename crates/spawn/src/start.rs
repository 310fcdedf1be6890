//! From the plan to a running VMM, step by step and timed.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ignite_host::cgroup;
use ignite_host::cpu;
use ignite_host::fs::{read_bounded, write_atomic};
use ignite_vmm::{Agent, Driver, Nic, Resources, Work};
use ignite_wire::guest;
use ignite_wire::supervisor::{End, Plan};
use rustix::rand::{GetRandomFlags, getrandom};

use crate::group::Group;
use crate::holder;
use crate::initramfs;
use crate::network;

/// Why the VM could not be started.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its network.
    #[error("cannot set up the guest's network")]
    Network(#[from] network::Error),
    /// Its initramfs.
    #[error("cannot put together the initramfs from {path}")]
    Initramfs {
        /// The kernel's initramfs.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The container that owns the network is no more.
    #[error("{}", holder::message(.container))]
    HolderEnded {
        /// Its name.
        container: String,
        /// The VM's name.
        vm: String,
    },
    /// Its control group.
    #[error("cannot bound the virtual machine monitor")]
    Group(#[source] cgroup::Error),
    /// Something of the host's.
    #[error("cannot {action}")]
    System {
        /// What was attempted.
        action: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The VMM.
    #[error(transparent)]
    Vmm(#[from] ignite_vmm::Error),
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Network(error) => error.hint(),
            Self::Vmm(error) => error.hint(),
            Self::Initramfs { .. } => {
                Some("the kernel's files seem to be damaged: import the kernel again".to_owned())
            }
            Self::Group(error) => error.hint(),
            Self::HolderEnded { vm, .. } => Some(holder::hint(vm)),
            Self::System { .. } => None,
        }
    }

    /// How a VM that is not started for this reason has ended.
    pub fn end(&self) -> End {
        match self {
            Self::HolderEnded { .. } => End::NetworkLost,
            _ => End::VmmFailed,
        }
    }
}

/// Durations of steps, in microseconds.
#[derive(Debug)]
pub struct Steps {
    last: Instant,
    /// Name and microseconds.
    pub list: Vec<(String, u64)>,
}

impl Steps {
    /// From now on.
    pub fn new() -> Self {
        Self {
            last: Instant::now(),
            list: Vec::new(),
        }
    }

    /// The step `name` is done.
    pub fn done(&mut self, name: &str) {
        let now = Instant::now();
        let micros = now.duration_since(self.last).as_micros();
        self.list
            .push((name.to_owned(), micros.try_into().unwrap_or(u64::MAX)));
        self.last = now;
    }
}

/// A VMM that runs.
#[derive(Debug)]
pub struct Started {
    /// The VMM.
    pub driver: Driver,
    /// What it prints.
    pub output: io::PipeReader,
    /// The way to the agent.
    pub agent: Agent,
    /// What the agent proves itself with.
    pub token: String,
    /// Where the time went.
    pub steps: Steps,
}

/// Starts the VMM in its group, with the guest's network and initramfs.
pub fn start(
    plan: &Plan,
    nics: Vec<Nic>,
    group: &Group,
    live: Option<OwnedFd>,
    mut steps: Steps,
) -> Result<Started, Error> {
    let machine = &plan.machine;
    let system = |action| move |source| Error::System { action, source };
    // Made here and written nowhere: the guest and its supervisor alone know it.
    let guest = guest::Config {
        agent_token: token(plan.guest.agent).map_err(system("make the agent's token"))?,
        ..plan.guest.clone()
    };
    let initramfs =
        initramfs::build(&machine.initramfs, &guest).map_err(|source| Error::Initramfs {
            path: machine.initramfs.clone(),
            source,
        })?;
    steps.done("initramfs");
    let tsc_khz = Driver::needs_tsc(machine.vmm)
        .then(|| tsc_khz(&tsc_cache(&plan.run_dir)))
        .flatten();
    steps.done("tsc");
    let (output, writer) = messages().map_err(system("make a pipe for the VMM's messages"))?;
    let resources = Resources {
        nics,
        initramfs,
        live,
        log: Some(writer.into()),
        confinement: group.confinement()?,
        work: Some(Work {
            id: plan.uid.clone(),
            directory: plan.run_dir.clone(),
        }),
    };
    let driver = Driver::start(machine, resources, tsc_khz)?;
    let agent = driver.agent()?;
    steps.done("vmm");
    Ok(Started {
        driver,
        output,
        agent,
        token: guest.agent_token,
        steps,
    })
}

/// What the VMM prints. It ends when nobody can print to it any more, and a VMM can see to it that this
/// never happens: it sends its end over one of its sockets, where it lies until somebody takes it. So
/// reading never waits.
fn messages() -> io::Result<(io::PipeReader, io::PipeWriter)> {
    let (output, writer) = io::pipe()?;
    rustix::io::ioctl_fionbio(&output, true)?;
    Ok((output, writer))
}

/// What the agent proves itself with. Only root opens the virtio-serial port; vsock asks nobody.
fn token(transport: guest::Transport) -> io::Result<String> {
    const BYTES: usize = 16;
    if transport == guest::Transport::Serial {
        return Ok(String::new());
    }
    let mut bytes = [0; BYTES];
    // The kernel gives that many at once.
    getrandom(&mut bytes[..], GetRandomFlags::empty())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The rate stays the same until the host boots again, and so does a file below `/run`: measured
/// once for all VMs. `run_dir` is the VM's own, two levels below Ignite's.
fn tsc_cache(run_dir: &Path) -> PathBuf {
    run_dir
        .ancestors()
        .nth(2)
        .unwrap_or(run_dir)
        .join("tsc-khz")
}

fn tsc_khz(cache: &Path) -> Option<u32> {
    const LONGEST: u64 = 16;
    let known = read_bounded(cache, LONGEST)
        .ok()
        .and_then(|bytes| std::str::from_utf8(&bytes).ok()?.trim().parse().ok())
        .filter(|khz| (100_000..=20_000_000).contains(khz));
    known.or_else(|| {
        let khz = cpu::tsc_khz()?;
        // Where it cannot be kept it is measured again.
        let _ = write_atomic(cache, format!("{khz}\n").as_bytes(), 0o644);
        Some(khz)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::mem::MaybeUninit;
    use std::os::fd::AsFd as _;

    use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

    /// The writing end lies in a socket that nobody reads.
    #[test]
    fn messages_that_never_end_keep_nobody_waiting() {
        let (mut output, mut writer) = messages().expect("a pipe");
        writer.write_all(b"last words").expect("write");
        let (_unread, socket) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut hidden = SendAncillaryBuffer::new(&mut space);
        let ends = [writer.as_fd()];
        assert!(hidden.push(SendAncillaryMessage::ScmRights(&ends)));
        let byte = [io::IoSlice::new(b"x")];
        sendmsg(&socket, &byte, &mut hidden, SendFlags::empty()).expect("sent");
        drop(writer);
        let (tell, heard) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            let length = output.read(&mut buffer).expect("words");
            let _ = tell.send((length, output.read(&mut buffer).map_err(|e| e.kind())));
        });
        let seen = heard.recv_timeout(std::time::Duration::from_secs(60));
        let seen = seen.expect("the second read comes back");
        assert_eq!(seen, (10, Err(io::ErrorKind::WouldBlock)));
    }

    #[test]
    fn no_token_is_like_another() {
        let made = || token(guest::Transport::Vsock).expect("random bytes");
        let (one, other) = (made(), made());
        assert_eq!((one.len(), other.len()), (32, 32));
        assert_ne!(one, other);
        assert_eq!(token(guest::Transport::Serial).expect("none"), "");
    }

    #[test]
    fn the_rate_is_measured_once() {
        let directory = tempfile::tempdir().expect("tempdir");
        let cache = tsc_cache(&directory.path().join("vm/uid"));
        assert_eq!(cache, directory.path().join("tsc-khz"));
        let first = tsc_khz(&cache).expect("this processor counts");
        assert_eq!(
            std::fs::read_to_string(&cache).expect("kept"),
            format!("{first}\n")
        );
        std::fs::write(&cache, "2100000\n").expect("write");
        assert_eq!(tsc_khz(&cache), Some(2_100_000));
        std::fs::write(&cache, "garbage").expect("write");
        assert!(tsc_khz(&cache).is_some_and(|khz| khz > 100_000));
    }
}
