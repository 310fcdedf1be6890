//! The processes of the VM, read from its `/proc`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use ignite_wire::processes::{MAX_COMMAND, MAX_PROCESSES, Process};
use rustix::param::{clock_ticks_per_second, page_size};

use crate::root::Root;
use crate::user::name_of;

/// Bytes of a file of `/proc` that are read: all of them, but of command lines.
const MAX_READ: u64 = 4096;

/// Of a process' flags: it is a thread of the kernel (`PF_KTHREAD`).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is nothing to read.
    #[error("cannot read /proc: {0}")]
    Proc(io::Error),
    /// Whoever asked is gone.
    #[error("nobody reads on: {0}")]
    Write(io::Error),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Proc(_) => Some("mount it in the VM: mount -t proc proc /proc".to_owned()),
            Self::Write(_) => None,
        }
    }
}

/// Writes them by their numbers. One that ends meanwhile is left out, and so is this process itself.
pub fn list(mut out: impl Write, tell: &mut dyn FnMut(&str)) -> Result<(), Error> {
    let proc = Path::new("/proc");
    let uptime = uptime(proc).map_err(Error::Proc)?;
    let itself = std::process::id();
    let mut numbers = numbers(proc).map_err(Error::Proc)?;
    numbers.retain(|number| *number != itself);
    if numbers.len() > MAX_PROCESSES {
        tell(&format!(
            "there are {} processes: the first {MAX_PROCESSES} are listed",
            numbers.len()
        ));
        numbers.truncate(MAX_PROCESSES);
    }
    let mut users = Users::read();
    for number in numbers {
        let Ok(process) = read(&proc.join(number.to_string()), uptime, &mut users) else {
            continue;
        };
        let line = process
            .to_line()
            .map_err(|error| Error::Write(error.into()))?;
        out.write_all(line.as_bytes()).map_err(Error::Write)?;
    }
    out.flush().map_err(Error::Write)
}

/// The numbers of all processes, in order.
fn numbers(proc: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(proc)? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Milliseconds since the guest was started.
fn uptime(proc: &Path) -> io::Result<u64> {
    let text = head(&proc.join("uptime"))?;
    let text = String::from_utf8_lossy(&text);
    let seconds = text.split(' ').next().and_then(|it| it.parse::<f64>().ok());
    // A guest's uptime in milliseconds is far below what a number holds exactly.
    seconds
        .map(|seconds| (seconds * 1000.0) as u64)
        .ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn read(directory: &Path, uptime: u64, users: &mut Users) -> io::Result<Process> {
    let stat = head(&directory.join("stat"))?;
    let stat = Stat::parse(&String::from_utf8_lossy(&stat)).ok_or(io::ErrorKind::InvalidData)?;
    let status = head(&directory.join("status"))?;
    let arguments = head(&directory.join("cmdline"))?;
    Ok(Process {
        pid: stat.pid,
        parent: stat.parent,
        user: users.name(owner(&String::from_utf8_lossy(&status)).unwrap_or_default()),
        time_ms: milliseconds(stat.ticks),
        age_ms: uptime.saturating_sub(milliseconds(stat.began)),
        memory: stat.pages.saturating_mul(page_size() as u64),
        kernel: stat.flags & KERNEL_THREAD != 0,
        command: command(&arguments, &stat.name),
    })
}

/// Of proc_pid_stat(5), what is shown.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stat {
    pid: u32,
    name: String,
    parent: u32,
    flags: u64,
    /// Of processor time, for itself and for the kernel.
    ticks: u64,
    /// After the guest's start, in ticks.
    began: u64,
    /// Resident.
    pages: u64,
}

impl Stat {
    /// The name may hold anything, brackets and blanks too: it ends with the last bracket.
    fn parse(text: &str) -> Option<Self> {
        let (before, rest) = text.rsplit_once(") ")?;
        let (pid, name) = before.split_once(" (")?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Numbered from 1 by the manual, and the third is the first behind the name.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            pid: pid.parse().ok()?,
            name: name.to_owned(),
            parent: u32::try_from(number(4)?).ok()?,
            flags: number(9)?,
            ticks: number(14)?.saturating_add(number(15)?),
            began: number(22)?,
            pages: number(24)?,
        })
    }
}

/// Program and arguments, as far as they are shown.
fn command(arguments: &[u8], name: &str) -> String {
    let end = arguments.iter().rposition(|byte| *byte != 0);
    let Some(end) = end else {
        return format!("[{name}]");
    };
    let shown = &arguments[..=end.min(MAX_COMMAND)];
    let words: Vec<_> = shown
        .split(|byte| *byte == 0)
        .map(String::from_utf8_lossy)
        .collect();
    words.join(" ")
}

/// The effective one of the numbers in proc_pid_status(5).
fn owner(status: &str) -> Option<u32> {
    let numbers = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    numbers.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn milliseconds(ticks: u64) -> u64 {
    ticks.saturating_mul(1000) / clock_ticks_per_second().max(1)
}

fn head(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_READ).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Names by number, each looked up once.
struct Users {
    passwd: String,
    names: BTreeMap<u32, String>,
}

impl Users {
    fn read() -> Self {
        let root = Root::open(Path::new("/")).ok();
        let passwd = root.and_then(|root| root.read_text("/etc/passwd").ok());
        Self {
            passwd: passwd.unwrap_or_default(),
            names: BTreeMap::new(),
        }
    }

    fn name(&mut self, uid: u32) -> String {
        let name = self.names.entry(uid);
        name.or_insert_with(|| name_of(uid, &self.passwd)).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_look_like_the_rest_of_its_line() {
        let text =
            "42 (x) S 9 (y)) R 7 42 42 0 -1 4194560 1 0 0 0 120 30 0 0 20 0 1 0 555 1 88 0\n";
        let stat = Stat {
            pid: 42,
            name: "x) S 9 (y)".into(),
            parent: 7,
            flags: 4_194_560,
            ticks: 150,
            began: 555,
            pages: 88,
        };
        assert_eq!(Stat::parse(text), Some(stat));
        for text in ["", "1 (a", "1 (a) S 1", "x (a) S 1 1 1 1 1 1"] {
            assert_eq!(Stat::parse(text), None, "{text}");
        }
    }

    #[test]
    fn commands_are_words_and_bounded() {
        assert_eq!(command(b"sh\0-c\0a b\0", "sh"), "sh -c a b");
        assert_eq!(command(b"nginx: worker\0\0\0\0", "nginx"), "nginx: worker");
        assert_eq!(command(b"", "kthreadd"), "[kthreadd]");
        assert_eq!(command(b"\0\0", "odd"), "[odd]");
        assert!(command(&[b'x'; 4000], "x").len() <= MAX_COMMAND + 1);
    }

    #[test]
    fn the_owner_is_who_it_acts_as() {
        assert_eq!(
            owner("Name:\tx\nUid:\t0\t1000\t0\t0\nGid:\t1\n"),
            Some(1000)
        );
        assert_eq!(owner("Name:\tx\n"), None);
    }

    #[test]
    fn this_machines_processes_are_listed_without_this_one() {
        let mut text = Vec::new();
        list(&mut text, &mut |_| {}).expect("there is a /proc");
        let all = ignite_wire::processes::parse(&text).expect("a list");
        assert!(all.iter().all(|it| it.pid != std::process::id()));
        let parent = all
            .iter()
            .find(|it| it.pid == std::os::unix::process::parent_id());
        let parent = parent.expect("it waits for this one");
        assert!(
            parent.memory > 0 && !parent.command.is_empty(),
            "{parent:?}"
        );
        assert!(all.is_sorted_by_key(|it| it.pid));
    }
}
