//! What a hostile program would try in a room: each attempt a line in a table.
//!
//! For tests alone (the feature `probe`): this crate's, and those that put such a program in the place
//! of a VMM. An attempt that comes to something gives what it got, one that was refused the reason.
//! Nothing here does harm where it succeeds, but for a test's own namespace and files. No attempt leans
//! on `/proc` but to reach what is in it: a room without it would refuse the question, not the answer.

mod itself;
mod tries;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use libc::c_long;
use rustix::fs::StatVfsMountFlags;

pub use itself::{Held, held};

use itself::*;
use tries::*;

/// What there is to be reached outside.
#[derive(Debug, Clone)]
pub struct Aims {
    /// A file that anybody on the host may read.
    pub file: PathBuf,
    /// A unix socket of the host's that anybody may connect to.
    pub socket: PathBuf,
    /// The name of an abstract one.
    pub abstract_socket: String,
    /// A process of the host's.
    pub process: i32,
    /// A directory to write to, if there is one.
    pub work: Option<PathBuf>,
    /// What was open when the program began, besides its three streams.
    pub held: Vec<RawFd>,
}

/// Something to try.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    /// To be read after "can it": `read /etc/passwd`.
    pub name: &'static str,
    /// Tries it.
    pub run: fn(&Aims) -> io::Result<String>,
}

/// An attempt for every line.
macro_rules! attempts {
    ($($name:literal => $run:expr),* $(,)?) => {
        vec![$(Attempt { name: $name, run: $run }),*]
    };
}

/// All that must be refused to a program that was given no descriptor.
pub fn refused() -> Vec<Attempt> {
    let mut all = vec![Attempt {
        name: "hold a descriptor nobody gave it",
        run: |aims| found(aims.held.iter().map(RawFd::to_string).collect()),
    }];
    all.extend(refused_to_all());
    all.extend(work_directory());
    all
}

/// All that must be refused to any: what is in a work directory is tried in [`work_directory`].
pub fn refused_to_all() -> Vec<Attempt> {
    let mut all = files();
    all.extend(processes());
    all.extend(sockets());
    all.extend(privileges());
    all.extend(kernel());
    all.extend(namespaces());
    all
}

/// All that a VMM needs and must be given.
pub fn granted() -> Vec<Attempt> {
    attempts! {
        "start a thread" => |_| {
            let joined = std::thread::spawn(|| "ran".to_owned()).join();
            joined.map_err(|_| io::Error::other("it panicked"))
        },
        "make a memory file" => |_| {
            let file = crate::fs::memfd("probe", b"contents").map_err(io::Error::other)?;
            let mut text = String::new();
            File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?.read_to_string(&mut text)?;
            Ok(text)
        },
        "listen on a unix socket in its work directory" => |aims| {
            let path = work(aims)?.join("socket");
            let listener = UnixListener::bind(&path)?;
            UnixStream::connect(&path)?;
            listener.accept()?;
            fs::remove_file(&path).map(said)
        },
        "write and read back a file in its work directory" => |aims| {
            let path = work(aims)?.join("file");
            fs::write(&path, "text")?;
            let text = fs::read_to_string(&path)?;
            fs::remove_file(&path)?;
            Ok(text)
        },
        "read its own program" => |_| fs::read("/proc/self/exe").map(|_| "read".to_owned()),
        "wait for an event" => |_| call(libc::SYS_eventfd2, &[0, 0]),
    }
}

fn files() -> Vec<Attempt> {
    attempts! {
        "read /etc/passwd" => |_| read("/etc/passwd"),
        "read /etc/shadow" => |_| read("/etc/shadow"),
        "read another VM's disk" => |aims| read(&aims.file),
        "read the host's files by /proc/1/root" => |_| read("/proc/1/root/etc/passwd"),
        "read the host's files by /proc/<pid>/root" => |aims| {
            read(format!("/proc/{}/root/etc/passwd", aims.process))
        },
        "read the host's files by .." => |_| read("/../../../etc/passwd"),
        "open a disk of the host's" => |_| {
            first(["/dev/vda", "/dev/sda", "/dev/nvme0n1"].into_iter().map(read))
        },
        "open the machine's memory" => |_| read("/dev/mem"),
        "open the kernel's log" => |_| read("/dev/kmsg"),
        "make a file in /" => |_| fs::write("/probe", "").map(said),
        "make a file in a library directory" => |_| fs::write("/usr/lib/probe", "").map(said),
        "write to its program" => |_| {
            let program = program()?;
            OpenOptions::new().append(true).open(program).map(said)
        },
        "make a file in /dev" => |_| fs::write("/dev/probe", "").map(said),
        "change the modes of a device" => |_| {
            fs::set_permissions("/dev/null", fs::Permissions::from_mode(0o600)).map(said)
        },
        "change what the kernel says of it" => |_| fs::write("/proc/self/oom_score_adj", "0").map(said),
        "find something writable" => |aims| mounts(aims, StatVfsMountFlags::RDONLY),
        "find something that obeys set-user-ID bits" => |aims| mounts(aims, StatVfsMountFlags::NOSUID),
        "read the kernel's settings" => |_| read("/proc/sys/kernel/ostype"),
    }
}

/// All that must be refused in the work directory of a program that has one.
pub fn work_directory() -> Vec<Attempt> {
    attempts! {
        "make a device in its work directory" => |aims| {
            let path = c_path(&work(aims)?.join("device"))?;
            let (at, mode) = (c_long::from(libc::AT_FDCWD), c_long::from(libc::S_IFCHR | 0o666));
            // The null device.
            call(libc::SYS_mknodat, &[at, path.as_ptr() as c_long, mode, 0x103])
        },
        "follow a link in its work directory" => |aims| {
            let (link, file) = (work(aims)?.join("link"), work(aims)?.join("linked"));
            fs::write(&file, "")?;
            symlink(&file, &link).and_then(|()| read(&link))
        },
        "execute a program in its work directory" => |aims| {
            let path = work(aims)?.join("program");
            fs::write(&path, format!("#!{}\n", program()?.display()))?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
            execute(&path)
        },
        "write more to its work directory than it holds" => |aims| fill(work(aims)?),
        "make more files in its work directory than it holds" => |aims| crowd(work(aims)?),
    }
}

fn processes() -> Vec<Attempt> {
    attempts! {
        "see another process" => |_| {
            let others = numbers("/proc")?.into_iter().filter(|pid| *pid != std::process::id());
            found(others.map(|pid| pid.to_string()).collect())
        },
        "signal a process of the host's" => |aims| call(libc::SYS_kill, &[aims.process.into(), 0]),
        "signal whomever it can" => |_| call(libc::SYS_kill, &[-1, 0]),
        "hold a process of the host's" => |aims| {
            call(libc::SYS_pidfd_open, &[aims.process.into(), 0])
        },
        "trace a process of the host's" => |aims| {
            call(libc::SYS_ptrace, &[libc::PTRACE_SEIZE.into(), aims.process.into(), 0, 0])
        },
        "read the memory of a process of the host's" => |aims| {
            peek(aims.process)
        },
        "outlive its supervisor" => |_| {
            call(libc::SYS_prctl, &[libc::PR_SET_PDEATHSIG.into(), 0, 0, 0, 0])
        },
        "let go of a lock it was given" => |aims| {
            // Where it was given none, one of its own.
            let own = File::open("/")?;
            let all = aims.held.iter().copied().chain([own.as_raw_fd()]);
            first(all.map(|fd| call(libc::SYS_flock, &[fd.into(), libc::LOCK_UN.into()])))
        },
        "fork" => |_| clone(libc::SIGCHLD),
        "execute a shell" => |_| execute(Path::new("/bin/sh")),
    }
}

fn sockets() -> Vec<Attempt> {
    attempts! {
        "connect to a unix socket of the host's" => |aims| {
            UnixStream::connect(&aims.socket).map(drop).map(said)
        },
        "connect to an abstract unix socket of the host's" => |aims| {
            let address = SocketAddr::from_abstract_name(&aims.abstract_socket)?;
            UnixStream::connect_addr(&address).map(drop).map(said)
        },
        "open an IPv4 socket" => |_| socket(libc::AF_INET, libc::SOCK_STREAM, 0),
        "open an IPv6 socket" => |_| socket(libc::AF_INET6, libc::SOCK_DGRAM, 0),
        "open a raw socket" => |_| socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
        "open a packet socket" => |_| socket(libc::AF_PACKET, libc::SOCK_RAW, 0x300),
        "open a netlink socket" => |_| socket(libc::AF_NETLINK, libc::SOCK_RAW, 0),
        "open a vsock socket" => |_| socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0),
        "open an ALG socket" => |_| socket(libc::AF_ALG, libc::SOCK_SEQPACKET, 0),
    }
}

fn namespaces() -> Vec<Attempt> {
    attempts! {
        "make a mount namespace" => |_| unshare(libc::CLONE_NEWNS),
        "make a PID namespace" => |_| unshare(libc::CLONE_NEWPID),
        "make a network namespace" => |_| unshare(libc::CLONE_NEWNET),
        "make an IPC namespace" => |_| unshare(libc::CLONE_NEWIPC),
        "make a UTS namespace" => |_| unshare(libc::CLONE_NEWUTS),
        "make a cgroup namespace" => |_| unshare(libc::CLONE_NEWCGROUP),
        "make a process in a user namespace" => |_| clone(libc::CLONE_NEWUSER | libc::SIGCHLD),
        "enter a namespace" => |_| {
            let own = File::open("/proc/self/ns/uts").or_else(|_| File::open("/"))?;
            call(libc::SYS_setns, &[own.as_raw_fd().into(), 0])
        },
        "mount" => |_| {
            let (kind, at) = (c"tmpfs".as_ptr() as c_long, c"/proc".as_ptr() as c_long);
            call(libc::SYS_mount, &[kind, at, kind, 0, 0])
        },
        "make its root writable" => |_| {
            let root = c"/".as_ptr() as c_long;
            let flags = (libc::MS_REMOUNT | libc::MS_BIND) as c_long;
            call(libc::SYS_mount, &[root, root, 0, flags, 0])
        },
        "unmount" => |_| call(libc::SYS_umount2, &[c"/proc".as_ptr() as c_long, 2]),
        "open a file system to mount" => |_| {
            call(libc::SYS_fsopen, &[c"tmpfs".as_ptr() as c_long, 0])
        },
        "change its root" => |_| call(libc::SYS_chroot, &[c"/".as_ptr() as c_long]),
        // The last: whoever gets one is root in it.
        "make a user namespace" => |_| unshare(libc::CLONE_NEWUSER),
    }
}

fn privileges() -> Vec<Attempt> {
    attempts! {
        "become root" => |_| call(libc::SYS_setresuid, &[0, 0, 0]),
        "join root's group" => |_| call(libc::SYS_setresgid, &[0, 0, 0]),
        "join further groups" => |_| call(libc::SYS_setgroups, &[0, 0]),
        "hold a capability" => |_| capabilities(),
        "get a capability by a program" => |_| capabilities_to_get(),
        "gain privileges by a program" => |_| new_privileges(),
        "ask the kernel anything" => |_| unfiltered(),
        "open more files than its limit" => |_| raise(libc::RLIMIT_NOFILE as c_long),
        "have more threads than its limit" => |_| raise(libc::RLIMIT_NPROC as c_long),
        "write longer files than its limit" => |_| raise(libc::RLIMIT_FSIZE as c_long),
        "make a file longer than its disk" => |_| lengthen(),
        "take room past the end of a file" => |_| take_room(),
        "leave a core dump" => |_| core_dumps(),
        "run before others" => |_| call(libc::SYS_setpriority, &[0, 0, -5]),
    }
}

fn kernel() -> Vec<Attempt> {
    attempts! {
        "use io_uring" => |_| {
            let parameters = [0_u64; 15];
            call(libc::SYS_io_uring_setup, &[1, parameters.as_ptr() as c_long])
        },
        "serve page faults" => |_| call(libc::SYS_userfaultfd, &[1]),
        "use bpf" => |_| call(libc::SYS_bpf, &[0, 0, 0]),
        "use keys" => |_| call(libc::SYS_keyctl, &[0, -3, 0]),
        "watch the kernel's performance" => |_| call(libc::SYS_perf_event_open, &[0, 0, -1, -1, 0]),
        "open a file by its handle" => |_| call(libc::SYS_open_by_handle_at, &[-1, 0, 0]),
        "load a module" => |_| call(libc::SYS_finit_module, &[-1, 0, 0]),
        "load a kernel" => |_| call(libc::SYS_kexec_load, &[0, 0, 0, 0]),
        "reboot" => |_| call(libc::SYS_reboot, &[0, 0, 0, 0]),
        "stop swapping" => |_| call(libc::SYS_swapoff, &[0]),
        "set the clock" => |_| call(libc::SYS_clock_settime, &[0, 0]),
        "name the host" => |_| call(libc::SYS_sethostname, &[c"probe".as_ptr() as c_long, 5]),
        "know the host's name" => |_| {
            let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
            found(vec![name].into_iter().filter(|name| name != "ignite").collect())
        },
        "change how it is executed" => |_| call(libc::SYS_personality, &[0x004_0000]),
        "type into a terminal" => |_| {
            call(libc::SYS_ioctl, &[0, libc::TIOCSTI as c_long, c"x".as_ptr() as c_long])
        },
    }
}
