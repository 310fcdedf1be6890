//! The configuration file, the flags over it, and flags of older scripts.

use anyhow::{Result, ensure};
use ignite_testkit::{Host, Invocation, Output};
use serde_json::Value;

const HEAD: &str =
    "apiVersion: ignite.weave.works/v1alpha4\nkind: Configuration\nmetadata: { name: test }\n";

/// A host with the stand-in VMM and this configuration file.
fn host(path: &str, spec: &str) -> Result<Host> {
    let host = Host::with_stand_in("alpha")?;
    host.write(path, format!("{HEAD}{spec}"))?;
    Ok(host)
}

/// `create` with these words before the image; what the VM was made of.
fn spec(host: &Host, words: &[&str]) -> Result<(Value, String)> {
    let uid = host
        .ignite(["create"].iter().chain(words).chain(&["busy"]))
        .ok()?;
    let text = host.ignite(["inspect", "vm", &uid]).ok()?;
    Ok((serde_json::from_str(&text)?, uid))
}

fn sizes(vm: &Value) -> String {
    let spec = &vm["spec"];
    format!("{} {} {}", spec["memory"], spec["cpus"], spec["diskSize"])
}

#[test]
fn flags_beat_the_configuration_which_beats_the_defaults() -> Result<()> {
    let path = "/etc/ignite/config.yaml";
    let host = host(
        path,
        "spec: { idPrefix: lab, runtime: docker, networkPlugin: docker-bridge, vmDefaults: { memory: 2GB, diskSize: 3GB, cpus: 2, ssh: true } }\n",
    )?;
    let (vm, uid) = spec(&host, &[])?;
    assert_eq!(sizes(&vm), r#""2GB" 2 "3GB""#);
    assert_eq!(vm["status"]["idPrefix"], "lab");
    assert_eq!(vm["status"]["runtime"]["id"], format!("lab-{uid}"));
    assert_eq!(vm["spec"]["ssh"], true);
    let record = host.read(&format!("/var/lib/ignite/vm/{uid}/vm.json"))?;
    let record: Value = serde_json::from_str(&record)?;
    assert_eq!(record["networkPlugin"], "docker-bridge");
    let flags = [
        "--memory",
        "1GB",
        "--size",
        "1GB",
        "--cpus",
        "1",
        "--id-prefix",
        "x",
    ];
    let (vm, _) = spec(&host, &flags)?;
    assert_eq!(sizes(&vm), r#""1GB" 1 "1GB""#);
    assert_eq!(vm["status"]["idPrefix"], "x");
    // Another file in its place, before and after the command.
    host.write(
        "/run/other.yaml",
        format!("{HEAD}spec: {{ vmDefaults: {{ cpus: 4 }} }}\n"),
    )?;
    let (vm, _) = spec(&host, &["--ignite-config", "/run/other.yaml"])?;
    assert_eq!(sizes(&vm), r#""512MB" 4 "4GB""#);
    Ok(())
}

#[test]
fn a_configuration_that_is_none_is_refused_where_it_is_needed() -> Result<()> {
    let host = host("/run/good.yaml", "spec: {}\n")?;
    host.write("/run/empty.yaml", "")?;
    host.write(
        "/run/wrong.yaml",
        format!("{HEAD}spec: {{ networkPlugins: cni }}\n"),
    )?;
    for (file, words) in [
        (
            "/run/empty.yaml",
            &["/run/empty.yaml", "empty", "hint:"][..],
        ),
        ("/run/wrong.yaml", &["networkPlugins", "line 4"]),
        ("/run/none.yaml", &["/run/none.yaml", "hint:"]),
    ] {
        let output = host
            .ignite(["create", "--ignite-config", file, "busy"])
            .output()?;
        ensure!(output.code == 1, "{}", output.stderr);
        for word in words {
            ensure!(
                output.stderr.contains(word),
                "no {word:?} in {}",
                output.stderr
            );
        }
        // Who only reads needs none.
        host.ignite(["ps", "--ignite-config", file]).ok()?;
        // Nor does a supervisor whose VM has ended.
        let release = ["internal", "release", "0123456789abcdef"];
        host.ignite(release.iter().chain(&["--ignite-config", file]))
            .ok()?;
    }
    Ok(())
}

#[test]
fn words_of_older_scripts_are_taken_with_one_warning() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let told = |words: &[&str], flag: &str| -> Result<Output> {
        let output = Invocation::output(host.ignite(words.iter().copied()))?;
        let warnings: Vec<&str> = output
            .stderr
            .lines()
            .filter(|line| line.starts_with("warning:"))
            .collect();
        ensure!(
            warnings.len() == 1 && warnings[0].contains(flag),
            "{output}"
        );
        Ok(output)
    };
    let warned = |words: &[&str], flag: &str| -> Result<()> {
        let output = told(words, flag)?;
        ensure!(output.code == 0, "{output}");
        ensure!(output.stdout.trim().len() == 16, "{output}");
        Ok(())
    };
    warned(
        &["--runtime=docker", "run", "--name", "a", "busy"],
        "--runtime",
    )?;
    warned(&["run", "--runtime", "containerd", "busy"], "--runtime")?;
    warned(
        &["create", "--sandbox-image=weaveworks/ignite:dev", "busy"],
        "--sandbox-image",
    )?;
    host.ignite(["stop", "a"]).ok()?;
    warned(
        &["start", "a", "--runtime=docker", "--network-plugin=cni"],
        "--runtime",
    )?;
    let checks = "--ignore-preflight-checks";
    warned(&["run", checks, "all", "busy"], checks)?;
    warned(&["restart", "--ignore-preflight-checks=all", "a"], checks)?;
    host.ignite(["stop", "a"]).ok()?;
    warned(&["start", checks, "all", "a"], checks)?;
    // What they were to do is of no matter here.
    for kind in ["image", "kernel"] {
        let words = [kind, "import", "--runtime=docker", "dir:/none"];
        let output = told(&words, "--runtime")?;
        ensure!(output.code != 0, "{output}");
    }
    let daemon = [
        "ignited",
        "daemon",
        "--runtime=docker",
        "--ignite-config=/none",
    ];
    let daemon = host.command(daemon).output()?;
    daemon.refused(1, &["--runtime is not used", "/none"])?;
    host.ignite(["stop", "a"]).ok()?;
    told(
        &["exec", "--identity", "key", "--timeout", "5", "a", "true"],
        "--identity and --timeout",
    )?
    .refused(125, &["not running"])
}

#[test]
fn every_value_says_where_it_came_from() -> Result<()> {
    let host = host(
        "/etc/ignite/config.yaml",
        "spec:\n  idPrefix: lab\n  networkPlugin: docker-bridge\n  vmDefaults:\n    cpus: 3\n",
    )?;
    let output = host
        .ignite(["config", "--id-prefix=x", "-o", "json"])
        .env("IGNITE_VM_DEFAULTS", "memory: 3GB")
        .env("IGNITE_LOG_LEVEL", "error")
        .env("IGNITE_DATA_DIR", "/run/data")
        .output()?;
    let settings: Value = serde_json::from_str(&output.ok()?)?;
    let settings = settings.as_array().expect("a list");
    for (name, value, from) in [
        (
            "idPrefix",
            r#""x""#,
            r#"{"kind":"flag","name":"--id-prefix"}"#,
        ),
        (
            "networkPlugin",
            r#""docker-bridge""#,
            r#"{"kind":"file","path":"/etc/ignite/config.yaml","line":6}"#,
        ),
        (
            "vmDefaults.cpus",
            "3",
            r#"{"kind":"file","path":"/etc/ignite/config.yaml","line":8}"#,
        ),
        (
            "vmDefaults.memory",
            r#""3GB""#,
            r#"{"kind":"variable","name":"IGNITE_VM_DEFAULTS"}"#,
        ),
        ("vmDefaults.diskSize", r#""4GB""#, r#"{"kind":"builtIn"}"#),
        (
            "dataDir",
            r#""/run/data""#,
            r#"{"kind":"variable","name":"IGNITE_DATA_DIR"}"#,
        ),
        (
            "logLevel",
            r#""error""#,
            r#"{"kind":"variable","name":"IGNITE_LOG_LEVEL"}"#,
        ),
        ("quiet", "false", r#"{"kind":"builtIn"}"#),
    ] {
        let found = settings.iter().find(|it| it["name"] == name);
        let found = found.unwrap_or_else(|| panic!("no {name} in {settings:?}"));
        assert_eq!(
            (found["value"].to_string(), found["from"].to_string()),
            (value.to_owned(), from.to_owned()),
            "{name}"
        );
    }
    let table = host.ignite(["config", "show"]).ok()?;
    ensure!(table.contains("/etc/ignite/config.yaml:5"), "{table}");
    Ok(())
}

#[test]
fn variables_are_read_strictly_and_a_misspelt_one_is_told() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    for (name, value, code) in [
        ("IGNITE_VM_DEFAULTS", "{cpu: 2}", 1),
        ("IGNITE_VMM", "xen", 1),
        ("IGNITE_ID_PREFIX", "A B", 1),
        ("IGNITE_VMM_USERS", "{first: 1}", 1),
        ("IGNITE_LOG_LEVEL", "loud", 2),
    ] {
        host.ignite(["create", "busy"])
            .env(name, value)
            .output()?
            .refused(code, &[name, "hint:"])?;
    }
    let output = host
        .ignite(["create", "busy"])
        .env("IGNITE_ID_PREFX", "lab")
        .output()?;
    ensure!(
        output.stderr.contains("is IGNITE_ID_PREFIX meant?"),
        "{}",
        output.stderr
    );
    // A variable that is empty is none.
    let uid = output.ok()?;
    host.ignite(["rm", &uid]).env("IGNITE_ID_PREFIX", "").ok()?;
    Ok(())
}

#[test]
fn the_log_says_as_much_as_is_asked_for() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let uid = host.ignite(["create", "busy"]).ok()?;
    let start = |level: &str| -> Result<String> {
        let output = host
            .ignite(["--log-level", level, "start", &uid])
            .output()?;
        assert_eq!(output.stdout.trim(), uid, "the log is on standard error");
        let lines = output.stderr.clone();
        output.ok()?;
        host.ignite(["kill", &uid]).ok()?;
        Ok(lines)
    };
    let (much, little) = (start("debug")?, start("error")?);
    ensure!(much.contains(" DEBUG "), "{much}");
    for word in ["DEBUG", "INFO", "WARN"] {
        ensure!(!little.contains(word), "{little}");
    }
    host.ignite(["--log-level", "loud", "ps"])
        .output()?
        .refused(2, &["loud", "--log-level"])
}
