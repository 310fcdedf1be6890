//! `exec`, `logs`, and what a guest's command is given.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::{Host, boot, place, wait_until};
use serde_json::Value;

use crate::support::{BOOT, SOON, Vm};

#[test]
fn exec_keeps_streams_and_exit_codes_apart() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let output = vm
        .exec(&["sh", "-c", "echo out; echo err >&2; exit 5"])
        .output()?;
    assert_eq!(
        (output.code, output.stdout.as_str(), output.stderr.as_str()),
        (5, "out\n", "err\n")
    );
    assert_eq!(
        vm.exec(&["cat"]).stdin("through the guest").ok()?,
        "through the guest"
    );
    assert_eq!(vm.exec(&["no-such-program"]).output()?.code, 127);
    assert_eq!(vm.exec(&["/etc/passwd"]).output()?.code, 126);
    assert_eq!(vm.exec(&["sh", "-c", "kill -TERM $$"]).output()?.code, 143);
    // Words stay words.
    let line = vm.exec(&["echo x > /tmp/x"]).output()?;
    assert_eq!(line.code, 127);
    assert!(line.stderr.contains("put sh -c before it"), "{line:?}");
    assert_eq!(
        vm.exec(&["printf", "%s|", "a b", "c  d", "$HOME"]).ok()?,
        "a b|c  d|$HOME|"
    );
    assert_eq!(vm.exec(&["sh", "-c", "echo $FROM_IMAGE"]).ok()?, "yes");
    Ok(())
}

#[test]
fn exec_streams_megabytes_both_ways_unchanged() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let uid = &vm.uid;
    let script = format!(
        "head -c 16777216 /dev/urandom > /run/sent
         ignite exec {uid} -- cat < /run/sent > /run/back
         cmp /run/sent /run/back
         ignite exec {uid} -- sh -c 'cat > /sent' < /run/sent
         sum=$(sha256sum < /run/sent)
         test \"$sum\" = \"$(ignite exec {uid} -- sha256sum < /run/sent)\""
    );
    host.sh(&script).ok()?;
    Ok(())
}

#[test]
fn exec_ends_its_command_when_the_client_goes() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let mut client = vm
        .exec(&["sh", "-c", "echo here; exec sleep 4321"])
        .start()?;
    client.wait_for("here", SOON)?;
    vm.exec(&["sh", "-c", "ps | grep 'sleep 432[1]'"]).ok()?;
    drop(client);
    wait_until("the command to end", SOON, || {
        vm.exec(&["sh", "-c", "! ps | grep 'sleep 432[1]'"]).ok()
    })?;
    Ok(())
}

#[test]
fn input_streams_while_output_comes() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let mut client = vm
        .exec(&[
            "sh",
            "-c",
            "while read line; do echo got $line; done; echo end",
        ])
        .start()?;
    let mut stdin = client.take_stdin().context("a pipe")?;
    for word in ["one", "two"] {
        writeln!(stdin, "{word}")?;
        client.wait_for(&format!("got {word}"), SOON)?;
    }
    drop(stdin);
    client.wait_for("end", SOON)?;
    assert_eq!(client.wait(Duration::from_secs(10))?.code, 0);

    // What goes in is all that comes out, and all that is there.
    let text = "a line\nanother, with an end\n";
    for words in [&["tee", "afile.txt"][..], &["cat", "afile.txt"]] {
        let output = vm.exec(words).stdin(text).output()?;
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{words:?}");
        assert_eq!(output.stdout, text, "{words:?}");
    }
    Ok(())
}

/// Images that do not run as root write their logs there.
#[test]
fn a_user_opens_his_streams_by_their_names() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let script = "echo out > /dev/stdout; echo err > /dev/stderr; id -u";
    let exec = |words: &[&'static str]| {
        let mut argv = vec!["exec", "-u", "65534"];
        argv.extend(words);
        argv.extend([vm.uid.as_str(), "--", "sh", "-c", script]);
        host.ignite(argv)
    };
    let output = exec(&[]).output()?;
    let said = [output.stdout.as_str(), output.stderr.as_str()];
    ensure!(said == ["out\n65534\n", "err\n"], "{output}");
    let mut terminal = exec(&["-t"]).at_terminal(24, 80)?;
    for word in ["out", "err", "65534"] {
        terminal.wait_for(word, SOON)?;
    }
    Ok(())
}

/// The same of an image's own command, whose output is the console.
#[test]
fn a_commands_user_opens_the_console_by_name() -> Result<()> {
    let host = Host::new("alpha")?;
    let busy = place::image("busy")?;
    let layout = busy.strip_prefix("oci:").context("a layout")?;
    let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tools/oci.sh");
    let config = r#"{"User":"user","Env":["PATH=/bin"]}"#;
    host.sh(&format!(
        "zcat $(ls -S {layout}/blobs/sha256/* | head -n 1) >/run/root.tar
         {tool} /run/root.tar /run/image user '{config}'"
    ))
    .ok()?;
    let _slot = boot::slot()?;
    let script = "echo out > /dev/stdout; echo err > /dev/stderr; id -un; sleep 1000";
    host.ignite([
        "run",
        "--name",
        "dropped",
        "oci:/run/image",
        "--",
        "sh",
        "-c",
        script,
    ])
    .deadline(BOOT)
    .ok()?;
    wait_until("the command's words", SOON, || {
        let log = host.ignite(["logs", "dropped"]).ok()?;
        let said: Vec<&str> = log.split_whitespace().rev().take(3).collect();
        ensure!(said == ["user", "err", "out"], "{log}");
        Ok(())
    })
}

#[test]
fn exec_refuses_a_vm_that_does_not_run() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["--name", "idle"])?;
    // What fails here is not put on the VM.
    for (command, code, words) in [
        (
            "exec idle cat /etc/passwd >/dev/full",
            125,
            ["write the output", "hint: free"],
        ),
        ("exec idle cat </tmp", 125, ["read the input", "directory"]),
        (
            "logs idle >/dev/full",
            1,
            ["write the result", "hint: free"],
        ),
    ] {
        host.sh(&format!("exec ignite {command}"))
            .output()?
            .refused(code, &words)?;
    }
    vm.verb("stop")?;
    vm.exec(&["true"])
        .output()?
        .refused(125, &["idle", "ignite start"])?;
    host.ignite(["exec", "nobody", "--", "true"])
        .output()?
        .refused(125, &["nobody"])
}

#[test]
fn logs_show_the_console_and_follow_it() -> Result<()> {
    let host = Host::new("alpha")?;
    let script = "n=0; while :; do echo line $n; n=$((n+1)); sleep 1; done";
    let vm = Vm::run_script(&host, &["--name", "talker"], script)?;
    let mut follower = host.ignite(["logs", "-f", "talker"]).start()?;
    follower.wait_for("line 1", SOON)?;
    follower.wait_for("line 3", SOON)?;
    assert!(host.ignite(["logs", "talker"]).ok()?.contains("line 2"));
    vm.verb("kill")?;
    // The console has ended, and with it what follows it.
    assert_eq!(follower.wait(SOON)?.code, 0);
    assert!(host.ignite(["logs", "talker"]).ok()?.contains("line 2"));
    Ok(())
}

#[test]
fn a_command_gets_environment_user_and_directory_of_its_image() -> Result<()> {
    let host = Host::new("alpha")?;
    let script = "echo env=$FROM_IMAGE,$GIVEN,$TAKEN dir=$PWD user=$(id -u); sleep 1000";
    let image = place::image("busy")?;
    let options = [
        "--name",
        "envs",
        "-e",
        "GIVEN=a b",
        "-e",
        "TAKEN",
        "--memory",
        "128MB",
    ];
    let mut words = vec!["run"];
    words.extend(options);
    words.extend([image.as_str(), "--", "/bin/sh", "-c", script]);
    host.ignite(words)
        .env("TAKEN", "from here")
        .deadline(BOOT)
        .ok()?;
    wait_until("the command's words", SOON, || {
        let log = host.ignite(["logs", "envs"]).ok()?;
        ensure!(
            log.contains("env=yes,a b,from here dir=/home user=0"),
            "{log}"
        );
        Ok(())
    })
}

#[test]
fn listing_and_inspecting_have_formats_for_programs() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(
        &host,
        &[
            "--name",
            "web",
            "-l",
            "tier=front",
            "--cpus",
            "2",
            "--size",
            "1GB",
            "-p",
            "8080:80",
        ],
    )?;
    let listed: Value = serde_json::from_str(&host.ignite(["ps", "-o", "json"]).ok()?)?;
    assert_eq!(
        (&listed[0]["uid"], &listed[0]["name"]),
        (&vm.uid.as_str().into(), &"web".into())
    );
    let object = vm.inspect()?;
    assert_eq!(
        (&object["kind"], &object["metadata"]["name"]),
        (&"VM".into(), &"web".into())
    );
    assert_eq!(object["metadata"]["labels"]["tier"], "front");
    assert_eq!(
        (&object["spec"]["cpus"], &object["spec"]["diskSize"]),
        (&2.into(), &"1GB".into())
    );
    assert_eq!(object["spec"]["network"]["ports"][0]["hostPort"], 8080);
    assert_eq!(object["status"]["running"], true);
    assert!(
        host.ignite(["inspect", "vm", "web", "-o", "yaml"])
            .ok()?
            .contains("hostPort: 8080")
    );
    assert_eq!(host.ignite(["ps", "-q"]).ok()?, vm.uid);

    // What was asked for is what the guest has.
    assert_eq!(vm.exec(&["nproc"]).ok()?, "2");
    let size: u64 = vm
        .exec(&["sh", "-c", "df -k / | tail -1 | awk '{print $2}'"])
        .ok()?
        .parse()?;
    assert!((900_000..1_100_000).contains(&size), "{size} KiB");
    Ok(())
}

#[test]
fn timings_say_where_the_time_went() -> Result<()> {
    let host = Host::new("alpha")?;
    let _slot = ignite_testkit::boot::slot()?;
    let image = place::image("busy")?;
    let output = Vm::invocation(&host, &["--timings=json"], &image, &[])
        .deadline(BOOT)
        .output()?;
    let line = output
        .stderr
        .lines()
        .find(|line| line.starts_with('{'))
        .context("a line of JSON")?;
    let timings: Value = serde_json::from_str(line)?;
    assert!(timings.is_object(), "{line}");
    assert!(output.ok()?.len() == 16);
    Ok(())
}
