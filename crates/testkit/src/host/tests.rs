//! Hosts made, joined, and gone. They need the helper; everything else is the
//! distribution's.

use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;

use super::*;
use crate::Lan;

#[test]
fn a_host_has_its_own_etc_run_and_name() -> Result<()> {
    let host = Host::bare("alpha")?;
    host.write("/etc/cni/net.d/x.conf", "one")?;
    host.write("/var/lib/ignite/y", "two")?;
    assert_eq!(host.read("/etc/cni/net.d/x.conf")?, "one\n");
    assert_eq!(host.command(["hostname"]).ok()?, "alpha");
    assert_eq!(host.sh("ls /run | tr '\\n' ' '").ok()?, "home lock ");
    assert_eq!(host.sh("ls /sys/class/net").ok()?, "lo");
    assert!(!Path::new("/etc/cni/net.d/x.conf").exists());
    assert!(!Path::new("/var/lib/ignite/y").exists());
    Ok(())
}

#[test]
fn what_chooses_the_vmm_holds_on_every_host() -> Result<()> {
    let told = |host: &Host| host.sh("env | grep ^IGNITE_ | sort || true").ok();
    let mut given: Vec<_> = std::env::vars()
        .filter(|(name, _)| [vmm::CHOICE, vmm::FIRECRACKER].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    given.sort();
    let mut host = Host::bare("alpha")?;
    assert_eq!(told(&host)?, given.join("\n"));
    host.vmm = vec![vmm::assignment(vmm::CHOICE, "firecracker")];
    assert_eq!(told(&host)?, "IGNITE_VMM=firecracker");
    Ok(())
}

#[test]
fn hosts_on_a_lan_reach_each_other() -> Result<()> {
    let lan = Lan::new()?;
    let (one, two) = (Host::bare("one")?, Host::bare("two")?);
    lan.join(&one, "eth0", "192.0.2.1/24")?;
    lan.join(&two, "eth0", "192.0.2.2/24")?;
    let _service = two.serve(&[80])?;
    assert_eq!(one.get("192.0.2.2:80")?, "two 80 192.0.2.1");
    assert_eq!(one.ask("192.0.2.2:80")?, "two 80 192.0.2.1");
    assert!(one.get("192.0.2.2:81").is_err());
    Ok(())
}

#[test]
fn output_and_exit_code_are_kept_apart() -> Result<()> {
    let host = Host::bare("alpha")?;
    let output = host.sh("cat; echo err >&2; exit 7").stdin("in").output()?;
    assert_eq!(
        (output.code, output.stdout.as_str(), output.stderr.as_str()),
        (7, "in", "err\n")
    );
    assert!(host.command(["false"]).ok().is_err());
    Ok(())
}

#[test]
fn a_command_past_its_deadline_is_killed_with_its_children() -> Result<()> {
    let host = Host::bare("alpha")?;
    let late = host
        .sh("sleep 1000 & sleep 1000")
        .deadline(Duration::from_millis(300))
        .output();
    assert!(late.is_err());
    wait_until("the children to end", Duration::from_secs(5), || match host
        .sh("pgrep sleep")
        .output()
    {
        Ok(output) if output.code == 1 => Ok(()),
        other => Err(format!("{other:?}")),
    })
}

#[test]
fn a_signal_reaches_the_command_as_from_a_terminal() -> Result<()> {
    let host = Host::bare("alpha")?;
    let mut running = host
        // A shell that waits hears of a signal from before the wait as well.
        .sh("trap 'echo caught; exit 3' INT; sleep 1000 >/dev/null & echo armed; wait")
        .start()?;
    running.wait_for("armed", Duration::from_secs(5))?;
    running.signal(Signal::INT)?;
    let output = running.wait(Duration::from_secs(5))?;
    assert_eq!(
        (output.code, output.stdout.as_str()),
        (3, "armed\ncaught\n")
    );
    Ok(())
}

#[test]
fn nothing_outlives_a_host() -> Result<()> {
    let host = Host::bare("alpha")?;
    let directory = host.directory.clone();
    let _ignored = host
        .sh("setsid sleep 1234 >/dev/null 2>&1 & echo started")
        .ok()?;
    let pid = host.pid();
    drop(host);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    assert!(!directory.exists());
    Ok(())
}

#[test]
fn the_helper_serves_names() -> Result<()> {
    let host = Host::bare("alpha")?;
    let mut names = host
        .helper(&["dns", "127.0.0.1", "one.example=192.0.2.7"])?
        .start()?;
    names.wait_for("serving", Duration::from_secs(5))?;
    host.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")?;
    let answer = host
        .sh("busybox nslookup -type=a one.example 127.0.0.1")
        .ok()?;
    assert!(answer.contains("192.0.2.7"), "{answer}");
    assert!(
        host.sh("busybox nslookup -type=a two.example 127.0.0.1")
            .output()?
            .code
            != 0
    );
    names.wait_for("asked for one.example type 1", Duration::from_secs(5))?;
    Ok(())
}

#[test]
fn a_signal_reaches_a_command_that_only_begins() -> Result<()> {
    let host = Host::bare("alpha")?;
    for _ in 0..20 {
        let sleep = host.command(["sleep", "1000"]).start()?;
        sleep.signal(Signal::INT)?;
        assert_eq!(sleep.wait(Duration::from_secs(5))?.code, 130);
    }
    let mut gone = host.command(["true"]).start()?;
    crate::wait_until("its end", Duration::from_secs(5), || {
        anyhow::ensure!(gone.is_over()?);
        anyhow::Ok(())
    })?;
    assert!(gone.signal(Signal::INT).is_err());
    Ok(())
}

#[test]
fn the_sniffer_sees_dhcp_and_nothing_else() -> Result<()> {
    let lan = Lan::new()?;
    let (one, two) = (Host::bare("one")?, Host::bare("two")?);
    lan.join(&one, "eth0", "192.0.2.1/24")?;
    lan.join(&two, "eth0", "192.0.2.2/24")?;
    let mut sniffer = two.helper(&["sniff"])?.start()?;
    sniffer.wait_for("sniffing", Duration::from_secs(5))?;
    one.command(["ping", "-c", "1", "192.0.2.2"]).ok()?;
    one.sh("busybox udhcpc -i eth0 -n -q -t 1 -T 1 -s /bin/true || true")
        .ok()?;
    let seen = sniffer.wait_for("dhcp", Duration::from_secs(10))?;
    assert!(seen.ends_with("port 68 to 67"), "{seen}");
    Ok(())
}
