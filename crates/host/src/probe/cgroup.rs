//! Control groups: which version holds which controller.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::text;

/// The controllers this host has, by the version of their hierarchy. A controller is in one only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cgroups {
    /// Those of version 2; none where it is not mounted.
    pub v2: Option<BTreeSet<String>>,
    /// Those mounted in version 1.
    pub v1: BTreeSet<String>,
}

impl Cgroups {
    /// This host's, as mounted where this process is.
    pub fn read() -> Self {
        let mounts = text("/proc/self/mountinfo").unwrap_or_default();
        Self::parse(&mounts, |mount| text(mount.join("cgroup.controllers")))
    }

    /// `mountinfo` is as `/proc/self/mountinfo`; `controllers` reads those of a version 2 mount.
    fn parse(mountinfo: &str, controllers: impl Fn(&Path) -> Option<String>) -> Self {
        let mut found = Self::default();
        for (point, kind, options) in mountinfo.lines().filter_map(mount) {
            match kind {
                "cgroup2" => {
                    let words = controllers(&point).unwrap_or_default();
                    let words = words.split_whitespace().map(str::to_owned);
                    found.v2.get_or_insert_default().extend(words);
                }
                "cgroup" => found.v1.extend(options.split(',').map(str::to_owned)),
                _ => {}
            }
        }
        found
    }

    /// Whether there is such a controller, in either version.
    pub fn has(&self, controller: &str) -> bool {
        self.v1.contains(controller)
            || self
                .v2
                .as_ref()
                .is_some_and(|controllers| controllers.contains(controller))
    }
}

/// Mount point, type and the file system's own options of a line of proc_pid_mountinfo(5).
fn mount(line: &str) -> Option<(PathBuf, &str, &str)> {
    let (mount, file_system) = line.split_once(" - ")?;
    let point = mount.split(' ').nth(4)?;
    let mut words = file_system.split(' ');
    let kind = words.next()?;
    Some((PathBuf::from(point), kind, words.nth(1).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 24 0:26 / /sys/fs/cgroup rw shared:9 - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:1 - cgroup cgroup rw,cpu,cpuacct
33 30 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
";

    #[test]
    fn both_versions_are_told_apart() {
        let hybrid = Cgroups::parse(HYBRID, |point| {
            (point == Path::new("/sys/fs/cgroup/unified")).then(|| "pids\n".to_owned())
        });
        assert_eq!(hybrid.v2, Some(BTreeSet::from(["pids".to_owned()])));
        assert!(
            ["memory", "cpu", "pids"]
                .iter()
                .all(|name| hybrid.has(name))
        );
        assert!(!hybrid.has("io"));
    }

    #[test]
    fn without_mounts_there_is_nothing() {
        assert_eq!(Cgroups::parse("", |_| None), Cgroups::default());
        assert_eq!(Cgroups::parse("nonsense - \n - cgroup", |_| None).v2, None);
    }
}
