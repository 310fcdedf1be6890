//! The program's variables, as its service manager sets them.

use std::net::TcpListener;
use std::process::{Command, Output};

/// Runs the agent until it finds that its port for health checks is taken: then it has read all flags.
fn started_with(variables: &[(&str, &str)]) -> Output {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    Command::new(env!("CARGO_BIN_EXE_ignite-overlay"))
        .env("FLANNELD_HEALTHZ_IP", "127.0.0.1")
        .env("FLANNELD_HEALTHZ_PORT", port.to_string())
        .envs(variables.iter().copied())
        .output()
        .expect("it runs")
}

#[track_caller]
fn accepted(variables: &[(&str, &str)]) {
    let output = started_with(variables);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("for health checks"), "{said}");
    assert_eq!(output.status.code(), Some(1), "{said}");
}

#[test]
fn empty_variables_count_as_unset() {
    accepted(&[
        ("FLANNELD_PUBLIC_IP", ""),
        ("FLANNELD_IP_MASQ", ""),
        ("FLANNELD_IFACE_CAN_REACH", ""),
        ("FLANNELD_SUBNET_LEASE_RENEW_MARGIN", ""),
        // Not half of a pair either.
        ("FLANNELD_ETCD_CERTFILE", ""),
        ("FLANNELD_ETCD_USERNAME", ""),
        ("WIREGUARD_KEY_FILE", ""),
    ]);
}

#[test]
fn booleans_are_spelled_as_in_go_in_variables_too() {
    for word in ["1", "t", "True", "0", "F", "FALSE"] {
        accepted(&[
            ("FLANNELD_IP_MASQ", word),
            ("FLANNELD_IPTABLES_FORWARD_RULES", word),
        ]);
    }
    let output = started_with(&[("FLANNELD_IP_MASQ", "yes")]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
