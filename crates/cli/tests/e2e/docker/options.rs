//! A bridge that is not as Docker makes it by itself.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Docker, Host, place, wait_until};

use super::{PLUGIN, Stage};
use crate::support::SOON;

#[test]
fn subnet_mtu_and_ipv6_are_the_bridges() -> Result<()> {
    let host = Host::new("alpha")?;
    let options = [
        "--bip=172.30.0.1/20",
        "--mtu=1400",
        "--ipv6",
        "--fixed-cidr-v6=fd00:d::/64",
    ];
    let docker = Docker::start_with(&host, &options)?;
    let stage = Stage {
        host: &host,
        docker,
    };
    let peer = stage.peer("peer")?;
    let (vm, other) = (stage.run(&[])?, stage.run(&[])?);
    let status = vm.inspect()?["status"]["network"]["interfaces"][0].clone();
    let address = |index: usize| -> Result<String> {
        let text = status["addresses"][index].as_str();
        Ok(text.with_context(|| format!("{status:#}"))?.to_owned())
    };
    let (v4, v6) = (address(0)?, address(1)?);
    ensure!(v4.starts_with("172.30.") && v4.ends_with("/20"), "{v4}");
    ensure!(v6.starts_with("fd00:d::") && v6.ends_with("/64"), "{v6}");
    assert_eq!(vm.exec(&["cat", "/sys/class/net/eth0/mtu"]).ok()?, "1400");
    vm.exec(&["ping", "-c", "1", "-W", "2", &peer]).ok()?;

    let format = "{{.NetworkSettings.GlobalIPv6Address}}";
    let peer6 = stage.ask(&["inspect", "--format", format, "peer"])?;
    let v6 = v6.trim_end_matches("/64");
    wait_until("the container by IPv6", SOON, || {
        vm.exec(&["ping", "-6", "-c", "1", "-W", "2", &peer6]).ok()
    })?;
    stage.ask(&["exec", "peer", "/bin/ping", "-6", "-c", "1", "-W", "2", v6])?;
    let answer = host.get(&format!("[{v6}]:80"))?;
    ensure!(
        answer.starts_with(&format!("{} 80 ", vm.hostname()?)),
        "{answer}"
    );
    other.exec(&["ping", "-6", "-c", "1", "-W", "2", v6]).ok()?;
    assert_eq!(host.ignite(["network", "check"]).output()?.code, 0);
    for uid in [&vm.uid, &other.uid] {
        host.ignite(["rm", "-f", uid]).ok()?;
    }
    stage.ask(&["rm", "-f", "peer"])?;
    stage.nothing_left()
}

#[test]
fn a_name_may_be_longer_than_a_containers_hostname() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let stage = Stage::new(&host)?;
    let name = ["a", "b", "c"].map(|letter| letter.repeat(60)).join(".");
    let image = place::image("busy")?;
    let words = ["run", "--memory=128MB", "--name", &name, PLUGIN, &image];
    host.ignite(words).ok()?;
    let filter = format!("label=ignite.name={name}");
    let found = stage.ask(&["ps", "-q", "--filter", &filter])?;
    ensure!(found.lines().count() == 1, "{found}");
    host.ignite(["rm", "-f", &name]).ok()?;
    stage.nothing_left()
}
