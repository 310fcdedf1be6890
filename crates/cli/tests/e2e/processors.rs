//! VMs with more than one processor.

use anyhow::Result;
use ignite_testkit::Host;

use crate::support::{Vm, nothing_left};

/// Linux changes its own code while it runs. Here it does what it does a few times in a boot 500 times, in
/// what all processors run all the time: each switch from a task to another looks at these statistics.
const CHANGE: &str = "
    for _ in 1 2; do ( while :; do cat /proc/self/stat > /dev/null; done ) & done
    number=0
    while [ $number -lt 500 ]; do
        echo $((number % 2)) > /proc/sys/kernel/sched_schedstats
        number=$((number + 1))
    done
    grep -c ^processor /proc/cpuinfo
";

/// Where a processor goes on with the code that was there before, the guest hangs.
#[test]
fn code_that_one_changes_is_new_for_the_other() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["--cpus", "2"])?;
    assert_eq!(vm.exec(&["sh", "-c", CHANGE]).ok()?, "2");
    host.ignite(["rm", "--force", &vm.uid]).ok()?;
    nothing_left(&host)
}
