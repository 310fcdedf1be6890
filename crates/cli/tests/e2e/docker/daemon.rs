//! `ignited` with VMs on Docker's bridge, whose ports are their container's for
//! its life. The VMM is the stand-in.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use ignite_testkit::{Host, wait_until};

use super::{PLUGIN, Stage};
use crate::daemon::{DIRECTORY, Daemon, SETTLES, all, becomes, manifest, uid, write};

impl Stage<'_> {
    /// Waits until a container of the VM other than `former` runs and publishes
    /// exactly this of the VM's port 80; its id.
    fn publishes(&self, uid: &str, published: &str, former: &str) -> Result<String> {
        let filter = format!("label=ignite.uid={uid}");
        let format = "--format={{.ID}} {{.Ports}}";
        let what = format!("a container that publishes {published}");
        wait_until(&what, SETTLES, || {
            let shown = self.ask(&["ps", "--filter", &filter, format])?;
            let (id, ports) = shown.split_once(' ').unwrap_or((&shown, ""));
            let exactly = ports == format!("{published}->80/tcp");
            ensure!(exactly && id != former, "{shown:?}");
            Ok(id.to_owned())
        })
    }
}

#[test]
fn ports_that_change_and_a_container_taken_away_cost_a_restart_and_no_more() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let stage = Stage::new(&host)?;
    let web = uid(1);
    let write_port = |port: u16| {
        let ports = format!(
            "  network: {{ ports: [ {{ hostPort: {port}, vmPort: 80, bindAddress: 127.0.0.1 }} ] }}\n"
        );
        write(&host, "web.yaml", &manifest("web", &web, true, &ports))
    };
    let running = all(&[(&web, "running")]);
    write_port(8080)?;
    let mut daemon = Daemon::start(&host, &[PLUGIN])?;
    becomes(&host, &running)?;
    let first = stage.publishes(&web, "127.0.0.1:8080", "")?;

    write_port(9090)?;
    let second = stage.publishes(&web, "127.0.0.1:9090", &first)?;
    becomes(&host, &running)?;
    // Once: what is as the file says stays as it is, over a start of the daemon too.
    let said = daemon.stop()?;
    daemon.again()?;
    host.sh(&format!("touch {DIRECTORY}/web.yaml")).ok()?;
    assert_eq!(stage.publishes(&web, "127.0.0.1:9090", &first)?, second);
    let restarts = said.matches("restart").count();
    ensure!(restarts < 10, "{restarts} lines tell of restarts: {said}");

    stage.ask(&["rm", "-f", &second])?;
    stage.publishes(&web, "127.0.0.1:9090", &second)?;
    becomes(&host, &running)?;

    host.sh(&format!("rm {DIRECTORY}/web.yaml")).ok()?;
    becomes(&host, &BTreeMap::new())?;
    daemon.stop()?;
    stage.nothing_left()
}
