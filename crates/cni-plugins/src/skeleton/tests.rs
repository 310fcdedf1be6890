use std::ffi::OsString;

use super::*;

/// Says what it was asked.
struct Echo;

impl Plugin for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn add(&self, call: &Call) -> Result<Said, PluginError> {
        Ok(Said {
            stdout: format!(
                "{} {} {:?}",
                call.container_id, call.network, call.directories
            )
            .into_bytes(),
            stderr: b"remark".to_vec(),
        })
    }

    fn del(&self, _call: &Call) -> Result<Said, PluginError> {
        Err(PluginError {
            code: 117,
            msg: "no".to_owned(),
            details: "more".to_owned(),
        })
    }

    fn status(&self, _call: &Call) -> Result<Said, PluginError> {
        Err(failure(code::NOT_AVAILABLE, "not now"))
    }
}

fn ask(variables: &[(&str, &str)], config: &str) -> (String, bool) {
    let owned = |(name, value): &(&str, &str)| (OsString::from(name), OsString::from(value));
    let variables = variables.iter().map(owned).collect();
    let answer = answer(&Echo, variables, &mut config.as_bytes());
    (
        String::from_utf8(answer.stdout).expect("text"),
        answer.success,
    )
}

fn asked(command: &str, config: &str) -> (String, bool) {
    let variables = [
        ("CNI_COMMAND", command),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_NETNS", "/run/netns/x"),
        ("CNI_IFNAME", "eth0"),
        ("CNI_PATH", "/a:/b"),
    ];
    ask(&variables, config)
}

fn failed(error: &str) -> (String, bool) {
    (format!("{error}\n"), false)
}

const CONFIG: &str = r#"{"cniVersion":"1.1.0","name":"net","type":"echo"}"#;

#[test]
fn commands_reach_the_plugin() {
    let said = r#"c1 net ["/a", "/b"]"#.to_owned();
    assert_eq!(asked("ADD", CONFIG), (said, true));
    for command in ["CHECK", "GC"] {
        assert_eq!(asked(command, CONFIG), (String::new(), true), "{command}");
    }
    assert_eq!(
        asked("DEL", CONFIG),
        failed(r#"{"cniVersion":"1.1.0","code":117,"msg":"no","details":"more"}"#)
    );
    assert_eq!(
        asked("STATUS", CONFIG),
        failed(r#"{"cniVersion":"1.1.0","code":50,"msg":"not now"}"#)
    );
}

#[test]
fn version_is_told_without_a_configuration() {
    let versions = "{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"0.1.0\",\"0.2.0\",\"0.3.0\",\"0.3.1\",\"0.4.0\",\"1.0.0\",\"1.1.0\"]}\n";
    assert_eq!(
        ask(&[("CNI_COMMAND", "VERSION")], "garbage"),
        (versions.to_owned(), true)
    );
    let about = answer(&Echo, Vec::new(), &mut "".as_bytes());
    assert!(about.success && about.stdout.is_empty());
    let text = String::from_utf8(about.stderr).expect("text");
    assert!(text.ends_with("supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n"));
}

#[test]
fn what_the_environment_lacks_is_named() {
    let missing = |command| ask(&[("CNI_COMMAND", command), ("CNI_IFNAME", "")], CONFIG).0;
    for (command, names) in [
        ("ADD", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH"),
        ("DEL", "CNI_CONTAINERID,CNI_IFNAME,CNI_PATH"),
        ("STATUS", "CNI_PATH"),
    ] {
        let msg = format!("\"code\":4,\"msg\":\"required env variables [{names}] missing\"");
        assert!(missing(command).contains(&msg), "{command}");
    }
    assert!(missing("add").contains("\"msg\":\"unknown CNI_COMMAND: add\""));
}

#[test]
fn names_that_could_be_paths_are_refused() {
    for (id, code) in [
        ("a/b", 4),
        ("..", 4),
        ("../../etc/x", 4),
        ("/etc", 4),
        (".a", 4),
    ] {
        let variables = [
            ("CNI_COMMAND", "DEL"),
            ("CNI_CONTAINERID", id),
            ("CNI_IFNAME", "eth0"),
            ("CNI_PATH", "/a"),
        ];
        let (text, success) = ask(&variables, CONFIG);
        assert!(
            !success && text.contains(&format!("\"code\":{code},")),
            "{id}: {text}"
        );
    }
}

#[test]
fn configurations_are_checked() {
    let huge = format!("{{\"name\":\"{}\"}}", "x".repeat(MAX_BYTES));
    let deep = "[".repeat(10_000);
    for (command, config, code) in [
        ("ADD", "", 6),
        ("ADD", "[]", 6),
        ("ADD", huge.as_str(), 6),
        ("ADD", deep.as_str(), 6),
        ("ADD", r#"{"cniVersion":1}"#, 6),
        ("ADD", r#"{"cniVersion":"x"}"#, 6),
        ("ADD", r#"{"cniVersion":"1.0.0"}"#, 7),
        ("ADD", r#"{"cniVersion":"1.0.0","name":"a/b"}"#, 7),
        ("ADD", r#"{"cniVersion":"1.0.0","name":["a"]}"#, 7),
        ("STATUS", r#"{"cniVersion":"1.1.0"}"#, 7),
        ("ADD", r#"{"cniVersion":"9.0.0","name":"a"}"#, 1),
        ("CHECK", r#"{"cniVersion":"0.3.1","name":"a"}"#, 1),
        ("GC", r#"{"cniVersion":"1.0.0","name":"a"}"#, 1),
        ("STATUS", r#"{"name":"a"}"#, 1),
    ] {
        let (text, success) = asked(command, config);
        assert!(
            !success && text.contains(&format!("\"code\":{code},")),
            "{text}"
        );
    }
    // Before configurations had versions there was ADD already.
    assert!(asked("ADD", r#"{"name":"a"}"#).1);
}
