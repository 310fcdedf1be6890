//! Published ports: who reaches them, from where, and until when.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, place, wait_until};

use crate::support::{SOON, Vm, nothing_left, two_hosts};

const PORTS: &[&str] = &[
    "-p",
    "8080:80",
    "-p",
    "127.0.0.1:8443:443",
    "-p",
    "5353:53/udp",
    "-p",
    "9000-9003:9000-9003",
];

/// What the VM at the other end answers, as far as it is the same for everyone.
fn from(name: &str, port: u16) -> String {
    format!("{name} {port} ")
}

fn answers(what: &str, expected: &str, ask: impl FnMut() -> Result<String>) -> Result<()> {
    let answer = wait_until(what, SOON, ask)?;
    ensure!(
        answer.starts_with(expected),
        "{what}: {answer:?} instead of {expected:?}"
    );
    Ok(())
}

/// Every published port from the host, another host, another VM and the VM.
fn all_answer(alpha: &Host, world: &Host, vm: &Vm<'_>, other: &Vm<'_>) -> Result<()> {
    let name = vm.hostname()?;
    for address in ["127.0.0.1", "192.0.2.1", "10.61.0.1"] {
        answers("http from the host", &from(&name, 80), || {
            alpha.get(&format!("{address}:8080"))
        })?;
        answers("udp from the host", &from(&name, 53), || {
            alpha.ask(&format!("{address}:5353"))
        })?;
    }
    answers("https from the host", &from(&name, 443), || {
        alpha.get("127.0.0.1:8443")
    })?;
    for port in 9000..=9003 {
        answers("the range from the host", &from(&name, port), || {
            alpha.get(&format!("127.0.0.1:{port}"))
        })?;
        answers("the range from outside", &from(&name, port), || {
            world.get(&format!("192.0.2.1:{port}"))
        })?;
    }
    // Another host is seen with its own address.
    answers("http from outside", &format!("{name} 80 192.0.2.2"), || {
        world.get("192.0.2.1:8080")
    })?;
    answers("udp from outside", &format!("{name} 53 192.0.2.2"), || {
        world.ask("192.0.2.1:5353")
    })?;
    for (who, inside) in [("another VM", other), ("the VM itself", vm)] {
        for address in ["192.0.2.1", "10.61.0.1"] {
            answers(who, &from(&name, 80), || {
                inside
                    .exec(&["testkit-helper", "get", &format!("{address}:8080")])
                    .ok()
            })?;
            answers(who, &from(&name, 53), || {
                inside
                    .exec(&["testkit-helper", "ask", &format!("{address}:5353")])
                    .ok()
            })?;
        }
    }
    // Bound to the loopback address: for the host alone.
    ensure!(
        world.get("192.0.2.1:8443").is_err(),
        "the loopback binding answers another host"
    );
    for inside in [other, vm] {
        for address in ["192.0.2.1:8443", "10.61.0.1:8443"] {
            let answer = inside.exec(&["testkit-helper", "get", address]).ok();
            ensure!(
                answer.is_err(),
                "the loopback binding answers a VM: {answer:?}"
            );
        }
    }
    Ok(())
}

/// None of the published ports answers anyone, at once.
fn all_refused(alpha: &Host, world: &Host) -> Result<()> {
    let tcp = ["8080", "9000", "9001", "9002", "9003"];
    for port in tcp.iter().chain(&["8443"]) {
        ensure!(
            alpha.get(&format!("127.0.0.1:{port}")).is_err(),
            "{port} still answers the host"
        );
    }
    for port in tcp {
        ensure!(
            world.get(&format!("192.0.2.1:{port}")).is_err(),
            "{port} still answers another host"
        );
    }
    ensure!(
        world.ask("192.0.2.1:5353").is_err(),
        "5353/udp still answers another host"
    );
    ensure!(
        alpha.ask("127.0.0.1:5353").is_err(),
        "5353/udp still answers the host"
    );
    Ok(())
}

fn from_everywhere_until_the_end(alpha: &Host, world: &Host) -> Result<()> {
    let other = Vm::run(alpha, &[])?;
    let vm = Vm::run(alpha, PORTS)?;
    let listed = alpha.ignite(["ps"]).ok()?;
    for port in [
        "8080->80/tcp",
        "127.0.0.1:8443->443/tcp",
        "5353->53/udp",
        "9003->9003/tcp",
    ] {
        ensure!(listed.contains(port), "{port} is not in\n{listed}");
    }
    all_answer(alpha, world, &vm, &other)?;
    alpha.ignite(["rm", "-f", &vm.uid]).ok()?;
    all_refused(alpha, world)?;

    // The same ports are free again, and freed by a guest that ends by itself.
    let vm = Vm::run(alpha, PORTS)?;
    answers("http from outside", &from(&vm.hostname()?, 80), || {
        world.get("192.0.2.1:8080")
    })?;
    // The agent goes with the guest: its answer is nobody's business.
    let told = vm.exec(&["poweroff", "-f"]).output();
    let ended = vm.ended().with_context(|| format!("told to: {told:?}"))?;
    assert_eq!(ended, "powered-off");
    wait_until("the ports to be free", SOON, || all_refused(alpha, world))?;
    wait_until("its address to be free", SOON, || {
        let taken = alpha
            .sh("ls /var/lib/cni/networks/ignite-cni-bridge | grep -c '^10[.]'")
            .ok()?;
        ensure!(taken == "1", "{taken} addresses are taken");
        Ok(())
    })?;

    // And a stopped VM has them again when it starts.
    vm.verb("start")?;
    answers("http after start", &from(&vm.hostname()?, 80), || {
        world.get("192.0.2.1:8080")
    })?;
    alpha.ignite(["rm", "-f", &vm.uid, &other.uid]).ok()?;
    nothing_left(alpha)
}

#[test]
fn published_ports_answer_everyone_until_the_end() -> Result<()> {
    let (_lan, alpha, world) = two_hosts()?;
    from_everywhere_until_the_end(&alpha, &world)
}

#[test]
fn published_ports_answer_everyone_behind_a_drop_policy() -> Result<()> {
    let (_lan, alpha, world) = two_hosts()?;
    alpha.sh("iptables -P FORWARD DROP").ok()?;
    from_everywhere_until_the_end(&alpha, &world)?;
    assert_eq!(
        alpha.sh("iptables -S FORWARD | head -n 1").ok()?,
        "-P FORWARD DROP"
    );
    Ok(())
}

#[test]
fn a_port_that_is_taken_is_found_before_the_vm_starts() -> Result<()> {
    let host = Host::new("alpha")?;
    let image = place::image("busy")?;
    let service = host.serve(&[8080])?;
    let output = Vm::invocation(&host, &["-p", "8080:80"], &image, &[]).output()?;
    output.refused(1, &["8080"])?;
    nothing_left(&host)?;
    // UDP too, and one port of a range; another address is another port.
    Vm::invocation(&host, &["-p", "8080:53/udp"], &image, &[])
        .output()?
        .refused(1, &["8080"])?;
    Vm::invocation(&host, &["-p", "8079-8081:79-81"], &image, &[])
        .output()?
        .refused(1, &["8080"])?;
    drop(service);

    let vm = Vm::run(&host, &["--name", "first", "-p", "8080:80"])?;
    let output = Vm::invocation(&host, &["-p", "8080:80"], &image, &[]).output()?;
    output.refused(1, &["8080", "first"])?;
    // A VM that is no more keeps no port.
    vm.verb("kill")?;
    Vm::run(&host, &["-p", "8080:80"]).map(drop)
}

#[test]
fn ipv6_ports_need_a_vm_with_ipv6() -> Result<()> {
    let host = Host::new("alpha")?;
    let image = place::image("busy")?;
    let output = Vm::invocation(&host, &["-p", "[::]:8080:80"], &image, &[]).output()?;
    output.refused(1, &["IPv6"])?;
    nothing_left(&host)
}

#[test]
fn malformed_ports_are_refused_with_their_fault() -> Result<()> {
    let host = Host::new("alpha")?;
    for ports in [
        "80",
        "x:80",
        "8080:99999",
        "8080-8082:80-81",
        "8080:80/sctp",
        "1.2.3:80:80",
        "8080:80,8080:81",
    ] {
        let output = host.ignite(["run", "-p", ports, "busy"]).output()?;
        output
            .refused(2, &[])
            .map_err(|error| error.context(ports))?;
    }
    nothing_left(&host)
}
