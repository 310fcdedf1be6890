//! What the kernel has to confine a process with.

use super::{field, text};

/// Whether the kernel filters system calls by seccomp; none where `/proc` does not say.
pub fn has_seccomp() -> Option<bool> {
    let status = text("/proc/self/status")?;
    Some(field(&status, "Seccomp").is_some() && filters())
}

fn filters() -> bool {
    // Absent before Linux 4.14, where filters are older than this list.
    let actions = text("/proc/sys/kernel/seccomp/actions_avail");
    actions.is_none_or(|actions| actions.split_whitespace().any(|action| action == "errno"))
}

/// The version of landlock's interface; none where the kernel has none, or has it switched off.
pub fn landlock() -> Option<u32> {
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the call takes no attributes, makes nothing and returns a number.
    let version = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            std::ptr::null::<libc::c_void>(),
            0_usize,
            VERSION,
        )
    };
    u32::try_from(version).ok().filter(|version| *version > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_leaves_no_descriptor() {
        let open = || std::fs::read_dir("/proc/thread-self/fd").map(Iterator::count);
        let before = open().expect("proc");
        let version = landlock();
        assert_eq!(landlock(), version);
        assert_eq!(open().expect("proc"), before);
        assert_eq!(has_seccomp(), Some(true));
    }
}
