//! An engine that goes away and comes back.

use anyhow::{Context as _, Result};
use ignite_docker::Docker;
use ignite_testkit::{Docker as Engine, Host, wait_until};

use crate::{GRACE, client, holder, run};

#[test]
fn an_engine_that_is_killed_is_absent_and_its_containers_end_with_its_return() -> Result<()> {
    let host = Host::bare("engine")?;
    let mut engine = Engine::start(&host)?;
    let docker = client(&engine)?;
    let container = run(&docker, &holder("ignite-1", &[])?)?;

    engine.kill()?;
    let error = docker.inspect(&container.id).expect_err("nobody is there");
    assert!(error.is_absent(), "{error:?}");
    let error = Docker::at(docker.socket()).expect_err("nobody is there");
    assert!(error.is_absent(), "{error:?}");
    let process = format!("/proc/{}", container.pid.context("it ran")?);
    assert!(host.has(&process)?, "the holder outlives its engine");

    engine.up()?;
    let ended = docker
        .inspect(&container.id)?
        .context("it is still known")?;
    assert!(!ended.running, "{ended:?}");
    assert!(!host.has(&process)?);
    docker.remove(&container.id)?;

    let container = run(&docker, &holder("ignite-1", &[])?)?;
    engine.restart()?;
    let ended = docker
        .inspect(&container.id)?
        .context("it is still known")?;
    assert!(!ended.running, "{ended:?}");
    docker.remove(&container.id)?;
    assert!(engine.cgroups()?.is_empty());
    Ok(())
}

#[test]
fn a_killed_engine_leaves_no_control_groups_on_the_machine() -> Result<()> {
    let host = Host::bare("engine")?;
    let mut engine = Engine::start(&host)?;
    let container = run(&client(&engine)?, &holder("ignite-1", &[])?)?;
    assert!(!engine.cgroups()?.is_empty());
    engine.kill()?;
    drop(engine);
    let process = format!("/proc/{}", container.pid.context("it ran")?);
    wait_until("the holder to end", GRACE, || match host.has(&process) {
        Ok(false) => Ok(()),
        other => Err(format!("{other:?}")),
    })?;
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup")?.flatten() {
        let parent = hierarchy.path().join(format!("ignite-test-{}", host.pid()));
        assert!(!parent.exists(), "{}", parent.display());
    }
    Ok(())
}
