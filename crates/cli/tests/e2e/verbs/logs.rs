//! `logs`: the last lines, those since a moment, and when each line came.

use anyhow::{Result, ensure};
use ignite_testkit::{Host, wait_until};

use crate::support::{SOON, Vm};

const TALKS: &str = "n=0; while :; do echo line $n; n=$((n+1)); sleep 1; done";

/// The numbers of the lines of the script.
fn numbers(text: &str) -> Vec<u32> {
    let number = |line: &str| line.rsplit_once("line ")?.1.trim().parse().ok();
    text.lines().filter_map(number).collect()
}

#[test]
fn lines_are_taken_from_the_end_and_by_their_time() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run_script(&host, &["--name", "talker"], TALKS)?;
    let mut follower = host
        .ignite(["logs", "-f", "--tail", "0", "talker"])
        .start()?;
    follower.wait_for("line 4", SOON)?;
    let moment = host
        .command(["date", "-u", "+%Y-%m-%dT%H:%M:%S.%NZ"])
        .ok()?;
    follower.wait_for("line 8", SOON)?;
    vm.verb("kill")?;
    assert_eq!(follower.wait(SOON)?.code, 0);

    let logs = |options: &[&str]| {
        let words = ["logs"].into_iter().chain(options.iter().copied());
        host.ignite(words.chain(["talker"])).ok()
    };
    let all = numbers(&logs(&[])?);
    assert_eq!(numbers(&logs(&["--tail", "all"])?), all);
    let last = numbers(&logs(&["-n", "2"])?);
    assert_eq!(last, all[all.len() - last.len()..]);
    ensure!(!last.is_empty() && last.len() <= 2, "{last:?}");
    let since = numbers(&logs(&["--since", &moment])?);
    ensure!(
        since.first().is_some_and(|first| (4..=7).contains(first)),
        "{since:?}"
    );
    assert_eq!(since.last(), all.last());
    assert_eq!(numbers(&logs(&["--since", "0s"])?), Vec::<u32>::new());
    assert_eq!(numbers(&logs(&["--since", "1h"])?), all);

    let stamped = logs(&["-t", "--since", &moment])?;
    let mut before = String::new();
    for line in stamped.lines() {
        let (stamp, _) = line.split_once(' ').unwrap_or_default();
        ensure!(stamp.starts_with("20") && stamp.ends_with('Z'), "{line}");
        ensure!(before.as_str() <= stamp, "{before} before {stamp}");
        before = stamp.to_owned();
    }
    ensure!(before.as_str() > moment.as_str(), "{before} and {moment}");
    host.ignite(["logs", "--tail", "few", "talker"])
        .output()?
        .refused(2, &["few"])
}

/// The log is cut while somebody follows it: every line comes, and comes once.
#[test]
fn who_follows_through_a_cut_misses_nothing() -> Result<()> {
    let host = Host::new("alpha")?;
    let script = "sleep 5; x=$(head -c 1000 /dev/zero | tr '\\0' x); n=0; \
                  while [ $n -lt 6000 ]; do echo $x line $n; n=$((n+1)); done; echo over; sleep 1000";
    let vm = Vm::run_script(&host, &["--name", "flood"], script)?;
    let mut follower = host.ignite(["logs", "-f", "flood"]).start()?;
    follower.wait_for("over", SOON * 8)?;
    let heard = numbers(follower.said());
    let expected: Vec<u32> = (0..6000).collect();
    ensure!(
        heard == expected,
        "{} of 6000, in order: {}",
        heard.len(),
        heard.is_sorted()
    );
    let path = format!("/var/lib/ignite/vm/{}/console.log", vm.uid);
    wait_until("the log to be cut", SOON, || {
        let bytes: u64 = host.command(["stat", "-c", "%s", &path]).ok()?.parse()?;
        ensure!(bytes <= 4 << 20, "{bytes}");
        Ok::<(), anyhow::Error>(())
    })?;
    vm.verb("kill")
}

#[test]
fn a_console_of_an_earlier_version_says_so() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run_script(&host, &["--name", "old"], "echo line 0; sleep 1000")?;
    vm.verb("kill")?;
    host.sh(&format!("rm /var/lib/ignite/vm/{}/console.times", vm.uid))
        .ok()?;
    let told = host.ignite(["logs", "-t", "old"]).output()?;
    ensure!(told.stderr.contains("earlier version"), "{}", told.stderr);
    ensure!(told.ok()?.contains("- line 0"), "its line is shown");
    Ok(())
}
