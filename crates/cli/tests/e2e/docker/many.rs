//! Many at the same time.

use std::collections::BTreeSet;

use anyhow::Result;
use ignite_testkit::{Host, place};

use super::{PLUGIN, Stage};
use crate::support::{BOOT, SMALL, Vm};

const MANY: usize = 10;

#[test]
fn ten_at_once_each_with_an_address_of_its_own() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let stage = Stage::new(&host)?;
    let image = place::image("busy")?;
    let runs: Vec<_> = (0..MANY)
        .map(|_| {
            host.ignite(["run", "--memory", SMALL, PLUGIN, &image])
                .start()
        })
        .collect::<Result<_>>()?;
    let uids = runs
        .into_iter()
        .map(|run| run.wait(BOOT)?.ok())
        .collect::<Result<Vec<_>>>()?;
    let addresses: BTreeSet<String> = uids
        .iter()
        .map(|uid| {
            let uid = uid.clone();
            Vm { host: &host, uid }.address()
        })
        .collect::<Result<_>>()?;
    assert_eq!(addresses.len(), MANY, "{addresses:?}");
    assert_eq!(stage.ask(&["ps", "-q"])?.lines().count(), MANY);
    let stops: Vec<_> = uids
        .iter()
        .map(|uid| host.ignite(["rm", "-f", uid]).start())
        .collect::<Result<_>>()?;
    for stop in stops {
        stop.wait(BOOT)?.ok()?;
    }
    stage.nothing_left()
}

#[test]
fn two_vms_reach_each_other() -> Result<()> {
    let host = Host::new("alpha")?;
    let stage = Stage::new(&host)?;
    let (one, two) = (stage.run(&[])?, stage.run(&[])?);
    for (from, to) in [(&one, &two), (&two, &one)] {
        let service = format!("{}:80", to.address()?);
        let answer = from.exec(&["testkit-helper", "get", &service]).ok()?;
        assert_eq!(answer, format!("{} 80 {}", to.hostname()?, from.address()?));
    }
    // The image stays as long as one of them does.
    host.ignite(["rm", "-f", &one.uid]).ok()?;
    assert_eq!(
        stage
            .ask(&["images", "-q", "ignite-holder"])?
            .lines()
            .count(),
        1
    );
    host.ignite(["rm", "-f", &two.uid]).ok()?;
    stage.nothing_left()
}

#[test]
fn some_come_while_the_last_go() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let stage = Stage::new(&host)?;
    let image = place::image("busy")?;
    let comes_and_goes = || {
        for _ in 0..5 {
            let words = ["run", "--memory", SMALL, PLUGIN, &image];
            let uid = host.ignite(words).deadline(BOOT).ok()?;
            host.ignite(["rm", "-f", &uid]).deadline(BOOT).ok()?;
        }
        anyhow::Ok(())
    };
    std::thread::scope(|scope| {
        let all = [(); 4].map(|()| scope.spawn(comes_and_goes));
        all.into_iter()
            .try_for_each(|one| one.join().expect("no panic"))
    })?;
    stage.nothing_left()
}
