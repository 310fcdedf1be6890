//! `ps`, `inspect` and the lists: which objects are shown, and how.

use anyhow::{Result, ensure};
use ignite_testkit::{Host, place, wait_until};
use serde_json::Value;

use crate::support::{BOOT, SMALL, SOON, Vm, nothing_left};

/// A host with the stand-in VMM, and VMs that were created in this order.
fn created(vms: &[(&str, &[&str])]) -> Result<Host> {
    let host = Host::with_stand_in("alpha")?;
    let image = place::image("busy")?;
    for (name, options) in vms {
        let mut words = vec!["create", "--name", name];
        words.extend(*options);
        words.push(&image);
        host.ignite(words).ok()?;
    }
    Ok(host)
}

/// The names `ps` prints with these words, in their order by name.
fn names(host: &Host, words: &[&str]) -> Result<Vec<String>> {
    let template = ["ps", "-t", "{{.ObjectMeta.Name}}"];
    let text = host.ignite(template.iter().chain(words).copied()).ok()?;
    let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
    names.sort();
    Ok(names)
}

#[test]
fn a_vm_without_a_name_is_found_by_its_label() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["--label", "testName=TestRunWithoutName"])?;
    let filter = "--filter={{.ObjectMeta.Labels}}=~testName:TestRunWithoutName";
    let name = host
        .ignite(["ps", filter, "--template={{.ObjectMeta.Name}}"])
        .ok()?;
    ensure!(name.contains('-') && !name.contains('\n'), "{name:?}");
    let by_name = format!("{{{{.ObjectMeta.Name}}}}={name}");
    let uid = host
        .ignite(["ps", "-a", "-f", &by_name, "-t", "{{.ObjectMeta.UID}}"])
        .ok()?;
    assert_eq!(uid, vm.uid);

    // Running is what is so, whatever was recorded.
    let line =
        "'{{.Status.Running}} {{.Spec.Memory}} {{.Spec.CPUs}} {{.Spec.DiskSize}} {{.Spec.SSH}}'";
    assert_eq!(
        host.ignite(["ps", "-t", line]).ok()?,
        "'true 128.0 MB 1 4.0 GB <nil>'"
    );
    assert_eq!(
        names(&host, &["-f", "{{.Status.Running}}=true"])?,
        std::slice::from_ref(&name)
    );
    assert_eq!(names(&host, &["-a", "-f", "status=exited"])?, [""; 0]);
    let address = vm.address()?;
    let shown = host
        .ignite([
            "inspect",
            "vm",
            &name,
            "-t",
            "{{.Status.Network.IPAddresses}}",
        ])
        .ok()?;
    assert_eq!(shown, address);
    let shown = host
        .ignite(["ps", "--format", "{{.Names}}: {{.Status}}"])
        .ok()?;
    ensure!(shown.starts_with(&format!("{name}: Up ")), "{shown}");

    vm.verb("stop")?;
    assert_eq!(
        names(&host, &["-f", "status=exited"])?,
        std::slice::from_ref(&name)
    );
    assert_eq!(names(&host, &["-f", "{{.Status.Running}}=true"])?, [""; 0]);
    host.ignite(["rm", &name]).ok()?;
    nothing_left(&host)
}

/// TestVMStartNonDefaultProvider: what runs it, and which network plugin.
#[test]
fn templates_show_what_runs_a_vm() -> Result<()> {
    let host = created(&[("web", &["--memory", SMALL])])?;
    let template = "{{.Status.Runtime.Name}} {{.Status.Network.Plugin}} {{.Status.IDPrefix}}";
    let shown = || host.ignite(["inspect", "vm", "web", "-t", template]).ok();
    assert_eq!(shown()?, " cni ignite", "nothing runs it yet");
    host.ignite(["start", "web"]).deadline(BOOT).ok()?;
    ensure!(
        shown()?.ends_with(" cni ignite") && !shown()?.starts_with(' '),
        "{}",
        shown()?
    );
    // A template wins over a form.
    let both = host
        .ignite(["inspect", "-o", "yaml", "-t", "{{.Name}}", "web"])
        .ok()?;
    assert_eq!(both, "web");
    host.ignite(["rm", "-f", "web"]).ok()?;
    nothing_left(&host)
}

#[test]
fn filters_of_weave_ignite_and_of_docker() -> Result<()> {
    let host = created(&[
        (
            "web-1",
            &["-l", "app=web", "-l", "tier=front", "-p", "8080:80"],
        ),
        ("web-2", &["-l", "app=web", "--cpus", "2"]),
        ("db", &["-l", "app=db", "--memory", "1GB"]),
    ])?;
    host.ignite(["start", "db"]).deadline(BOOT).ok()?;
    assert_eq!(names(&host, &[])?, ["db"]);
    let uid = host.ignite(["ps", "-q"]).ok()?;
    let id = format!("id={}", &uid[..6]);
    let cases: [(&[&str], &[&str]); 17] = [
        (&["-a"], &["db", "web-1", "web-2"]),
        (
            &["-a", "-f", "{{.ObjectMeta.Name}}=~web"],
            &["web-1", "web-2"],
        ),
        (
            &["-a", "-f", "{{.ObjectMeta.Name}}=~web,{{.Spec.CPUs}}=2"],
            &["web-2"],
        ),
        (&["-a", "-f", "{{.Spec.Memory}}=~1024"], &["db"]),
        (
            &["-a", "-f", "{{.Status.Running}}!=true"],
            &["web-1", "web-2"],
        ),
        (&["-f", "{{.ObjectMeta.Name}}=~web"], &[]),
        (&["-a", "-f", "name=web"], &["web-1", "web-2"]),
        (
            &["-a", "-f", "label=app=web", "-f", "label=tier"],
            &["web-1"],
        ),
        (&["-f", "status=created"], &["web-1", "web-2"]),
        (&["-f", "status=running"], &["db"]),
        (&["-a", "-f", "publish=80"], &["web-1"]),
        (&["-a", "-f", "ancestor=busy"], &["db", "web-1", "web-2"]),
        (&["-a", "-f", "ancestor=busy:2"], &[]),
        (&["-a", "-f", "since=web-1"], &["db", "web-2"]),
        (&["-a", "-f", "before=db"], &["web-1", "web-2"]),
        (&["-a", "-f", &id, "-f", "{{.Spec.CPUs}}=1"], &["db"]),
        (&["-n", "2"], &["db", "web-2"]),
    ];
    for (words, expected) in cases {
        assert_eq!(names(&host, words)?, expected, "{words:?}");
    }
    assert_eq!(names(&host, &["--latest"])?, ["db"]);
    let quiet = host.ignite(["ps", "-a", "-q", "-f", "name=db"]).ok()?;
    assert_eq!(quiet, uid);
    let json = host
        .ignite(["ps", "-a", "-o", "json", "-f", "name=web-1"])
        .ok()?;
    let json: serde_json::Value = serde_json::from_str(&json)?;
    assert_eq!(
        (json.as_array().map(Vec::len), &json[0]["name"]),
        (Some(1), &"web-1".into())
    );
    let wide = host.ignite(["ps", "-a", "-o", "wide", "--no-trunc"]).ok()?;
    ensure!(
        wide.contains("LABELS") && wide.contains("app=web, tier=front"),
        "{wide}"
    );
    let table = host.ignite(["vm", "ls", "-f", "name=web-1"]).ok()?;
    ensure!(
        table.contains("web-1") && !table.contains("web-2"),
        "{table}"
    );
    let columns = host
        .ignite([
            "ps",
            "-a",
            "-f",
            "name=db",
            "--format",
            r#"table {{.Names}}\t{{.Label "app"}}"#,
        ])
        .ok()?;
    assert_eq!(columns, "NAMES   LABEL\ndb      db");
    host.ignite(["rm", "-f", "db", "web-1", "web-2"]).ok()?;
    nothing_left(&host)
}

#[test]
fn objects_of_any_kind_are_inspected() -> Result<()> {
    let host = created(&[("web", &[]), ("db", &[])])?;
    let image = host
        .ignite(["inspect", "web", "-t", "{{.Spec.Image.OCI}}"])
        .ok()?;
    let name = format!("name=^{image}$");
    let uid = host
        .ignite(["images", "-f", &name, "-t", "{{.UID}}"])
        .ok()?;
    let shown = host
        .ignite(["inspect", &uid, "-t", "{{.Kind}} {{.ID}}"])
        .ok()?;
    assert_eq!(shown, format!("Image {uid}"));
    let kernels = host
        .ignite(["kernels", "-t", "{{.UID}} {{.Version}}"])
        .ok()?;
    let kernel = kernels.lines().next().unwrap_or_default();
    let (uid, version) = kernel.split_once(' ').unwrap_or_default();
    let shown = host
        .ignite(["inspect", "KERNEL", uid, "-t", "{{.Status.Version}}"])
        .ok()?;
    assert_eq!(shown, version);

    assert_eq!(
        host.ignite(["inspect", "web", "db", "-t", "{{.Name}}"])
            .ok()?,
        "web\ndb"
    );
    let both: serde_json::Value =
        serde_json::from_str(&host.ignite(["inspect", "vm", "web", "db"]).ok()?)?;
    assert_eq!(both[1]["metadata"]["name"], "db");
    let json = host
        .ignite(["inspect", "web", "-t", "{{json .Spec}}"])
        .ok()?;
    let whole: serde_json::Value = serde_json::from_str(&host.ignite(["inspect", "web"]).ok()?)?;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&json)?,
        whole["spec"]
    );

    // One that is missing is in the way of no other.
    let some = host
        .ignite(["inspect", "nobody", "web", "-t", "{{.Name}}"])
        .output()?;
    some.refused(1, &["no VM, image, kernel or network \"nobody\""])?;
    assert_eq!(some.stdout.trim(), "web");
    host.ignite(["inspect", "pool", "web"])
        .output()?
        .refused(1, &["pool"])?;
    // The beginning of several.
    let uids = host.ignite(["ps", "-a", "-q"]).ok()?;
    ensure!(uids.lines().count() == 2, "{uids}");
    host.ignite(["inspect", ""])
        .output()
        .map(|it| assert_ne!(it.code, 0))?;
    host.ignite(["rm", "web", "db"]).ok().map(drop)
}

#[test]
fn networks_are_selected_and_shown() -> Result<()> {
    let host = created(&[("web", &[])])?;
    host.ignite(["start", "web"]).deadline(BOOT).ok()?;
    let ls = |words: &[&str]| {
        host.ignite(["network", "ls"].iter().chain(words).copied())
            .ok()
    };
    let name = "ignite-cni-bridge";
    assert_eq!(
        ls(&["-t", "{{.Name}} {{.Driver}} {{.Attachments}}"])?,
        format!("{name} bridge 1")
    );
    assert_eq!(ls(&["-q", "-f", "driver=bridge"])?, name);
    assert_eq!(ls(&["-q", "-f", "driver=macvlan"])?, "");
    assert_eq!(ls(&["-q", "-f", "{{.CNIVersion}}=0.4.0"])?, name);
    let template = "{{range .Attachments}}{{.VM.Name}} {{.Interface}}{{end}}";
    for words in [
        &["network", "inspect", name][..],
        &["inspect", "network", name],
        &["inspect", name],
    ] {
        let shown = host
            .ignite(words.iter().copied().chain(["-t", template]))
            .ok()?;
        assert_eq!(shown, "web eth0", "{words:?}");
    }
    assert_eq!(names(&host, &["-f", "network=ignite-cni-bridge"])?, ["web"]);
    assert_eq!(names(&host, &["-f", "network=blue"])?, [""; 0]);
    host.ignite(["rm", "-f", "web"]).ok()?;
    nothing_left(&host)
}

/// One clear error, whether or not there is a VM to notice.
#[test]
fn what_cannot_be_read_is_refused() -> Result<()> {
    let host = created(&[])?;
    let endless = "{{range $i, $x := .Labels}}".repeat(70) + &"{{end}}".repeat(70);
    let cases: [(&[&str], &[&str]); 10] = [
        (
            &["ps", "-t", "{{.Nam}}"],
            &["character 3", "\"Nam\"", "did you mean .Name?"],
        ),
        (&["ps", "-t", "{{.Name"], &["character 1", "does not end"]),
        (&["ps", "-t", "{{template \"x\"}}"], &["not possible"]),
        (&["ps", "-t", &endless], &["levels deep"]),
        (&["ps", "-f", "{{.Spec.CPU}}=1"], &["did you mean .CPUs?"]),
        (&["ps", "-f", "{{.Name}}"], &["no operator", "character 10"]),
        (&["ps", "-f", "statu=running"], &["did you mean status?"]),
        (&["ps", "-f", "status=asleep"], &["asleep", "exited"]),
        (&["images", "-f", "tier=1"], &["tier", "reference"]),
        (&["network", "ls", "-t", "{{if}}"], &["character 5"]),
    ];
    for (words, expected) in cases {
        let output = host.ignite(words.iter().copied()).output()?;
        output.refused(2, expected)?;
        assert_eq!(output.stdout, "", "{words:?}");
    }
    let labels: Vec<String> = (0..40).map(|n| format!("l{n}=x")).collect();
    let image = place::image("busy")?;
    let mut words = vec!["create", "--name", "many"];
    words.extend(labels.iter().flat_map(|label| ["-l", label.as_str()]));
    words.push(&image);
    host.ignite(words).ok()?;
    let endless = "{{range $.Labels}}".repeat(40) + &"{{end}}".repeat(40);
    host.ignite(["ps", "-a", "-f", "name=many", "-t", &endless])
        .output()?
        .refused(2, &["1000000 steps"])?;
    let loud = "{{range $.Labels}}".repeat(4) + &"x".repeat(100) + &"{{end}}".repeat(4);
    host.ignite(["ps", "-a", "-f", "name=many", "-t", &loud])
        .output()?
        .refused(2, &["1048576 bytes"])?;
    host.ignite(["ps", "-f", "since=nobody"])
        .output()?
        .refused(1, &["nobody"])?;
    host.ignite(["rm", "many"]).ok().map(drop)
}

/// Each name of a command does what the others do.
#[test]
fn aliases_are_the_commands_they_stand_for() -> Result<()> {
    let host = created(&[("web", &[]), ("db", &[])])?;
    let kinds: [(&[&str], &[&[&str]]); 3] = [
        (
            &["ps", "-a"],
            &[
                &["vm"],
                &["vms"],
                &["ls", "-a"],
                &["vm", "ls"],
                &["vm", "list"],
                &["vms", "ls"],
                &["vm", "ps", "-a"],
            ],
        ),
        (
            &["image", "ls"],
            &[
                &["image"],
                &["images"],
                &["image", "list"],
                &["images", "ls"],
            ],
        ),
        (
            &["kernel", "ls"],
            &[
                &["kernel"],
                &["kernels"],
                &["kernel", "list"],
                &["kernels", "ls"],
            ],
        ),
    ];
    for (words, aliases) in kinds {
        for form in [&["-o", "json"][..], &["-q"]] {
            let shown = |words: &[&str]| host.ignite(words.iter().chain(form)).ok();
            let expected = shown(words)?;
            ensure!(expected.len() >= 16, "{words:?}: {expected}");
            for alias in aliases {
                assert_eq!(shown(alias)?, expected, "{alias:?}");
            }
        }
    }
    // With the VMs that are made of them.
    let of = |kind: &str| -> Result<String> {
        let words = ["ps", "-a", "-o", "json"];
        let vms: Value = serde_json::from_str(&host.ignite(words).ok()?)?;
        Ok(vms[0][kind].as_str().unwrap_or_default().to_owned())
    };
    let (image, kernel) = (of("image")?, of("kernel")?);
    let removed = |words: [&str; 2], what: &str| -> Result<()> {
        host.ignite([words[0], what])
            .output()?
            .refused(1, &["web"])?;
        host.ignite(words.into_iter().chain([what])).ok()?;
        assert_eq!(host.ignite(["ps", "-aq"]).ok()?, "");
        Ok(())
    };
    removed(["rmi", "-f"], &image)?;
    host.ignite(["create", "--name", "web", "systemd"]).ok()?;
    removed(["rmk", "-f"], &kernel)?;
    nothing_left(&host)
}

/// The list still knows it from before; what more is asked of it cannot be said.
#[test]
fn a_vm_whose_record_is_damaged_hides_no_other() -> Result<()> {
    let all: Vec<String> = (0..9).map(|number| format!("vm-{number}")).collect();
    let all: Vec<(&str, &[&str])> = all.iter().map(|name| (name.as_str(), &[][..])).collect();
    let host = created(&all)?;
    wait_until("the list to be remembered", SOON, || {
        ensure!(host.ignite(["ps", "-a"]).ok()?.contains("vm-8"));
        ensure!(host.has("/var/lib/ignite/vm/index")?);
        Ok(())
    })?;
    let uid = host.ignite(["ps", "-aq", "-f", "name=vm-4"]).ok()?;
    host.sh(&format!("echo '{{' > /var/lib/ignite/vm/{uid}/vm.json"))
        .ok()?;
    for words in [
        &["-o", "json"][..],
        &["-o", "wide"],
        &["-f", "name=vm"],
        &["-t", "{{.ObjectMeta.Name}}"],
    ] {
        let output = host.ignite(["ps", "-a"].iter().chain(words)).output()?;
        ensure!(output.stderr.contains(&uid), "{words:?}: {output}");
        let shown = output.ok()?;
        for name in ["vm-0", "vm-3", "vm-5", "vm-8"] {
            ensure!(shown.contains(name), "{words:?}: {shown}");
        }
    }
    Ok(())
}
