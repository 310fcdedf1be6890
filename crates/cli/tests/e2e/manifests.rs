//! `--config`: VMs as manifests describe them, and what holds where a manifest says nothing.

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::Host;
use serde_json::Value;

const HEAD: &str = "apiVersion: ignite.weave.works/v1alpha4\nkind: VM\n";

/// A host with the stand-in VMM, and a manifest on it.
fn host(manifest: &str) -> Result<Host> {
    let host = Host::with_stand_in("alpha")?;
    host.write("/run/web.yaml", format!("{HEAD}{manifest}"))?;
    Ok(host)
}

fn inspect(host: &Host, vm: &str) -> Result<Value> {
    let text = host.ignite(["inspect", "vm", vm]).ok()?;
    serde_json::from_str(&text).with_context(|| format!("inspect printed {text}"))
}

#[test]
fn flags_beat_the_manifest_which_beats_variables_which_beat_the_file() -> Result<()> {
    let host = host(
        "metadata: { name: web, labels: { tier: front, by: file } }\n\
         spec: { image: { oci: busy }, memory: 1GB, env: [ A=manifest ],\n  \
         network: { ports: [ { hostPort: 8080, vmPort: 80 } ] } }\n",
    )?;
    host.write(
        "/etc/ignite/config.yaml",
        "apiVersion: ignite.weave.works/v1alpha4\nkind: Configuration\nspec: { vmDefaults: { \
         memory: 2GB, cpus: 2, diskSize: 3GB, env: [ A=file, B=file ] } }\n",
    )?;
    let create = |words: &[&str], variable: &str| -> Result<Value> {
        let uid = host
            .ignite(["create"].iter().chain(words))
            .env("IGNITE_VM_DEFAULTS", variable)
            .ok()?;
        let vm = inspect(&host, &uid)?;
        host.ignite(["rm", &uid]).ok()?;
        Ok(vm)
    };
    let shown = |vm: &Value| {
        let spec = &vm["spec"];
        format!(
            "{} {} {} {}",
            spec["memory"], spec["cpus"], spec["diskSize"], spec["env"]
        )
    };
    // Each with what it says, over all that says less.
    let variable = "{cpus: 4, memory: 1500MB}";
    let config = &["--config", "/run/web.yaml"][..];
    let flags = &[
        "--config",
        "/run/web.yaml",
        "--memory",
        "640MB",
        "-e",
        "C=flag",
    ];
    for (words, variable, as_made) in [
        (&["busy"][..], "", r#""2GB" 2 "3GB" ["A=file","B=file"]"#),
        (
            &["busy"],
            variable,
            r#""1500MB" 4 "3GB" ["A=file","B=file"]"#,
        ),
        (config, variable, r#""1GB" 4 "3GB" ["A=manifest"]"#),
        (flags, variable, r#""640MB" 4 "3GB" ["C=flag"]"#),
    ] {
        assert_eq!(shown(&create(words, variable)?), as_made, "{words:?}");
    }
    // What else is said twice is replaced.
    host.sh("mkdir /run/dir; ssh-keygen -q -t ed25519 -N '' -f /run/key")
        .ok()?;
    host.write(
        "/run/more.yaml",
        format!(
            "{HEAD}spec: {{ image: {{ oci: busy }}, ssh: true, copyFiles: [ {{ hostPath: /run/web.yaml, vmPath: /m }} ],\n  \
             storage: {{ volumes: [ {{ name: m, directory: {{ path: /run/dir }} }} ], \
             volumeMounts: [ {{ name: m, mountPath: /m1 }} ] }} }}\n"
        ),
    )?;
    let file = ["--config", "/run/more.yaml"];
    let seen = |vm: &Value| {
        let storage = &vm["spec"]["storage"]["volumeMounts"];
        let [copies, ssh] = ["copyFiles", "ssh"].map(|field| vm["spec"][field].to_string());
        (ssh, copies, storage.to_string())
    };
    let (ssh, copies, mounts) = seen(&create(&file, "")?);
    ensure!(
        copies.contains(r#""vmPath":"/m""#) && mounts.contains("/m1"),
        "{copies} {mounts}"
    );
    assert_eq!(ssh, "true");
    let flags = [
        "--ssh=/run/key.pub",
        "-f",
        "/run/key:/f",
        "-v",
        "/run/dir:/f1",
    ];
    let (ssh, copies, mounts) = seen(&create(&[&file[..], &flags].concat(), "")?);
    ensure!(
        copies.contains(r#""vmPath":"/f""#) && mounts.contains("/f1"),
        "{copies} {mounts}"
    );
    ensure!(
        !copies.contains(r#""/m""#) && !mounts.contains("/m1"),
        "{copies} {mounts}"
    );
    assert_eq!(ssh, r#""/run/key.pub""#);
    // Labels are added, ports replaced.
    let words = [
        "--config",
        "/run/web.yaml",
        "-l",
        "by=flag",
        "-l",
        "x=y",
        "-p",
        "1:2",
    ];
    let vm = create(&words, "")?;
    assert_eq!(
        vm["metadata"]["labels"].to_string(),
        r#"{"by":"flag","tier":"front","x":"y"}"#
    );
    assert_eq!(
        vm["spec"]["network"]["ports"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(vm["spec"]["network"]["ports"][0]["hostPort"], 1);
    Ok(())
}

#[test]
fn a_manifest_runs_a_vm_whatever_its_status_says() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    for (version, status) in [
        (
            "v1alpha2",
            "{ running: true, runtime: { id: old }, ipAddresses: [ 10.0.0.9 ] }",
        ),
        (
            "v1alpha3",
            "{ running: true, idPrefix: old, network: { plugin: docker-bridge } }",
        ),
        (
            "v1alpha4",
            "{ running: true, runtime: { id: old, name: docker } }",
        ),
    ] {
        let manifest = format!(
            r#"{{"apiVersion": "ignite.weave.works/{version}", "kind": "VM", "metadata": {{"name": "{version}"}},
            "spec": {{"image": {{"oci": "busy"}}}}, "status": {status}}}"#
        );
        let uid = host
            .ignite(["run", "--require-name", "--config", "-"])
            .stdin(manifest.as_str())
            .ok()?;
        let vm = inspect(&host, version)?;
        assert_eq!(vm["metadata"]["uid"], uid.as_str());
        assert_eq!(vm["status"]["running"], true);
        assert_eq!(vm["status"]["runtime"]["id"], format!("ignite-{uid}"));
        // And by the same text it goes.
        host.ignite(["rm", "-f", "--config", "-"])
            .stdin(manifest.as_str())
            .ok()?;
    }
    assert_eq!(host.ignite(["ps", "-aq"]).ok()?, "");
    Ok(())
}

#[test]
fn the_manifests_image_beats_the_one_of_the_command_line() -> Result<()> {
    let host = host("spec: { image: { oci: busy } }\n")?;
    let output = host
        .ignite(["create", "--config", "/run/web.yaml", "no-such-image"])
        .output()?;
    ensure!(
        output
            .stderr
            .contains("busy:latest is taken, not no-such-image"),
        "{}",
        output.stderr
    );
    let vm = inspect(&host, &output.ok()?)?;
    ensure!(
        vm["spec"]["image"]["oci"].to_string().contains("busy"),
        "{vm}"
    );
    // Without one in it, the one of the command line holds, and there must be one.
    host.write("/run/web.yaml", format!("{HEAD}spec: {{ cpus: 2 }}\n"))?;
    let uid = host
        .ignite(["create", "--config", "/run/web.yaml", "busy"])
        .ok()?;
    assert_eq!(inspect(&host, &uid)?["spec"]["cpus"], 2);
    for words in [
        &["create", "--config", "/run/web.yaml"][..],
        &["create"],
        &["run"],
    ] {
        host.ignite(words)
            .output()?
            .refused(2, &["no image", "hint:"])?;
    }
    host.ignite(["create", "--require-name", "busy"])
        .output()?
        .refused(2, &["--require-name", "--name NAME"])
}

#[test]
fn faults_of_a_manifest_name_the_file_and_the_line() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let image = "spec:\n  image: { oci: busy }\n";
    for (text, code, words) in [
        (
            format!("{HEAD}{image}  cpu: 2\n"),
            1,
            &["/run/web.yaml", "line 5", "`cpu`"][..],
        ),
        (
            format!("{HEAD}{image}  cpus: 77\n"),
            2,
            &["spec.cpus", "/run/web.yaml, line 5"],
        ),
        (
            format!("{HEAD}{image}  memory: 1.5GB\n"),
            1,
            &["/run/web.yaml", "line 5"],
        ),
        (String::new(), 1, &["/run/web.yaml", "empty", "hint:"]),
        ("kind: VM\n".into(), 1, &["apiVersion", "hint:"]),
        (
            HEAD.replace("VM", "Kernel") + "spec: {oci: a}\n",
            2,
            &["Kernel", "hint:"],
        ),
        (
            format!("{HEAD}{image}---\n{HEAD}"),
            1,
            &["line 6", "one file holds one"],
        ),
        ("x".repeat(2 << 20), 1, &["/run/web.yaml"]),
    ] {
        host.write("/run/web.yaml", text.as_str())?;
        let output = host
            .ignite(["create", "--config", "/run/web.yaml"])
            .output()?;
        output.refused(code, words)?;
    }
    host.ignite(["create", "--config", "/run/none.yaml"])
        .output()?
        .refused(1, &["/run/none.yaml"])?;
    assert_eq!(host.ignite(["ps", "-aq"]).ok()?, "");
    Ok(())
}

#[test]
fn rm_takes_the_vm_a_manifest_is_about_and_no_other() -> Result<()> {
    let host = host("metadata: { name: web }\nspec: { image: { oci: busy } }\n")?;
    let create = |name: &str| host.ignite(["create", "--name", name, "busy"]).ok();
    let (web, web2) = (create("web")?, create("web-2")?);
    let about = |metadata: &str| -> Result<_> {
        host.write(
            "/run/web.yaml",
            format!("{HEAD}metadata: {{ {metadata} }}\nspec: {{}}\n"),
        )?;
        host.ignite(["rm", "--config", "/run/web.yaml"]).output()
    };
    for (metadata, code, words) in [
        (
            format!("uid: {web2}, name: web"),
            1,
            &["web-2", "hint:"][..],
        ),
        (format!("uid: {}x", &web[..15]), 1, &["no VM", "hint:"]),
        ("name: we".into(), 1, &["no VM we"]),
        ("name: ''".into(), 2, &["neither"]),
        ("labels: { name: web }".into(), 2, &["neither"]),
    ] {
        about(&metadata)?.refused(code, words)?;
    }
    host.ignite(["rm", "--config", "/run/web.yaml", "web"])
        .output()?
        .refused(2, &["--config"])?;
    assert_eq!(host.ignite(["ps", "-aq"]).ok()?.lines().count(), 2);
    // One that runs only by force.
    host.ignite(["start", "web"]).ok()?;
    about("name: web")?.refused(1, &["running"])?;
    host.ignite(["rm", "-f", "--config", "/run/web.yaml"])
        .ok()?;
    assert_eq!(host.ignite(["ps", "-aq"]).ok()?, web2);
    let output = about(&format!("uid: {web2}, name: web-2"))?;
    assert_eq!(output.ok()?, web2);
    assert_eq!(host.ignite(["ps", "-aq"]).ok()?, "");
    Ok(())
}
