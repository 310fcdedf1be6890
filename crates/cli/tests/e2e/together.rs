//! Many at the same time.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Result;
use ignite_testkit::{Host, boot, place};

use crate::support::{Vm, nothing_left};

const MANY: usize = 10;

#[test]
fn ten_vms_started_at_once_all_come_up() -> Result<()> {
    let host = Host::new("alpha")?;
    let image = place::image("busy")?;
    let runs = {
        // Ten boots leave no processor for another test's.
        let _slots = [boot::slot()?, boot::slot()?];
        let options = ["--boot-timeout", "240"];
        let started: Vec<_> = (0..MANY)
            .map(|_| Vm::invocation(&host, &options, &image, &[]).start())
            .collect::<Result<_>>()?;
        started
            .into_iter()
            .map(|run| run.wait(Duration::from_secs(300))?.ok())
            .collect::<Result<Vec<_>>>()?
    };
    let mut addresses = BTreeSet::new();
    let mut names = BTreeSet::new();
    for uid in &runs {
        let vm = Vm {
            host: &host,
            uid: uid.clone(),
        };
        vm.serving()?;
        let address = vm.address()?;
        let answer = host.get(&format!("{address}:80"))?;
        names.insert(answer.split(' ').next().unwrap_or_default().to_owned());
        addresses.insert(address);
    }
    assert_eq!(
        (addresses.len(), names.len()),
        (MANY, MANY),
        "{addresses:?} {names:?}"
    );
    assert_eq!(host.ignite(["ps", "-q"]).ok()?.lines().count(), MANY);
    let all: Vec<&str> = ["rm", "-f"]
        .into_iter()
        .chain(runs.iter().map(String::as_str))
        .collect();
    host.ignite(all).ok()?;
    nothing_left(&host)
}
