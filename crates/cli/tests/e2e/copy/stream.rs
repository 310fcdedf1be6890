//! `-`: a tar stream on standard input and output.

use std::io::Write;

use anyhow::{Context as _, Result, ensure};
use ignite_testkit::Host;

use super::cp;
use crate::support::{SOON, Vm};

#[test]
fn archives_pass_as_they_are() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    let uid = &vm.uid;
    vm.exec(&["mkdir", "-p", "/srv", "/home"]).ok()?;
    host.sh(
        "mkdir -p /run/t/sub; cd /run/t; echo one > sub/one; ln sub/one two; ln -s two three;
         truncate -s 20M holes; chown 5:6 two; chmod 640 two",
    )
    .ok()?;
    // GNU tar's archive there, ours back to GNU tar, and through both without a file between.
    host.sh(&format!(
        "cd /run; tar -c --sparse t | ignite cp - {uid}:/srv
         ignite cp {uid}:/srv/t - > back.tar
         mkdir back; tar -x -C back -f back.tar
         diff -r t back/t
         test $(stat -c %h back/t/two) = 2 -a $(stat -c '%u:%g:%a' back/t/two) = 5:6:640
         test $(readlink back/t/three) = two -a $(stat -c %s back/t/holes) = 20971520
         test $(stat -c %b back/t/holes) -lt 100
         ignite cp {uid}:/srv/t/. - | tar -t | grep -x ./sub/one
         ignite cp {uid}:/srv/t - | ignite cp - {uid}:/home
         test \"$(ignite exec {uid} -- cat /home/t/two)\" = one"
    ))
    .ok()?;
    // What fills the last record of an archive is taken too: its sender ends well.
    host.sh(&format!(
        "cd /run; {{ tar -c --blocking-factor 2000 t/sub && touch ended; }} | ignite cp - {uid}:/srv
         test -e ended"
    ))
    .ok()?;
    Ok(())
}

#[test]
fn what_is_no_archive_is_refused() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &[])?;
    cp(&vm, &["-", "VM:/"])
        .stdin(vec![b'x'; 5000])
        .output()?
        .refused(1, &["no archive", "checksum"])?;
    // At once, not when there is more of it.
    let mut slow = cp(&vm, &["-", "VM:/"]).start()?;
    let mut input = slow.take_stdin().context("its input")?;
    input.write_all(&[b'x'; 600])?;
    slow.wait(SOON)?.refused(1, &["no archive", "checksum"])?;
    drop(input);
    cp(&vm, &["-", "VM:/nowhere"])
        .stdin(Vec::new())
        .output()?
        .refused(1, &["/nowhere"])?;
    // Whoever reads us may end first.
    let script = format!("ignite cp {}:/bin - | head -c 10 | wc -c", vm.uid);
    ensure!(host.sh(&script).ok()? == "10");
    Ok(())
}
