//! The same repository over file, ssh and https.

use std::time::Duration;

use anyhow::{Result, ensure};
use ignite_testkit::{Host, wait_until};

use super::https::{self, HttpsGit};
use super::kept::{Daemon, LOG, vms};
use super::repository::{Repository, manifest};
use super::sshd;
use crate::support::SOON;

const LAB: &str = "\
apiVersion: ignite.weave.works/v1alpha4
kind: VM
metadata: { name: lab }
spec: { image: { oci: busy }, cpus: 1, memory: 800MB, diskSize: 3GB, ssh: true }
status: { running: true }
";

#[test]
fn vms_are_as_the_repository_says() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let repository = Repository::new(&host)?;
    let daemon = Daemon::start(&host, &format!("file://{}", repository.path()))?;
    daemon.says("error", "the repository is empty")?;
    let one = repository.put("web.yaml", &manifest("web", true))?;
    daemon.keeps(&[("web", true)])?;
    daemon.says("revision", &one)?;
    // TestRunGitops: a VM as its manifest describes it.
    repository.put("lab.yaml", LAB)?;
    daemon.keeps(&[("lab", true), ("web", true)])?;
    let template = "'{{.Spec.Memory}} {{.Spec.CPUs}} {{.Spec.DiskSize}} {{.Spec.Image.OCI}} {{.Spec.SSH}} {{.Status.Running}}'";
    let filter = "{{.ObjectMeta.Name}}=lab";
    let shown = host.ignite(["ps", "--filter", filter, "--template", template]);
    assert_eq!(shown.ok()?, "'800.0 MB 1 3.0 GB busy:latest {true } true'");
    repository.change("git rm -q lab.yaml; git commit -qm gone; git push -q origin HEAD:main")?;
    daemon.keeps(&[("web", true)])?;

    repository.put("web.yaml", &manifest("web", false))?;
    daemon.keeps(&[("web", false)])?;
    repository.change("git revert --no-edit HEAD >/dev/null; git push -q origin HEAD:main")?;
    daemon.keeps(&[("web", true)])?;
    // A broken manifest keeps its VM, and holds up no other.
    repository.put("web.yaml", "kind: [\nmetadata: {name: web}\n")?;
    repository.put("db.yaml", &manifest("db", false))?;
    daemon.keeps(&[("db", false), ("web", true)])?;
    // Another history altogether.
    repository.change("git checkout -q --orphan new; git rm -qrf .")?;
    repository.put("web.yaml", &manifest("web", true))?;
    daemon.keeps(&[("web", true)])?;

    repository.sh("mv vms.git away")?;
    daemon.says("error", "cannot reach the repository")?;
    ensure!(
        vms(&host)? == [("web".to_owned(), true)].into(),
        "a VM is not kept"
    );
    repository.sh("mv away vms.git")?;
    repository.put("db.yaml", &manifest("db", true))?;
    daemon.keeps(&[("db", true), ("web", true)])?;
    daemon.says("error", "null")?;

    // What was fetched is used at a start without the remote; VMs outlive the daemon.
    ensure!(daemon.end()?.code == 0, "it does not end well");
    repository.sh("mv vms.git away")?;
    host.ignite(["kill", "web"]).ok()?;
    let daemon = Daemon::start(&host, &format!("file://{}", repository.path()))?;
    daemon.keeps(&[("db", true), ("web", true)])?;
    repository.sh("mv away vms.git")?;
    repository
        .change("git rm -q db.yaml web.yaml; git commit -qm gone; git push -qf origin HEAD:main")?;
    daemon.keeps(&[])
}

#[test]
fn over_ssh_with_a_key_and_known_hosts() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let repository = Repository::new(&host)?;
    repository.put("web.yaml", &manifest("web", true))?;
    sshd::set_up(&host)?;
    let url = format!("ssh://root@127.0.0.1:{}{}", sshd::PORT, repository.path());
    let daemon = Daemon::start(&host, &url)?;
    daemon.says("error", "known hosts")?;
    daemon.says("error", "ssh-keyscan")?;
    daemon.end()?;

    let server = sshd::start(&host)?;
    host.write("/run/home/nobody", "")?;
    let daemon = Daemon::start(
        &host,
        &format!(
            "{url} --identity-file '{}' --hosts-file /run/home/nobody",
            sshd::KEY
        ),
    )?;
    daemon.says("error", "Host key verification failed")?;
    daemon.end()?;

    let words = format!(
        "{url} --identity-file '{}' --hosts-file '{}' --commit-status",
        sshd::KEY,
        sshd::HOSTS
    );
    let daemon = Daemon::start(&host, &words)?;
    daemon.keeps(&[("web", true)])?;
    wait_until("the status in the repository", SOON, || {
        let text = repository.sh("git -C vms.git show main:.ignite-status/alpha.json")?;
        ensure!(text.contains("\"running\""), "{text}");
        Ok(())
    })?;
    drop(server);
    daemon.says("error", "cannot reach the repository")?;
    let _server = sshd::start(&host)?;
    repository.change("git pull -q --rebase origin main")?;
    repository.put("web.yaml", &manifest("web", false))?;
    daemon.keeps(&[("web", false)])
}

#[test]
fn over_https_with_a_password_that_nobody_sees() -> Result<()> {
    let host = Host::with_stand_in("alpha")?;
    let repository = Repository::new(&host)?;
    repository.put("web.yaml", &manifest("web", true))?;
    let server = HttpsGit::start(&host, repository.directory())?;
    host.write("/run/home/ca.pem", server.authority.clone())?;
    let url = format!("127.0.0.1:{}/vms.git", https::PORT);
    let words = format!(
        "https://{url} --https-ca-file '~/ca.pem' --https-username {} --https-password-file /run/home/password",
        https::USER
    );

    host.write("/run/home/password", "wrong\n")?;
    let daemon = Daemon::start(&host, &words)?;
    daemon.says("error", "Authentication failed")?;
    // The file is read anew each time.
    host.write("/run/home/password", format!("{}\n", https::PASSWORD))?;
    daemon.keeps(&[("web", true)])?;
    server.be_away(true);
    daemon.says("error", "cannot reach the repository")?;
    server.be_away(false);
    repository.put("web.yaml", &manifest("web", false))?;
    daemon.keeps(&[("web", false)])?;
    daemon.end()?;

    let flag = format!(
        "https://{url} --https-ca-file '~/ca.pem' --https-username {} --https-password '{}'",
        https::USER,
        https::PASSWORD
    );
    let address = format!(
        "'https://{}:a%20s3cret!@{url}' --https-ca-file '~/ca.pem'",
        https::USER
    );
    for (words, runs) in [(flag, true), (address, false)] {
        let daemon = Daemon::start(&host, &words)?;
        repository.put("web.yaml", &manifest("web", runs))?;
        let until = std::time::Instant::now() + Duration::from_secs(3);
        while std::time::Instant::now() < until {
            is_unseen(&host)?;
        }
        daemon.keeps(&[("web", runs)])?;
        daemon.end()?;
    }
    for secret in ["s3cret", "aWduaXRl"] {
        ensure!(!host.read(LOG)?.contains(secret), "{secret} is in the log");
        let found = host
            .sh(&format!(
                "grep -rl {secret} /var/lib/ignite/ignited || true"
            ))
            .ok()?;
        ensure!(found.is_empty(), "{secret} is in {found}");
    }
    Ok(())
}

/// No process of the host but one that only just started has the password among its words, and none in
/// its environment.
fn is_unseen(host: &Host) -> Result<()> {
    // The pattern does not match itself, which is among the words of the shell.
    let script = r"cd /proc; for file in [0-9]*/cmdline [0-9]*/environ; do
        if tr '\0' ' ' 2>/dev/null < $file | grep -q 's3[c]ret'; then echo $file; tr '\0' ' ' < $file; fi; done; true";
    let once = host.sh(script).ok()?;
    if once.is_empty() {
        return Ok(());
    }
    // A program takes a moment to start anew.
    std::thread::sleep(Duration::from_millis(300));
    let twice = host.sh(script).ok()?;
    ensure!(twice.is_empty(), "the password is shown: {twice}");
    Ok(())
}
