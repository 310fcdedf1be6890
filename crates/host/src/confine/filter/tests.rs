//! The filter as a value, and as the kernel takes it.

use super::*;
use std::io;

/// What the kernel is told about a call (`struct seccomp_data`).
struct Call {
    number: u32,
    architecture: u32,
    arguments: [u64; 6],
}

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

const PERMISSION: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
const ABSENT: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;

impl Call {
    fn new(number: i64, arguments: [u64; 6]) -> Self {
        Self {
            number: u32::try_from(number).expect("a number"),
            architecture: ARCHITECTURE,
            arguments,
        }
    }

    fn word(&self, offset: u32) -> u32 {
        match offset {
            0 => self.number,
            4 => self.architecture,
            16..64 => {
                let argument = self.arguments[(offset as usize - 16) / 8];
                (argument >> (8 * (offset & 4))) as u32
            }
            other => panic!("nothing is at {other}"),
        }
    }

    /// Runs the program on this call; the few instructions such programs have.
    fn answer(&self) -> u32 {
        let program = Filter::vmm();
        let (mut at, mut value) = (0, 0);
        loop {
            let libc::sock_filter { code, jt, jf, k } = program.instructions()[at];
            let jump = |holds: bool| usize::from(if holds { jt } else { jf });
            at += 1;
            match u32::from(code) {
                0x20 => value = self.word(k),
                0x54 => value &= k,
                0x05 => at += k as usize,
                0x15 => at += jump(value == k),
                0x25 => at += jump(value > k),
                0x35 => at += jump(value >= k),
                0x06 => return k,
                other => panic!("instruction {other:#x}"),
            }
        }
    }
}

/// Arguments for which a call is refused.
fn refused_arguments(when: When) -> [u64; 6] {
    let mut arguments = [u64::MAX; 6];
    match when {
        When::Always | When::Any(..) => {}
        When::Is(argument, value) | When::Among(argument, _, value) => {
            arguments[usize::from(argument)] = value.into()
        }
        When::IsNot(argument, value) => arguments[usize::from(argument)] = (value + 1).into(),
        When::Lacks(argument, bit) => arguments[usize::from(argument)] = (!bit).into(),
    }
    arguments
}

#[test]
fn each_is_refused_and_nothing_else() {
    let listed: Vec<Refusal> = refusals().collect();
    for refusal in &listed {
        let call = Call::new(refusal.call, refused_arguments(refusal.when));
        assert_eq!(call.answer(), PERMISSION, "{}", refusal.name);
    }
    for number in (0..600).filter(|number| *number != libc::SYS_clone3) {
        if listed.iter().all(|refusal| refusal.call != number) {
            let answer = Call::new(number, [0; 6]).answer();
            assert_eq!(answer, libc::SECCOMP_RET_ALLOW, "{number}");
        }
    }
}

#[test]
fn arguments_decide_where_they_are_to() {
    let answer = |number, argument: usize, value: u64| {
        let mut arguments = [0; 6];
        arguments[argument] = value;
        Call::new(number, arguments).answer()
    };
    let thread = libc::CLONE_THREAD as u64;
    let allowed = [
        (libc::SYS_clone, 0, thread | libc::CLONE_VM as u64),
        (libc::SYS_socket, 0, libc::AF_UNIX as u64),
        // The kernel looks at the lower half.
        (libc::SYS_socket, 0, 7 << 32 | libc::AF_UNIX as u64),
        (libc::SYS_ioctl, 1, 0xae80),
        (libc::SYS_personality, 0, 0),
        (libc::SYS_prctl, 0, libc::PR_SET_NAME as u64),
        (libc::SYS_fallocate, 1, 0),
        (libc::SYS_fallocate, 1, u64::from(KEEP_SIZE | PUNCH_HOLE)),
    ];
    for (number, argument, value) in allowed {
        let answer = answer(number, argument, value);
        assert_eq!(answer, libc::SECCOMP_RET_ALLOW, "{number} {value:#x}");
    }
    let mut refused = vec![
        (libc::SYS_clone, 0, libc::SIGCHLD as u64),
        (libc::SYS_clone, 0, thread << 32),
        (libc::SYS_socket, 0, 0),
        (libc::SYS_ioctl, 1, 7 << 32 | libc::TIOCSTI),
        (libc::SYS_prctl, 0, libc::PR_SET_PDEATHSIG as u64),
        (
            libc::SYS_fallocate,
            1,
            u64::from(KEEP_SIZE) | libc::FALLOC_FL_ZERO_RANGE as u64,
        ),
    ];
    let namespaces = (0..32).map(|shift| 1_u64 << shift);
    let namespaces = namespaces.filter(|bit| u64::from(NAMESPACES) & bit != 0);
    refused.extend(namespaces.map(|bit| (libc::SYS_clone, 0, thread | bit)));
    for (number, argument, value) in refused {
        assert_eq!(
            answer(number, argument, value),
            PERMISSION,
            "{number} {value:#x}"
        );
    }
}

#[test]
fn other_numberings_lead_nowhere() {
    assert_eq!(Call::new(libc::SYS_clone3, [0; 6]).answer(), ABSENT);
    // x32's `unshare`, and its `read`.
    for number in [libc::SYS_unshare, 0] {
        assert_eq!(Call::new(number | i64::from(X32), [0; 6]).answer(), ABSENT);
    }
    let mut other = Call::new(libc::SYS_read, [0; 6]);
    // The 32-bit calls of x86.
    other.architecture = 0x4000_0003;
    assert_eq!(other.answer(), libc::SECCOMP_RET_KILL_PROCESS);
}

/// What this thread gets from the kernel.
fn asked(number: i64, arguments: [u64; 6]) -> io::Result<i64> {
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: only with arguments that are refused before the kernel looks at them.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// The filter stays on the thread that applied it, which ends with the test.
fn filtered<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let filter = Filter::vmm();
            let program = libc::sock_fprog {
                len: u16::try_from(filter.instructions().len()).expect("short"),
                filter: filter.instructions().as_ptr().cast_mut(),
            };
            // SAFETY: integers, and a program the kernel copies.
            unsafe {
                assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
                let mode = libc::SECCOMP_SET_MODE_FILTER;
                assert_eq!(
                    libc::syscall(libc::SYS_seccomp, mode, 0, &raw const program),
                    0
                );
            }
            work()
        });
        thread.join().expect("the thread ends")
    })
}

#[test]
fn the_kernel_refuses_each() {
    filtered(|| {
        for refusal in refusals() {
            let error =
                asked(refusal.call, refused_arguments(refusal.when)).expect_err(refusal.name);
            assert_eq!(error.raw_os_error(), Some(libc::EPERM), "{}", refusal.name);
        }
        let error = asked(libc::SYS_clone3, [0; 6]).expect_err("clone3");
        assert_eq!(error.raw_os_error(), Some(libc::ENOSYS));
    });
}

#[test]
fn threads_and_unix_sockets_are_made_under_it() {
    filtered(|| {
        assert_eq!(std::thread::spawn(|| 7).join().expect("it ran"), 7);
        std::os::unix::net::UnixStream::pair().expect("a pair");
        crate::fs::memfd("allowed", b"yes").expect("a memory file");
    });
}
