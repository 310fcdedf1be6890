//! The plugin `flannel` as a program: with a script as its delegate, and with the distribution's
//! `bridge` on a host of its own.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const SUBNET_ENV: &str = "FLANNEL_NETWORK=10.1.0.0/16\nFLANNEL_SUBNET=10.1.17.1/24\n\
                          FLANNEL_MTU=1400\nFLANNEL_IPMASQ=true\n";

/// Prints its result, and records how it was called.
const DELEGATE: &str = r#"#!/bin/sh
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_ARGS $(cat)" >> "${0%/*}/calls"
echo "a remark" >&2
if [ -e "${0%/*}/broken" ]; then
    echo '{"cniVersion":"1.0.0","code":117,"msg":"it is broken","details":"very"}'
    exit 1
fi
[ "$CNI_COMMAND" = DEL ] || printf '{"cniVersion":"1.0.0",  "ips":[] }\n'
"#;

/// A directory with the plugin, its delegates and its files.
struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let place = Self { root };
        fs::create_dir(place.path("bin")).expect("a directory");
        let program = env!("CARGO_BIN_EXE_ignite-cni");
        std::os::unix::fs::symlink(program, place.path("bin/flannel")).expect("a link");
        fs::write(place.path("bin/bridge"), DELEGATE).expect("written");
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(place.path("bin/bridge"), executable).expect("executable");
        fs::write(place.path("subnet.env"), SUBNET_ENV).expect("written");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn config(&self) -> Value {
        json!({"cniVersion": "1.0.0", "name": "net", "type": "flannel",
            "subnetFile": self.path("subnet.env"), "dataDir": self.path("kept")})
    }

    /// Calls the plugin for container `c1`.
    fn call(&self, command: &str, config: &Value) -> Output {
        self.call_in(command, config, &self.path("bin"))
    }

    fn call_in(&self, command: &str, config: &Value, directories: &Path) -> Output {
        let mut child = Command::new(self.path("bin/flannel"))
            .env("CNI_COMMAND", command)
            .env("CNI_CONTAINERID", "c1")
            .env("CNI_NETNS", "/run/netns/c1")
            .env("CNI_IFNAME", "eth0")
            .env("CNI_ARGS", "IgnoreUnknown=1")
            .env("CNI_PATH", directories)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the plugin starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        // A plugin that needs no configuration may be gone by now.
        let _ = stdin.write_all(config.to_string().as_bytes());
        drop(stdin);
        child.wait_with_output().expect("the plugin ends")
    }

    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("bin/calls")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn kept(&self) -> Option<String> {
        fs::read_to_string(self.path("kept/c1")).ok()
    }
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn failure(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("an error object")
}

const RENDERED: &str = r#"{"cniVersion":"1.0.0","ipMasq":false,"ipam":{"ranges":[[{"subnet":"10.1.17.0/24"}]],"routes":[{"dst":"10.1.0.0/16"}],"type":"host-local"},"isGateway":true,"mtu":1400,"name":"net","type":"bridge"}"#;

#[test]
fn the_delegate_is_asked_with_what_is_kept_for_its_del() {
    let place = Place::new();
    let added = place.call("ADD", &place.config());
    assert_eq!(stdout(&added), "{\"cniVersion\":\"1.0.0\",  \"ips\":[] }\n");
    assert_eq!(added.stderr, b"a remark\n");
    assert_eq!(place.kept().as_deref(), Some(RENDERED));
    // The host has another subnet by now: DEL asks as ADD has asked.
    let other = SUBNET_ENV.replace("10.1.17.1", "10.1.99.1");
    fs::write(place.path("subnet.env"), other).expect("written");
    assert_eq!(stdout(&place.call("CHECK", &place.config())), "");
    assert_eq!(stdout(&place.call("DEL", &place.config())), "");
    assert_eq!(place.kept(), None);
    assert_eq!(stdout(&place.call("DEL", &place.config())), "");
    let called = |command| format!("{command} c1 eth0 IgnoreUnknown=1 {RENDERED}");
    assert_eq!(place.calls(), [called("ADD"), called("DEL")]);
}

#[test]
fn an_error_of_the_delegate_is_passed_on() {
    let place = Place::new();
    fs::write(place.path("bin/broken"), "").expect("written");
    let broken =
        json!({"cniVersion": "1.0.0", "code": 117, "msg": "it is broken", "details": "very"});
    assert_eq!(failure(&place.call("ADD", &place.config())), broken);
    assert_eq!(
        place.kept().as_deref(),
        Some(RENDERED),
        "kept for the DEL that follows"
    );
    assert_eq!(failure(&place.call("DEL", &place.config())), broken);
    assert_eq!(place.kept(), None);
}

#[test]
fn a_kept_file_that_cannot_be_read_stays_and_is_no_error() {
    let place = Place::new();
    fs::create_dir(place.path("kept")).expect("a directory");
    fs::write(place.path("kept/c1"), "{").expect("written");
    let output = place.call("DEL", &place.config());
    assert_eq!(stdout(&output), "");
    assert!(output.stderr.starts_with(b"failed to parse netconf: "));
    assert_eq!(place.kept().as_deref(), Some("{"));
    assert!(place.calls().is_empty());
}

#[test]
fn what_cannot_be_is_an_error_object() {
    let place = Place::new();
    let mut config = place.config();
    config["delegate"] = json!({"type": "missing"});
    let error = failure(&place.call("ADD", &config));
    assert_eq!(error["code"], 7);
    assert!(
        error["msg"]
            .as_str()
            .expect("a text")
            .contains("failed to find plugin \"missing\"")
    );
    config["delegate"] = json!({"type": "../bin/bridge"});
    assert_eq!(failure(&place.call("ADD", &config))["code"], 7);
    config["delegate"] = json!({"name": "x"});
    let expected = "'delegate' dictionary must not have 'name' field, it'll be set by flannel";
    assert_eq!(failure(&place.call("ADD", &config))["msg"], expected);
    let mut config = place.config();
    config["subnetFile"] = json!(place.path("bin/bridge"));
    let error = failure(&place.call("ADD", &config));
    let expected = format!(
        "{} is missing FLANNEL_NETWORK, FLANNEL_IPV6_NETWORK, FLANNEL_SUBNET, \
         FLANNEL_IPV6_SUBNET, FLANNEL_MTU, FLANNEL_IPMASQ",
        place.path("bin/bridge").display()
    );
    assert_eq!(error["msg"], expected.as_str());
    assert!(place.calls().is_empty());
}

#[test]
fn status_tells_whether_the_host_has_a_subnet() {
    let place = Place::new();
    let mut config = place.config();
    config["cniVersion"] = json!("1.1.0");
    for command in ["STATUS", "GC"] {
        assert_eq!(stdout(&place.call(command, &config)), "", "{command}");
    }
    fs::remove_file(place.path("subnet.env")).expect("removed");
    assert_eq!(failure(&place.call("STATUS", &config))["code"], 50);
    assert_eq!(stdout(&place.call("GC", &config)), "");
    let error = failure(&place.call("ADD", &config));
    assert_eq!(
        (&error["code"], &error["cniVersion"]),
        (&json!(11), &json!("1.1.0"))
    );
    assert!(error["details"].as_str().expect("a hint").contains("agent"));
}

#[test]
fn versions_are_told() {
    let place = Place::new();
    let versions: Value =
        serde_json::from_str(&stdout(&place.call("VERSION", &json!({})))).expect("JSON");
    assert_eq!(
        versions["supportedVersions"].as_array().map(Vec::len),
        Some(7)
    );
    let unknown = Command::new(env!("CARGO_BIN_EXE_ignite-cni"))
        .output()
        .expect("it runs");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(unknown.stderr.ends_with(b"give one: flannel\n"));
}

/// Set in the process that runs inside.
const INSIDE: &str = "IGNITE_CNI_PLUGINS_TEST";

#[test]
fn a_container_gets_the_hosts_subnet_by_the_real_bridge() {
    if std::env::var_os(INSIDE).is_some() {
        return with_the_real_bridge();
    }
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--propagation", "private"])
        .arg(std::env::current_exe().expect("a test program has a path"))
        .args([
            "--exact",
            "a_container_gets_the_hosts_subnet_by_the_real_bridge",
            "--nocapture",
        ])
        .env(INSIDE, "1")
        .status()
        .expect("unshare is part of util-linux");
    assert!(status.success(), "{status}");
}

/// On a host of its own: `/run` and `/var/lib` are of nobody else.
fn with_the_real_bridge() {
    for (kind, place) in [("tmpfs", "/run"), ("tmpfs", "/var/lib"), ("sysfs", "/sys")] {
        run(&["mount", "-t", kind, kind, place]);
    }
    let netns = ignite_host::netns::Namespace::create(Path::new("/run/netns/c1"));
    netns.expect("a namespace for the container");
    let place = Place::new();
    let mut config = place.config();
    config["cniVersion"] = json!("0.4.0");
    config["delegate"] = json!({"isDefaultGateway": true, "hairpinMode": true});
    let plugins = Path::new("/usr/lib/cni");
    let result: Value =
        serde_json::from_str(&stdout(&place.call_in("ADD", &config, plugins))).expect("JSON");
    assert_eq!(result["ips"][0]["address"], "10.1.17.2/24");
    assert_eq!(result["ips"][0]["gateway"], "10.1.17.1");
    assert_eq!(result["interfaces"][0]["name"], "cni0");
    assert_eq!(
        fs::read_to_string("/sys/class/net/cni0/mtu").expect("a bridge"),
        "1400\n"
    );
    assert_eq!(stdout(&place.call_in("DEL", &config, plugins)), "");
    assert_eq!(place.kept(), None);
    let left = Path::new("/var/lib/cni/networks/net/10.1.17.2");
    assert!(!left.exists(), "the address is free again");
}

fn run(words: &[&str]) {
    let status = Command::new(words[0]).args(&words[1..]).status();
    assert!(status.expect("it starts").success(), "{words:?}");
}
