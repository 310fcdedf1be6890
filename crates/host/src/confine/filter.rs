//! What a VMM may not ask of the kernel: a seccomp program that refuses the calls no VMM needs and
//! allows all others.
//!
//! A list of what is refused, not of what is allowed: it has to fit several VMMs in many versions, and
//! stands around the tighter list each of them brings for itself. What is refused gives `EPERM`;
//! `clone3`, whose flags cannot be seen from here, gives `ENOSYS`, on which C libraries fall back to
//! `clone`. A call by the numbers of another architecture ends the process.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// A seccomp program.
#[derive(Clone)]
pub struct Filter {
    instructions: Vec<libc::sock_filter>,
}

/// A system call that is refused, by its number.
#[derive(Debug, Clone, Copy)]
struct Refusal {
    /// As the C library has it; for people.
    #[cfg_attr(not(test), expect(dead_code, reason = "a filter knows numbers only"))]
    name: &'static str,
    call: i64,
    when: When,
}

/// When a system call is refused.
#[derive(Debug, Clone, Copy)]
enum When {
    /// Whatever its arguments are.
    Always,
    /// When the 32 bits of the argument with this index are this value.
    Is(u8, u32),
    /// When they are not.
    IsNot(u8, u32),
    /// When one of these bits is set.
    Any(u8, u32),
    /// When this bit is clear.
    Lacks(u8, u32),
    /// When of the bits of the first number those of the second are set, and no others.
    Among(u8, u32, u32),
}

/// One line for each call that is always refused: its name is that of its number.
macro_rules! always {
    ($($name:ident)*) => {
        [$(Refusal {
            name: stringify!($name),
            call: libc::$name,
            when: When::Always,
        }),*]
    };
}

/// Refused on every architecture.
const ALWAYS: &[Refusal] = &always![
    // Namespaces and roots.
    SYS_unshare SYS_setns SYS_chroot SYS_pivot_root
    // Mounts, old and new.
    SYS_mount SYS_umount2 SYS_move_mount SYS_open_tree SYS_fsopen SYS_fsconfig SYS_fsmount SYS_fspick
    SYS_mount_setattr SYS_quotactl SYS_quotactl_fd
    // Other processes.
    SYS_ptrace SYS_process_vm_readv SYS_process_vm_writev SYS_process_madvise SYS_pidfd_getfd SYS_kcmp
    // Files by handle, past every path.
    SYS_open_by_handle_at SYS_name_to_handle_at
    // Large parts of the kernel that nobody here uses.
    SYS_bpf SYS_perf_event_open SYS_io_uring_setup SYS_io_uring_enter SYS_io_uring_register
    SYS_add_key SYS_keyctl SYS_request_key SYS_fanotify_init SYS_lookup_dcookie SYS_userfaultfd
    // The locks it is given are held for its supervisor, too: it could let go for both.
    SYS_flock
    // The machine as a whole.
    SYS_init_module SYS_finit_module SYS_delete_module SYS_kexec_load SYS_swapon SYS_swapoff SYS_reboot
    SYS_acct SYS_syslog SYS_vhangup SYS_sethostname SYS_setdomainname
    SYS_settimeofday SYS_clock_settime SYS_clock_adjtime SYS_adjtimex
];

/// Refused where it exists.
#[cfg(target_arch = "x86_64")]
const HERE: &[Refusal] = &always![
    SYS_fork SYS_vfork SYS_kexec_file_load SYS_iopl SYS_ioperm SYS_modify_ldt SYS_uselib SYS_ustat
    SYS_sysfs SYS__sysctl
];
#[cfg(target_arch = "aarch64")]
const HERE: &[Refusal] = &always![SYS_kexec_file_load];

/// Every namespace `clone` can make.
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

/// Refused by their arguments: (name, number, when).
const SOMETIMES: &[(&str, i64, When)] = &[
    // Threads, but no processes.
    (
        "SYS_clone",
        libc::SYS_clone,
        When::Lacks(0, libc::CLONE_THREAD as u32),
    ),
    ("SYS_clone", libc::SYS_clone, When::Any(0, NAMESPACES)),
    (
        "SYS_socket",
        libc::SYS_socket,
        When::IsNot(0, libc::AF_UNIX as u32),
    ),
    (
        "SYS_socketpair",
        libc::SYS_socketpair,
        When::IsNot(0, libc::AF_UNIX as u32),
    ),
    ("SYS_personality", libc::SYS_personality, When::IsNot(0, 0)),
    // Room past the end of a file, which no limit of its length bounds.
    (
        "SYS_fallocate",
        libc::SYS_fallocate,
        When::Among(1, KEEP_SIZE | PUNCH_HOLE, KEEP_SIZE),
    ),
    // It ends with its supervisor.
    (
        "SYS_prctl",
        libc::SYS_prctl,
        When::Is(0, libc::PR_SET_PDEATHSIG as u32),
    ),
    // Words put into the mouth of whoever reads the terminal.
    (
        "SYS_ioctl",
        libc::SYS_ioctl,
        When::Is(1, libc::TIOCSTI as u32),
    ),
    ("SYS_ioctl", libc::SYS_ioctl, When::Is(1, TIOCLINUX)),
];

const KEEP_SIZE: u32 = libc::FALLOC_FL_KEEP_SIZE as u32;
const PUNCH_HOLE: u32 = libc::FALLOC_FL_PUNCH_HOLE as u32;
/// The console's own calls, pasting among them (`asm-generic/ioctls.h`); libc does not have it.
const TIOCLINUX: u32 = 0x541c;
/// Above all numbers of calls; the numbers of x32 have this bit set.
const X32: u32 = 0x4000_0000;

/// All that [`Filter::vmm`] refuses, but for `clone3`.
fn refusals() -> impl Iterator<Item = Refusal> {
    let sometimes = SOMETIMES
        .iter()
        .map(|&(name, call, when)| Refusal { name, call, when });
    ALWAYS.iter().chain(HERE).copied().chain(sometimes)
}

impl Filter {
    /// For a VMM: no new processes, namespaces, mounts or sockets but unix ones, and no part of the
    /// kernel that none needs.
    pub fn vmm() -> Self {
        let program = compiled().expect("the rules are constants, and a test compiles them");
        let instructions = foreign()
            .into_iter()
            .chain(program.into_iter().map(own))
            .collect();
        Self { instructions }
    }

    /// One that no kernel takes.
    #[cfg(test)]
    pub(super) fn broken() -> Self {
        Self {
            instructions: Vec::new(),
        }
    }

    /// As the kernel takes it.
    pub(crate) fn instructions(&self) -> &[libc::sock_filter] {
        &self.instructions
    }
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Filter({} instructions)", self.instructions.len())
    }
}

fn compiled() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for refusal in refusals() {
        rules
            .entry(refusal.call)
            .or_default()
            .extend(rules_for(refusal.when)?);
    }
    SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        architecture(),
    )?
    .try_into()
}

fn architecture() -> TargetArch {
    #[cfg(target_arch = "x86_64")]
    return TargetArch::x86_64;
    #[cfg(target_arch = "aarch64")]
    return TargetArch::aarch64;
}

/// The rules of which one must hold; none stands for a call that is always refused.
fn rules_for(when: When) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    let rule = |argument, operator, value| {
        let value = u64::from(value);
        // The kernel looks at 32 bits of each of these arguments, whatever the others are.
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)?;
        SeccompRule::new(vec![condition])
    };
    match when {
        When::Always => Ok(Vec::new()),
        When::Is(argument, value) => Ok(vec![rule(argument, SeccompCmpOp::Eq, value)?]),
        When::IsNot(argument, value) => Ok(vec![rule(argument, SeccompCmpOp::Ne, value)?]),
        When::Lacks(argument, bit) => {
            Ok(vec![rule(argument, SeccompCmpOp::MaskedEq(bit.into()), 0)?])
        }
        When::Among(argument, bits, set) => Ok(vec![rule(
            argument,
            SeccompCmpOp::MaskedEq(bits.into()),
            set,
        )?]),
        When::Any(argument, bits) => (0..u32::BITS)
            .map(|shift| 1 << shift)
            .filter(|bit| bits & bit != 0)
            .map(|bit| rule(argument, SeccompCmpOp::MaskedEq(u64::from(bit)), bit))
            .collect(),
    }
}

/// What comes first: calls that must look as if the kernel did not have them.
fn foreign() -> [libc::sock_filter; 4] {
    let absent = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    let jump = |operation: u32, value, then, otherwise| libc::sock_filter {
        code: (libc::BPF_JMP | operation | libc::BPF_K) as u16,
        jt: then,
        jf: otherwise,
        k: value,
    };
    let plain = |code: u32, value| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf: 0,
        k: value,
    };
    [
        // The number of the call is what `struct seccomp_data` begins with.
        plain(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
        jump(libc::BPF_JGE, X32, 1, 0),
        jump(libc::BPF_JEQ, libc::SYS_clone3 as u32, 0, 1),
        plain(libc::BPF_RET | libc::BPF_K, absent),
    ]
}

fn own(instruction: seccompiler::sock_filter) -> libc::sock_filter {
    libc::sock_filter {
        code: instruction.code,
        jt: instruction.jt,
        jf: instruction.jf,
        k: instruction.k,
    }
}

#[cfg(test)]
mod tests;
