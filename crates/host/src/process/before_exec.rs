//! What happens between `clone` and `execve`.
//!
//! The code in [`child`] may run in the parent's memory and beside other threads' locks, so it only
//! makes system calls on values prepared before: no allocation, no lock, no panic, no library call
//! that keeps state.
//!
//! Order: signals, session or group, control groups, network, room, directory, descriptors, limits,
//! user, what can be given up only once, parent-death signal (a change of user clears it), the filter
//! of system calls, then the program. What confines it is in [`super::confined`].

use std::ffi::{CStr, CString, OsString, c_char, c_int, c_long, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStringExt;
use std::ptr;

use super::confined::{self, Confined};
use super::shared::{Failure, Shared};

/// The step that failed; zero means none did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(super) enum Step {
    Signals = 1,
    Session,
    Group,
    ControlGroups,
    Namespace,
    Room,
    Name,
    Proc,
    Directory,
    Descriptors,
    Limits,
    BoundingSet,
    User,
    Capabilities,
    NoNewPrivileges,
    Landlock,
    ParentDeath,
    Filter,
    Execute,
}

impl Step {
    const ALL: [Self; 19] = [
        Self::Signals,
        Self::Session,
        Self::Group,
        Self::ControlGroups,
        Self::Namespace,
        Self::Room,
        Self::Name,
        Self::Proc,
        Self::Directory,
        Self::Descriptors,
        Self::Limits,
        Self::BoundingSet,
        Self::User,
        Self::Capabilities,
        Self::NoNewPrivileges,
        Self::Landlock,
        Self::ParentDeath,
        Self::Filter,
        Self::Execute,
    ];

    pub(super) fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|step| *step as u32 == number)
    }

    /// To be read after "cannot"; none for the program itself.
    pub(super) fn text(self) -> Option<&'static str> {
        match self {
            Self::Signals => Some("reset signals"),
            Self::Session => Some("start a session"),
            Self::Group => Some("start a process group"),
            Self::ControlGroups => Some("join its control groups"),
            Self::Namespace => Some("enter its network namespace"),
            Self::Room => Some("enter its room"),
            Self::Name => Some("set the name of its host"),
            Self::Proc => Some("mount its /proc"),
            Self::Directory => Some("enter its working directory"),
            Self::Descriptors => Some("arrange its descriptors"),
            Self::Limits => Some("set its limits"),
            Self::BoundingSet => Some("empty its bounding set of capabilities"),
            Self::User => Some("change to its user"),
            Self::Capabilities => Some("give up its capabilities"),
            Self::NoNewPrivileges => Some("give up new privileges"),
            Self::Landlock => Some("apply its landlock rules"),
            Self::ParentDeath => Some("bind it to its parent's life"),
            Self::Filter => Some("filter its system calls"),
            Self::Execute => None,
        }
    }
}

/// Strings as `execve` wants them: an array of pointers with a null at the end.
pub(super) struct Strings {
    pointers: Vec<*const c_char>,
    _strings: Vec<CString>,
}

impl Strings {
    /// None if one of them holds a zero byte.
    pub(super) fn new(strings: Vec<OsString>) -> Option<Self> {
        let strings: Vec<CString> = strings
            .into_iter()
            .map(|string| CString::new(string.into_vec()).ok())
            .collect::<Option<_>>()?;
        let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
        pointers.push(ptr::null());
        Some(Self {
            pointers,
            _strings: strings,
        })
    }
}

/// What the child does.
pub(super) struct Plan<'a> {
    pub(super) program: &'a CStr,
    pub(super) args: &'a Strings,
    pub(super) env: &'a Strings,
    pub(super) cwd: Option<&'a CStr>,
    pub(super) moves: &'a [(RawFd, RawFd)],
    /// As long as `moves`.
    pub(super) scratch: &'a mut [RawFd],
    pub(super) kept: &'a [RawFd],
    /// Open for writing.
    pub(super) cgroups: &'a [RawFd],
    pub(super) netns: Option<RawFd>,
    pub(super) session: bool,
    pub(super) process_group: bool,
    pub(super) user: Option<(u32, u32)>,
    pub(super) parent_death_signal: Option<i32>,
    pub(super) parent: i32,
    /// What confines it.
    pub(super) confined: Option<Confined<'a>>,
    /// A test wants it to wait before it is bound to its parent's life.
    pub(super) halts: bool,
    pub(super) failure: &'a Failure,
}

/// Makes the child and waits until it executed its program or failed; its number and pidfd.
pub(super) fn start(mut plan: Plan<'_>, shared: &Shared) -> io::Result<(i32, RawFd)> {
    let mut flags = libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    if plan.user.is_none() {
        flags |= libc::CLONE_VM;
    }
    flags |= plan
        .confined
        .as_ref()
        .map_or(0, |confined| confined.namespaces);
    let mut pidfd: c_int = -1;
    // No handler of ours may run in the child while it shares our memory.
    let blocked = Blocked::all();
    // SAFETY: `child` runs on a stack of its own, within `shared`, which outlives it: CLONE_VFORK
    // holds this thread until the child has executed its program or ended. For the same reason
    // `plan` and all it points to stay valid, and nobody else in this thread touches them. `child`
    // keeps to system calls (see the module's head). The third extra argument receives the pidfd.
    let pid = unsafe {
        libc::clone(
            child,
            shared.stack_top(),
            flags,
            (&raw mut plan).cast(),
            &raw mut pidfd,
            ptr::null_mut::<c_void>(),
            ptr::null_mut::<c_int>(),
        )
    };
    let error = io::Error::last_os_error();
    drop(blocked);
    if pid < 0 {
        Err(error)
    } else {
        Ok((pid, pidfd))
    }
}

/// The first and only function of the child.
extern "C" fn child(plan: *mut c_void) -> c_int {
    // SAFETY: `start` passes a Plan that it does not touch while the child uses it.
    let plan = unsafe { &mut *plan.cast::<Plan<'_>>() };
    let (step, errno) = match prepare(plan) {
        Ok(()) => {
            // SAFETY: all three are null-terminated, and the arrays end with a null pointer.
            unsafe {
                libc::execve(
                    plan.program.as_ptr(),
                    plan.args.pointers.as_ptr(),
                    plan.env.pointers.as_ptr(),
                )
            };
            (Step::Execute, errno())
        }
        Err(failure) => failure,
    };
    plan.failure.set(step, errno);
    // SAFETY: ends the child at once, without running anything of the parent's.
    unsafe { libc::_exit(127) }
}

pub(super) type Outcome = Result<(), (Step, i32)>;

fn prepare(plan: &mut Plan<'_>) -> Outcome {
    reset_signals().map_err(|errno| (Step::Signals, errno))?;
    surroundings(plan)?;
    arrange(plan).map_err(|errno| (Step::Descriptors, errno))?;
    if let Some(confined) = &plan.confined {
        confined::limit(confined)?;
    }
    if let Some((uid, gid)) = plan.user {
        change_user(uid, gid)?;
    }
    if let Some(confined) = &plan.confined {
        confined::give_up(confined)?;
    }
    if plan.halts {
        wait_to_go_on();
    }
    if let Some(signal) = plan.parent_death_signal {
        bind_to_parent(signal, plan)?;
    }
    close_others(plan.kept);
    match &plan.confined {
        Some(confined) => confined::filter(confined),
        None => Ok(()),
    }
}

/// Its groups, namespaces and directory.
fn surroundings(plan: &Plan<'_>) -> Outcome {
    // SAFETY: plain system calls on integers and on strings and descriptors prepared by the parent.
    unsafe {
        if plan.session {
            check(Step::Session, libc::setsid().into())?;
        } else if plan.process_group {
            check(Step::Group, libc::setpgid(0, 0).into())?;
        }
    }
    confined::join(plan.cgroups)?;
    // SAFETY: as above.
    unsafe {
        if let Some(fd) = plan.netns {
            check(Step::Namespace, libc::setns(fd, libc::CLONE_NEWNET).into())?;
        }
    }
    if let Some(confined) = &plan.confined {
        confined::enter(confined)?;
    }
    // SAFETY: as above.
    unsafe {
        match plan.cwd {
            Some(directory) => check(Step::Directory, libc::chdir(directory.as_ptr()).into()),
            None => Ok(()),
        }
    }
}

/// Handlers go back to the default, and SIGPIPE, which the Rust runtime ignores; then nothing is
/// blocked any more.
fn reset_signals() -> Result<(), i32> {
    for signal in 1..=64 {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: asks for the present action; glibc refuses its own two signals, which exec resets.
        if unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) } != 0 {
            continue;
        }
        // SAFETY: zeroed is a valid value of this plain structure, and the kernel filled it in.
        let mut action = unsafe { action.assume_init() };
        let ignored = action.sa_sigaction == libc::SIG_IGN && signal != libc::SIGPIPE;
        if action.sa_sigaction == libc::SIG_DFL || ignored {
            continue;
        }
        action.sa_sigaction = libc::SIG_DFL;
        action.sa_flags = 0;
        // SAFETY: sets the default action of a signal that has another one.
        if unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) } != 0 {
            return Err(errno());
        }
    }
    Blocked::set_mask(0);
    Ok(())
}

/// Puts every descriptor under its number.
fn arrange(plan: &mut Plan<'_>) -> Result<(), i32> {
    let highest = plan.kept.last().copied().unwrap_or(2);
    // A source below the highest target could be overwritten before its turn: it moves up first.
    for (slot, &(source, _)) in plan.scratch.iter_mut().zip(plan.moves) {
        *slot = source;
        if source <= highest {
            // SAFETY: duplicates an open descriptor.
            *slot = unsafe { libc::fcntl(source, libc::F_DUPFD_CLOEXEC, highest + 1) };
            if *slot < 0 {
                return Err(errno());
            }
        }
    }
    for (&source, &(_, target)) in plan.scratch.iter().zip(plan.moves) {
        // SAFETY: source and target differ (the one is above all targets), so the copy has no
        // close-on-exec flag.
        if unsafe { libc::dup2(source, target) } < 0 {
            return Err(errno());
        }
    }
    Ok(())
}

/// Closes all descriptors but those in `kept`, which is sorted. Kernels before 5.9 cannot; there only
/// what somebody opened without close-on-exec is left.
fn close_others(kept: &[RawFd]) {
    let mut first = 0;
    for &fd in kept {
        if fd > first {
            close_range(first, fd - 1);
        }
        first = fd + 1;
    }
    close_range(first, c_int::MAX);
}

fn close_range(first: RawFd, last: RawFd) {
    // SAFETY: closes descriptors of the child's own table that nothing of it uses any more.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
}

/// By bare system calls: the library's functions would stop all threads it knows of, the parent's.
fn change_user(uid: u32, gid: u32) -> Outcome {
    // SAFETY: no memory is passed but the empty list of groups.
    unsafe {
        check(
            Step::User,
            libc::syscall(libc::SYS_setgroups, 0, ptr::null::<u32>()),
        )?;
        check(
            Step::User,
            libc::syscall(libc::SYS_setresgid, gid, gid, gid),
        )?;
        check(
            Step::User,
            libc::syscall(libc::SYS_setresuid, uid, uid, uid),
        )
    }
}

/// If the parent ended before the signal was set, nobody will send it: the child ends, too.
fn bind_to_parent(signal: i32, plan: &Plan<'_>) -> Outcome {
    // SAFETY: integers only.
    unsafe {
        check(
            Step::ParentDeath,
            libc::prctl(libc::PR_SET_PDEATHSIG, signal).into(),
        )?;
        match (libc::getppid(), &plan.confined) {
            // The parent is in another PID namespace.
            (0, Some(confined)) => confined::check_parent(confined),
            (0, None) => Ok(()),
            (pid, _) if pid == plan.parent => Ok(()),
            _ => Err((Step::ParentDeath, libc::ESRCH)),
        }
    }
}

/// Until it is sent SIGCONT. The first process of a PID namespace cannot stop itself as others do, so it
/// waits. The kernel does not tell of a signal that is waited for that it is blocked: by SIGURG, which it
/// blocks alone then, it is told from one that works.
fn wait_to_go_on() {
    let set = |signal: c_int| 1_u64 << (signal - 1);
    let awaited = set(libc::SIGCONT);
    Blocked::set_mask(awaited | set(libc::SIGURG));
    // SAFETY: the kernel reads the set, which is 64 bits; nothing is to be written, and no time is set.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigtimedwait,
            &raw const awaited,
            ptr::null_mut::<c_void>(),
            ptr::null::<c_void>(),
            size_of::<u64>(),
        )
    };
    Blocked::set_mask(0);
}

pub(super) fn check(step: Step, result: c_long) -> Outcome {
    if result < 0 {
        Err((step, errno()))
    } else {
        Ok(())
    }
}

pub(super) fn errno() -> i32 {
    // SAFETY: the address of this thread's (in the child: the held parent thread's) error number.
    unsafe { *libc::__errno_location() }
}

/// All signals blocked in this thread, glibc's own two as well, until dropped.
struct Blocked {
    before: u64,
}

impl Blocked {
    fn all() -> Self {
        Self {
            before: Self::set_mask(u64::MAX),
        }
    }

    /// Sets the mask and gives the one before. Cannot fail: the arguments are always right.
    fn set_mask(mask: u64) -> u64 {
        let mut before: u64 = 0;
        // SAFETY: the kernel's signal set is 64 bits; it reads `mask` and writes `before`.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigprocmask,
                libc::SIG_SETMASK,
                &raw const mask,
                &raw mut before,
                size_of::<u64>(),
            )
        };
        before
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        Self::set_mask(self.before);
    }
}
