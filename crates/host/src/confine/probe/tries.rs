//! How an attempt is made.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;

use libc::{c_int, c_long};
use rustix::fs::MemfdFlags;

use super::Aims;

/// A system call with up to six arguments.
pub(super) fn call(number: c_long, arguments: &[c_long]) -> io::Result<String> {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    let [a, b, c, d, e, f] = all;
    // SAFETY: pointers among the arguments are to constants or values that live as long as the call;
    // none of the calls here writes to memory of ours but io_uring's, whose parameters are large enough.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(format!("got {result}"))
}

/// Of a place where no process has anything: one that is reached says so.
pub(super) fn peek(process: c_int) -> io::Result<String> {
    let mut byte = 0_u8;
    let here = libc::iovec {
        iov_base: (&raw mut byte).cast(),
        iov_len: 1,
    };
    let there = libc::iovec {
        iov_base: 16 as *mut libc::c_void,
        iov_len: 1,
    };
    // SAFETY: one place here, of one byte, and one elsewhere.
    let read =
        unsafe { libc::process_vm_readv(process, &raw const here, 1, &raw const there, 1, 0) };
    match io::Error::last_os_error() {
        error if read < 0 && error.raw_os_error() != Some(libc::EFAULT) => Err(error),
        _ => Ok("looked".to_owned()),
    }
}

pub(super) fn unshare(flags: c_int) -> io::Result<String> {
    call(libc::SYS_unshare, &[flags.into()])
}

pub(super) fn socket(family: c_int, kind: c_int, protocol: c_int) -> io::Result<String> {
    call(
        libc::SYS_socket,
        &[family.into(), kind.into(), protocol.into()],
    )
}

/// As `fork` does it; the child ends at once.
pub(super) fn clone(flags: c_int) -> io::Result<String> {
    // SAFETY: the child gets a copy of everything and does nothing but end.
    match unsafe { libc::syscall(libc::SYS_clone, c_long::from(flags), 0, 0, 0, 0) } {
        // SAFETY: ends the child without running anything of the parent's.
        0 => unsafe { libc::_exit(0) },
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(format!("made process {pid}")),
    }
}

/// In a process of its own, or, where that is refused, instead of this one. A program that runs ends
/// with what it is given, a bad argument.
pub(super) fn execute(path: &Path) -> io::Result<String> {
    match Command::new(path).arg("--no-such-option").status() {
        Ok(status) => Ok(format!("it ran: {status}")),
        Err(_) => become_one(path),
    }
}

/// Comes back only if it is refused.
fn become_one(path: &Path) -> io::Result<String> {
    let path = c_path(path)?;
    let arguments = [
        path.as_ptr(),
        c"--no-such-option".as_ptr(),
        std::ptr::null(),
    ];
    // SAFETY: strings end with a zero byte, and the arrays with a null pointer.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), arguments[2..].as_ptr()) };
    Err(io::Error::last_os_error())
}

/// Doubles a limit of its own.
pub(super) fn raise(resource: c_long) -> io::Result<String> {
    let mut now = [0_u64; 2];
    // SAFETY: two 64-bit numbers, which are the kernel's `struct rlimit64`.
    let asked = unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, 0, now.as_mut_ptr()) };
    if asked < 0 {
        return Err(io::Error::last_os_error());
    }
    let new = now.map(|limit| limit.saturating_mul(2));
    call(
        libc::SYS_prlimit64,
        &[0, resource, new.as_ptr() as c_long, 0],
    )
}

/// Refused is the end of space; more than 64 MiB is no end.
pub(super) fn fill(directory: &Path) -> io::Result<String> {
    let path = directory.join("full");
    let mut file = File::create(&path)?;
    let block = vec![0; 1 << 20];
    let written = (0..64).try_for_each(|_| file.write_all(&block));
    fs::remove_file(&path)?;
    written.map(said)
}

/// A memory file of more bytes than any disk has, none of them written.
pub(super) fn lengthen() -> io::Result<String> {
    File::from(rustix::fs::memfd_create("long", MemfdFlags::CLOEXEC)?)
        .set_len(1 << 50)
        .map(said)
}

/// A page that the length of its file does not show.
pub(super) fn take_room() -> io::Result<String> {
    let file = rustix::fs::memfd_create("room", MemfdFlags::CLOEXEC)?;
    let keep_size = libc::FALLOC_FL_KEEP_SIZE.into();
    call(
        libc::SYS_fallocate,
        &[file.as_raw_fd().into(), keep_size, 0, 4096],
    )
}

pub(super) fn crowd(directory: &Path) -> io::Result<String> {
    let inside = directory.join("crowd");
    fs::create_dir(&inside)?;
    let made = (0..10_000).try_for_each(|n| File::create(inside.join(n.to_string())).map(drop));
    fs::remove_dir_all(&inside)?;
    made.map(said)
}

pub(super) fn read(path: impl AsRef<Path>) -> io::Result<String> {
    let mut start = [0; 16];
    let length = File::open(path)?.read(&mut start)?;
    Ok(String::from_utf8_lossy(&start[..length]).into_owned())
}

/// The first that comes to something; else what the last was refused with.
pub(super) fn first(mut all: impl Iterator<Item = io::Result<String>>) -> io::Result<String> {
    let mut last = Err(io::Error::from(io::ErrorKind::NotFound));
    while last.is_err() {
        match all.next() {
            Some(outcome) => last = outcome,
            None => break,
        }
    }
    last
}

/// What was found is what was got; nothing counts as refused.
pub(super) fn found(what: Vec<String>) -> io::Result<String> {
    if what.is_empty() {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    Ok(what.join(", "))
}

pub(super) fn numbers(directory: &str) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(directory)? {
        numbers.extend(
            entry?
                .file_name()
                .to_str()
                .and_then(|name| name.parse::<u32>().ok()),
        );
    }
    Ok(numbers)
}

pub(super) fn work(aims: &Aims) -> io::Result<&Path> {
    aims.work
        .as_deref()
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

pub(super) fn c_path(path: &Path) -> io::Result<std::ffi::CString> {
    use std::os::unix::ffi::OsStrExt;
    std::ffi::CString::new(path.as_os_str().as_bytes()).map_err(io::Error::other)
}

pub(super) fn said<T>(_: T) -> String {
    "done".to_owned()
}
