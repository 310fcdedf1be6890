//! Every request the driver can make, with every field set and unset, against Firecracker's own
//! description of its API, and every documented answer through the driver's eyes.
//!
//! The description lies beside the repository, in `../shared/spec`, or where
//! `IGNITE_FIRECRACKER_OPENAPI` says.

mod schema;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ignite_vmm::firecracker::answer::{Answer, Decoder};
use ignite_vmm::firecracker::request::Request;
use ignite_wire::supervisor::Rate;
use schema::Description;

const VARIABLE: &str = "IGNITE_FIRECRACKER_OPENAPI";

fn description() -> Description {
    let beside = "../../../shared/spec/firecracker-openapi.yaml";
    let path = std::env::var_os(VARIABLE).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join(beside),
        PathBuf::from,
    );
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "cannot read Firecracker's API description {}: {error}; {VARIABLE} says where else it is \
             (src/firecracker/swagger/firecracker.yaml in Firecracker's sources)",
            path.display()
        )
    });
    Description::parse(&text)
}

fn rates() -> Vec<Option<Rate>> {
    let rate = |bytes_per_second, burst| {
        Some(Rate {
            bytes_per_second,
            burst,
        })
    };
    vec![
        None,
        rate(1, 0),
        rate(50 << 20, 100 << 20),
        rate(u64::MAX, u64::MAX),
    ]
}

/// The next request of the list, so that one that is added is not forgotten here.
fn examples(after: Option<&Request>) -> Option<Vec<Request>> {
    let text = |text: &str| text.to_owned();
    let next = match after {
        None => vec![Request::Version],
        Some(Request::Version) => vec![Request::Metrics {
            path: text("/run/metrics"),
        }],
        Some(Request::Metrics { .. }) => vec![Request::BootSource {
            kernel: text("/kernel"),
            initramfs: text("/run/initramfs"),
            arguments: text("console=ttyS0 reboot=k"),
        }],
        Some(Request::BootSource { .. }) => [1, 2, 3, 32]
            .map(|cpus| Request::Machine {
                cpus,
                memory_mib: 512,
            })
            .into(),
        Some(Request::Machine { .. }) => drives(),
        Some(Request::Drive { .. }) => [None, Some(68), Some(65535)]
            .map(|mtu| Request::Interface {
                number: 3,
                tap: text("tap3"),
                mac: text("02:00:00:00:00:01"),
                mtu,
            })
            .into(),
        Some(Request::Interface { .. }) => vec![Request::Vsock {
            path: text("/run/vsock.sock"),
        }],
        Some(Request::Vsock { .. }) => vec![Request::Entropy],
        Some(Request::Entropy) => vec![Request::Start],
        Some(Request::Start) => vec![Request::CtrlAltDel],
        Some(Request::CtrlAltDel) => vec![Request::FlushMetrics],
        Some(Request::FlushMetrics) => vec![Request::Pause],
        Some(Request::Pause) => vec![Request::Resume],
        Some(Request::Resume) => rates()
            .into_iter()
            .map(|rate| Request::LimitDrive { number: 1, rate })
            .collect(),
        Some(Request::LimitDrive { .. }) => [true, false]
            .map(|reporting| Request::Balloon {
                amount_mib: 64,
                reporting,
            })
            .into(),
        Some(Request::Balloon { .. }) => [0, 64, 1 << 30]
            .map(|amount_mib| Request::Inflate { amount_mib })
            .into(),
        Some(Request::Inflate { .. }) => vec![Request::BalloonStatistics],
        Some(Request::BalloonStatistics) => return None,
    };
    Some(next)
}

fn drives() -> Vec<Request> {
    let drive = |read_only| {
        rates().into_iter().map(move |rate| Request::Drive {
            number: 0,
            path: "/disk0".to_owned(),
            read_only,
            rate,
        })
    };
    drive(true).chain(drive(false)).collect()
}

fn all_requests() -> Vec<Request> {
    let mut requests: Vec<Request> = Vec::new();
    while let Some(more) = examples(requests.last()) {
        requests.extend(more);
    }
    requests
}

#[test]
fn every_request_is_as_described() {
    let description = description();
    let requests = all_requests();
    for request in &requests {
        let method = request.method().as_str().to_lowercase();
        let checked = description.check(&method, &request.path(), request.body().as_ref());
        checked.unwrap_or_else(|error| panic!("{request:?}: {error}"));
    }
    let kinds: BTreeSet<String> = requests
        .iter()
        .map(|request| format!("{} {}", request.method().as_str(), request.path()))
        .collect();
    assert_eq!(kinds.len(), 14, "{kinds:?}");
}

#[test]
fn what_is_not_as_described_is_found() {
    let description = description();
    let wrong = [
        (
            "put",
            "/machine-config",
            r#"{"vcpu_count":1}"#,
            "mem_size_mib",
        ),
        (
            "put",
            "/machine-config",
            r#"{"vcpu_count":33,"mem_size_mib":1}"#,
            "33",
        ),
        (
            "put",
            "/machine-config",
            r#"{"vcpu_count":0,"mem_size_mib":1}"#,
            "0",
        ),
        (
            "put",
            "/machine-config",
            r#"{"vcpu_count":"1","mem_size_mib":1}"#,
            "integer",
        ),
        (
            "put",
            "/machine-config",
            r#"{"vcpu_count":1,"mem_size_mib":1,"x":1}"#,
            "x",
        ),
        ("put", "/vsock", r#"{"guest_cid":2,"uds_path":"/v"}"#, "2"),
        ("patch", "/vm", r#"{"state":"paused"}"#, "paused"),
        (
            "patch",
            "/drives/a",
            r#"{"drive_id":"a","rate_limiter":{"bandwidth":{"size":1}}}"#,
            "refill_time",
        ),
        ("delete", "/vm", "{}", "delete"),
        ("put", "/nothing", "{}", "/nothing"),
    ];
    for (method, path, body, word) in wrong {
        let body = serde_json::from_str(body).expect("JSON");
        let error = description
            .check(method, path, Some(&body))
            .expect_err("not as described");
        assert!(error.contains(word), "{error}");
    }
    let error = description
        .check("put", "/vsock", None)
        .expect_err("a body is required");
    assert!(error.contains("body"), "{error}");
}

#[test]
fn every_documented_answer_is_understood() {
    let description = description();
    let mut seen = 0;
    for request in all_requests() {
        let method = request.method().as_str().to_lowercase();
        for code in description.codes(&method, &request.path()) {
            let body = if code == 204 {
                ""
            } else {
                "{\"fault_message\":\"why\"}"
            };
            let length = body.len();
            let text = format!("HTTP/1.1 {code} \r\nContent-Length: {length}\r\n\r\n{body}");
            let mut answers: Vec<Answer> = Vec::new();
            let decoded = Decoder::default().push(text.as_bytes(), &mut answers);
            decoded.expect("an answer");
            assert_eq!(
                (answers[0].code, answers[0].is_success()),
                (code, code < 300)
            );
            assert!(code < 300 || answers[0].fault().contains("why"));
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen}");
}
