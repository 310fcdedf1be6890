//! Conformance vectors of the CNI runtime: JSON files under `data`, run against
//! the runtime with a scripted stub plugin.
//!
//! A vector is a *function* vector (`fn`, `in`, `out` or `err`) or a *scenario*
//! (`files`, `plugins`, `steps`, `calls`, `cache`); see [`function`] and
//! [`scenario`]. Where this runtime means to be better than the reference, the
//! vector holds our value and says why under `deviation`; these are listed.
//!
//! Called as a plugin (with `CNI_COMMAND` set), this program is the stub.

mod function;
mod scenario;
mod stub;

use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

/// One vector as it stands in its file.
#[derive(serde::Deserialize)]
struct Vector {
    id: String,
    #[serde(default)]
    about: String,
    #[serde(default)]
    deviation: Option<String>,
    #[serde(flatten)]
    case: serde_json::Map<String, Value>,
}

fn main() -> ExitCode {
    if std::env::var_os("CNI_COMMAND").is_some() {
        return stub::main();
    }
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let mut vectors = load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/data"));
    vectors.retain(|vector| wanted.is_empty() || wanted.iter().any(|id| vector.id.starts_with(id)));
    let mut failures = 0;
    for vector in &vectors {
        let case = Value::Object(vector.case.clone());
        let outcome = match case.get("fn") {
            Some(_) => function::run(&case),
            None => scenario::run(&case),
        };
        if let Err(difference) = outcome {
            failures += 1;
            println!("{} ({}): FAILED\n{difference}\n", vector.id, vector.about);
        }
    }
    for vector in vectors.iter().filter(|vector| vector.deviation.is_some()) {
        println!(
            "deviation {}: {}",
            vector.id,
            vector.deviation.as_deref().unwrap_or_default()
        );
    }
    println!("{} conformance vectors, {failures} failed", vectors.len());
    if failures == 0 && !vectors.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn load(directory: &Path) -> Vec<Vector> {
    let entries = std::fs::read_dir(directory).expect("the data directory");
    let mut files: Vec<_> = entries
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    let mut vectors: Vec<Vector> = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("readable");
        let more: Vec<Vector> = serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        vectors.extend(more);
    }
    for (index, vector) in vectors.iter().enumerate() {
        let twice = vectors[..index].iter().any(|other| other.id == vector.id);
        assert!(!twice, "two vectors are called {}", vector.id);
    }
    vectors
}
