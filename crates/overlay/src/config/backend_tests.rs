use super::*;

const PSK: &str = "HIgo9xNzJMWLKASShiTqIybxZ0U3wGLiUeJ1PKf8ykw=";

fn backend(text: &str) -> Result<Backend, ConfigError> {
    let text = format!(r#"{{"Network":"10.5.0.0/16","Backend":{text}}}"#);
    Config::parse(text.as_bytes()).map(|config| config.backend)
}

fn backend_told(text: &str) -> String {
    backend(text).expect_err(text).to_string()
}

#[test]
fn backends_have_their_defaults_and_options() {
    let is = |text: &str, expected: Backend| {
        assert_eq!(backend(text).expect(text), expected, "{text}");
    };
    is(r#"{"Type":"udp"}"#, Backend::Udp { port: 8285 });
    is(r#"{"type":"UDP","port":7}"#, Backend::Udp { port: 7 });
    is(r#"{"Type":"host-gw"}"#, Backend::HostGw);
    is(r#"{"Type":"alloc","other":1}"#, Backend::Alloc);
    is(r#"{"Type":"VXLAN","Port":0,"MTU":0}"#, Backend::vxlan());
    is(
        r#"{"Type":"vxlan","VNI":77,"Port":4789,"GBP":true,"Learning":true,"DirectRouting":true,"MTU":9000}"#,
        Backend::Vxlan {
            vni: 77,
            port: Some(4789),
            gbp: true,
            learning: true,
            direct_routing: true,
            mtu: Some(9000),
        },
    );
    let wireguard =
        |psk: Option<&str>, listen_port, listen_port_v6, keepalive, mode, mtu| Backend::Wireguard {
            psk: psk.and_then(PresharedKey::new),
            listen_port,
            listen_port_v6,
            keepalive,
            mode,
            mtu,
        };
    let default = |keepalive| wireguard(None, 51820, 51821, keepalive, Mode::Separate, None);
    is(r#"{"Type":"wireguard","PSK":""}"#, default(KEEPALIVE));
    is(
        r#"{"Type":"wireguard","PersistentKeepaliveInterval":0}"#,
        default(0),
    );
    is(
        &format!(
            r#"{{"Type":"wireguard","PSK":"{PSK}","ListenPort":1,"ListenPortV6":2,"PersistentKeepaliveInterval":300,"Mode":"auto","MTU":1400}}"#
        ),
        wireguard(Some(PSK), 1, 2, 300, Mode::Auto, Some(1400)),
    );
}

#[test]
fn backends_that_cannot_be_used_are_told_apart() {
    for text in ["{}", r#"{"Type":""}"#, r#"{"Type":null}"#, "null"] {
        assert_eq!(
            backend_told(text),
            r#"Backend.Type "" is not known"#,
            "{text}"
        );
    }
    assert_eq!(
        backend_told(r#"{"Type":"vx-lan"}"#),
        r#"Backend.Type "vx-lan" is not known"#
    );
    for kind in ["ipip", "ipsec", "extension", "tencent-vpc", "IPIP"] {
        let error = backend(&format!(r#"{{"Type":"{kind}"}}"#)).expect_err(kind);
        let lower = kind.to_lowercase();
        assert_eq!(
            error.to_string(),
            format!("Backend.Type {lower:?} of Flannel is not supported by Ignite")
        );
        assert!(
            error
                .hint()
                .expect("a hint")
                .contains("vxlan, host-gw, wireguard")
        );
    }
    assert_eq!(
        backend_told("[]"),
        "Backend is \"an array\": an object with a Type is expected"
    );
}

#[test]
fn options_that_cannot_be_are_named() {
    for (text, expected) in [
        (
            r#"{"Type":"udp","Port":0}"#,
            "Backend.Port is 0, not a whole number from 1 to 65535",
        ),
        (
            r#"{"Type":"vxlan","VNI":16777216}"#,
            "Backend.VNI is 16777216, not a whole number from 0 to 16777215",
        ),
        (
            r#"{"Type":"vxlan","VNI":-1}"#,
            "Backend.VNI is -1, not a whole number from 0 to 16777215",
        ),
        (
            r#"{"Type":"vxlan","Port":65536}"#,
            "Backend.Port is 65536, not a whole number from 0 to 65535",
        ),
        (
            r#"{"Type":"vxlan","GBP":1}"#,
            "Backend.GBP must be true or false, not a number",
        ),
        (
            r#"{"Type":"vxlan","MTU":100}"#,
            "Backend.MTU is 100, not a whole number from 576 to 65535",
        ),
        (
            r#"{"Type":"wireguard","Mode":"Auto"}"#,
            "Backend.Mode is \"Auto\": the modes are separate, auto, ipv4 and ipv6",
        ),
        (
            r#"{"Type":"wireguard","PSK":"hush"}"#,
            "Backend.PSK is \"(secret)\": a preshared key is 32 bytes in base64, as `wg genpsk` makes them",
        ),
        (
            r#"{"Type":"wireguard","PersistentKeepaliveInterval":65536}"#,
            "Backend.PersistentKeepaliveInterval is 65536, not a whole number from 0 to 65535",
        ),
    ] {
        assert_eq!(backend_told(text), expected, "{text}");
    }
    let secret = PresharedKey::new(PSK).expect("a key");
    assert_eq!(format!("{secret:?}"), "PresharedKey(...)");
    assert_eq!(secret.reveal(), PSK);
}

#[test]
fn backends_are_called_differently_in_leases() {
    let names = [
        (Backend::udp(), None),
        (Backend::Alloc, None),
        (Backend::vxlan(), Some("vxlan")),
        (Backend::HostGw, Some("host-gw")),
        (Backend::wireguard(), Some("wireguard")),
    ];
    for (backend, expected) in names {
        assert_eq!(backend.lease_kind(), expected);
    }
}
