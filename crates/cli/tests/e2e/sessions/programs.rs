//! `exec -it`: a program of a VM with a person before it.

use anyhow::{Result, ensure};
use ignite_testkit::{Host, wait_until};
use rustix::process::Signal;

use super::{LEAVE, SIZE, ask, exec};
use crate::support::{SOON, Vm};

#[test]
fn a_shell_at_a_terminal_is_as_one_at_home() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let mut shell = exec(&vm, &["sh"])?;
    let (rows, columns) = SIZE;
    ask(&mut shell, "stty size; tty", &format!("{rows} {columns}"))?;
    shell.wait_for("/dev/pts/", SOON)?;
    ensure!(!shell.is_cooked()?, "keys are the guest's");
    ask(&mut shell, "echo term=$TERM.", "term=xterm.")?;

    // A size that changes while a program waits for it.
    // (A shell that is interactive is in the foreground only between its commands.)
    let script = r#"sh -c 'trap "echo size=\$(stty size)." WINCH; echo trap-$((1+1)); while :; do sleep 0.1; done'"#;
    ask(&mut shell, script, "trap-2")?;
    shell.resize(12, 34)?;
    shell.wait_for("size=12 34.", SOON)?;
    shell.type_in("\x03")?;
    ask(&mut shell, "echo on-$((1+1))", "on-2")?;

    // Ctrl-C ends what runs in the foreground, and nothing else.
    shell.type_in("sleep 1000; echo code=$?.\r")?;
    vm.wait_exec("sleep to run", &["pidof", "sleep"])?;
    shell.type_in("\x03")?;
    wait_until("sleep to end", SOON, || {
        let left = vm.exec(&["pidof", "sleep"]).output()?.code;
        ensure!(left == 1, "it runs");
        Ok(())
    })?;
    // Once as it is typed, and once from the program. What is typed before the shell gave the terminal
    // away is lost.
    ask(
        &mut shell,
        "echo in-$((1+1)); cat; echo cat-$((1+1))",
        "in-2",
    )?;
    ask(
        &mut shell,
        "grüße, 日本語 \u{1f5a5}",
        "grüße, 日本語 \u{1f5a5}",
    )?;
    shell.wait_for("grüße, 日本語 \u{1f5a5}", SOON)?;
    shell.type_in("\x04")?;
    shell.wait_for("cat-2", SOON)?;
    shell.type_in("exit 7\r")?;
    shell.ends_with(7, SOON)
}

#[test]
fn a_full_screen_editor_writes_what_was_typed() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let mut editor = exec(&vm, &["vi", "/root/note"])?;
    // Its status line, in the last row of this terminal.
    editor.wait_for(&format!("\x1b[{};1H", SIZE.0), SOON)?;
    editor.type_in("ifirst line\rsecond\x1b")?;
    editor.wait_for("second", SOON)?;
    editor.type_in(":wq\r")?;
    editor.ends_with(0, SOON)?;
    ensure!(vm.exec(&["cat", "/root/note"]).ok()? == "first line\nsecond");
    Ok(())
}

#[test]
fn who_leaves_lets_the_program_go_on() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let script = "echo up; while [ ! -e /tmp/stop ]; do echo noise; done; echo done > /tmp/end";
    let mut left = exec(&vm, &["sh", "-c", script])?;
    left.wait_for("up", SOON)?;
    left.type_in(LEAVE)?;
    left.ends_with(0, SOON)?;
    ensure!(left.shown().contains("goes on"), "{}", left.shown());
    ensure!(left.shown().contains("ignite top"), "{}", left.shown());
    // It goes on, though nobody reads what it prints.
    vm.exec(&["touch", "/tmp/stop"]).ok()?;
    vm.wait_exec("the program's end", &["cat", "/tmp/end"])?;

    // Other keys, from the flag or the environment; those of before are the program's then.
    let words = [
        "exec",
        "-it",
        "--detach-keys",
        "ctrl-a,d",
        &vm.uid,
        "--",
        "cat",
    ];
    let mut other = host.ignite(words).at_terminal(24, 80)?;
    other.type_in("\x10\x11x\r")?;
    other.wait_for("x", SOON)?;
    other.type_in("\x01d")?;
    other.ends_with(0, SOON)?;
    Ok(())
}

/// The flag beats the variable, which beats the file; an empty variable says nothing.
#[test]
fn the_keys_to_detach_with_are_chosen_in_three_places() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    host.write(
        "/etc/ignite/config.yaml",
        "apiVersion: ignite.weave.works/v1alpha4\nkind: Configuration\nspec: { detachKeys: '%' }\n",
    )?;
    for (flag, variable, key, others) in [
        (None, "", "%", "~^"),
        (None, "~", "~", "%^"),
        (Some("^"), "~", "^", "%~"),
    ] {
        let flag = flag.map(|keys| ["--detach-keys", keys]);
        let words = ["exec", "-it"]
            .into_iter()
            .chain(flag.into_iter().flatten());
        let mut cat = host
            .ignite(words.chain([vm.uid.as_str(), "--", "cat"]))
            .env("IGNITE_DETACH_KEYS", variable)
            .at_terminal(24, 80)?;
        ask(&mut cat, &format!("here{others}"), &format!("here{others}"))?;
        cat.type_in(key)?;
        cat.ends_with(0, SOON)?;
    }
    let shown = host
        .ignite(["config"])
        .env("IGNITE_DETACH_KEYS", "~")
        .ok()?;
    let line = shown.lines().find(|line| line.starts_with("detachKeys"));
    ensure!(
        line.is_some_and(|line| line.contains("IGNITE_DETACH_KEYS")),
        "{shown}"
    );
    host.ignite(["exec", "-t", &vm.uid, "true"])
        .env("IGNITE_DETACH_KEYS", "ctrl-1")
        .at_terminal(24, 80)?
        .ends_with(125, SOON)
}

#[test]
fn several_sessions_do_not_mix() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let mut shells = Vec::new();
    for number in 1..=3 {
        let mut shell = exec(&vm, &["sh"])?;
        ask(
            &mut shell,
            &format!("me=shell{number}; echo $me-$((0))"),
            &format!("shell{number}-0"),
        )?;
        shells.push(shell);
    }
    for (number, shell) in (1..).zip(&mut shells) {
        ask(shell, "echo ${me}_again", &format!("shell{number}_again"))?;
    }
    for (number, mut shell) in (1..).zip(shells) {
        shell.type_in(format!("exit {number}\r"))?;
        shell.ends_with(number, SOON)?;
    }
    Ok(())
}

#[test]
fn without_a_terminal_there_is_none_to_give() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    host.ignite(["exec", "-it", &vm.uid, "--", "sh"])
        .output()?
        .refused(125, &["not a TTY", "leave out -t"])?;
    host.ignite(["run", "-it", "no-such-image", "--", "sh"])
        .output()?
        .refused(125, &["not a TTY"])?;
    // Habits of Weave Ignite: a key, which nobody needs any more.
    host.ignite(["exec", "-i", "/root/id", &vm.uid, "ls"])
        .output()?
        .refused(2, &["takes no key"])?;
    let said = host.ignite(["exec", "-i", &vm.uid, "--", "cat"]);
    ensure!(said.stdin("piped").ok()? == "piped");
    let keys = ["exec", "--detach-keys", "ctrl-1", &vm.uid, "true"];
    host.ignite(keys).output()?.refused(2, &["ctrl-1"])
}

#[test]
fn signals_to_the_client_are_the_programs() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let script = "trap 'echo got it; exit 9' TERM; echo ready; while :; do sleep 0.1; done";
    let mut client = vm.exec(&["sh", "-c", script]).start()?;
    client.wait_for("ready", SOON)?;
    client.signal_alone(Signal::TERM)?;
    client.wait_for("got it", SOON)?;
    ensure!(client.wait(SOON)?.code == 9);

    // A second one ends the client, and the program with it.
    let script = "trap 'echo heard' INT; echo up; while :; do sleep 0.1; : 1234; done";
    let mut client = vm.exec(&["sh", "-c", script]).start()?;
    client.wait_for("up", SOON)?;
    client.signal_alone(Signal::INT)?;
    client.wait_for("heard", SOON)?;
    client.signal_alone(Signal::INT)?;
    ensure!(client.wait(SOON)?.code == 130);
    wait_until("the program's end", SOON, || {
        let left = vm.exec(&["sh", "-c", "ps | grep ': 123[4]'"]).output()?;
        ensure!(left.code == 1, "{}", left.stdout);
        Ok(())
    })
}
