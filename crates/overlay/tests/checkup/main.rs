//! What `checkup` says of agents as programs, each in a network namespace of its own, with a real etcd.

#[path = "../common/mod.rs"]
mod common;
mod fakes;
mod hosts;
#[path = "../common/lab/mod.rs"]
#[expect(
    dead_code,
    unused_imports,
    reason = "the tests of the agent use all of it"
)]
mod lab;
mod troubles;

use ignite_overlay::checkup::{self, Probe, check};
use ignite_overlay::etcd::Settings;
use serde_json::Value;

use lab::{ENDPOINT, Lab, PREFIX, Place, soon};

/// A network with this backend whose nodes have subnets from 10.5.100.0 to 10.5.199.0: the others are
/// for what tests write themselves.
fn config(backend: &str) -> String {
    format!(
        r#"{{"Network":"10.5.0.0/16","SubnetMin":"10.5.100.0","SubnetMax":"10.5.199.0","Backend":{backend}}}"#
    )
}

/// Where a node's agent writes.
fn place(lab: &Lab, node: usize) -> checkup::Place {
    checkup::Place {
        etcd: Settings::new([ENDPOINT]),
        prefix: PREFIX.to_owned(),
        status_file: lab.node(node).path("status.json"),
        entrance: None,
    }
}

/// A look from a node, as JSON.
fn look(lab: &Lab, node: usize) -> Value {
    look_at(lab, node, &place(lab, node))
}

fn look_at(lab: &Lab, node: usize, place: &checkup::Place) -> Value {
    lab.within(Place::Node(node), || now(place))
}

/// A look from where the calling thread is.
fn now(place: &checkup::Place) -> Value {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let found = runtime.block_on(check(place, Probe::Peers));
    serde_json::to_value(found).expect("plain data")
}

fn kinds(found: &Value) -> Vec<&str> {
    let troubles = found["troubles"].as_array().expect("troubles");
    let kinds = troubles.iter().map(|trouble| trouble["kind"].as_str());
    kinds.map(|kind| kind.expect("a word")).collect()
}

/// The text and the remedy of the first trouble of a kind.
fn told(found: &Value, kind: &str) -> String {
    let troubles = found["troubles"].as_array().expect("troubles");
    let trouble = troubles.iter().find(|trouble| trouble["kind"] == kind);
    let trouble = trouble.unwrap_or_else(|| panic!("no {kind}: {found:#}"));
    format!("{} | {}", trouble["text"], trouble["remedy"])
}

/// Looks until a look satisfies.
fn until(lab: &Lab, node: usize, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    soon(what, || {
        let found = look(lab, node);
        match fits(&found) {
            true => Ok(found),
            false => Err(format!("{found:#}")),
        }
    })
}

/// Looks until there are no troubles, and all peers of a node answer.
fn until_well(lab: &Lab, node: usize, peers: usize) -> Value {
    until(lab, node, "nothing is wrong", |found| {
        let all = found["peers"].as_array().expect("peers");
        kinds(found).is_empty()
            && all.len() == peers
            && all.iter().all(|peer| peer["reachable"] == "yes")
    })
}
