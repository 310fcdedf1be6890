use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::version::KNOWN;

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        other => panic!("not an object: {other}"),
    }
}

fn decode(value: Value) -> Result<NetworkResult, ResultError> {
    NetworkResult::decode(&object(value))
}

fn dual_stack() -> Value {
    json!({
        "cniVersion": "1.1.0",
        "interfaces": [
            {"name": "br0", "mac": "00:11:22:33:44:55"},
            {"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": "/run/netns/x",
             "mtu": 1500, "socketPath": "/run/s", "pciID": "8086:9a01"},
        ],
        "ips": [
            {"interface": 1, "address": "10.1.2.3/24", "gateway": "10.1.2.1"},
            {"interface": 1, "address": "2001:db8::42/64", "gateway": "2001:db8::1"},
        ],
        "routes": [
            {"dst": "0.0.0.0/0", "gw": "10.1.2.1", "mtu": 1400, "table": 0},
            {"dst": "2001:db8:1::/48", "gw": "2001:db8::9"},
        ],
        "dns": {"nameservers": ["10.1.2.1"], "search": ["example.org"], "domain": "example.org"},
    })
}

#[test]
fn the_newest_version_reads_and_writes_everything() {
    let result = decode(dual_stack()).expect("well formed");
    assert_eq!(result.ips[0].address.to_string(), "10.1.2.3/24");
    assert_eq!(result.interfaces[1].ethernet(), Some([2, 0, 0, 0, 0, 1]));
    assert_eq!(result.validate("eth0"), Ok(()));
    assert_eq!(
        Value::Object(result.encode("1.1.0").expect("known")),
        dual_stack()
    );
}

#[test]
fn every_version_converts_to_every_other() {
    let newest = object(dual_stack());
    for from in KNOWN.map(|version| version.to_string()) {
        let source = convert(&newest, &from).expect("from the newest");
        for to in KNOWN.map(|version| version.to_string()) {
            let there = convert(&source, &to).unwrap_or_else(|e| panic!("{from} to {to}: {e}"));
            assert_eq!(there["cniVersion"], to.as_str());
            let typed = NetworkResult::decode(&there).expect("our own");
            assert_eq!(typed.ips.len(), 2, "{from} to {to}");
            assert_eq!(typed.routes.len(), 2, "{from} to {to}");
            assert_eq!(typed.dns.domain.as_deref(), Some("example.org"));
        }
    }
}

#[test]
fn the_shapes_of_older_versions() {
    let newest = object(dual_stack());
    let v04 = Value::Object(convert(&newest, "0.4.0").expect("known"));
    assert_eq!(
        v04["ips"][1],
        json!({
        "version": "6", "interface": 1, "address": "2001:db8::42/64", "gateway": "2001:db8::1"})
    );
    assert_eq!(
        v04["interfaces"][1],
        json!({"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": "/run/netns/x"})
    );
    let v02 = Value::Object(convert(&newest, "0.2.0").expect("known"));
    assert_eq!(
        v02,
        json!({
            "cniVersion": "0.2.0",
            "ip4": {"ip": "10.1.2.3/24", "gateway": "10.1.2.1",
                    "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.2.1"}]},
            "ip6": {"ip": "2001:db8::42/64", "gateway": "2001:db8::1",
                    "routes": [{"dst": "2001:db8:1::/48", "gw": "2001:db8::9"}]},
            "dns": {"nameservers": ["10.1.2.1"], "search": ["example.org"], "domain": "example.org"},
        })
    );
}

#[test]
fn within_one_shape_only_the_version_changes() {
    let mut source = object(dual_stack());
    source.insert("vendor.example/extra".to_owned(), json!(12));
    let same = convert(&source, "1.0.0").expect("known");
    assert_eq!(same["vendor.example/extra"], json!(12));
    assert_eq!(same["interfaces"][1]["mtu"], json!(1500));
    assert_eq!(same["cniVersion"], json!("1.0.0"));
}

#[test]
fn index_zero_is_not_a_missing_index() {
    let result = |ip: Value| {
        decode(json!({"cniVersion": "1.0.0", "ips": [ip]}))
            .expect("well formed")
            .ips[0]
            .interface
    };
    assert_eq!(
        result(json!({"interface": 0, "address": "10.0.0.2/8"})),
        Some(0)
    );
    assert_eq!(result(json!({"address": "10.0.0.2/8"})), None);
}

#[test]
fn the_oldest_versions_need_an_address() {
    let none = object(json!({"cniVersion": "1.0.0"}));
    assert_eq!(convert(&none, "0.2.0"), Err(ResultError::NoAddress));
    assert_eq!(convert(&none, ""), Err(ResultError::NoAddress));
}

#[test]
fn unknown_versions_are_refused() {
    for version in ["0.5.0", "2.0.0", "x"] {
        let error = decode(json!({"cniVersion": version})).expect_err("unknown");
        assert!(error.to_string().contains("0.1.0, 0.2.0"), "{error}");
    }
}

#[test]
fn output_without_a_version_has_the_configurations() {
    let version = |text: &str, config: &str| {
        parse_output(text.as_bytes(), config).map(|object| object["cniVersion"].clone())
    };
    assert_eq!(version("{}", "1.0.0"), Ok(json!("1.0.0")));
    assert_eq!(version(r#"{"cniVersion":""}"#, "0.4.0"), Ok(json!("0.4.0")));
    assert_eq!(version("{}", ""), Ok(json!("0.1.0")));
    assert_eq!(version("null", "1.0.0"), Ok(json!("1.0.0")));
    assert_eq!(
        version(r#"{"cniVersion":"0.2.0"}"#, "1.0.0"),
        Ok(json!("0.2.0"))
    );
    assert!(matches!(version("[]", ""), Err(ResultError::Type { .. })));
    assert!(matches!(version("{", ""), Err(ResultError::NotJson { .. })));
    assert_eq!(version(" \n", ""), Err(ResultError::Empty));
    let long = version(&"x".repeat(5000), "")
        .expect_err("no JSON")
        .to_string();
    assert!(long.len() < 400, "{long}");
}

/// A dual-stack result with one value replaced.
fn with(pointer: &str, value: Value) -> Value {
    let mut result = dual_stack();
    *result.pointer_mut(pointer).expect("a place in the result") = value;
    result
}

#[test]
fn wrong_types_are_named_by_their_path() {
    for (pointer, value, path) in [
        ("/ips", json!({}), "ips"),
        ("/ips/0/address", json!(7), "ips[0].address"),
        ("/ips/0/interface", json!("1"), "ips[0].interface"),
        ("/routes/1", json!("x"), "routes[1]"),
        ("/interfaces/0/mtu", json!("x"), "interfaces[0].mtu"),
        ("/dns/nameservers", json!([1]), "dns.nameservers"),
    ] {
        let mut result = dual_stack();
        result["interfaces"][0]["mtu"] = json!(1500);
        *result.pointer_mut(pointer).expect("a place") = value;
        match decode(result) {
            Err(ResultError::Type { path: found, .. }) => assert_eq!(found, path),
            other => panic!("{pointer}: {other:?}"),
        }
    }
    for (pointer, value) in [
        ("/ips/0/address", json!("10.1.2.3")),
        ("/ips/0/address", json!("10.1.2.300/24")),
        ("/ips/0/interface", json!(-1)),
        ("/routes/0/gw", json!("here")),
    ] {
        assert!(
            matches!(decode(with(pointer, value)), Err(ResultError::Value { .. })),
            "{pointer}"
        );
    }
}

#[test]
fn lies_are_found() {
    for (pointer, value) in [
        ("/ips/0/interface", json!(2)),
        ("/ips/0/address", json!("10.1.2.0/24")),
        ("/ips/0/address", json!("10.1.2.255/24")),
        ("/ips/0/address", json!("127.0.0.1/8")),
        ("/ips/0/address", json!("0.0.0.0/0")),
        ("/ips/0/address", json!("224.0.0.1/24")),
        ("/ips/1/address", json!("::1/128")),
        ("/ips/1/address", json!("10.1.2.3/24")),
        ("/ips/0/gateway", json!("192.168.9.1")),
        ("/ips/0/gateway", json!("2001:db8::1")),
        ("/ips/1/interface", json!(0)),
        ("/routes/0/gw", json!("2001:db8::1")),
        ("/routes/0/mtu", json!(10)),
        ("/interfaces/0/name", json!("../../etc")),
        ("/interfaces/0/mac", json!("zz:zz")),
        ("/interfaces/1/mtu", json!(1_000_000)),
        ("/dns/nameservers/0", json!("1.1.1.1\nnameserver 6.6.6.6")),
        ("/dns/search/0", json!("a b")),
        ("/dns/domain", json!("a\nb")),
    ] {
        let result = decode(with(pointer, value.clone())).expect("of the right types");
        // The other address of the interface may still be fine.
        let both = pointer == "/ips/1/interface";
        assert_eq!(
            result.validate("eth0").is_err(),
            !both,
            "{pointer} = {value}"
        );
    }
    let elsewhere = decode(dual_stack()).expect("well formed").validate("eth9");
    assert!(elsewhere.is_err());
}

#[test]
fn gateways_that_are_reached_otherwise_are_fine() {
    for (address, gateway, route) in [
        ("192.168.1.2/32", "169.254.1.1", "0.0.0.0/0"),
        ("10.0.0.2/32", "10.9.9.9", "0.0.0.0/0"),
        ("10.0.0.2/24", "10.9.9.9", "10.9.9.9/32"),
        ("2001:db8::2/64", "fe80::1", "::/0"),
        ("10.0.0.0/31", "10.0.0.1", "0.0.0.0/0"),
    ] {
        let result = decode(json!({
            "cniVersion": "1.0.0",
            "ips": [{"address": address, "gateway": gateway}],
            "routes": [{"dst": route}],
        }));
        assert_eq!(
            result.expect("well formed").validate("eth0"),
            Ok(()),
            "{address}"
        );
    }
}

#[test]
fn only_the_loopback_interface_has_loopback_addresses() {
    for (name, fine) in [("lo", true), ("eth0", false)] {
        let result = decode(json!({
            "cniVersion": "1.0.0",
            "interfaces": [{"name": name, "sandbox": "/run/netns/x"}],
            "ips": [{"address": "127.0.0.1/8", "interface": 0}, {"address": "::1/128", "interface": 0}],
        }));
        let valid = result.expect("well formed").validate(name).is_ok();
        assert_eq!(valid, fine, "{name}");
    }
}

#[test]
fn counts_are_bounded() {
    let routes: Vec<Value> = (0..10_000).map(|_| json!({"dst": "10.0.0.0/8"})).collect();
    let many = decode(json!({"cniVersion": "1.0.0", "routes": routes}));
    assert!(matches!(
        many,
        Err(ResultError::TooMany {
            what: "routes",
            count: 10_000,
            ..
        })
    ));
}

#[test]
fn keys_of_another_letter_case_are_read() {
    let result = decode(json!({"cniVersion": "1.0.0", "IPs": [{"Address": "10.0.0.2/8"}]}));
    assert_eq!(result.expect("well formed").ips.len(), 1);
}

proptest! {
    #[test]
    fn no_output_is_a_surprise(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(object) = parse_output(&bytes, "1.0.0") {
            let _ = NetworkResult::decode(&object).map(|result| result.validate("eth0"));
        }
    }

    #[test]
    fn what_is_encoded_decodes_to_the_same(
        octet in 1u8..254, index in prop::option::of(0usize..2), table in prop::option::of(0u32..9)
    ) {
        let mut result = decode(dual_stack()).expect("well formed");
        result.ips[0].address = format!("10.1.2.{octet}/24").parse().expect("an address");
        result.ips[0].interface = index;
        result.routes[0].table = table;
        let encoded = result.encode("1.1.0").expect("known");
        prop_assert_eq!(NetworkResult::decode(&encoded), Ok(result));
    }
}
