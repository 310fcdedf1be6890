//! `ignite ssh`: the distribution's sshd in a VM, entered with the VM's key.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use ignite_testkit::{Host, Running, place};

use crate::support::{SOON, Vm};

/// Packs sshd, the maker of its key and the libraries of both, as they lie in a root.
const PACK: &str = r#"
export LD_LIBRARY_PATH=$(echo "$wrap"/*-linux-gnu)
mkdir -p /run/sshd-root/usr/sbin /run/sshd-root/usr/bin
cp "$sshd" /run/sshd-root/usr/sbin/sshd
cp /usr/bin/ssh-keygen /run/sshd-root/usr/bin/
for library in $(ldd "$sshd" /usr/bin/ssh-keygen | grep -o '/[^ )]*' | grep '\.so' | sort -u); do
    case $library in
    "$wrap"/*) to=/lib/x86_64-linux-gnu/${library##*/} ;;
    *) to=$library ;;
    esac
    mkdir -p "/run/sshd-root${to%/*}"
    cp -L "$library" "/run/sshd-root$to"
done
tar -c -C /run/sshd-root .
"#;

/// What the package makes, and the server's own key.
const SET_UP: &str = "\
mkdir -p /run/sshd /etc/ssh /var/empty
echo sshd:x:990:65534::/run/sshd:/bin/false >> /etc/passwd
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/key";

const SERVE: &str = "exec /usr/sbin/sshd -D -e -f /dev/null -o HostKey=/etc/ssh/key -o UsePAM=no \
    -o PidFile=none -o PasswordAuthentication=no";

/// Puts sshd into the VM and starts it there.
fn serve(vm: &Vm<'_>) -> Result<Running> {
    let pack = vm
        .host
        .sh(&format!(
            "{{ {PACK}\n}} | {} exec {} -- tar -x -C /",
            program()?,
            vm.uid
        ))
        .env("sshd", place::built("tools/openssh-server/usr/sbin/sshd")?)
        .env("wrap", place::built("tools/libwrap0/usr/lib")?);
    pack.ok()?;
    vm.exec(&["sh", "-c", SET_UP]).ok()?;
    vm.exec(&["sh", "-c", SERVE]).start()
}

fn program() -> Result<String> {
    Ok(place::built("bin/ignite")?.display().to_string())
}

#[test]
fn a_vm_is_entered_with_the_key_made_for_it() -> Result<()> {
    let host = Host::new("alpha")?;
    let vm = Vm::run(&host, &["--ssh", "--name", "web"])?;
    // An image without a server: what to do instead is said, and not after long.
    host.ignite(["ssh", "web", "--", "true"])
        .output()?
        .refused(1, &["no ssh server answers", "ignite exec -it web -- sh"])?;
    // A VM that says nothing at all is waited for as long as asked, not for half a minute.
    vm.verb("pause")?;
    let begun = Instant::now();
    host.ignite(["ssh", "--timeout", "2s", "web", "--", "true"])
        .output()?
        .refused(1, &["no ssh server answers", "--timeout"])?;
    let taken = begun.elapsed();
    ensure!(
        (Duration::from_secs(2)..Duration::from_secs(20)).contains(&taken),
        "{taken:?}"
    );
    vm.verb("unpause")?;
    let _server = serve(&vm)?;
    let there = host.ignite(["ssh", "web", "--", "hostname"]).ok()?;
    ensure!(there == "web", "{there}");
    ensure!(
        host.ignite(["ssh", "web", "--", "exit", "6"])
            .output()?
            .code
            == 6
    );

    // Whether there is a terminal is ssh's to decide, unless it is said.
    let asked = "test -t 0; echo none=$?.";
    for (flag, none) in [
        (&[][..], "none=1."),
        (&["-t"], "none=0."),
        (&["--tty"], "none=0."),
    ] {
        let words = host.ignite(["ssh"]).args(flag);
        let mut seat = words.args(&["web", "--", asked]).at_terminal(24, 80)?;
        seat.wait_for(none, SOON)?;
        seat.ends_with(0, SOON)?;
    }
    let mut shell = host
        .ignite(["ssh", "--tty=false", "web"])
        .at_terminal(24, 80)?;
    super::ask(&mut shell, "test -t 0; echo none=$?.", "none=1.")?;
    shell.type_in("exit 3\r")?;
    shell.ends_with(3, SOON)?;

    // With a terminal, as a person would.
    let mut shell = host
        .ignite(["ssh", "web"])
        .env("TERM", "xterm")
        .at_terminal(24, 80)?;
    super::ask(&mut shell, "echo in-$((40+2)); stty size", "in-42")?;
    shell.wait_for("24 80", SOON)?;
    shell.type_in("exit 3\r")?;
    shell.ends_with(3, SOON)?;

    // The server's key is remembered: another one is not believed.
    vm.exec(&[
        "sh",
        "-c",
        "kill $(pidof sshd); rm /etc/ssh/key*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/key",
    ])
    .output()?;
    let _other = vm.exec(&["sh", "-c", SERVE]).start()?;
    let refused = host.ignite(["ssh", "web", "--", "true"]).output()?;
    ensure!(
        refused.code == 255 && refused.stderr.contains("verification"),
        "{refused}"
    );
    Ok(())
}

#[test]
fn a_key_that_is_given_is_added_to_those_of_the_image() -> Result<()> {
    let host = Host::new("alpha")?;
    host.sh("cd /run/home; ssh-keygen -q -t ed25519 -N '' -f mine")
        .ok()?;
    host.ignite(["create", "--ssh=/run/home/nothing", &place::image("busy")?])
        .output()?
        .refused(1, &["/run/home/nothing.pub", "ssh-keygen"])?;
    let vm = Vm::run(&host, &["--ssh=/run/home/mine", "--name", "web"])?;
    let keys = vm.exec(&["cat", "/root/.ssh/authorized_keys"]).ok()?;
    ensure!(
        keys == host.read("/run/home/mine.pub")?.trim_end(),
        "{keys}"
    );
    // Those that were there stay, and none comes twice.
    vm.exec(&["sh", "-c", "echo '# mine' >> /root/.ssh/authorized_keys"])
        .ok()?;
    vm.verb("stop")?;
    vm.verb("start")?;
    let again = vm.wait_exec("the keys", &["cat", "/root/.ssh/authorized_keys"])?;
    ensure!(again == format!("{keys}\n# mine"), "{again}");
    host.ignite(["ssh", "web"])
        .output()?
        .refused(1, &["no key of its own", "-i FILE"])?;
    let _server = serve(&vm)?;
    let there = ["ssh", "-i", "/run/home/mine", "web", "--", "hostname"];
    ensure!(host.ignite(there).ok()? == "web");
    Ok(())
}
