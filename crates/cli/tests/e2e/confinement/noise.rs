//! A VMM that says so much on its streams that its supervisor had no time for anything else.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ignite_testkit::Host;
use ignite_testkit::host::processes::Process;

use super::{Place, run};
use crate::support::{SOON, nothing_left};

/// Time a process has had of the processors.
fn processor_time(process: &Process) -> Result<Duration> {
    let path = format!("/proc/{}/stat", process.pid.as_raw_nonzero());
    let stat = std::fs::read_to_string(&path).with_context(|| format!("{path} is gone"))?;
    let (_, fields) = stat.rsplit_once(") ").context("no name in it")?;
    let fields = fields.split(' ').skip(11).take(2);
    let ticks: u64 = fields.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    let rate = rustix::param::clock_ticks_per_second();
    Ok(Duration::from_secs(ticks) / u32::try_from(rate)?)
}

#[test]
fn a_vmm_that_says_too_much_has_its_share_of_the_supervisor_and_nothing_is_lost() -> Result<()> {
    const FLOOD: Duration = Duration::from_secs(3);
    // Three tenths are for its three streams; for commands, and for finding out who has something to
    // say, there is more than enough.
    const SHARE: f32 = 0.45;
    let host = Host::new("alpha")?;
    let vm = run(&host, Place::Qemu, &[], "standin.noise")?;
    let all = host.processes()?;
    let mut supervisors = all.iter().filter(|it| it.name() == "ignite-spawn");
    let supervisor = supervisors.next().context("no supervisor")?;
    let (began, before) = (Instant::now(), processor_time(supervisor)?);
    let mut slowest = Duration::ZERO;
    while began.elapsed() < FLOOD {
        let asked = Instant::now();
        assert_eq!(host.ignite(["ps", "-q"]).ok()?, vm.uid);
        // This one asks the supervisor.
        vm.inspect()?;
        slowest = slowest.max(asked.elapsed());
    }
    let (used, time) = (processor_time(supervisor)? - before, began.elapsed());
    assert!(used <= time.mul_f32(SHARE), "{used:?} of {time:?}");
    assert!(slowest < SOON / 2, "{slowest:?} for an answer");
    let said = host.ignite(["logs", &vm.uid]).ok()?;
    // The last one may be half written.
    let lines = said.lines().rev().skip(1);
    let numbers = lines.filter_map(|line| line.strip_prefix("noise "));
    let numbers = numbers.map(str::parse::<u64>);
    let numbers = numbers.collect::<Result<Vec<u64>, _>>()?;
    assert!(numbers.len() > 1000, "only {} lines", numbers.len());
    let gap = numbers.windows(2).find(|pair| pair[0] != pair[1] + 1);
    assert_eq!(gap, None, "a line is lost");
    let asked = Instant::now();
    vm.verb("stop")?;
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "the grace period"
    );
    host.ignite(["rm", &vm.uid]).ok()?;
    nothing_left(&host)
}
