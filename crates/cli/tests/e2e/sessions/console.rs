//! `run -it`, `start -i` and `attach`: a VM's console with people before it.

use anyhow::{Result, ensure};
use ignite_testkit::{Host, boot, place, wait_until};

use super::{LEAVE, SIZE, ask, at_terminal, attach, with_shell};
use crate::support::{BOOT, SMALL, SOON, nothing_left};

/// Whatever is written to /tmp is in /run/written.
const CATCH: &str = "mkdir -m 1777 /run/written; mkdir /run/work
mount -t overlay overlay -o lowerdir=/tmp,upperdir=/run/written,workdir=/run/work /tmp
touch /tmp/ignite-caught; rm /run/written/ignite-caught";

#[test]
fn run_sits_down_before_the_console_and_ends_with_the_command() -> Result<()> {
    let host = Host::new("alpha")?;
    let _slot = boot::slot()?;
    let image = place::image("busy")?;
    let words = [
        "run", "-it", "--rm", "--name", "seat", "--memory", SMALL, &image, "--",
    ];
    let script = "echo size=$(stty size).; echo term=$TERM.; echo cat begins; cat; exec sh";
    let command = ["sh", "-c", script];
    let mut seat = at_terminal(host.ignite(words.iter().chain(&command).copied()))?;
    // Nothing the command prints is lost, though it began before anybody could see it.
    seat.wait_for(&format!("size={} {}.", SIZE.0, SIZE.1), BOOT)?;
    seat.wait_for("term=xterm.", SOON)?;
    seat.wait_for("cat begins", SOON)?;
    ask(&mut seat, "wörld, 世界", "wörld, 世界")?;
    seat.wait_for("wörld, 世界", SOON)?;
    seat.type_in("\x04")?;
    // Before that an interrupt would be for who is about to become the shell. It has a terminal that
    // controls it.
    seat.wait_for("# ", SOON)?;
    // Who has said something is in the foreground.
    let sleep = "sh -c 'echo in-$((1+1)); exec sleep 1000'";
    ask(&mut seat, sleep, "in-2")?;
    seat.type_in("\x03")?;
    ask(&mut seat, "echo code=$?.", "code=130.")?;
    // A shell that is interactive is in the foreground only between its commands.
    let script = r#"sh -c 'trap "echo size=\$(stty size)." WINCH; echo trap-$((1+1)); while :; do sleep 0.1; done'"#;
    ask(&mut seat, script, "trap-2")?;
    seat.resize(20, 60)?;
    seat.wait_for("size=20 60.", SOON)?;
    seat.type_in("\x03")?;
    seat.type_in("exit 5\r")?;
    seat.ends_with(5, SOON)?;
    nothing_left(&host)
}

#[test]
fn who_leaves_comes_back_and_is_not_alone() -> Result<()> {
    let host = Host::new("alpha")?;
    host.sh(CATCH).ok()?;
    let vm = with_shell(&host, &["--name", "den"])?;
    let mut first = attach(&vm)?;
    ask(&mut first, "echo first-$((1+1))", "first-2")?;
    let mut second = attach(&vm)?;
    ask(&mut second, "echo second-$((1+1))", "second-2")?;
    // Both see both.
    first.wait_for("second-2", SOON)?;
    first.type_in(LEAVE)?;
    first.ends_with(0, SOON)?;
    ensure!(first.shown().contains("detached"), "{}", first.shown());
    let mut third = attach(&vm)?;
    ask(&mut third, "echo here-$((1+1))", "here-2")?;
    ask(&mut second, "echo third-$((1+1))", "third-2")?;
    third.wait_for("third-2", SOON)?;
    // What came before is in the logs.
    ensure!(!third.shown().contains("first-2"), "{}", third.shown());
    ensure!(host.ignite(["logs", "den"]).ok()?.contains("first-2"));
    let mut only_looks = host.ignite(["attach", "--no-stdin", "den"]).start()?;
    wait_until("who only looks to see", SOON, || {
        second.type_in("echo look-$((1+1))\r")?;
        ensure!(only_looks.said().contains("look-2"));
        Ok(())
    })?;
    second.type_in("exit 3\r")?;
    second.ends_with(3, SOON)?;
    third.ends_with(3, SOON)?;
    ensure!(only_looks.wait(SOON)?.code == 3);
    let written = host.sh("find /run/written -mindepth 1").ok()?;
    ensure!(written.is_empty(), "written to /tmp: {written}");
    host.ignite(["attach", "den"])
        .output()?
        .refused(125, &["not running", "ignite start"])
}

#[test]
fn start_sits_down_as_well() -> Result<()> {
    let host = Host::new("alpha")?;
    let image = place::image("busy")?;
    let words = [
        "create", "--name", "later", "--memory", SMALL, &image, "--", "sh",
    ];
    host.ignite(words).ok()?;
    let _slot = boot::slot()?;
    let mut seat = at_terminal(host.ignite(["start", "-ai", "later"]))?;
    seat.wait_for("# ", BOOT)?;
    ask(&mut seat, "stty size", &format!("{} {}", SIZE.0, SIZE.1))?;
    seat.type_in(LEAVE)?;
    seat.ends_with(0, SOON)?;
    ensure!(host.ignite(["ps", "-q"]).ok()?.len() == 16);
    Ok(())
}

#[test]
fn input_from_a_pipe_reaches_the_command_with_its_end() -> Result<()> {
    let host = Host::new("alpha")?;
    let _slot = boot::slot()?;
    let image = place::image("busy")?;
    let script = "read a; read b; echo sum=$((a+b)).; cat; exit 4";
    let words = [
        "run", "-i", "--rm", "--memory", SMALL, &image, "--", "sh", "-c", script,
    ];
    let output = host
        .ignite(words)
        .stdin("20\n3\nrest\n")
        .deadline(BOOT)
        .output()?;
    ensure!(output.code == 4, "{output}");
    ensure!(output.stdout.contains("sum=23."), "{output}");
    nothing_left(&host)
}
