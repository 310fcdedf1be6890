//! The servers of shared directories: `virtiofsd`, one for each.
//!
//! ```text
//!  guest -- virtio queues in shared memory -- virtiofsd, in a room with that directory alone
//!    '----- QEMU -- vhost-user socket ----------'
//! ```
//! A server acts for every user of the guest, so it is root, with the few capabilities that takes, and
//! nothing of the host is in its room but the directory: what a link or `..` leads to is looked for
//! there. It filters its own system calls. In the VMM's control group, and bound to its parent's life
//! as the VMM is; it ends when QEMU closes the socket.
//!
//! Both programs of that name are served: the one in C, of QEMU 7 and before, and the one in Rust. The
//! options are those that both know.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use ignite_host::confine::{self, Access, Bind, Confine, Limits, Link, Plan, Privileges, Room};
use ignite_host::process::{self, Spec, Stdio};
use ignite_wire::supervisor::{Machine, Share};

use super::server::{Server, Words};
use crate::{Confinement, Error, Resources};

/// What the directory is called in the room.
const SHARED: &str = "/shared";

/// Number of the server's listening socket.
const SOCKET: i32 = 3;

/// A server has a file open for everything the guest knows of.
const OPEN_FILES: u64 = 1 << 19;

/// The signal a server gets when its parent ends.
const SIGKILL: i32 = 9;

/// Where the room has its processes. `/proc` itself is a directory with the two things that a server
/// looks for there: itself, and [`MOST_FILES`].
const PROCESSES: &str = "/processes";

/// Without it the server in C does not start, though its limit of files is given.
const MOST_FILES: &str = "/proc/sys/fs/file-max";

/// CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_SETGID, CAP_SETUID, CAP_SETPCAP,
/// CAP_SYS_CHROOT, CAP_SETFCAP: what it needs to act for all users, and to lock itself up, after which
/// it gives up some of them. Not CAP_DAC_READ_SEARCH, with which files are opened past every path; and
/// not CAP_MKNOD: a device that a guest makes would be one on the host.
const CAPABILITIES: [u32; 9] = [0, 1, 3, 4, 6, 7, 8, 18, 31];

/// Starts the servers of all the machine's directories; each with the socket connected to it.
pub(super) fn serve(
    machine: &Machine,
    resources: &Resources,
) -> Result<Vec<(Server, OwnedFd)>, Error> {
    let serve = |share: &Share| serve_one(share, resources);
    machine.shares.iter().map(serve).collect()
}

fn serve_one(share: &Share, resources: &Resources) -> Result<(Server, OwnedFd), Error> {
    let failed = |source| Error::Share {
        path: share.path.clone(),
        source,
    };
    let work = resources.work.as_ref().ok_or_else(|| Error::BadMachine {
        reason: "a shared directory needs a work directory".to_owned(),
    })?;
    let name = format!("{}.sock", share.tag);
    let (listener, socket) = connected(&work.directory.join(name)).map_err(failed)?;
    let (words, stderr) = Words::new().map_err(failed)?;
    let spec = Spec::new(&share.server)
        .args(arguments())
        .env_clear()
        .parent_death_signal(SIGKILL)
        .process_group()
        .pass_fd(listener, SOCKET)
        .stderr(Stdio::Fd(stderr.into()))
        .confine(confine(share, resources.confinement.as_ref())?);
    let server = Server::new(share.path.clone(), process::spawn(spec)?, words);
    Ok((server, socket))
}

fn arguments() -> Vec<String> {
    let socket = format!("--fd={SOCKET}");
    let source = format!("source={SHARED}");
    let options = ["sandbox=chroot", "cache=auto", "modcaps=-mknod", &source];
    // Its own limit of files is ours.
    let mut arguments = vec!["-f".to_owned(), socket, "--rlimit-nofile=0".to_owned()];
    for option in options {
        arguments.extend(["-o".to_owned(), option.to_owned()]);
    }
    arguments
}

/// A socket to listen on and one that is connected to it; nobody else can be.
fn connected(path: &Path) -> io::Result<(OwnedFd, OwnedFd)> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    let socket = UnixStream::connect(path);
    std::fs::remove_file(path)?;
    Ok((listener.into(), socket?.into()))
}

fn confine(share: &Share, confinement: Option<&Confinement>) -> Result<Confine, Error> {
    let room = Room::make(&plan(share)?, 0)?;
    let limits = Limits {
        open_files: OPEN_FILES,
        tasks: u64::MAX,
        file_bytes: u64::MAX,
    };
    let joints = confinement.map(|confinement| &confinement.cgroups);
    let cgroups = joints.into_iter().flatten().map(|joint| {
        let joint = joint.as_fd().try_clone_to_owned();
        joint.map_err(|source| Error::Share {
            path: share.path.clone(),
            source,
        })
    });
    Ok(Confine {
        cgroups: cgroups.collect::<Result<_, _>>()?,
        privileges: Privileges::Only(&CAPABILITIES),
        filter: None,
        ..Confine::new(room, limits)
    })
}

/// What a server sees.
fn plan(share: &Share) -> Result<Plan, confine::Error> {
    let mut plan = Plan {
        proc: Some(PROCESSES.into()),
        links: vec![Link {
            target: "/proc/self".into(),
            points_to: Path::new(PROCESSES).join("self"),
        }],
        devices: vec!["/dev/null".into(), "/dev/urandom".into()],
        ..Plan::default()
    };
    plan.program(&share.server)?;
    plan.show(Path::new(MOST_FILES), Access::Read);
    plan.binds.push(Bind {
        source: share.path.clone(),
        target: SHARED.into(),
        access: match share.read_only {
            true => Access::Read,
            false => Access::ReadWrite,
        },
    });
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(read_only: bool) -> Share {
        Share {
            path: "/srv/data".into(),
            tag: "volume0".into(),
            read_only,
            server: "/bin/sh".into(),
        }
    }

    #[test]
    fn a_server_sees_its_directory_and_nothing_besides() {
        for (read_only, access) in [(true, Access::Read), (false, Access::ReadWrite)] {
            let plan = plan(&share(read_only)).expect("a program");
            plan.check().expect("all apart");
            let shown = plan
                .binds
                .iter()
                .find(|bind| bind.target == Path::new(SHARED));
            let shown = shown.expect("the directory");
            assert_eq!(
                (shown.source.as_path(), shown.access),
                (Path::new("/srv/data"), access)
            );
            assert!(plan.work.is_none());
        }
    }

    #[test]
    fn a_socket_has_no_name_once_it_is_connected() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("share.sock");
        std::fs::write(&path, "of the last run").expect("write");
        let (listener, _socket) = connected(&path).expect("connected");
        assert!(!path.exists());
        let listener = UnixListener::from(listener);
        listener.accept().expect("it waits to be accepted");
    }
}
