//! Ports that Docker publishes, and the way out.

use anyhow::{Result, ensure};
use ignite_testkit::wait_until;

use super::Stage;
use crate::support::{SOON, two_hosts};

#[test]
fn ports_answer_whoever_asks_and_the_way_out_is_masqueraded() -> Result<()> {
    let (_lan, alpha, world) = two_hosts()?;
    let stage = Stage::new(&alpha)?;
    let ports = [
        "-p",
        "8080:80",
        "-p",
        "5353:53/udp",
        "-p",
        "127.0.0.1:8443:443",
    ];
    let vm = stage.run(&ports)?;
    let name = vm.hostname()?;

    // Another host is seen with its own address.
    let from_world = format!("{name} 80 192.0.2.2");
    assert_eq!(world.get("192.0.2.1:8080")?, from_world);
    assert_eq!(world.ask("192.0.2.1:5353")?, format!("{name} 53 192.0.2.2"));
    ensure!(
        world.get("192.0.2.1:8443").is_err(),
        "loopback answers another host"
    );
    for address in ["127.0.0.1:8080", "192.0.2.1:8080", "172.17.0.1:8080"] {
        let answer = wait_until(address, SOON, || alpha.get(address))?;
        ensure!(answer.starts_with(&format!("{name} 80 ")), "{answer}");
    }
    for address in ["127.0.0.1:5353", "192.0.2.1:5353"] {
        let answer = wait_until(address, SOON, || alpha.ask(address))?;
        ensure!(answer.starts_with(&format!("{name} 53 ")), "{answer}");
    }
    ensure!(
        alpha
            .get("127.0.0.1:8443")?
            .starts_with(&format!("{name} 443 "))
    );
    // The VM reaches what it publishes itself, by Docker's proxy.
    let own = vm.exec(&["testkit-helper", "get", "192.0.2.1:8080"]).ok()?;
    ensure!(own.starts_with(&format!("{name} 80 ")), "{own}");

    // Out into the world with the host's address.
    let _service = world.serve(&[7000])?;
    let seen = vm.exec(&["testkit-helper", "get", "192.0.2.2:7000"]).ok()?;
    assert_eq!(seen, "world 7000 192.0.2.1");

    // Two VMs, one port: the first one's. Nothing is made for the second.
    let second = crate::support::Vm::invocation(
        &alpha,
        &[super::PLUGIN, "-p", "8080:80"],
        &ignite_testkit::place::image("busy")?,
        &[],
    );
    second
        .output()?
        .refused(1, &["8080", "already published by VM"])?;
    assert_eq!(stage.ask(&["ps", "-aq"])?.lines().count(), 1);

    alpha.ignite(["rm", "-f", &vm.uid]).ok()?;
    ensure!(world.get("192.0.2.1:8080").is_err(), "8080 still answers");
    stage.nothing_left()
}
