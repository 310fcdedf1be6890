//! Where the controllers are: `/proc/self/mountinfo`, and `cgroup.controllers` of version 2.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::Error;
use crate::fs::read_bounded;

/// Bytes of a mount table; a host with thousands of containers has a few hundred thousand.
const MAX_MOUNTS: u64 = 16 << 20;

/// Bytes of a list of controllers.
const MAX_CONTROLLERS: u64 = 4096;

/// A part of the kernel that bounds or counts for a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Memory.
    Memory,
    /// Processor time, bounded.
    Cpu,
    /// Processor time, counted; version 2 counts it in every group.
    CpuAccounting,
    /// Processes and threads.
    Tasks,
}

impl Controller {
    /// All that a group has.
    pub const ALL: [Self; 4] = [Self::Memory, Self::Cpu, Self::CpuAccounting, Self::Tasks];

    /// The kernel's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::CpuAccounting => "cpuacct",
            Self::Tasks => "pids",
        }
    }
}

impl std::fmt::Display for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Which of the kernel's two interfaces a hierarchy has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for each controller, or for a few.
    V1,
    /// One for all.
    V2,
}

/// A mounted hierarchy that has some of our controllers, or, where none has, can at least be joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub version: Version,
    pub root: PathBuf,
    pub controllers: Vec<Controller>,
}

/// The hierarchies of this mount namespace, each controller in one of them or in none. Where no
/// hierarchy has any, one of version 2 is there for what every group can do: to be killed as one.
pub(super) fn mounted() -> Result<Vec<Hierarchy>, Error> {
    let path = Path::new("/proc/self/mountinfo");
    let table = read_bounded(path, MAX_MOUNTS)
        .map_err(|error| Error::at("read", path)(std::io::Error::other(error)))?;
    // One that cannot be read has nothing for us.
    let offered = |root: &Path| {
        read_bounded(&root.join("cgroup.controllers"), MAX_CONTROLLERS).unwrap_or_default()
    };
    Ok(parse(&table, is_visible, offered))
}

/// Whether the mount is what is found at its place: another one may lie over it.
fn is_visible(version: Version, root: &Path) -> bool {
    /// `CGROUP_SUPER_MAGIC` and `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
    const V1: i64 = 0x0027_e0eb;
    const V2: i64 = 0x6367_7270;
    let magic = match version {
        Version::V1 => V1,
        Version::V2 => V2,
    };
    rustix::fs::statfs(root).is_ok_and(|found| found.f_type == magic)
}

/// Those of the hierarchy's controllers that a group in it has: all in version 1, in version 2 what
/// its parents allow.
pub(super) fn of_group(
    version: Version,
    directory: &Path,
    offered: &[Controller],
) -> Vec<Controller> {
    let mut found = offered.to_vec();
    let names = || read_bounded(&directory.join("cgroup.controllers"), MAX_CONTROLLERS).ok();
    match version {
        _ if !directory.is_dir() => found.clear(),
        Version::V1 => {}
        Version::V2 => {
            let enabled = controllers(version, &names().unwrap_or_default());
            found.retain(|one| *one == Controller::CpuAccounting || enabled.contains(one));
        }
    }
    found
}

/// Reads a mount table; `is_visible` says whether a mount is, `offered` gives the controllers of a version 2 hierarchy by its root.
pub(super) fn parse(
    table: &[u8],
    is_visible: impl Fn(Version, &Path) -> bool,
    offered: impl Fn(&Path) -> Vec<u8>,
) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    let mut bare: Option<Hierarchy> = None;
    for line in table.split(|&byte| byte == b'\n') {
        let Some((version, root, options)) = mount(line) else {
            continue;
        };
        if !is_visible(version, &root) {
            continue;
        }
        let names = match version {
            Version::V1 => options,
            Version::V2 => offered(&root),
        };
        // The same hierarchy mounted twice is one; a controller is in one hierarchy only.
        let taken = |controller: &Controller| {
            found
                .iter()
                .any(|known| known.controllers.contains(controller))
        };
        let mut controllers = controllers(version, &names);
        controllers.retain(|controller| !taken(controller));
        let hierarchy = Hierarchy {
            version,
            root,
            controllers,
        };
        if !hierarchy.controllers.is_empty() {
            found.push(hierarchy);
        } else if version == Version::V2 {
            bare.get_or_insert(hierarchy);
        }
    }
    if found.is_empty() {
        found.extend(bare);
    }
    found
}

/// Those of our controllers that are in a list separated by commas or spaces.
fn controllers(version: Version, names: &[u8]) -> Vec<Controller> {
    let names: Vec<&[u8]> = names
        .split(|byte| matches!(byte, b',' | b' ' | b'\n'))
        .collect();
    let has = |controller: &Controller| {
        let counted = Controller::CpuAccounting;
        let name = match version {
            Version::V2 if *controller == counted => Controller::Cpu.name(),
            _ => controller.name(),
        };
        names.contains(&name.as_bytes())
    };
    Controller::ALL.into_iter().filter(has).collect()
}

/// Version, mount point and options of the file system, of a line that mounts control groups.
fn mount(line: &[u8]) -> Option<(Version, PathBuf, Vec<u8>)> {
    let mut fields = line.split(|&byte| byte == b' ');
    let root = fields.nth(4)?;
    // Optional fields follow the mount's options, up to a dash.
    let mut rest = fields.skip_while(|field| *field != b"-").skip(1);
    let version = match rest.next()? {
        b"cgroup" => Version::V1,
        b"cgroup2" => Version::V2,
        _ => return None,
    };
    Some((version, unescape(root), rest.nth(1)?.to_vec()))
}

/// The table writes blanks and backslashes as `\` and three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = tail.get(..3).filter(|_| first == b'\\');
        let byte = escaped
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &tail[3..] } else { tail };
    }
    PathBuf::from(OsString::from_vec(bytes))
}
