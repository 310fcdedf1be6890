//! Files that come, change and go, by the hundred, with the stand-in VMM.

use std::collections::BTreeMap;

use anyhow::Result;
use ignite_testkit::Host;

use super::{DIRECTORY, Daemon, all, becomes, faulty, manifest, told, uid, write};
use crate::support::nothing_left;

const MANY: usize = 200;

#[test]
fn two_hundred_at_once_come_change_and_go() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let mut wanted = BTreeMap::new();
    let file = |number: usize| format!("sub{}/vm{number}.yaml", number % 7);
    for number in 0..MANY {
        let text = manifest(&format!("vm{number}"), &uid(number), number % 4 != 0, "");
        write(&host, &file(number), &text)?;
        let state = if number % 4 == 0 {
            "created"
        } else {
            "running"
        };
        wanted.insert(uid(number), state.to_owned());
    }
    let _daemon = Daemon::start(&host, &[])?;
    becomes(&host, &wanted)?;
    for number in 0..MANY {
        let (path, name) = (
            format!("{DIRECTORY}/{}", file(number)),
            format!("vm{number}"),
        );
        match number % 5 {
            0 => {
                host.sh(&format!("rm {path}")).ok()?;
                wanted.remove(&uid(number));
            }
            1 => {
                let state = wanted.get_mut(&uid(number)).expect("it was written");
                let runs = state == "running";
                write(
                    &host,
                    &file(number),
                    &manifest(&name, &uid(number), !runs, ""),
                )?;
                *state = if runs { "stopped" } else { "running" }.into();
            }
            2 => host
                .sh(&format!("mv {path} {DIRECTORY}/moved{number}.yml"))
                .ok()
                .map(drop)?,
            3 => host
                .sh(&format!("sed -i 's/kind: VM/kind: [/' {path}"))
                .ok()
                .map(drop)?,
            _ => host
                .sh(&format!("sed -i 's/memory: 128MB/labels: 1/' {path}"))
                .ok()
                .map(drop)?,
        }
    }
    becomes(&host, &wanted)?;
    faulty(&host, &file(4), &["labels", "line 6"])?;
    host.sh(&format!("rm -r {DIRECTORY}/*")).ok()?;
    becomes(&host, &BTreeMap::new())?;
    nothing_left(&host)
}

/// The ways in which editors and tools write a file anew.
const TRICKS: &[(&str, &str)] = &[
    ("sed -i", "sed -i \"$change\" web.yaml"),
    (
        "vim",
        "mv web.yaml web.yaml~; sed \"$change\" web.yaml~ > web.yaml; rm web.yaml~",
    ),
    (
        "vim with a number",
        "touch 4913; rm 4913; cp web.yaml web.yaml~; sed \"$change\" web.yaml~ > web.yaml; rm web.yaml~",
    ),
    (
        "emacs",
        "mv web.yaml web.yaml~; sed \"$change\" web.yaml~ > web.yaml",
    ),
    (
        "a temporary file",
        "sed \"$change\" web.yaml > .web.tmp; mv .web.tmp web.yaml",
    ),
    (
        "in place",
        "sed \"$change\" web.yaml > /run/new; cat /run/new > web.yaml",
    ),
    (
        "another directory",
        "sed \"$change\" web.yaml > /run/new; rm web.yaml; mv /run/new web.yaml",
    ),
    (
        "a slow writer",
        "sed \"$change\" web.yaml > /run/new; { head -c 60 /run/new; sleep 0.3; tail -c +61 /run/new; } > web.yaml",
    ),
    (
        "a new name",
        "sed \"$change\" web.yaml > other.yaml; rm web.yaml; mv other.yaml web.yaml",
    ),
];

#[test]
fn editors_tricks_change_a_vm_and_never_take_it_away() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let web = uid(1);
    let labels = |number: usize| format!("  env: [ A=b ] # generation {number}\n");
    write(&host, "web.yaml", &manifest("web", &web, true, &labels(0)))?;
    let mut daemon = Daemon::start(&host, &[])?;
    becomes(&host, &all(&[(&web, "running")]))?;
    let started = |host: &Host| host.read(&format!("/var/lib/ignite/vm/{web}/status.json"));
    let before = started(&host)?;
    for (number, (name, trick)) in TRICKS.iter().enumerate() {
        let port = 8000 + number;
        let change = format!(
            "s/^  memory: .*/  memory: 128MB\\n  network: {{ ports: [ {{ hostPort: {port}, vmPort: 80 }} ] }}/; /^  network/d"
        );
        let script = format!("cd {DIRECTORY}; change='{change}'; {trick}");
        host.sh(&script).ok()?;
        ignite_testkit::wait_until(name, super::SETTLES, || {
            let ports = host.ignite(["ps", "-o", "json"]).ok()?;
            anyhow::ensure!(ports.contains(&format!("{port}")), "{name}: {ports}");
            Ok(())
        })?;
        assert_eq!(started(&host)?, before, "{name}: the VM was not left alone");
    }
    let said = daemon.stop()?;
    assert!(
        !said.contains("action=\"remove\"") && !said.contains("action=\"stop\""),
        "{said}"
    );
    assert!(told(&host, "web.yaml")?["fault"].is_null());
    Ok(())
}

#[test]
fn what_changed_while_the_daemon_was_down_is_acted_on() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let [stays, goes, stops, moves, comes] = [1, 2, 3, 4, 5].map(uid);
    for (name, uid) in [
        ("stays", &stays),
        ("goes", &goes),
        ("stops", &stops),
        ("moves", &moves),
    ] {
        write(
            &host,
            &format!("{name}.yaml"),
            &manifest(name, uid, true, ""),
        )?;
    }
    let mut daemon = Daemon::start(&host, &[])?;
    let running = [
        (&stays, "running"),
        (&goes, "running"),
        (&stops, "running"),
        (&moves, "running"),
    ];
    becomes(
        &host,
        &all(&running.map(|(uid, state)| (uid.as_str(), state))),
    )?;
    daemon.stop()?;
    becomes(
        &host,
        &all(&running.map(|(uid, state)| (uid.as_str(), state))),
    )?;
    host.sh(&format!(
        "cd {DIRECTORY}; rm goes.yaml; mkdir deep; mv moves.yaml deep/x.json.yaml"
    ))
    .ok()?;
    write(&host, "stops.yaml", &manifest("stops", &stops, false, ""))?;
    write(&host, "comes.yaml", &manifest("comes", &comes, true, ""))?;
    daemon.again()?;
    becomes(
        &host,
        &all(&[
            (&stays, "running"),
            (&stops, "stopped"),
            (&moves, "running"),
            (&comes, "running"),
        ]),
    )
}

#[test]
fn a_vm_is_made_anew_only_where_that_is_asked_for() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let web = uid(1);
    write(&host, "web.yaml", &manifest("web", &web, true, ""))?;
    let _daemon = Daemon::start(&host, &[])?;
    becomes(&host, &all(&[(&web, "running")]))?;
    let created = |host: &Host| -> Result<String> {
        let vm = host.ignite(["inspect", "vm", &web]).ok()?;
        let vm: serde_json::Value = serde_json::from_str(&vm)?;
        Ok(format!(
            "{} {}",
            vm["metadata"]["created"], vm["spec"]["memory"]
        ))
    };
    let before = created(&host)?;
    write(
        &host,
        "web.yaml",
        &manifest("web", &web, true, "  cpus: 2\n"),
    )?;
    faulty(&host, "web.yaml", &["spec.cpus", "1", "2"])?;
    assert_eq!(created(&host)?, before);
    becomes(&host, &all(&[(&web, "running")]))?;
    let more = "  cpus: 2\n  recreateOnChange: true\n";
    write(&host, "web.yaml", &manifest("web", &web, true, more))?;
    ignite_testkit::wait_until("the VM to be made anew", super::SETTLES, || {
        anyhow::ensure!(created(&host)? != before);
        Ok(())
    })?;
    becomes(&host, &all(&[(&web, "running")]))?;
    ignite_testkit::wait_until("the fault to go", super::SETTLES, || {
        let told = told(&host, "web.yaml")?;
        anyhow::ensure!(told["fault"].is_null(), "{told:#}");
        Ok(())
    })
}

#[test]
fn vms_are_ordinary_ones_and_come_back_as_the_file_says() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let web = uid(1);
    write(&host, "web.yaml", &manifest("web", &web, true, ""))?;
    let mut daemon = Daemon::start(&host, &["--id-prefix", "lab"])?;
    becomes(&host, &all(&[(&web, "running")]))?;
    assert!(host.has(&format!("/run/netns/lab-{web}"))?);
    host.ignite(["stop", "web"]).ok()?;
    becomes(&host, &all(&[(&web, "running")]))?;
    host.ignite(["rm", "-f", "web"]).ok()?;
    becomes(&host, &all(&[(&web, "running")]))?;
    // One that is nobody's stays nobody's.
    let own = host.ignite(["create", "--name", "own", "busy"]).ok()?;
    write(&host, "other.yaml", &manifest("own", &uid(2), true, ""))?;
    faulty(&host, "other.yaml", &["own", &own])?;
    host.sh(&format!("rm {DIRECTORY}/*")).ok()?;
    becomes(&host, &all(&[(&own, "created")]))?;
    let second = host.command(["ignited", "daemon"]).output()?;
    assert_eq!(second.code, 1, "{}", second.stderr);
    assert!(second.stderr.contains("hint:"), "{}", second.stderr);
    daemon.stop().map(drop)
}
