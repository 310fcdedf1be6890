//! Every value of the configuration, and where it came from.

use std::fmt;
use std::path::PathBuf;

use ignite_api::{ConfigurationSpec, Positions, decode_value};
use serde::Serialize;
use serde_json::Value;

use super::variables::of_field;
use super::{File, Said};
use crate::Config;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Origin {
    /// Nobody said anything.
    BuiltIn,
    /// The configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: Option<u64>,
    },
    /// A variable of the environment.
    Variable {
        /// Its name.
        name: String,
    },
    /// A flag of the command line.
    Flag {
        /// The flag.
        name: String,
    },
}

impl Origin {
    /// A flag.
    pub fn flag(name: &str) -> Self {
        Self::Flag { name: name.into() }
    }

    /// A variable.
    pub fn variable(name: &str) -> Self {
        Self::Variable { name: name.into() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.pad("built-in"),
            Self::Variable { name } | Self::Flag { name } => f.pad(name),
            Self::File { path, line } => {
                let line = line.map(|line| format!(":{line}")).unwrap_or_default();
                f.pad(&format!("{}{line}", path.display()))
            }
        }
    }
}

/// One value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Setting {
    /// Its path: `vmDefaults.memory`.
    pub name: String,
    /// What holds; null for nothing.
    pub value: Value,
    /// Who says so.
    pub from: Origin,
}

/// Fields that are there without a value as well.
const ALWAYS: [&str; 5] = [
    "vmm",
    "firecracker",
    "jailer",
    "registryConfigDir",
    "runtime",
];

impl Said {
    /// Every value `config` has of all this; `flags` are fields that flags gave, with the flags.
    pub fn settings(&self, config: &Config, flags: &[(&str, &str)]) -> Vec<Setting> {
        let sources = Sources::new(self);
        let effective = effective(config, self.file.as_ref());
        let mut leaves = Vec::new();
        flatten("", &effective, &mut leaves);
        for name in ALWAYS {
            if effective.get(name).is_none() {
                leaves.push((name.to_owned(), Value::Null));
            }
        }
        leaves.sort_by_key(|(name, _)| name.starts_with("vmDefaults."));
        leaves
            .into_iter()
            .map(|(name, value)| {
                let flag = flags.iter().find(|(field, _)| *field == name);
                let from = match flag {
                    Some((_, flag)) => Origin::flag(flag),
                    None => sources.of(&name),
                };
                Setting { name, value, from }
            })
            .collect()
    }
}

/// What holds, as a configuration file that says all of it. Which VMM runs a new VM is said once.
fn effective(config: &Config, file: Option<&File>) -> Value {
    let mut vm_defaults = config.vm_defaults.clone();
    let spec = ConfigurationSpec {
        runtime: file.and_then(|file| file.spec.runtime.clone()),
        network_plugin: Some(config.network_plugin),
        vmm: vm_defaults.vmm.take(),
        vm_defaults: Some(vm_defaults),
        firecracker: config.vmm_programs.firecracker.clone(),
        jailer: config.vmm_programs.jailer.clone(),
        id_prefix: Some(config.id_prefix.clone()),
        registry_config_dir: config.registry_config_dir.clone(),
        vmm_users: Some(config.vmm_users),
        detach_keys: Some(config.detach_keys.clone()),
    };
    serde_json::to_value(spec).expect("objects are maps with text keys")
}

/// The values that are no maps, each with its path.
fn flatten(path: &str, value: &Value, leaves: &mut Vec<(String, Value)>) {
    let Value::Object(fields) = value else {
        return leaves.push((path.to_owned(), value.clone()));
    };
    for (name, value) in fields {
        let separator = if path.is_empty() { "" } else { "." };
        flatten(&format!("{path}{separator}{name}"), value, leaves);
    }
}

/// Who said what.
struct Sources<'a> {
    said: &'a Said,
    of_file: Value,
    positions: Option<Positions>,
}

impl<'a> Sources<'a> {
    fn new(said: &'a Said) -> Self {
        let text = said.file.as_ref().map(|file| file.text.as_str());
        let whole = text.and_then(|text| decode_value(text).ok());
        Self {
            said,
            of_file: whole.map_or(Value::Null, |mut whole| whole["spec"].take()),
            positions: text.map(Positions::read),
        }
    }

    fn of(&self, name: &str) -> Origin {
        // The VMM of new VMs has two places; `vmDefaults` is the stronger one of each source.
        let names: &[&str] = match name {
            "vmm" => &["vmDefaults.vmm", "vmm"],
            name => &[name],
        };
        let variable = names.iter().find_map(|name| self.variable(name));
        let file = || names.iter().find_map(|name| self.file(name));
        variable.or_else(file).unwrap_or(Origin::BuiltIn)
    }

    fn variable(&self, name: &str) -> Option<Origin> {
        let (field, _) = name.split_once('.').unwrap_or((name, ""));
        let mut steps = name.split('.');
        let value = self.said.variables.said().get(steps.next()?)?;
        find(value, steps)?;
        of_field(field).map(Origin::variable)
    }

    fn file(&self, name: &str) -> Option<Origin> {
        let file = self.said.file.as_ref()?;
        find(&self.of_file, name.split('.'))?;
        let position = self.positions.as_ref()?.of(&format!("spec.{name}"));
        Some(Origin::File {
            path: file.path.clone(),
            line: position.map(|position| position.line),
        })
    }
}

/// What is said at the end of a path; null is nothing.
fn find<'a, 'v>(value: &'v Value, steps: impl Iterator<Item = &'a str>) -> Option<&'v Value> {
    let mut value = value;
    for step in steps {
        value = value.get(step)?;
    }
    (!value.is_null()).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_store::Paths;
    use std::ffi::OsString;

    const FILE: &str = "apiVersion: ignite.weave.works/v1alpha4\nkind: Configuration\nspec:\n  \
        idPrefix: lab\n  vmm: qemu\n  vmDefaults:\n    cpus: 2\n    memory: 1GB\n    network: { rate: 10Mbit }\n";

    fn listed(text: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> String {
        let root = tempfile::tempdir().expect("tempdir");
        let file = root.path().join("config.yaml");
        std::fs::write(&file, text).expect("written");
        let mut config = Config {
            paths: Paths::under(root.path()),
            ..Config::default()
        };
        let environment = |name: &str| {
            let found = variables.iter().find(|(it, _)| *it == name);
            found.map(|(_, value)| OsString::from(value))
        };
        let said = Said::load(&config, Some(&file), &environment).expect("valid");
        config.apply(&said).expect("valid");
        let lines = said
            .settings(&config, flags)
            .into_iter()
            .map(|setting| format!("{} {} {}", setting.name, setting.value, setting.from));
        let text = lines.collect::<Vec<_>>().join("\n");
        text.replace(&root.path().display().to_string(), "DIR")
    }

    #[test]
    fn every_value_says_where_it_came_from() {
        let variables = [
            ("IGNITE_NETWORK_PLUGIN", "docker-bridge"),
            (
                "IGNITE_VM_DEFAULTS",
                "{memory: 2GB, network: {rate: 1Gbit}}",
            ),
            ("IGNITE_VMM_USERS", "{first: 5000, count: 10}"),
            ("IGNITE_JAILER", ""),
        ];
        insta::assert_snapshot!(listed(FILE, &variables, &[("idPrefix", "--id-prefix")]), @r#"
        networkPlugin "docker-bridge" IGNITE_NETWORK_PLUGIN
        vmm "qemu" DIR/config.yaml:5
        idPrefix "lab" --id-prefix
        vmmUsers.first 5000 IGNITE_VMM_USERS
        vmmUsers.count 10 IGNITE_VMM_USERS
        detachKeys "ctrl-p,ctrl-q" built-in
        firecracker null built-in
        jailer null built-in
        registryConfigDir null built-in
        runtime null built-in
        vmDefaults.cpus 2 DIR/config.yaml:7
        vmDefaults.memory "2GB" IGNITE_VM_DEFAULTS
        vmDefaults.diskSize "4GB" built-in
        vmDefaults.network.rate "1Gbit" IGNITE_VM_DEFAULTS
        "#);
    }

    #[test]
    fn variables_beat_the_file_in_both_places() {
        let vmm = |text: &str, variables: &[(&str, &str)]| {
            let head = "apiVersion: ignite.weave.works/v1alpha4\nkind: Configuration\n";
            let all = listed(&format!("{head}spec: {text}\n"), variables, &[]);
            let line = all.lines().find(|line| line.starts_with("vmm "));
            line.expect("always there").to_owned()
        };
        let both = "{vmm: qemu, vmDefaults: {vmm: qemu-kvm}}";
        let one = ("IGNITE_VMM", "firecracker");
        let other = ("IGNITE_VM_DEFAULTS", "vmm: qemu-tcg");
        for (text, variables, shown) in [
            ("{}", &[][..], "vmm null built-in"),
            ("{vmm: qemu}", &[], "vmm \"qemu\" DIR/config.yaml:3"),
            (both, &[], "vmm \"qemu-kvm\" DIR/config.yaml:3"),
            (both, &[one], "vmm \"firecracker\" IGNITE_VMM"),
            (both, &[one, other], "vmm \"qemu-tcg\" IGNITE_VM_DEFAULTS"),
        ] {
            assert_eq!(vmm(text, variables), shown, "{text}");
        }
    }
}
