//! Both versions' layouts as values and on directories made for it; then this machine's own.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::hierarchy::{Controller, Hierarchy, Version, parse};
use super::plan::writes;
use super::{Bounds, Error, Group, Usage};
use crate::process::{Child, Spec, Stdio, spawn};

const BOUNDS: Bounds = Bounds {
    memory: 64 << 20,
    cpu_millis: 1500,
    tasks: 20,
};

const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:3 - cgroup cgroup rw,cpu,cpuacct
33 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
34 31 0:32 / /mnt/again rw - cgroup cgroup rw,memory
35 31 0:33 / /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices
36 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
37 31 0:38 / /mnt/a\\040place rw - cgroup2 cgroup2 rw,nsdelegate
";

fn offering(names: &'static str) -> impl Fn(&Path) -> Vec<u8> {
    move |_| names.as_bytes().to_vec()
}

/// Nothing lies over any mount.
fn every(_: Version, _: &Path) -> bool {
    true
}

#[test]
fn a_mount_under_another_one_is_none() {
    let again = |_: Version, root: &Path| root.ends_with("again");
    let found = parse(HYBRID.as_bytes(), again, offering("memory pids"));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].root, Path::new("/mnt/again"));
}

#[test]
fn each_controller_is_where_it_is_mounted() {
    let found = parse(HYBRID.as_bytes(), every, offering("hugetlb pids\n"));
    let expected = [
        (
            Version::V1,
            "/sys/fs/cgroup/cpu,cpuacct",
            vec![Controller::Cpu, Controller::CpuAccounting],
        ),
        (
            Version::V1,
            "/sys/fs/cgroup/memory",
            vec![Controller::Memory],
        ),
        (Version::V2, "/mnt/a place", vec![Controller::Tasks]),
    ];
    let expected = expected.map(|(version, root, controllers)| Hierarchy {
        version,
        root: PathBuf::from(root),
        controllers,
    });
    assert_eq!(found, expected);
}

#[test]
fn version_2_alone_has_them_all() {
    let table = b"30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    let found = parse(table, every, offering("cpuset cpu io memory pids\n"));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].controllers, Controller::ALL);
    // Nothing of ours, but a group to be killed as one; not beside others that are.
    let bare = parse(table, every, offering("cpuset\n"));
    assert_eq!(bare.len(), 1);
    assert_eq!(bare[0].controllers, []);
    let found = parse(HYBRID.as_bytes(), every, offering(""));
    assert!(found.iter().all(|one| one.version == Version::V1));
    for nothing in [
        &b""[..],
        b"\n\n",
        b"30 23",
        b"a - b - c",
        b"1 2 3 4 5 - cgroup",
    ] {
        assert_eq!(parse(nothing, every, offering("memory")), []);
    }
}

fn planned(version: Version) -> Vec<(&'static str, String)> {
    Controller::ALL
        .iter()
        .flat_map(|&controller| writes(controller, version, &BOUNDS))
        .map(|write| (write.file, write.value))
        .collect()
}

#[test]
fn bounds_are_files_and_values() {
    let text = |pairs: &[(&'static str, &str)]| -> Vec<(&'static str, String)> {
        let owned = |&(file, value): &(&'static str, &str)| (file, value.to_owned());
        pairs.iter().map(owned).collect()
    };
    assert_eq!(
        planned(Version::V1),
        text(&[
            ("memory.memsw.limit_in_bytes", "-1"),
            ("memory.limit_in_bytes", "67108864"),
            ("memory.memsw.limit_in_bytes", "67108864"),
            ("cpu.cfs_period_us", "100000"),
            ("cpu.cfs_quota_us", "150000"),
            ("pids.max", "20"),
        ])
    );
    assert_eq!(
        planned(Version::V2),
        text(&[
            ("memory.max", "67108864"),
            ("memory.swap.max", "0"),
            ("memory.oom.group", "1"),
            ("cpu.max", "150000 100000"),
            ("pids.max", "20"),
        ])
    );
}

/// A directory that looks like a hierarchy with the group `ignite/x` in it.
fn layout(version: Version, files: &[&str]) -> (tempfile::TempDir, Hierarchy) {
    let root = tempfile::tempdir().expect("tempdir");
    let group = root.path().join("ignite/x");
    std::fs::create_dir_all(&group).expect("mkdir");
    for file in files {
        std::fs::write(group.join(file), "").expect("write");
    }
    for parent in [root.path(), &root.path().join("ignite")] {
        std::fs::write(parent.join("cgroup.subtree_control"), "").expect("write");
    }
    let hierarchy = Hierarchy {
        version,
        root: root.path().to_owned(),
        controllers: Controller::ALL.to_vec(),
    };
    (root, hierarchy)
}

const V2_FILES: [&str; 5] = [
    "cgroup.procs",
    "memory.max",
    "memory.swap.max",
    "cpu.max",
    "pids.max",
];

#[test]
fn version_2_is_enabled_on_the_way_down() {
    let (root, hierarchy) = layout(Version::V2, &V2_FILES);
    let group = Group::make_in(vec![hierarchy], "ignite/x", &BOUNDS).expect("make");
    assert_eq!(group.missing(), []);
    let read = |file: &str| std::fs::read_to_string(root.path().join(file)).expect("read");
    for parent in ["", "ignite/"] {
        let enabled = read(&format!("{parent}cgroup.subtree_control"));
        assert!(!enabled.is_empty(), "{parent:?}");
    }
    assert_eq!(read("ignite/x/memory.max"), "67108864");
    assert_eq!(read("ignite/x/cpu.max"), "150000 100000");
    assert_eq!(group.joints().expect("open").len(), 1);
}

#[test]
fn a_controller_that_cannot_be_enabled_is_missing() {
    let (root, hierarchy) = layout(Version::V2, &["cgroup.procs"]);
    std::fs::remove_file(root.path().join("ignite/cgroup.subtree_control")).expect("remove");
    let group = Group::make_in(vec![hierarchy], "ignite/x", &BOUNDS).expect("make");
    let missing = [Controller::Memory, Controller::Cpu, Controller::Tasks];
    assert_eq!(group.missing(), missing);
    let nowhere = Group::make_in(Vec::new(), "ignite/x", &BOUNDS).expect("make");
    assert_eq!(nowhere.missing(), Controller::ALL);
    assert!(!nowhere.exists());
}

#[test]
fn a_hierarchy_that_bounds_nothing_is_joined_all_the_same() {
    let (_root, mut hierarchy) = layout(Version::V2, &["cgroup.procs"]);
    hierarchy.controllers.clear();
    let group = Group::make_in(vec![hierarchy], "ignite/x", &BOUNDS).expect("make");
    assert_eq!(group.missing(), Controller::ALL);
    assert_eq!(group.joints().expect("open").len(), 1);
}

/// No directory can be made below `/sys`, by whomever; so it is where control groups are read-only.
#[test]
fn a_hierarchy_that_may_only_be_looked_at_is_missing() {
    let closed = Hierarchy {
        version: Version::V2,
        root: "/sys".into(),
        controllers: vec![Controller::Memory],
    };
    let (_root, mut open) = layout(Version::V2, &["cgroup.procs", "pids.max"]);
    open.controllers = vec![Controller::Tasks];
    let hierarchies = vec![closed, open];
    let group = Group::make_in(hierarchies.clone(), "ignite/x", &BOUNDS).expect("make");
    assert!(group.missing().contains(&Controller::Memory));
    assert!(!group.missing().contains(&Controller::Tasks));
    assert_eq!(group.joints().expect("open").len(), 1);
    let nothing = Group::find_in(hierarchies, "ignite/y");
    nothing.remove().expect("nothing to remove");
}

#[test]
fn a_bound_that_cannot_be_set_names_its_file() {
    let (root, hierarchy) = layout(Version::V2, &["cgroup.procs", "memory.max", "pids.max"]);
    let error = Group::make_in(vec![hierarchy], "ignite/x", &BOUNDS).expect_err("no cpu.max");
    let path = root.path().join("ignite/x/cpu.max");
    assert_eq!(
        error.to_string(),
        format!("cannot write {}", path.display())
    );
}

#[test]
fn both_versions_are_counted() {
    let (root, hierarchy) = layout(Version::V1, &[]);
    let group = root.path().join("ignite/x");
    let files = [
        ("memory.usage_in_bytes", "4096\n"),
        ("memory.max_usage_in_bytes", "8192\n"),
        ("memory.limit_in_bytes", "16384\n"),
        ("memory.max", "16384\n"),
        (
            "memory.stat",
            "anon 9\ninactive_file 1024\ntotal_inactive_file 1024\n",
        ),
        (
            "memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        ),
        (
            "cpu.stat",
            "nr_periods 9\nnr_throttled 3\nthrottled_time 5\nusage_usec 7\n",
        ),
        ("cpuacct.usage", "7000\n"),
        ("pids.current", "4\n"),
        ("memory.current", "4096\n"),
        ("memory.peak", "8192\n"),
        (
            "memory.events",
            "low 0\nmax 8\noom 2\noom_kill 2\noom_group_kill 1\n",
        ),
    ];
    for (file, text) in files {
        std::fs::write(group.join(file), text).expect("write");
    }
    let expected = Usage {
        memory: Some(4096),
        memory_peak: Some(8192),
        memory_idle: Some(1024),
        memory_limit: Some(16384),
        oom_kills: Some(2),
        cpu: Some(Duration::from_micros(7)),
        throttled: Some(3),
        tasks: Some(4),
    };
    for version in [Version::V1, Version::V2] {
        let hierarchy = Hierarchy {
            version,
            ..hierarchy.clone()
        };
        let found = Group::find_in(vec![hierarchy], "ignite/x");
        assert_eq!(found.usage(), expected, "{version:?}");
    }
    assert_eq!(Group::find_in(Vec::new(), "x").usage(), Usage::default());
}

/// A group of this machine, gone with the test.
struct Real {
    name: String,
    group: Group,
}

impl Real {
    fn new(what: &str, bounds: Bounds) -> Self {
        let name = format!("ignite-test-{}/{what}", std::process::id());
        let group = Group::make(&name, &bounds).expect("make");
        assert_eq!(group.missing(), [], "this machine has them all");
        Self { name, group }
    }

    /// A shell that joins the group first, as a program without help can.
    fn shell(&self, script: &str) -> Child {
        let mut join = String::new();
        let mut spec = Spec::new("sh").stderr(Stdio::Inherit);
        for (number, fd) in (20..).zip(self.group.joints().expect("open")) {
            spec = spec.pass_fd(fd, number);
            join.push_str(&format!("echo 0 >/proc/self/fd/{number}; "));
        }
        spawn(spec.args(["-c".to_owned(), format!("{join}{script}")])).expect("spawn")
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let removed = self.group.clone().remove();
        if !std::thread::panicking() {
            removed.expect("remove");
            assert!(!Group::find(&self.name).expect("find").exists());
        }
    }
}

fn eventually(what: &str, mut true_: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !true_() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_in_it_is_killed_and_it_is_gone() {
    let real = Real::new("kill", BOUNDS);
    let child = real.shell("sleep 1000 & sleep 1000 & wait");
    eventually("three processes join", || {
        real.group.processes().expect("list").len() == 3
    });
    assert!(real.group.usage().tasks.is_some_and(|tasks| tasks >= 3));
    let again = Group::find(&real.name).expect("find");
    assert!(again.exists());
    again.clone().remove().expect("remove");
    assert_eq!(child.wait().expect("wait").to_string(), "signal 9");
    assert!(!again.exists());
    again.remove().expect("gone is fine");
}

#[test]
fn more_tasks_than_allowed_are_refused() {
    let real = Real::new("bomb", Bounds { tasks: 8, ..BOUNDS });
    let script = "i=0; while [ $i -lt 40 ]; do sleep 1000 & i=$((i+1)); done 2>/dev/null; wait";
    let child = real.shell(script);
    eventually("the shell is refused a process", || {
        real.group.usage().tasks == Some(8)
    });
    assert!(real.group.processes().expect("list").len() <= 8);
    real.group.clone().remove().expect("remove");
    child.wait().expect("wait");
}

#[test]
fn a_hog_ends_in_its_group() {
    let real = Real::new("memory", BOUNDS);
    let child = real.shell("x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x} >/dev/null");
    assert!(!child.wait().expect("wait").success());
    let usage = real.group.usage();
    assert!(usage.oom_kills.is_some_and(|kills| kills > 0), "{usage:?}");
    assert!(usage.memory_peak.is_some_and(|peak| peak <= BOUNDS.memory));
}

#[test]
fn processor_time_is_bounded_and_counted() {
    let real = Real::new(
        "cpu",
        Bounds {
            cpu_millis: 100,
            ..BOUNDS
        },
    );
    let begun = Instant::now();
    let child = real.shell("while :; do :; done");
    eventually("it is held back", || {
        real.group.usage().throttled.is_some_and(|times| times >= 5)
    });
    let (used, passed) = (real.group.usage().cpu.expect("counted"), begun.elapsed());
    // A tenth of a processor, and a period's worth besides.
    assert!(
        used <= passed / 10 + Duration::from_millis(30),
        "{used:?} of {passed:?}"
    );
    let more = Bounds {
        memory: 128 << 20,
        ..BOUNDS
    };
    real.group.change(&more).expect("up");
    real.group.change(&BOUNDS).expect("down");
    real.group.clone().remove().expect("remove");
    child.wait().expect("wait");
}

#[test]
fn many_made_and_removed_at_once_are_in_nobodys_way() {
    let parent = format!("ignite-test-{}-many", std::process::id());
    std::thread::scope(|scope| {
        for number in 0..4 {
            let parent = &parent;
            scope.spawn(move || {
                for round in 0..25 {
                    let group = Group::make(&format!("{parent}/{number}-{round}"), &BOUNDS);
                    group.and_then(Group::remove).expect("make, remove");
                }
            });
        }
    });
    assert!(!Group::find(&parent).expect("find").exists());
}

#[test]
fn errors_say_what_to_do() {
    let error = Error::Busy {
        path: PathBuf::from("/sys/fs/cgroup/ignite/x"),
        waited: Duration::from_secs(20),
        processes: vec![7, 9],
    };
    assert_eq!(
        error.to_string(),
        "the control group /sys/fs/cgroup/ignite/x still has processes 20 seconds after they were \
         killed: 7, 9"
    );
    assert!(error.hint().is_some());
}
