//! What grows without an end in the VMM's place ends in its control group.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::wait_until;

use super::{Place, console, mischief, run};
use crate::support::{SOON, Vm, nothing_left};

/// A number that the kernel counts for a group, as the versions of control groups call it: controller
/// and file of version 1, and file of version 2 with the key of the line, if there are several.
#[derive(Clone, Copy)]
pub(super) struct Count {
    v1: [&'static str; 2],
    v2: (&'static str, Option<&'static str>),
    /// What one of version 2 is worth in units of version 1.
    scale: u64,
}

/// Threads it may have.
const MOST_TASKS: Count = Count {
    v1: ["pids", "pids.max"],
    v2: ("pids.max", None),
    scale: 1,
};

/// Threads it has.
const TASKS: Count = Count {
    v1: ["pids", "pids.current"],
    v2: ("pids.current", None),
    scale: 1,
};

/// Nanoseconds of processor time.
const PROCESSOR: Count = Count {
    v1: ["cpuacct", "cpuacct.usage"],
    v2: ("cpu.stat", Some("usage_usec")),
    scale: 1000,
};

/// How many processors the VMM of a VM with one may use.
const PROCESSORS: f32 = 1.5;

/// A period's worth, and what lies between looking at the clock and at the counter.
const TOLERANCE: Duration = Duration::from_millis(300);

/// A number of the VM's group; there is one place for it on every host.
fn counted(vm: &Vm<'_>, count: Count) -> Result<u64> {
    let [controller, file] = count.v1;
    let (newer, key) = count.v2;
    let group = format!("ignite/{}", vm.uid);
    let text = vm.host.sh(&format!(
        "cd /sys/fs/cgroup; cat {controller}/{group}/{file} 2>/dev/null && exit
         cat {group}/{newer} 2>/dev/null || cat unified/{group}/{newer}"
    ));
    let text = text.ok()?;
    let number = |text: &str| text.trim().parse::<u64>();
    if let Ok(number) = number(&text) {
        return Ok(number);
    }
    let of = |line: &str| number(line.strip_prefix(key?)?).ok();
    let found = text.lines().find_map(of);
    Ok(found.with_context(|| format!("{newer} says {text}"))? * count.scale)
}

/// What the VMM used of its processors, and the time it did so in.
pub(super) struct Meter<'v, 'h> {
    vm: &'v Vm<'h>,
    began: Instant,
    before: u64,
}

impl<'v, 'h> Meter<'v, 'h> {
    pub(super) fn start(vm: &'v Vm<'h>) -> Result<Self> {
        let began = Instant::now();
        let before = counted(vm, PROCESSOR)?;
        Ok(Self { vm, began, before })
    }

    pub(super) fn used(&self) -> Result<Duration> {
        let used = counted(self.vm, PROCESSOR)? - self.before;
        Ok(Duration::from_nanos(used))
    }

    /// No more than its limit; what it was.
    pub(super) fn check(&self) -> Result<Duration> {
        let used = self.used()?;
        let most = self.began.elapsed().mul_f32(PROCESSORS) + TOLERANCE;
        ensure!(used <= most, "{used:?} of {most:?}");
        Ok(used)
    }
}

fn bombs_and_hogs(place: Place) -> Result<()> {
    let host = place.host()?;
    let neighbour = run(&host, place, &[], "quiet")?;
    let answers = || host.ignite(["exec", &neighbour.uid, "--", "true"]).ok();

    let bomb = run(&host, place, &[], "standin.bomb")?;
    let said = console(&bomb, "bomb: ")?;
    let limit = counted(&bomb, MOST_TASKS)?;
    let tasks = counted(&bomb, TASKS)?;
    assert!((50..=limit).contains(&tasks), "{tasks} of {limit}: {said}");
    let meter = Meter::start(&bomb)?;
    answers()?;
    wait_until("it to work for a second", SOON, || {
        let used = meter.used()?;
        ensure!(used > Duration::from_secs(1), "only {used:?}");
        Ok(())
    })?;
    meter.check()?;

    let told = "ran out of the memory it may use";
    // It may be gone before the guest is ready.
    let hog = mischief(&host, place, &["--name", "hog"], "standin.hog")?.output()?;
    if hog.code == 0 {
        let uid = hog.ok()?;
        let vm = Vm { host: &host, uid };
        assert_eq!(vm.ended()?, "vmm-failed");
        let message = vm.status("message")?;
        assert!(message.contains(told), "{message}");
    } else {
        hog.complains(&[told])?;
    }
    answers()?;
    host.ignite(["exec", &bomb.uid, "--", "true"]).ok()?;
    host.ignite(["rm", "-f", "hog", &bomb.uid, &neighbour.uid])
        .ok()?;
    nothing_left(&host)
}

#[test]
fn bombs_and_hogs_end_in_qemus_group() -> Result<()> {
    bombs_and_hogs(Place::Qemu)
}

#[test]
fn bombs_and_hogs_end_in_firecrackers_group() -> Result<()> {
    bombs_and_hogs(Place::Firecracker)
}

#[test]
fn bombs_and_hogs_end_in_the_jails_group() -> Result<()> {
    bombs_and_hogs(Place::Jail)
}
