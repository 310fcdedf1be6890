//! How VMs are called.

use anyhow::Result;
use ignite_testkit::{Host, place};

use crate::support::{SOON, Vm, nothing_left, two_hosts};

#[test]
fn names_and_uids_resolve_by_unique_prefix() -> Result<()> {
    let host = Host::new("alpha")?;
    let image = place::image("busy")?;
    for name in ["web", "web-two", "database"] {
        host.ignite(["create", "--quiet", "--name", name, &image])
            .ok()?;
    }
    let name_of = |text: &str| host.ignite(["inspect", "vm", text]).output();
    let uid = host
        .ignite(["ps", "-a", "-q"])
        .ok()?
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned();
    assert_eq!(name_of("web")?.code, 0, "an exact name wins over a prefix");
    assert_eq!(name_of("data")?.code, 0);
    assert_eq!(name_of(&uid[..12])?.code, 0);
    name_of("we")?.refused(1, &["web", "web-two"])?;
    name_of("nobody")?.refused(1, &["nobody"])?;
    assert_ne!(name_of("")?.code, 0);
    host.ignite(["rm", "web", "web-two", "database"]).ok()?;
    nothing_left(&host)
}

#[test]
fn a_name_that_is_taken_is_refused() -> Result<()> {
    let host = Host::new("alpha")?;
    let image = place::image("busy")?;
    host.ignite(["create", "--name", "web", &image]).ok()?;
    let output = Vm::invocation(&host, &["--name", "web"], &image, &[]).output()?;
    output.refused(1, &["web"])?;
    assert_eq!(host.ignite(["ps", "-a", "-q"]).ok()?.lines().count(), 1);
    host.ignite(["rm", "web"]).ok()?;
    nothing_left(&host)
}

#[test]
fn only_ids_are_printed_when_quiet() -> Result<()> {
    let host = Host::new("alpha")?;
    let image = place::image("busy")?;
    let created = host
        .ignite(["--quiet", "create", "--name", "web", &image])
        .output()?;
    assert_eq!(
        (created.code, created.stderr.as_str()),
        (0, ""),
        "{created}"
    );
    let uid = created.ok()?;
    let _slot = ignite_testkit::boot::slot()?;
    for verb in ["start", "stop", "rm"] {
        let output = host.ignite([verb, "-q", "web"]).output()?;
        assert_eq!(output.stderr, "", "{output}");
        assert_eq!(output.ok()?, uid, "{verb}");
    }
    nothing_left(&host)
}

#[test]
fn several_are_started_each_by_itself() -> Result<()> {
    let host = Host::new("alpha")?;
    let image = place::image("busy")?;
    for name in ["web", "db"] {
        host.ignite(["create", "--name", name, &image]).ok()?;
    }
    host.ignite(["start", "-i", "web", "db"])
        .output()?
        .refused(2, &["one console", "hint: "])?;
    let _slot = ignite_testkit::boot::slot()?;
    let output = host.ignite(["start", "web", "none", "db"]).output()?;
    output.refused(1, &["none"])?;
    assert_eq!(output.stdout.lines().count(), 2, "{output}");
    assert_eq!(host.ignite(["ps", "-q"]).ok()?.lines().count(), 2);
    host.ignite(["rm", "-f", "web", "db"]).ok()?;
    nothing_left(&host)
}

#[test]
fn who_detaches_needs_no_terminal() -> Result<()> {
    let host = Host::new("alpha")?;
    let image = place::image("busy")?;
    let _slot = ignite_testkit::boot::slot()?;
    let output = host.ignite(["run", "-dit", "--name", "web", &image]);
    let uid = output.ok()?;
    assert_eq!(host.ignite(["ps", "-q"]).ok()?, uid);
    host.ignite(["run", "--detach", "-i", "--name", "db", &image])
        .ok()?;
    assert_eq!(host.ignite(["ps", "-q"]).ok()?.lines().count(), 2);
    host.ignite(["rm", "-f", "web", "db"]).ok()?;
    nothing_left(&host)
}

#[test]
fn an_id_prefix_names_the_sandbox() -> Result<()> {
    let (_lan, host, world) = two_hosts()?;
    let _web = world.serve(&[8000])?;
    let mut names = world
        .helper(&["dns", "192.0.2.2", "web.example=192.0.2.2"])?
        .start()?;
    names.wait_for("serving", SOON)?;
    let vm = Vm::run(&host, &["--id-prefix", "lab", "--dns", "192.0.2.2"])?;
    assert!(
        host.sh("ip netns")
            .ok()?
            .contains(&format!("lab-{}", vm.uid))
    );
    // It goes out into the world by name, and is reached.
    vm.exec(&["wget", "-q", "-O", "/dev/null", "http://web.example:8000/"])
        .ok()?;
    let get = vm.exec(&["testkit-helper", "get", "192.0.2.2:8000"]);
    assert_eq!(get.ok()?, "world 8000 192.0.2.1");
    let service = format!("{}:80", vm.address()?);
    assert!(host.get(&service)?.starts_with(&vm.hostname()?));
    host.ignite(["rm", "-f", &vm.uid]).ok()?;
    nothing_left(&host)
}
