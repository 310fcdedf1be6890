//! What cannot be, said before anything is made.

use anyhow::{Result, ensure};
use ignite_testkit::{Host, Invocation, Output, place};

use super::{PLUGIN, Stage};
use crate::support::{Vm, nothing_left, nothing_left_but};

fn run(host: &Host, options: &[&str]) -> Result<Invocation> {
    let options = [&[PLUGIN], options].concat();
    Ok(Vm::invocation(host, &options, &place::image("busy")?, &[]))
}

fn refused(output: &Output, words: &[&str]) -> Result<()> {
    output.refused(1, words)?;
    output.refused(1, &["--network-plugin cni"])
}

#[test]
fn what_dockers_bridge_has_no_means_for() -> Result<()> {
    let host = Host::new("alpha")?;
    for (options, said) in [
        (&["--ip=172.17.0.9"][..], "172.17.0.9"),
        (&["--network=lan"], "lan"),
        (
            &["--network=lan", "--network=other"],
            "more than one interface",
        ),
    ] {
        refused(&run(&host, options)?.output()?, &["docker-bridge", said])?;
    }
    nothing_left(&host)
}

#[test]
fn no_engine_one_that_is_closed_and_one_elsewhere() -> Result<()> {
    let host = Host::new("alpha")?;
    let absent = run(&host, &[])?.output()?;
    refused(&absent, &["/var/run/docker.sock", "systemctl start docker"])?;
    let far = run(&host, &[])?.env("DOCKER_HOST", "tcp://192.0.2.9:2375");
    refused(&far.output()?, &["DOCKER_HOST", "tcp://192.0.2.9:2375"])?;
    nothing_left(&host)?;

    let stage = Stage::new(&host)?;
    host.sh("mv /run/docker.sock /run/elsewhere.sock").ok()?;
    refused(&run(&host, &[])?.output()?, &["/var/run/docker.sock"])?;
    let there = run(&host, &[])?.env("DOCKER_HOST", "unix:///run/elsewhere.sock");
    let _slot = ignite_testkit::boot::slot()?;
    let uid = there.deadline(crate::support::BOOT).ok()?;
    // Who stops it needs not say where.
    host.ignite(["rm", "-f", &uid]).ok()?;
    host.sh("mv /run/elsewhere.sock /run/docker.sock; chown 65534 /run/docker.sock; chmod 600 /run/docker.sock")
        .ok()?;
    let ignite = place::build("bin/ignite").display().to_string();
    let image = place::image("busy")?;
    let closed = host.command([
        "setpriv",
        "--bounding-set=-dac_override,-dac_read_search",
        &ignite,
        "run",
        PLUGIN,
        &image,
    ]);
    refused(&closed.output()?, &["permission", "docker.sock"])?;
    host.sh("chown 0 /run/docker.sock").ok()?;
    stage.nothing_left()
}

#[test]
fn what_is_another_containers_stays_its() -> Result<()> {
    let host = Host::new("alpha")?;
    let stage = Stage::new(&host)?;
    stage.peer("peer")?;
    let image = place::image("busy")?;
    let uid = host
        .ignite(["create", PLUGIN, "--memory=128MB", &image])
        .ok()?;
    let name = format!("ignite-{uid}");
    let theirs = stage.ask(&["create", "--name", &name, "busy", "true"])?;
    refused(
        &host.ignite(["start", &uid]).output()?,
        &[&name, "docker rm -f"],
    )?;
    assert_eq!(
        stage.ask(&[
            "ps",
            "-aq",
            "--no-trunc",
            "--filter",
            &format!("name={name}")
        ])?,
        theirs
    );
    stage.ask(&["rm", &theirs])?;

    // A port of Docker's own.
    let words = ["run", "-d", "--name=web", "-p", "8080:8000", "busy"];
    let serve = ["/bin/testkit-helper", "serve", "8000"];
    stage.ask(&[&words[..], &serve].concat())?;
    let taken = run(&host, &["-p", "8080:80"])?.output()?;
    taken.refused(1, &["8080", "already taken"])?;

    // Nobody's but ours is collected.
    assert_eq!(host.ignite(["network", "gc"]).ok()?, "");
    let running = stage.ask(&["ps", "--format", "{{.Names}}"])?;
    ensure!(running.lines().count() == 2, "{running}");
    host.ignite(["rm", &uid]).ok()?;
    stage.ask(&["rm", "-f", "peer", "web"])?;
    stage.nothing_left()?;
    nothing_left_but(&host, &["docker0"])
}
