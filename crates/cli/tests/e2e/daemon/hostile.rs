//! Files that are no manifests, or lie: each is told by its name, none costs more
//! than a look, and none is in the way of another.

use std::time::Duration;

use anyhow::{Result, ensure};
use ignite_testkit::{Host, wait_until};

use super::{DIRECTORY, Daemon, SETTLES, all, becomes, faulty, manifest, told, uid, write};

/// Ten levels of ten aliases.
fn bomb() -> String {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..10 {
        let below = format!("*a{},", level - 1).repeat(10);
        text += &format!("a{level}: &a{level} [{below}]\n");
    }
    text + "apiVersion: ignite.weave.works/v1alpha4\nkind: VM\nspec: *a9\n"
}

/// Makes what a shell makes best, in the directory.
const SCENE: &str = "
head -c 100000000 /dev/zero | tr '\\0' '#' > huge.yaml
mkfifo pipe.yaml
mkdir directory.yaml
ln -s loop-b.yaml loop-a.yaml; ln -s loop-a.yaml loop-b.yaml
ln -s /etc/passwd out.yaml
ln -s /etc outside
ln -s .. inside
mkdir real; ln -s real beside
ln -s good.yaml alias.txt
head -c 3000 /dev/urandom > noise.json
printf 'kind: VM\\n' > headless.yml
: > empty.yaml
";

#[test]
fn each_is_told_by_its_name_and_holds_up_nobody() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let [good, twice, image] = [1, 2, 3].map(uid);
    write(&host, "good.yaml", &manifest("good", &good, true, ""))?;
    host.sh(&format!("cd {DIRECTORY}; {SCENE}")).ok()?;
    write(&host, "bomb.yaml", &bomb())?;
    write(
        &host,
        "field.yaml",
        &manifest("field", &image, true, "  cpu: 2\n"),
    )?;
    let value = manifest("value", &image, true, "  cpus: 0x\n");
    write(&host, "value.yaml", &value)?;
    write(&host, "twice-a.yaml", &manifest("twice", &twice, true, ""))?;
    write(&host, "twice-b.yaml", &manifest("other", &twice, true, ""))?;
    write(
        &host,
        "range.yaml",
        &manifest("range", &uid(4), true, "  cpus: 99\n"),
    )?;
    let daemon = Daemon::start(&host, &[])?;
    becomes(&host, &all(&[(&good, "running"), (&twice, "running")]))?;
    for (file, words) in [
        ("huge.yaml", &["more than 1048576 bytes"][..]),
        ("pipe.yaml", &["a FIFO"]),
        ("directory.yaml", &["a directory"]),
        ("loop-a.yaml", &["leads round in a circle"]),
        ("loop-b.yaml", &["leads round in a circle"]),
        ("out.yaml", &["/etc/passwd", "leads out of the directory"]),
        ("outside", &["leads out of the directory"]),
        ("inside", &["leads out of the directory"]),
        ("beside", &["leads to a directory"]),
        ("noise.json", &["not UTF-8"]),
        ("headless.yml", &["missing field `apiVersion`", "line 1"]),
        ("empty.yaml", &["the manifest is empty"]),
        ("bomb.yaml", &["budget", "line 5"]),
        ("field.yaml", &["unknown field `cpu`", "line 7", "column 3"]),
        ("value.yaml", &["invalid u64", "line 7", "column 9"]),
        (
            "range.yaml",
            &["spec.cpus: 99 is not between", "line 7", "column 9"],
        ),
        ("twice-b.yaml", &["metadata.uid", "twice-a.yaml"]),
    ] {
        faulty(&host, file, words)?;
    }
    assert!(told(&host, "alias.txt").is_err());
    let memory = host.sh("grep VmHWM /proc/$(pidof ignited)/status").ok()?;
    let peak: u64 = memory.split_whitespace().nth(1).unwrap_or("0").parse()?;
    assert!(peak < 64 * 1024, "a peak of {peak} KiB");
    // What is mended is taken; what it broke stays as it is.
    write(&host, "field.yaml", &manifest("field", &image, false, ""))?;
    write(&host, "good.yaml", "nothing\n")?;
    becomes(
        &host,
        &all(&[(&good, "running"), (&twice, "running"), (&image, "created")]),
    )?;
    faulty(&host, "good.yaml", &["expected mapping start", "line 1"])?;
    drop(daemon);
    Ok(())
}

#[test]
fn a_directory_that_cannot_be_read_takes_no_vm_away() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let web = uid(1);
    write(&host, "web.yaml", &manifest("web", &web, true, ""))?;
    let mut daemon = Daemon::start(&host, &[])?;
    becomes(&host, &all(&[(&web, "running")]))?;
    host.sh(&format!("mv {DIRECTORY} /etc/firecracker/away"))
        .ok()?;
    std::thread::sleep(Duration::from_secs(3));
    becomes(&host, &all(&[(&web, "running")]))?;
    // Nor does a daemon that begins in the meantime take an empty one in its place.
    daemon.stop()?;
    daemon.again_away()?;
    std::thread::sleep(Duration::from_secs(3));
    becomes(&host, &all(&[(&web, "running")]))?;
    host.sh(&format!("! test -e {DIRECTORY}")).ok()?;
    let text = manifest("web", &web, false, "");
    host.sh(&format!("mv /etc/firecracker/away {DIRECTORY}"))
        .ok()?;
    write(&host, "web.yaml", &text)?;
    daemon.signal(rustix::process::Signal::HUP)?;
    becomes(&host, &all(&[(&web, "stopped")]))?;
    let said = daemon.stop()?;
    ensure!(said.contains(DIRECTORY), "{said}");
    Ok(())
}

#[test]
fn thousands_of_files_that_are_none_are_bounded() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let web = uid(1);
    write(&host, "web.yaml", &manifest("web", &web, true, ""))?;
    let deep = "d=; for i in $(seq 200); do d=$d/d; done; mkdir -p .$d; : > .$d/x.yaml";
    host.sh(&format!("cd {DIRECTORY}; {deep}; mkdir many; cd many; seq 3000 | xargs touch; seq -f %g.yaml 3000 | xargs touch")).ok()?;
    let _daemon = Daemon::start(&host, &[])?;
    becomes(&host, &all(&[(&web, "running")]))?;
    wait_until("all of them to be told", SETTLES, || {
        let told = told(&host, "many/3000.yaml")?;
        ensure!(told["fault"].is_object(), "{told:#}");
        Ok(())
    })
}
