//! Every attempt a line: refused in the VMM's place, and shown to be worth an attempt by the same
//! outside of it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::mischief::probe::{COULD, DONE, HOLDS, REFUSED};
use ignite_testkit::{Host, place as place_of};

use super::{Place, console, run};
use crate::support::{SOON, Vm, nothing_left};

/// The name of an abstract socket of the host's.
const ABSTRACT: &str = "ignite-test-anybody";

/// A tap, by the number of `/dev/net/tun`.
const TUN: &str = "device 10:200 rw";

/// The same attempts as root, each by a process with mounts of its own, upon a root that can be written
/// to and forgets. `$1` is the helper, `$2` the aims, `$3` the work directory.
const OUTSIDE: &str = r#"
mount -t tmpfs tmpfs /mnt
cd /mnt
mkdir upper work root
mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
cp "$1" root/helper
mount --rbind /run root/run
mount --rbind /var/lib root/var/lib
mount -t tmpfs tmpfs root/dev
for node in null urandom mem kmsg vda sda nvme0n1; do
    [ ! -e /dev/$node ] || cp -a /dev/$node root/dev/
done
[ -e root/dev/mem ] || mknod root/dev/mem c 1 1
mount --rbind /proc root/proc
mkdir -p root/old "root$3"
cd root
pivot_root . old
umount -l /old
ulimit -c unlimited
ulimit -n 512
number=0
while :; do
    line=$(unshare --mount --uts /helper attempt $number "$2" 2>&1 </dev/null) || line="probe: refused to $number: ended"
    echo "$line"
    case $line in 'probe: done') break ;; esac
    number=$((number + 1))
done
"#;

/// What root may be refused outside, too, or what not every kernel or host has: for these the table
/// shows that nothing is reached, not that something would be.
const NOT_SHOWN: [&str; 7] = [
    "open a disk of the host's",
    "open the machine's memory",
    "open an ALG socket",
    "load a module",
    "load a kernel",
    // They need CAP_SYS_RESOURCE, which root of a container may lack.
    "open more files than its limit",
    "have more threads than its limit",
];

/// In a jail without a filter, what the kernel refuses for its arguments alone.
const NOT_SHOWN_IN_JAIL: [&str; 5] = [
    "open a file by its handle",
    "set the clock",
    "type into a terminal",
    "use bpf",
    "watch the kernel's performance",
];

/// What the jailer leaves to Firecracker's own filter, which the stand-in has none of, and to the
/// permissions of a user like any other.
const REACHED_IN_JAIL: [&str; 30] = [
    // Its jail is a directory of its user's, on a file system like any other.
    "find something writable",
    "find something that obeys set-user-ID bits",
    "make a file in /",
    "make a file in /dev",
    "follow a link in its work directory",
    "execute a program in its work directory",
    "write more to its work directory than it holds",
    "make more files in its work directory than it holds",
    "take room past the end of a file",
    "leave a core dump",
    // The host's processes are there, and are others' to signal or to trace.
    "hold a process of the host's",
    "signal whomever it can",
    "fork",
    "outlive its supervisor",
    // A lock of its own: it is given none.
    "let go of a lock it was given",
    "know the host's name",
    // In the network of its VM, whose only interfaces have no address.
    "open an IPv4 socket",
    "open an IPv6 socket",
    "open a netlink socket",
    "open a vsock socket",
    "open an ALG socket",
    "make a process in a user namespace",
    "make a user namespace",
    "get a capability by a program",
    "gain privileges by a program",
    "ask the kernel anything",
    "change how it is executed",
    "use io_uring",
    "use keys",
    "serve page faults",
];

impl Place {
    /// Where it may write.
    fn work(self) -> Option<&'static str> {
        match self {
            Self::Qemu => None,
            Self::Firecracker | Self::Jail => Some("/run"),
        }
    }

    /// The descriptors its VMM is given besides its streams, in order: console, agent and control,
    /// the initramfs, the lock, and what the machine is made of.
    fn given(self) -> &'static [&'static str] {
        match self {
            Self::Qemu => &[
                "socket rw",
                "socket rw",
                "socket rw",
                "memory rw",
                "live.lock ro",
                "vmlinux ro",
                TUN,
                "disk.qcow2 rw",
                "image.ext4 ro",
                "modules.ext4 ro",
            ],
            Self::Firecracker => &["live.lock ro"],
            Self::Jail => &[],
        }
    }

    /// Whether this may be reached: Firecracker opens its disk by its name.
    fn may_reach(self, attempt: &str, got: &str) -> bool {
        match self {
            Self::Qemu => false,
            Self::Firecracker => attempt == "find something writable" && got == r#""/disk0""#,
            Self::Jail => REACHED_IN_JAIL.contains(&attempt),
        }
    }

    fn is_never_shown(self, attempt: &str) -> bool {
        let in_jail = self == Self::Jail && NOT_SHOWN_IN_JAIL.contains(&attempt);
        in_jail || NOT_SHOWN.contains(&attempt)
    }
}

/// What came of each attempt: what it got, or what it was refused with.
type Lines = BTreeMap<String, Result<String, String>>;

fn lines(said: &str) -> Lines {
    let parse = |line: &str| {
        let of = |prefix: &str| line.trim().strip_prefix(prefix)?.split_once(": ");
        let own = |(name, what): (&str, &str)| (name.to_owned(), what.to_owned());
        match (of(COULD), of(REFUSED)) {
            (Some(could), _) => Some(own(could)).map(|(name, got)| (name, Ok(got))),
            (_, refused) => refused.map(own).map(|(name, error)| (name, Err(error))),
        }
    };
    said.lines().filter_map(parse).collect()
}

/// A host's VM that runs, and what a stranger may aim at there.
fn aims(host: &Host, other: &Vm<'_>, place: Place) -> Result<String> {
    let disk = host
        .sh(&format!("ls /var/lib/ignite/vm/{}/disk.*", other.uid))
        .ok()?;
    let socket = format!("/run/ignite/vm/{}/control.sock", other.uid);
    // Whatever protects them, it is not their modes.
    host.sh(&format!(
        "chmod -R a+rwX /run/ignite /var/lib/ignite/vm; test -S {socket}; cat {disk} > /dev/null"
    ))
    .ok()?;
    let process = host.sh("pgrep -o ignite-spawn").ok()?;
    let work = place
        .work()
        .map_or_else(String::new, |work| format!(",{work}"));
    Ok(format!("{disk},{socket},{ABSTRACT},{process}{work}"))
}

/// Whether nobody has it.
fn is_absent(came: &Result<String, String>) -> bool {
    came.as_ref()
        .is_err_and(|error| error.contains("not implemented") || error.contains("not supported"))
}

fn outside(host: &Host, aims: &str, place: Place) -> Result<Lines> {
    let helper = place_of::helper()?.display().to_string();
    let work = "/outside";
    let aims = match place.work() {
        Some(own) => format!("{}{work}", aims.trim_end_matches(own)),
        None => aims.to_owned(),
    };
    let words = ["unshare", "--mount", "sh", "-euc", OUTSIDE, "outside"];
    let words = words
        .into_iter()
        .chain([helper.as_str(), aims.as_str(), work]);
    let said = host.command(words).ok()?;
    ensure!(said.contains(DONE), "{said}");
    Ok(lines(&said))
}

/// What the VMM held when it began, files by their names on the host.
fn held(vm: &Vm<'_>, said: &str) -> Result<Vec<String>> {
    let find = format!(
        r"find /run/ignite/vm/{} /var/lib/ignite -type f -printf '%D:%i %f\n'",
        vm.uid
    );
    let files = vm.host.sh(&find).ok()?;
    let names: BTreeMap<&str, &str> = files
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    let named = |what: &str| match what.split(' ').collect::<Vec<_>>()[..] {
        ["file", file, access] => {
            format!("{} {access}", names.get(file).unwrap_or(&"memory"))
        }
        _ => what.to_owned(),
    };
    let lines = said
        .lines()
        .filter_map(|line| line.trim().strip_prefix(HOLDS));
    lines
        .map(|line| Ok(named(line.split_once(": ").context("a number")?.1)))
        .collect()
}

fn table(place: Place) -> Result<()> {
    let host = place.host()?;
    let other = run(&host, place, &[], "quiet")?;
    let mut listener = host.helper(&["hear", ABSTRACT])?.start()?;
    listener.wait_for("hearing", SOON)?;
    let aims = aims(&host, &other, place)?;
    let vm = run(&host, place, &[], &format!("standin.probe={aims}"))?;
    let said = console(&vm, DONE)?;
    assert_eq!(held(&vm, &said)?, place.given(), "{said}");

    let (inside, outside) = (lines(&said), outside(&host, &aims, place)?);
    let mut unexpected = Vec::new();
    for (name, came) in &inside {
        let shown = came != &outside[name] && !is_absent(&outside[name]);
        let sound = match came {
            Ok(got) => place.may_reach(name, got),
            Err(_) => shown || place.is_never_shown(name),
        };
        if !sound {
            unexpected.push(format!("{name}: {came:?}, outside {:?}", outside[name]));
        }
    }
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(
        inside.len() >= 80,
        "only {} attempts:\n{said}",
        inside.len()
    );
    // The lock is held as before.
    let free = format!("flock -n /run/ignite/vm/{}/live.lock true", vm.uid);
    assert_ne!(host.sh(&free).output()?.code, 0, "it was let go");
    host.ignite(["rm", "-f", &vm.uid, &other.uid]).ok()?;
    nothing_left(&host)
}

#[test]
fn nothing_is_reached_from_qemus_place() -> Result<()> {
    table(Place::Qemu)
}

#[test]
fn nothing_is_reached_from_firecrackers_place() -> Result<()> {
    table(Place::Firecracker)
}

/// Not what the real one's own system call filter refuses besides: the stand-in has none.
#[test]
fn no_more_than_a_user_reaches_is_reached_from_the_jail() -> Result<()> {
    table(Place::Jail)
}
