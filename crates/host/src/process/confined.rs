//! What confines a child: prepared in the parent as [`Walls`], done by the child between `clone` and
//! `execve`.
//!
//! The rules of [`super::before_exec`] hold here: below [`Confined`] there are only system calls.

use std::ffi::{CStr, c_int};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::ptr;

use rustix::process::{PidfdFlags, Resource, getpid, getrlimit, pidfd_open};

use super::before_exec::{Outcome, Step, check, errno};
use crate::confine::{Confine, Limits, Network};

/// What a host's name looks like from inside.
const NAME: &CStr = c"ignite";

/// `/proc` with nothing but processes, and of those only its own; the second for kernels before 5.8.
const PROC_OPTIONS: [&CStr; 2] = [c"subset=pid,hidepid=invisible", c"hidepid=2"];

/// No capability has a higher number, in any kernel: they are kept as 64 bits.
const LAST_CAPABILITY: c_int = 63;

/// The bytes of a core dump. One and not none: a program that takes core dumps through a pipe is
/// started whatever the limit is, but for this one (`do_coredump` in fs/coredump.c). No file of one byte
/// is made.
const CORE: u64 = 1;

/// How many limits are set.
const LIMITS: usize = 4;

/// The parent's side: descriptors and values the child will use.
pub(super) struct Walls<'a> {
    confine: &'a Confine,
    limits: [(u32, libc::rlimit64); LIMITS],
    program: Option<libc::sock_fprog>,
    // These two are used after the child's descriptors got their numbers: they lie above all of them.
    landlock: Option<OwnedFd>,
    parent: OwnedFd,
}

/// What the child needs of them.
pub(super) struct Confined<'a> {
    /// Flags of `clone`.
    pub(super) namespaces: c_int,
    room: RawFd,
    proc: Option<&'a CStr>,
    limits: &'a [(u32, libc::rlimit64); LIMITS],
    landlock: Option<RawFd>,
    parent: RawFd,
    program: Option<&'a libc::sock_fprog>,
    /// Capabilities it keeps.
    keeps: u64,
}

impl<'a> Walls<'a> {
    /// `highest` is the highest descriptor the child gets.
    pub(super) fn new(confine: &'a Confine, highest: RawFd) -> io::Result<Self> {
        let above = |fd: &OwnedFd| rustix::io::fcntl_dupfd_cloexec(fd, highest + 1);
        let parent = pidfd_open(getpid(), PidfdFlags::empty())?;
        let program = confine.filter.as_ref().map(|filter| libc::sock_fprog {
            // A program has at most 4096 instructions; the kernel refuses one that has none.
            len: u16::try_from(filter.instructions().len()).unwrap_or(0),
            filter: filter.instructions().as_ptr().cast_mut(),
        });
        Ok(Self {
            confine,
            limits: limits(confine.limits),
            program,
            landlock: confine.landlock.as_ref().map(above).transpose()?,
            parent: above(&parent)?,
        })
    }

    pub(super) fn confined(&self) -> Confined<'_> {
        Confined {
            namespaces: namespaces(self.confine),
            room: self.confine.room.namespace().as_raw_fd(),
            proc: self.confine.room.proc(),
            limits: &self.limits,
            landlock: self.landlock.as_ref().map(|fd| fd.as_fd().as_raw_fd()),
            parent: self.parent.as_raw_fd(),
            program: self.program.as_ref(),
            keeps: self.confine.privileges.mask(),
        }
    }

    pub(super) fn user(&self) -> u32 {
        self.confine.room.user()
    }

    pub(super) fn has_empty_network(&self) -> bool {
        self.confine.network == Network::Empty
    }
}

fn namespaces(confine: &Confine) -> c_int {
    let mut flags = libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    if confine.pid_namespace || confine.room.proc().is_some() {
        flags |= libc::CLONE_NEWPID;
    }
    if confine.network == Network::Empty {
        flags |= libc::CLONE_NEWNET;
    }
    flags
}

fn limits(limits: Limits) -> [(u32, libc::rlimit64); LIMITS] {
    let limit = |resource, value| {
        let value = libc::rlimit64 {
            rlim_cur: value,
            rlim_max: value,
        };
        (resource, value)
    };
    // Who may not raise a limit of its own may not raise its child's.
    let most = |resource| getrlimit(resource).maximum.unwrap_or(u64::MAX);
    [
        limit(libc::RLIMIT_CORE, CORE.min(most(Resource::Core))),
        limit(
            libc::RLIMIT_NOFILE,
            limits.open_files.min(most(Resource::Nofile)),
        ),
        limit(libc::RLIMIT_NPROC, limits.tasks.min(most(Resource::Nproc))),
        limit(
            libc::RLIMIT_FSIZE,
            limits.file_bytes.min(most(Resource::Fsize)),
        ),
    ]
}

/// Into its control groups, before it uses anything up.
pub(super) fn join(cgroups: &[RawFd]) -> Outcome {
    for &fd in cgroups {
        // SAFETY: writes one byte of a constant: "0" is the writer itself, in every PID namespace.
        let written = unsafe { libc::write(fd, c"0".as_ptr().cast(), 1) };
        check(Step::ControlGroups, written as _)?;
    }
    Ok(())
}

/// Into its room, which from then on is all there is.
pub(super) fn enter(confined: &Confined<'_>) -> Outcome {
    // SAFETY: plain system calls on integers, constants and a descriptor the parent holds.
    unsafe {
        // The root and the working directory become the room's.
        check(
            Step::Room,
            libc::setns(confined.room, libc::CLONE_NEWNS).into(),
        )?;
        let length = NAME.count_bytes();
        check(Step::Name, libc::sethostname(NAME.as_ptr(), length).into())?;
        check(Step::Name, libc::setdomainname(NAME.as_ptr(), 0).into())?;
    }
    confined.proc.map_or(Ok(()), mount_proc)
}

/// In the room itself, over that of whoever was in it before. A copy of the room would hold both apart,
/// but somebody would have to wait for the other one to be taken apart.
fn mount_proc(path: &CStr) -> Outcome {
    // SAFETY: integers, constant strings and one that the parent keeps.
    unsafe {
        let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC | libc::MS_RDONLY;
        let (proc, path) = (c"proc".as_ptr(), path.as_ptr());
        for options in PROC_OPTIONS {
            if libc::mount(proc, path, proc, flags, options.as_ptr().cast()) == 0 {
                return Ok(());
            }
        }
    }
    Err((Step::Proc, errno()))
}

/// What only root can do to itself, before it stops to be that.
pub(super) fn limit(confined: &Confined<'_>) -> Outcome {
    // SAFETY: the limits are read by the kernel only; integers otherwise.
    unsafe {
        for (resource, limit) in confined.limits {
            let done = libc::syscall(
                libc::SYS_prlimit64,
                0,
                *resource,
                &raw const *limit,
                ptr::null_mut::<libc::rlimit64>(),
            );
            check(Step::Limits, done)?;
        }
        for capability in 0..=LAST_CAPABILITY {
            if confined.keeps & (1 << capability) != 0 {
                continue;
            }
            if libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 {
                match errno() {
                    // Past the last this kernel knows.
                    libc::EINVAL if capability > 0 => break,
                    errno => return Err((Step::BoundingSet, errno)),
                }
            }
        }
    }
    Ok(())
}

/// `struct __user_cap_header_struct`.
#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: c_int,
}

/// `_LINUX_CAPABILITY_VERSION_3`: sets of 64 bits.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// What no user gets back: capabilities, privileges by executing something, what landlock refuses.
pub(super) fn give_up(confined: &Confined<'_>) -> Outcome {
    let header = CapabilityHeader {
        version: CAPABILITY_VERSION,
        pid: 0,
    };
    // Effective, permitted and inheritable, twice 32 bits of each.
    let set = |bits: u64| [bits as u32, bits as u32, 0];
    let kept = [set(confined.keeps), set(confined.keeps >> 32)];
    // SAFETY: the header and the sets have the kernel's layout and are read by it only.
    unsafe {
        let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL;
        let ambient = libc::prctl(libc::PR_CAP_AMBIENT, clear, 0, 0, 0);
        check(Step::Capabilities, ambient.into())?;
        let done = libc::syscall(libc::SYS_capset, &raw const header, kept.as_ptr());
        check(Step::Capabilities, done)?;
        let no_new = libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        check(Step::NoNewPrivileges, no_new.into())?;
        match confined.landlock {
            Some(rules) => check(
                Step::Landlock,
                libc::syscall(libc::SYS_landlock_restrict_self, rules, 0),
            ),
            None => Ok(()),
        }
    }
}

/// Fails if the parent has ended: from inside a PID namespace only its pidfd tells.
pub(super) fn check_parent(confined: &Confined<'_>) -> Outcome {
    let mut poll = libc::pollfd {
        fd: confined.parent,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one structure, which the kernel reads and writes; no waiting.
    let ended = unsafe { libc::poll(&raw mut poll, 1, 0) };
    match ended {
        0 => Ok(()),
        1 => Err((Step::ParentDeath, libc::ESRCH)),
        _ => Err((Step::ParentDeath, errno())),
    }
}

/// The last thing before the program: from here on, even this code may ask for no more.
pub(super) fn filter(confined: &Confined<'_>) -> Outcome {
    let Some(program) = confined.program else {
        return Ok(());
    };
    // SAFETY: the kernel copies the program, which the parent keeps as long as this child uses it.
    let done = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const *program,
        )
    };
    check(Step::Filter, done)
}
