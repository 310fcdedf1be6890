//! System calls for which no safe wrapper exists: all `unsafe` of this program is here.

use std::ffi::{CStr, CString, NulError, c_char};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

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
