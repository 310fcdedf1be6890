//! Scenario vectors, each in a directory of its own.
//!
//! * `files`: path below the root -> content (a text, or JSON). Networks are in
//!   `net.d`, the cache in `cache`. `@ROOT@` in texts is the directory.
//! * `plugins`: plugin type -> script of the stub (see [`super::stub`]). A type
//!   with a script has a program; `bin: {type: path}` puts others.
//! * `steps`: `{op, net, cid, netns, ifname, args, caps, valid, timeout_ms, files}`
//!   with `expect`: `{ok: value}` or `{err: {code, contains: [..]}}`.
//! * `calls`: what the plugins were called with, in order; only the keys given are
//!   compared, and inside `env` only the variables given.
//! * `cache`: file name -> content, `null` for absent; `config` decoded.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ignite_cni::cache::Filter;
use ignite_cni::error::chain;
use ignite_cni::{Attachment, AttachmentId, Error, LoadError, NetworkConfig, Networks, Runtime};
use serde_json::{Map, Value, json};

struct Scenario {
    root: tempfile::TempDir,
}

/// A failed step: its message and code.
type Failure = (String, Option<u32>);

pub fn run(case: &Value) -> Result<(), String> {
    let scenario = Scenario {
        root: tempfile::tempdir().map_err(|error| error.to_string())?,
    };
    for directory in ["bin", "scripts", "net.d"] {
        fs::create_dir(scenario.path(directory)).map_err(|error| error.to_string())?;
    }
    scenario.place(case);
    for (number, step) in list(&case["steps"]).iter().enumerate() {
        scenario.place(step);
        let found = scenario.step(step);
        scenario
            .compare(&found, &step["expect"])
            .map_err(|text| format!("step {number}: {text}"))?;
    }
    if let Some(expected) = case.get("calls") {
        scenario.compare_calls(list(expected))?;
    }
    scenario.compare_cache(case.get("cache").and_then(Value::as_object))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

impl Scenario {
    fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    fn with_root(&self, text: &str) -> String {
        text.replace("@ROOT@", &self.root.path().to_string_lossy())
    }

    /// Writes the files and plugins of a vector or step.
    fn place(&self, case: &Value) {
        for (path, content) in case["files"].as_object().into_iter().flatten() {
            let path = self.path(path);
            fs::create_dir_all(path.parent().expect("below the root")).expect("created");
            match content {
                Value::Null => fs::remove_file(path).expect("removed"),
                Value::String(text) => fs::write(path, self.with_root(text)).expect("written"),
                other => fs::write(path, self.with_root(&other.to_string())).expect("written"),
            }
        }
        for (kind, script) in case["plugins"].as_object().into_iter().flatten() {
            let program = self.path("bin").join(kind);
            if program.symlink_metadata().is_err() {
                symlink(std::env::current_exe().expect("a path"), &program).expect("linked");
            }
            let file = self.path("scripts").join(format!("{kind}.json"));
            fs::write(file, script.to_string()).expect("written");
        }
    }

    fn runtime(&self, step: &Value) -> Runtime {
        let mut runtime = Runtime {
            bin_dirs: vec![self.path("bin")],
            cache_dir: self.path("cache"),
            ..Runtime::default()
        };
        if let Some(time) = step["timeout_ms"].as_u64().map(Duration::from_millis) {
            let bounds = &mut runtime.bounds;
            (bounds.add, bounds.del, bounds.other) = (time, time, time);
        }
        runtime
    }

    fn network(&self, step: &Value) -> Result<NetworkConfig, Failure> {
        let (networks, _) = Networks::load(&self.path("net.d"));
        let found = networks.by_name(step["net"].as_str().unwrap_or("n"));
        found.cloned().map_err(|error| (error.to_string(), None))
    }

    fn step(&self, step: &Value) -> Result<Value, Failure> {
        let runtime = self.runtime(step);
        let attachment = attachment(step);
        let network = || self.network(step);
        match step["op"].as_str().expect("an operation") {
            "add" => {
                let added = runtime.add(&network()?, &attachment).map_err(failure)?;
                Ok(added.raw)
            }
            "check" => done(runtime.check(&network()?, &attachment)),
            "del" => done(runtime.del(&network()?, &attachment)),
            "del_cached" => {
                let name = step["net"].as_str().unwrap_or("n");
                done(runtime.del_cached(name, &attachment.id()))
            }
            "status" => done(runtime.status(&network()?)),
            "validate" => runtime
                .validate(&network()?)
                .map(|names| json!(names))
                .map_err(failure),
            "versions" => {
                let versions = runtime.versions(step["plugin"].as_str().expect("a type"));
                versions.map(|list| json!(list)).map_err(failure)
            }
            "gc" => {
                let collected = runtime.gc(&network()?, &valid(step));
                Error::several(collected.errors).map_err(failure)?;
                Ok(json!(collected.released))
            }
            "cached" => self.cached(&runtime, step, &attachment.id()),
            "attachments" => {
                let filter = Filter {
                    network: step["net"].as_str(),
                    container_id: step["cid"].as_str(),
                };
                let entries = runtime
                    .cache()
                    .list(filter)
                    .map_err(|error| failure(error.into()))?;
                Ok(entries
                    .iter()
                    .map(|entry| json!(entry.attachment.id()))
                    .collect())
            }
            "load" => self.load(step),
            other => panic!("no operation is called {other}"),
        }
    }

    /// What a cached entry says; `null` if there is none.
    fn cached(&self, runtime: &Runtime, step: &Value, id: &AttachmentId) -> Result<Value, Failure> {
        let name = step["net"].as_str().unwrap_or("n");
        let entry = runtime.cached(name, id).map_err(failure)?;
        Ok(entry.map_or(Value::Null, |entry| {
            json!({
                "config": String::from_utf8_lossy(&entry.config),
                "args": entry.attachment.args,
                "caps": entry.attachment.capabilities,
                "netns": entry.attachment.netns.to_string_lossy(),
            })
        }))
    }

    /// The network of a name, or all; broken files are told.
    fn load(&self, step: &Value) -> Result<Value, Failure> {
        let directory = self.path(step["dir"].as_str().unwrap_or("net.d"));
        let (networks, errors) = Networks::load(&directory);
        let describe = |config: &NetworkConfig| {
            let kinds: Vec<&str> = config
                .plugins
                .iter()
                .map(|plugin| plugin.kind.as_str())
                .collect();
            let file = config
                .file
                .as_deref()
                .and_then(Path::file_name)
                .unwrap_or_default();
            json!({"name": config.name, "file": file.to_string_lossy(), "plugins": kinds})
        };
        if let Some(name) = step["net"].as_str() {
            let found = networks.by_name(name).map(describe);
            return found.map_err(|error| (error.to_string(), None));
        }
        if step["first"] == json!(true) {
            return networks
                .first()
                .map(describe)
                .map_err(|error| (error.to_string(), None));
        }
        if let Some(error) = errors.first() {
            return Err((chain(error), None));
        }
        let _: &[LoadError] = &errors;
        Ok(networks.all().iter().map(describe).collect())
    }

    fn compare(&self, found: &Result<Value, Failure>, expect: &Value) -> Result<(), String> {
        let wrong = || Err(format!("found {found:?}\nexpected {expect}"));
        match (found, expect.get("ok"), expect.get("err")) {
            (Ok(value), Some(ok), None) if value == &self.rooted(ok) => Ok(()),
            (Err((text, code)), None, Some(err)) => {
                let expected_code = err.get("code").and_then(Value::as_u64);
                let codes = expected_code.is_none_or(|wanted| *code == u32::try_from(wanted).ok());
                let parts = list(&err["contains"]).iter().filter_map(Value::as_str);
                let all = parts
                    .into_iter()
                    .all(|part| text.contains(&self.with_root(part)));
                if codes && all { Ok(()) } else { wrong() }
            }
            _ => wrong(),
        }
    }

    fn rooted(&self, value: &Value) -> Value {
        serde_json::from_str(&self.with_root(&value.to_string())).expect("still JSON")
    }

    fn compare_calls(&self, expected: &[Value]) -> Result<(), String> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let found: Vec<Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let short = |call: &Value| format!("{} {}", call["plugin"], call["command"]);
        let both = || {
            let found: Vec<String> = found.iter().map(short).collect();
            format!("calls were {found:?}, expected {expected:?}")
        };
        if found.len() != expected.len() {
            return Err(both());
        }
        for (found, expected) in found.iter().zip(expected) {
            let expected = self.rooted(expected);
            for (key, value) in expected.as_object().expect("an object") {
                let same = match key.as_str() {
                    "env" => contains(&found["env"], value),
                    "env_without" => list(value)
                        .iter()
                        .all(|name| found["env"].get(name.as_str().expect("a name")).is_none()),
                    "stdin_without" => list(value)
                        .iter()
                        .all(|name| found["stdin"].get(name.as_str().expect("a key")).is_none()),
                    _ => found[key] == *value,
                };
                if !same {
                    return Err(format!(
                        "call {}: {key} was {}\nexpected {value}",
                        short(found),
                        found[key]
                    ));
                }
            }
        }
        Ok(())
    }

    fn compare_cache(&self, expected: Option<&Map<String, Value>>) -> Result<(), String> {
        for (name, expected) in expected.into_iter().flatten() {
            let found = fs::read(self.path("cache/results").join(name)).ok();
            let found = found.map_or(Value::Null, |bytes| decoded(&bytes));
            if found != self.rooted(expected) {
                return Err(format!(
                    "cache file {name} was {found}\nexpected {expected}"
                ));
            }
        }
        Ok(())
    }
}

/// A cache file with its configuration readable.
fn decoded(bytes: &[u8]) -> Value {
    let mut value: Value = serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(bytes).into_owned()));
    if let Some(config) = value.get("config").and_then(Value::as_str) {
        let bytes = STANDARD.decode(config).expect("base64");
        value["config"] = serde_json::from_slice(&bytes).expect("a configuration");
    }
    value
}

fn contains(found: &Value, expected: &Value) -> bool {
    let expected = expected.as_object().expect("an object");
    expected
        .iter()
        .all(|(name, value)| found.get(name) == Some(value))
}

fn done<T>(outcome: Result<T, Error>) -> Result<Value, Failure> {
    outcome.map(|_| Value::Null).map_err(failure)
}

fn failure(error: Error) -> Failure {
    (chain(&error), error.code())
}

fn attachment(step: &Value) -> Attachment {
    let text = |key: &str, default: &str| step[key].as_str().unwrap_or(default).to_owned();
    let args = step.get("args").cloned().unwrap_or_else(|| json!([]));
    Attachment {
        container_id: text("cid", "c"),
        netns: PathBuf::from(text("netns", "/run/netns/x")),
        ifname: text("ifname", "eth0"),
        args: serde_json::from_value(args).expect("pairs"),
        capabilities: step["caps"].as_object().cloned().unwrap_or_default(),
    }
}

fn valid(step: &Value) -> BTreeSet<AttachmentId> {
    serde_json::from_value(step["valid"].clone()).unwrap_or_default()
}
