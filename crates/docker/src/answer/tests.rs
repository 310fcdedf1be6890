//! Answers of engines, real and made up.

use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// What Docker 20.10 says of a running holder on a bridge with IPv6, of one that was stopped, of both in a list.
const RUNNING: &[u8] =
    include_bytes!("../../../../fuzz/corpus/docker_answers/inspect-running.json");
const STOPPED: &[u8] =
    include_bytes!("../../../../fuzz/corpus/docker_answers/inspect-stopped.json");
const LIST: &[u8] = include_bytes!("../../../../fuzz/corpus/docker_answers/list.json");

#[test]
fn answers_of_a_real_engine_are_understood() {
    let running = container(RUNNING).expect("real");
    assert_eq!(
        (running.name.as_str(), running.running),
        ("ignite-0123456789abcdef", true)
    );
    assert!(running.pid.is_some());
    assert_eq!(running.labels["ignite.name"], "web");
    let expected = Endpoint {
        network: "bridge".into(),
        address: "172.17.0.2/16".parse().ok(),
        gateway: "172.17.0.1".parse().ok(),
        address6: "fd00:d0c::242:a3d:2/64".parse().ok(),
        gateway6: "fd00:d0c::1".parse().ok(),
    };
    assert_eq!(running.network, Some(expected));

    let stopped = container(STOPPED).expect("real");
    assert_eq!(
        (stopped.running, stopped.pid, stopped.exit_code),
        (false, None, 0)
    );
    assert_eq!(stopped.network.and_then(|network| network.address), None);
    let list = listed(LIST).expect("real");
    assert!(list.iter().any(|one| one.id == running.id && one.running));
}

fn inspected(member: &str) -> Result<Container, Malformed> {
    let state = r#""State":{"Running":true,"Pid":77}"#;
    let rest = r#""Config":{"Image":"ignite-holder:0","Labels":null}"#;
    container(format!(r#"{{"Id":"{ID}","Name":"/x",{state},{rest},{member}}}"#).as_bytes())
}

fn endpoint(members: &str) -> Result<Option<Endpoint>, Malformed> {
    let member = format!(r#""NetworkSettings":{{"Networks":{{"bridge":{{{members}}}}}}}"#);
    inspected(&member).map(|container| container.network)
}

#[test]
fn what_is_absent_is_none() {
    let found = inspected(r#""NetworkSettings":{"Networks":null}"#).expect("good");
    assert_eq!(found.network, None);
    let found = endpoint(r#""IPAddress":"","IPPrefixLen":0"#).expect("good");
    let found = found.expect("an endpoint");
    assert_eq!((found.address, found.gateway), (None, None));
}

#[test]
fn the_bridge_is_taken_before_other_networks() {
    let networks = r#"{"alpha":{"IPAddress":"10.0.0.2","IPPrefixLen":24},"bridge":{"IPAddress":"172.17.0.2","IPPrefixLen":16}}"#;
    let found =
        inspected(&format!(r#""NetworkSettings":{{"Networks":{networks}}}"#)).expect("good");
    let network = found.network.expect("an endpoint");
    assert_eq!(network.network, "bridge");
    assert_eq!(network.address, "172.17.0.2/16".parse().ok());
}

#[test]
fn values_without_sense_are_refused() {
    for members in [
        r#""IPAddress":"172.17.0","IPPrefixLen":16"#,
        r#""IPAddress":"172.17.0.2","IPPrefixLen":33"#,
        r#""IPAddress":"172.17.0.2","IPPrefixLen":-1"#,
        r#""IPAddress":"127.0.0.1","IPPrefixLen":8"#,
        r#""IPAddress":"0.0.0.0","IPPrefixLen":0"#,
        r#""Gateway":"224.0.0.1""#,
        r#""Gateway":7"#,
        r#""IPv6Gateway":"::""#,
        r#""GlobalIPv6Address":"fd00::2","GlobalIPv6PrefixLen":129"#,
    ] {
        assert!(endpoint(members).is_err(), "{members}");
    }
}

#[test]
fn what_nobody_asks_for_may_be_anything() {
    let members = r#""MacAddress":"x","SandboxKey":7,"IPAddress":"172.17.0.2","IPPrefixLen":16"#;
    assert!(endpoint(members).expect("good").is_some());
    let odd = inspected(r#""NetworkSettings":{"SandboxKey":"../x"},"Image":7"#).expect("good");
    assert_eq!(odd.network, None);
}

#[test]
fn a_process_is_one_of_a_container() {
    let pid = |number: &str| {
        let state = format!(r#""State":{{"Running":true,"Pid":{number}}}"#);
        let config = r#""Config":{"Image":"x"}"#;
        container(format!(r#"{{"Id":"{ID}","Name":"/x",{state},{config}}}"#).as_bytes())
            .map(|container| container.pid)
    };
    assert_eq!(pid("0").expect("none"), None);
    assert_eq!(pid("4194304").expect("one"), Some(4_194_304));
    for number in ["1", "-7", "99999999999", "1e300", "\"7\"", "7.5", "null"] {
        assert!(pid(number).is_err(), "{number}");
    }
}

#[test]
fn ids_are_those_of_engines() {
    let answer = |id: &str| created(format!(r#"{{"Id":"{id}","Warnings":null}}"#).as_bytes());
    assert_eq!(answer(ID).expect("an id").id, ID);
    for id in ["", "0123", "../../containers/other", &ID.to_uppercase()] {
        assert!(answer(id).is_err(), "{id}");
    }
}

#[test]
fn lists_are_all_good_or_refused() {
    let one =
        format!(r#"{{"Id":"{ID}","Names":["/a","/b/c"],"State":"exited","Labels":{{"k":"v"}}}}"#);
    let found = listed(format!("[{one}]").as_bytes()).expect("a list");
    assert_eq!(found[0].names, ["a", "b/c"]);
    assert!(!found[0].running);
    assert_eq!(found[0].labels["k"], "v");
    assert!(listed(format!(r#"[{one},{{"Id":7}}]"#).as_bytes()).is_err());
    for (state, lives) in [("running", true), ("paused", true), ("created", false)] {
        let list = listed(format!("[{}]", one.replace("exited", state)).as_bytes());
        assert_eq!(list.expect("a list")[0].running, lives, "{state}");
    }
    assert!(listed(b"{}").is_err());
}

#[test]
fn a_refusal_is_quoted_short_and_harmless() {
    assert_eq!(
        refusal(br#"{"message":"no\nsuch \u001b[31mthing"}"#),
        "no such \u{fffd}[31mthing"
    );
    assert_eq!(refusal(b"404 page not found\n"), "404 page not found");
    let long = refusal(&[b'a'; 10_000]);
    assert_eq!(long.len(), 403);
    assert!(long.ends_with("..."));
}

#[test]
fn a_failure_in_the_stream_of_a_load_is_found() {
    let good = b"{\"stream\":\"Loaded image: x\\n\"}\n";
    assert_eq!(progress(good).expect("a stream"), Ok(()));
    assert_eq!(progress(b"").expect("quiet"), Ok(()));
    let bad =
        b"{\"stream\":\"\"}\n{\"errorDetail\":{\"message\":\"no space\"},\"error\":\"no space\"}\n";
    assert_eq!(progress(bad).expect("a stream"), Err("no space".to_owned()));
    assert!(progress(b"{\"stream\":").is_err());
}

#[test]
fn images_are_known_by_layers_and_tags() {
    assert_eq!(
        layers(br#"{"RootFS":{"Layers":["sha256:0"]}}"#).expect("good"),
        ["sha256:0"]
    );
    assert!(layers(br#"{"RootFS":{}}"#).expect("good").is_empty());
    assert!(layers(b"{}").is_err());
    let list = br#"[{"RepoTags":["a:1","b:2"]},{"RepoTags":null}]"#;
    assert_eq!(tags(list).expect("good"), ["a:1", "b:2"]);
}
