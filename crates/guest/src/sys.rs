//! System calls for which no safe wrapper exists: all `unsafe` of this program is here.

use std::ffi::{CStr, CString, NulError, c_char};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

use rustix::process::Pid;

/// Target of [`kill`]: all processes but this one and PID 1.
pub const EVERYONE: i32 = -1;

/// `_IOW('f', 16, __u64)` (linux/fs/ext4/ext4.h): grow a mounted ext4.
const EXT4_IOC_RESIZE_FS: libc::c_ulong = 0x4008_6610;

/// Sends a signal to a process, to a group (negative), or to [`EVERYONE`]. Nobody there, or a
/// number that is no signal, is not an error: both are the same as a signal that came too late.
pub fn kill(target: i32, signal: i32) {
    // SAFETY: kill takes two integers and touches no memory of ours.
    unsafe { libc::kill(target, signal) };
}

/// Sends a signal to a child's group, or to the child alone as long as it has made none of its own.
pub fn kill_group(child: Pid, signal: i32) {
    let number = child.as_raw_nonzero().get();
    // SAFETY: kill takes two integers and touches no memory of ours.
    if unsafe { libc::kill(-number, signal) } < 0 {
        kill(number, signal);
    }
}

/// Grows the ext4 file system that `directory` is on to `blocks` of its blocks.
pub fn resize_ext4(directory: impl AsFd, blocks: u64) -> io::Result<()> {
    let fd = directory.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open while borrowed, and the kernel reads one u64 from the pointer,
    // which points to one that lives until after the call.
    check(unsafe { libc::ioctl(fd, EXT4_IOC_RESIZE_FS, &raw const blocks) })
}

/// Runs `prepare` in the child between fork and exec, with all signals unblocked. `prepare` may
/// make system calls only: no allocation, no locks.
pub fn before_exec(
    command: &mut Command,
    prepare: impl Fn() -> io::Result<()> + Send + Sync + 'static,
) {
    let run = move || {
        unblock_signals()?;
        prepare()
    };
    // SAFETY: this program has one thread, so the child's memory is in a consistent state after the
    // fork; and `prepare` makes system calls only.
    unsafe { command.pre_exec(run) };
}

/// Starts a child that does `work`, with its signals as a program expects them, and ends.
pub fn fork(work: impl FnOnce()) -> io::Result<Pid> {
    // SAFETY: this program has one thread, so the child's memory is in a consistent state, and it may do
    // whatever its parent may.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: no handler is set. Rust's runtime had it ignored, which would stay so over an exec.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        if unblock_signals().is_ok() {
            work();
        }
        // SAFETY: ends the process, and runs nothing of its parent's on the way.
        unsafe { libc::_exit(126) }
    }
    Pid::from_raw(child).ok_or_else(io::Error::last_os_error)
}

/// Closes all descriptors but the standard streams and those to `keep`: for a child that was just forked,
/// where nobody looks at the others any more.
pub fn close_all_but(keep: &[BorrowedFd<'_>]) {
    let mut kept: Vec<u32> = keep
        .iter()
        .map(|fd| fd.as_raw_fd().cast_unsigned())
        .collect();
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept {
        if first < fd {
            close_range(first, fd - 1);
        }
        first = first.max(fd + 1);
    }
    close_range(first, u32::MAX);
}

fn close_range(first: u32, last: u32) {
    // SAFETY: takes three integers; who owned the descriptors is never run again in this process.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if closed < 0 {
        // A kernel before 5.9. Nobody here has more than the limit there is at the start.
        for fd in first..=last.min(1024) {
            // SAFETY: as above.
            unsafe { libc::close(fd.cast_signed()) };
        }
    }
}

/// Strings as [`execve`] wants them: an array of pointers with a null at its end.
#[derive(Debug)]
pub struct Strings {
    pointers: Vec<*const c_char>,
    _strings: Vec<CString>,
}

// SAFETY: the pointers lead to the strings held beside them, on the heap; neither ever changes.
unsafe impl Send for Strings {}
// SAFETY: as above; they are only read.
unsafe impl Sync for Strings {}

impl Strings {
    /// An error if one of them holds a zero byte.
    pub fn new(strings: impl Iterator<Item = impl Into<Vec<u8>>>) -> Result<Self, NulError> {
        let strings: Vec<CString> = strings.map(CString::new).collect::<Result<_, _>>()?;
        let pointers = strings.iter().map(|string| string.as_ptr());
        Ok(Self {
            pointers: pointers.chain([ptr::null()]).collect(),
            _strings: strings,
        })
    }
}

/// Replaces this process by the program at `path`; returns if the kernel refused. A system call and
/// no more, for [`before_exec`].
pub fn execve(path: &CStr, argv: &Strings, env: &Strings) -> io::Error {
    // SAFETY: all three are null-terminated, and the arrays end with a null pointer.
    unsafe {
        libc::execve(path.as_ptr(), argv.pointers.as_ptr(), env.pointers.as_ptr());
    }
    io::Error::last_os_error()
}

/// The same with a program that is open.
pub fn execute_open(program: impl AsFd, argv: &Strings, env: &Strings) -> io::Error {
    let fd = program.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open while borrowed, the path is an empty string, and both arrays end
    // with a null pointer.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            fd,
            c"".as_ptr(),
            argv.pointers.as_ptr(),
            env.pointers.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    io::Error::last_os_error()
}

/// Becomes the tracer of a process, as a debugger does that is attached: its parent hears of its end when the
/// tracer does not hold it any more.
#[cfg(test)]
pub fn seize(process: i32) -> io::Result<()> {
    // SAFETY: this request takes a number and options, and touches no memory of ours.
    let seized = unsafe { libc::ptrace(libc::PTRACE_SEIZE, process, 0, 0) };
    if seized < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Signals blocked for a [`ignite_host::signal::Signals`] would stay so over an exec.
fn unblock_signals() -> io::Result<()> {
    let mut none = std::mem::MaybeUninit::uninit();
    // SAFETY: sigemptyset initialises the set before it is used; no old mask is asked for.
    check(unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut())
    })
}

fn check(result: i32) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
