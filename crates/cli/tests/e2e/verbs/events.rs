//! `events`: what happens to a VM, as it happens and afterwards.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, place};
use serde_json::Value;

use crate::support::{SOON, Vm};

/// The events of a VM, each as one word.
fn words(text: &str) -> Result<Vec<String>> {
    let word = |line: &str| {
        let event: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        Ok(event["event"].as_str().unwrap_or_default().to_owned())
    };
    text.lines().map(word).collect()
}

#[test]
fn a_life_is_told_from_its_beginning_to_its_end() -> Result<()> {
    let host = Host::new("alpha")?;
    let mut follower = host.ignite(["events"]).start()?;
    let vm = Vm::run(&host, &["--name", "web"])?;
    follower.wait_for("vm ready", SOON)?;
    host.ignite(["pause", "web"]).ok()?;
    host.ignite(["unpause", "web"]).ok()?;
    host.ignite(["update", "web", "--net-rate", "80Mbit"])
        .ok()?;
    host.ignite(["rename", "web", "old"]).ok()?;
    host.ignite(["kill", "old"]).ok()?;
    host.ignite(["rm", "old"]).ok()?;
    let last = follower.wait_for("vm remove", SOON)?;
    ensure!(
        last.contains(&vm.uid) && last.contains("name=old"),
        "{last}"
    );
    ensure!(
        follower.said().contains("oldName=web"),
        "{}",
        follower.said()
    );
    follower.signal(rustix::process::Signal::INT)?;
    follower.wait(SOON)?;

    let told = ["events", "--since", "1h", "--until", "0s", "-o", "json"];
    let mut events = words(&host.ignite(told).ok()?)?;
    // Whoever waits for the end writes beside whoever releases the network.
    let tail = events.split_off(events.len().saturating_sub(4));
    let expected = [
        "create", "start", "attach", "ready", "pause", "unpause", "update", "rename",
    ];
    assert_eq!(events, expected);
    let mut sorted = tail.clone();
    sorted.sort();
    assert_eq!(sorted, ["detach", "die", "kill", "remove"], "{tail:?}");
    assert_eq!(tail.last().map(String::as_str), Some("remove"));

    let of = |filters: &[&str]| {
        let filters = filters.iter().flat_map(|filter| ["-f", filter]);
        words(&host.ignite(told.into_iter().chain(filters)).ok()?)
    };
    assert_eq!(of(&["event=die", "exitCode=137", "end=killed"])?, ["die"]);
    assert_eq!(of(&["event=die", "exitCode=0"])?, [""; 0]);
    assert_eq!(of(&["vm=old", "event=create", "event=remove"])?, ["remove"]);
    assert_eq!(of(&["vm=old", "event=die"])?, ["die"]);
    assert_eq!(
        of(&[&format!("vm={}", &vm.uid[..6]), "event=create"])?,
        ["create"]
    );
    host.ignite(["events", "-f", "colour=red"])
        .output()?
        .refused(2, &["colour=red"])
}

const LOG: &str = "/var/lib/ignite/events.log";

/// Leaves so many bytes in the file before it is replaced.
fn fill(host: &Host, room: usize) -> Result<String> {
    let script = format!(
        "head -c $(({} - $(stat -c %s {LOG}))) /dev/zero | tr '\\0' x >>{LOG}",
        (1 << 20) - room
    );
    host.sh(&script).ok()
}

/// Who stands still while three files are filled is told that he missed something.
#[test]
fn what_is_lost_is_said() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    host.ignite(["create", "--name", "first", "busy"]).ok()?;
    let mut follower = host.ignite(["events", "--since", "1h"]).start()?;
    follower.wait_for("name=first", SOON)?;
    follower.signal(rustix::process::Signal::STOP)?;
    for name in ["second", "third", "fourth"] {
        fill(&host, 10)?;
        host.ignite(["create", "--name", name, "busy"]).ok()?;
    }
    follower.resume();
    follower.wait_for("name=fourth", SOON)?;
    follower.signal(rustix::process::Signal::INT)?;
    let told = follower.wait(SOON)?;
    ensure!(
        told.stderr.matches("events are missing").count() == 1,
        "{told}"
    );
    ensure!(
        !told.stdout.contains("name=second") && told.stdout.contains("name=third"),
        "{told}"
    );
    Ok(())
}

/// The file is replaced while somebody follows; a line that was torn is passed over.
#[test]
fn a_rotation_loses_nothing() -> Result<()> {
    let host = Host::new("alpha")?;
    host.ignite(["create", "--name", "first", &place::image("busy")?])
        .ok()?;
    let mut follower = host.ignite(["events", "--since", "1h"]).start()?;
    follower.wait_for("name=first", SOON)?;
    // Only whole lines of ours count; the rest makes the file full, but for one event or two.
    fill(&host, 300)?;
    for name in ["second", "third", "fourth"] {
        host.ignite(["create", "--name", name, &place::image("busy")?])
            .ok()?;
        follower.wait_for(&format!("name={name}"), SOON)?;
    }
    ensure!(host.has(&format!("{LOG}.1"))?, "it was not replaced");
    let all = host
        .ignite([
            "events",
            "--since",
            "1h",
            "--until",
            "0s",
            "-f",
            "event=create",
        ])
        .ok()?;
    let names: Vec<&str> = all
        .lines()
        .filter_map(|line| line.split_once("name=")?.1.split([',', ')']).next())
        .collect();
    assert_eq!(names, ["first", "second", "third", "fourth"]);
    follower.signal(rustix::process::Signal::INT)?;
    follower.wait(SOON).map(drop)
}
