//! Control groups of version 2 in a hierarchy of its own: this machine's may be of version 1, a VM's
//! is what its kernel is told.

use anyhow::{Result, ensure};
use ignite_testkit::Host;

use crate::support::{Vm, nothing_left};

/// Made, bounding, counting, killed and removed by the product's own code, in a guest whose kernel has
/// no other version. The root of its hierarchy has processes, as a host's has.
#[test]
fn groups_of_version_2_hold() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(
        &host,
        &["--memory", "256MB", "--kernel-args", "cgroup_no_v1=all"],
    )?;
    let said = vm.exec(&["testkit-helper", "groups"]).ok()?;
    ensure!(
        said.ends_with(r#"nothing is left: "/sys/fs/cgroup/ignite""#),
        "{said}"
    );
    println!("{said}");
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    nothing_left(&host)
}
