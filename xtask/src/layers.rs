//! The layers of the workspace (ARCHITECTURE.md): a crate uses crates of lower
//! layers only. Dependencies of tests alone are free.

use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

/// Every crate and its layer, programs on top. A crate that is not here is
/// refused, so that a new one gets its place before its first edge.
const LAYERS: &[(&str, u8)] = &[
    ("ignite-cli", 4),
    ("ignite-daemon", 4),
    ("ignite-spawn", 4),
    ("ignite-guest", 4),
    ("ignite-program", 3),
    ("ignite-dashboard", 3),
    ("ignite-engine", 2),
    ("ignite-store", 1),
    ("ignite-cni", 1),
    ("ignite-cni-plugins", 1),
    ("ignite-vmm", 1),
    ("ignite-docker", 1),
    ("ignite-archive", 1),
    ("ignite-image", 1),
    ("ignite-overlay", 1),
    ("ignite-api", 0),
    ("ignite-wire", 0),
    ("ignite-host", 0),
];

/// The steps inside a layer that are permitted.
const SIDEWAYS: &[(&str, &str)] = &[
    ("ignite-cni-plugins", "ignite-cni"),
    ("ignite-image", "ignite-archive"),
];

/// Crates of development: they may use any, none may use them but for tests.
const DEVELOPMENT: &[&str] = &["ignite-testkit", "xtask"];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `None` for an ordinary one, else `dev` or `build`.
    kind: Option<String>,
    /// Where a crate of this workspace lives; `None` for one of a registry.
    path: Option<String>,
}

/// Reads the workspace's dependency table and fails with every wrong edge.
pub fn check() -> Result<()> {
    let faults: Vec<String> = metadata()?.packages.iter().flat_map(faults).collect();
    if !faults.is_empty() {
        bail!("the layers are broken:\n  {}", faults.join("\n  "));
    }
    Ok(())
}

fn metadata() -> Result<Metadata> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cargo metadata")?;
    ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).context("the answer of cargo metadata")
}

/// What is wrong with the edges of one crate.
fn faults(package: &Package) -> Vec<String> {
    if DEVELOPMENT.contains(&package.name.as_str()) {
        return Vec::new();
    }
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.path.is_some() && dependency.kind.as_deref() != Some("dev"))
        .filter_map(|dependency| fault(&package.name, &dependency.name))
        .collect()
}

fn fault(from: &str, to: &str) -> Option<String> {
    if SIDEWAYS.contains(&(from, to)) {
        return None;
    }
    let Some(upper) = layer(from) else {
        return Some(format!(
            "{from} has no layer: give it one in xtask/src/layers.rs"
        ));
    };
    match layer(to) {
        None => Some(format!("{from} uses {to}, which is of no layer")),
        Some(lower) if lower < upper => None,
        Some(lower) if lower == upper => {
            Some(format!("{from} uses {to}: sideways in layer {upper}"))
        }
        Some(lower) => Some(format!(
            "{from} (layer {upper}) uses {to} (layer {lower}): upwards"
        )),
    }
}

fn layer(name: &str) -> Option<u8> {
    LAYERS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, layer)| *layer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, kind)| Dependency {
                name: (*name).to_owned(),
                kind: kind.map(str::to_owned),
                path: name.starts_with("ignite").then(|| "crates".to_owned()),
            })
            .collect();
        Package {
            name: name.to_owned(),
            dependencies,
        }
    }

    #[test]
    fn downward_edges_and_strangers_pass() {
        let engine = package("ignite-engine", &[("ignite-store", None), ("serde", None)]);
        assert!(faults(&engine).is_empty());
    }

    #[test]
    fn edges_up_and_sideways_are_refused() {
        let store = package(
            "ignite-store",
            &[("ignite-engine", None), ("ignite-cni", None)],
        );
        assert_eq!(
            faults(&store),
            [
                "ignite-store (layer 1) uses ignite-engine (layer 2): upwards",
                "ignite-store uses ignite-cni: sideways in layer 1"
            ]
        );
    }

    #[test]
    fn the_plugins_may_use_cni_but_not_the_other_way_round() {
        assert!(faults(&package("ignite-cni-plugins", &[("ignite-cni", None)])).is_empty());
        assert_eq!(
            faults(&package("ignite-cni", &[("ignite-cni-plugins", None)])).len(),
            1
        );
    }

    #[test]
    fn testkit_is_for_tests_alone() {
        assert!(faults(&package("ignite-cli", &[("ignite-testkit", Some("dev"))])).is_empty());
        assert_eq!(
            faults(&package("ignite-cli", &[("ignite-testkit", None)])).len(),
            1
        );
    }

    #[test]
    fn a_crate_without_a_layer_is_refused() {
        assert_eq!(
            faults(&package("ignite-new", &[("ignite-api", None)])).len(),
            1
        );
    }

    #[test]
    fn this_workspace_keeps_its_layers() {
        check().expect("the layers of this workspace");
    }
}
