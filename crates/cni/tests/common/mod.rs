//! A host for each test: network and mount namespaces of its own, with private
//! `/run`, `/var/lib` and `/sys`, so that real plugins leave the machine alone.

// Each test program uses a part of this.
#![allow(dead_code)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use ignite_cni::{Attachment, NetworkConfig, Runtime};
use ignite_host::iptables::{self, Family};
use ignite_host::link::Netlink;
use ignite_host::netns::Namespace;

/// Set in the process that runs inside.
const INSIDE: &str = "IGNITE_CNI_TEST";

/// Runs `body` on a host of its own: this test program again, in new namespaces.
pub fn on_own_host(test: &str, body: impl FnOnce()) {
    if std::env::var_os(INSIDE).is_some_and(|inside| inside == test) {
        prepare();
        return body();
    }
    let program = std::env::current_exe().expect("a test program has a path");
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private"])
        .arg(program)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(INSIDE, test)
        .status()
        .expect("unshare is part of util-linux");
    assert!(status.success(), "{test} failed on its host: {status}");
}

fn prepare() {
    for (kind, place) in [("tmpfs", "/run"), ("tmpfs", "/var/lib"), ("sysfs", "/sys")] {
        let status = Command::new("mount")
            .args(["-t", kind, kind, place])
            .status();
        assert!(
            status.expect("mount is there").success(),
            "mounting {place}"
        );
    }
    let netlink = Netlink::open().expect("netlink");
    let lo = netlink
        .link("lo")
        .expect("asked")
        .expect("every namespace has it");
    netlink.set_up(lo.index).expect("up");
}

/// A container's place: a named namespace.
pub fn sandbox(name: &str) -> (Namespace, PathBuf) {
    let path = Path::new("/run/netns").join(name);
    (Namespace::create(&path).expect("a namespace"), path)
}

/// Names of the links of this host, loopback aside.
pub fn links() -> Vec<String> {
    let links = Netlink::open()
        .and_then(|netlink| netlink.links())
        .expect("links");
    let mut names: Vec<String> = links.into_iter().map(|link| link.name).collect();
    names.retain(|name| name != "lo");
    names.sort();
    names
}

/// All rules of both families, without what changes from one reading to the next.
pub fn rules() -> String {
    let mut text = String::new();
    for family in [Family::V4, Family::V6] {
        for table in ["nat", "filter"] {
            let saved = iptables::save(table, family).expect("iptables-save");
            let lines = saved.lines().filter(|line| !line.starts_with(['#', ':']));
            text.extend(lines.map(|line| format!("{line}\n")));
            let chains = saved.lines().filter(|line| line.starts_with(":CNI"));
            text.extend(chains.map(|line| format!("{}\n", line.split(' ').next().unwrap_or(line))));
        }
    }
    text
}

/// The files below a directory, locks and last addresses of host-local aside.
pub fn files(directory: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut pending = vec![PathBuf::from(directory)];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.path().is_dir() {
                pending.push(entry.path());
            } else if name != "lock" && !name.starts_with("last_reserved_ip") {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

/// A runtime that finds `doubles` before the distribution's plugins.
pub fn runtime(doubles: &Path) -> Runtime {
    Runtime {
        bin_dirs: vec![doubles.to_owned(), PathBuf::from("/usr/lib/cni")],
        ..Runtime::default()
    }
}

/// A plugin that misbehaves: a shell script. `$COMMAND` is what it is asked.
pub fn double(directory: &Path, name: &str, script: &str) {
    let path = directory.join(name);
    let text = format!(
        "#!/bin/sh\necho $CNI_COMMAND >> {}/calls\nCOMMAND=$CNI_COMMAND\n{script}\n",
        directory.display()
    );
    fs::write(&path, text).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
}

/// What the doubles of a directory were asked, in order.
pub fn calls(directory: &Path) -> Vec<String> {
    let text = fs::read_to_string(directory.join("calls")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// A bridge with host-local, with `more` plugins behind it.
pub fn bridge(version: &str, more: &str) -> NetworkConfig {
    let text = format!(
        r#"{{"cniVersion":"{version}","name":"test","plugins":[
            {{"type":"bridge","bridge":"br0","isGateway":true,"ipMasq":true,
              "ipam":{{"type":"host-local","ranges":[[{{"subnet":"10.9.0.0/24"}}]]}}}}{more}]}}"#
    );
    NetworkConfig::parse(text.as_bytes()).expect("well formed")
}

/// An attachment without arguments.
pub fn attachment(container: &str, netns: &Path) -> Attachment {
    Attachment::new(container, netns, "eth0")
}
