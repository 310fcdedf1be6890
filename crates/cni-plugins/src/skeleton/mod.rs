//! The plugin's half of the CNI specification 1.1: what a runtime asks, checked before a plugin sees
//! it, and what it is answered.

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::io::Read;
use std::path::PathBuf;

use ignite_cni::config::MAX_BYTES;
use ignite_cni::error::{Command, code};
use ignite_cni::exec::Variable;
use ignite_cni::version::{self, InvalidVersion};
use ignite_cni::{Attachment, PluginError, Version};
use serde_json::{Map, Value, json};

/// A JSON object.
pub type Object = Map<String, Value>;

/// A plugin: one function for each command that does something.
pub trait Plugin: Sync {
    /// Its name: the type in configurations.
    fn name(&self) -> &'static str;

    /// ADD.
    fn add(&self, call: &Call) -> Result<Said, PluginError>;

    /// DEL.
    fn del(&self, call: &Call) -> Result<Said, PluginError>;

    /// CHECK; without anything to look at, all is well.
    fn check(&self, _call: &Call) -> Result<Said, PluginError> {
        Ok(Said::default())
    }

    /// STATUS.
    fn status(&self, call: &Call) -> Result<Said, PluginError>;

    /// GC; without anything that could be left, nothing is removed.
    fn gc(&self, _call: &Call) -> Result<Said, PluginError> {
        Ok(Said::default())
    }
}

/// What is asked, with names that may be parts of file names.
#[derive(Debug, Clone)]
pub struct Call {
    /// `CNI_CONTAINERID`; empty for STATUS and GC.
    pub container_id: String,
    /// `CNI_PATH`: where other plugins are.
    pub directories: Vec<PathBuf>,
    /// The whole environment, for other plugins.
    pub variables: Vec<Variable>,
    /// The network's name.
    pub network: String,
    /// `cniVersion` as it was given; may be empty.
    pub cni_version: String,
    /// The whole configuration.
    pub config: Object,
}

/// What a plugin that succeeded prints.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// The result.
    pub stdout: Vec<u8>,
    /// Remarks.
    pub stderr: Vec<u8>,
}

/// What the program prints, and how it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The result, or an error object.
    pub stdout: Vec<u8>,
    /// Remarks.
    pub stderr: Vec<u8>,
    /// Exit status 0, else 1.
    pub success: bool,
}

/// Answers a runtime: its environment, and a configuration on standard input.
pub fn answer(plugin: &dyn Plugin, variables: Vec<Variable>, stdin: &mut dyn Read) -> Answer {
    let asked = Asked { variables };
    let Some(command) = asked.variable("CNI_COMMAND") else {
        return about(plugin);
    };
    let mut spoken = version::NEWEST.to_string();
    match asked.serve(plugin, &command, stdin, &mut spoken) {
        Ok(said) => Answer {
            stdout: said.stdout,
            stderr: said.stderr,
            success: true,
        },
        Err(error) => Answer {
            stdout: error_object(&error, &spoken),
            stderr: Vec::new(),
            success: false,
        },
    }
}

/// What a person sees who calls a plugin by hand.
fn about(plugin: &dyn Plugin) -> Answer {
    let (name, versions) = (plugin.name(), supported().join(", "));
    let text =
        format!("CNI {name} plugin of Ignite\nCNI protocol versions supported: {versions}\n");
    Answer {
        stdout: Vec::new(),
        stderr: text.into_bytes(),
        success: true,
    }
}

fn supported() -> Vec<String> {
    let versions = version::known_from(version::OLDEST);
    versions.iter().map(Version::to_string).collect()
}

fn error_object(error: &PluginError, version: &str) -> Vec<u8> {
    let mut object = json!({"cniVersion": version, "code": error.code, "msg": error.msg});
    if !error.details.is_empty() {
        object["details"] = Value::from(error.details.as_str());
    }
    format!("{object}\n").into_bytes()
}

/// An error object without details.
pub fn failure(code: u32, msg: impl Into<String>) -> PluginError {
    PluginError {
        code,
        msg: msg.into(),
        details: String::new(),
    }
}

struct Asked {
    variables: Vec<Variable>,
}

impl Asked {
    /// A variable that is not empty.
    fn variable(&self, name: &str) -> Option<String> {
        let named = |(variable, _): &&Variable| variable == name;
        let (_, value) = self.variables.iter().rfind(named)?;
        Some(value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
    }

    /// Does what is asked; `spoken` becomes the version of the configuration when it is known.
    fn serve(
        self,
        plugin: &dyn Plugin,
        command: &str,
        stdin: &mut dyn Read,
        spoken: &mut String,
    ) -> Result<Said, PluginError> {
        let command = known(command)?;
        if command == Command::Version {
            let versions = json!({"cniVersion": *spoken, "supportedVersions": supported()});
            return Ok(Said {
                stdout: format!("{versions}\n").into_bytes(),
                ..Said::default()
            });
        }
        self.has_all(command)?;
        let config = read(stdin)?;
        let cni_version = text(&config, "cniVersion", code::DECODING)?;
        let version: Version = cni_version
            .parse()
            .map_err(|error: InvalidVersion| failure(code::DECODING, error.to_string()))?;
        *spoken = version.to_string();
        speaks(command, version)?;
        let network = text(&config, "name", code::INVALID_CONFIG)?;
        let container_id = self.names(command, &network)?;
        let path = self.variable("CNI_PATH").unwrap_or_default();
        let call = Call {
            container_id,
            directories: std::env::split_paths(OsStr::new(&path)).collect(),
            variables: self.variables,
            network,
            cni_version,
            config,
        };
        match command {
            Command::Add => plugin.add(&call),
            Command::Del => plugin.del(&call),
            Command::Check => plugin.check(&call),
            Command::Status => plugin.status(&call),
            Command::Gc | Command::Version => plugin.gc(&call),
        }
    }

    /// Names all variables that the command needs and has not.
    fn has_all(&self, command: Command) -> Result<(), PluginError> {
        let needed: &[&str] = match command {
            Command::Add | Command::Check => {
                &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"]
            }
            // The namespace may be gone.
            Command::Del => &["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"],
            Command::Gc | Command::Status => &["CNI_PATH"],
            Command::Version => &[],
        };
        let is_missing = |name: &&str| self.variable(name).is_none();
        let missing: Vec<&str> = needed.iter().copied().filter(is_missing).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let msg = format!("required env variables [{}] missing", missing.join(","));
        Err(failure(code::INVALID_ENVIRONMENT, msg))
    }

    /// The container's ID, when all names are as the specification allows: no name is a path.
    fn names(&self, command: Command, network: &str) -> Result<String, PluginError> {
        let variable = |name| self.variable(name).unwrap_or_default();
        let (container_id, ifname) = (variable("CNI_CONTAINERID"), variable("CNI_IFNAME"));
        let checked = match command {
            Command::Gc | Command::Status => ignite_cni::attachment::validate_network_name(network),
            _ => Attachment::new(container_id.as_str(), "", ifname).validate(network),
        };
        checked
            .map(|()| container_id)
            .map_err(|error| failure(error.code(), error.to_string()))
    }
}

fn known(command: &str) -> Result<Command, PluginError> {
    Ok(match command {
        "ADD" => Command::Add,
        "CHECK" => Command::Check,
        "DEL" => Command::Del,
        "GC" => Command::Gc,
        "STATUS" => Command::Status,
        "VERSION" => Command::Version,
        other => {
            let shown: String = other.chars().take(64).collect();
            let msg = format!("unknown CNI_COMMAND: {shown}");
            return Err(failure(code::INVALID_ENVIRONMENT, msg));
        }
    })
}

/// Whether we speak the version, and whether it has the command.
fn speaks(command: Command, version: Version) -> Result<(), PluginError> {
    if !version.is_known() {
        let supported = supported().join(", ");
        return Err(PluginError {
            code: code::INCOMPATIBLE_VERSION,
            msg: "incompatible CNI versions".to_owned(),
            details: format!("config is {version}, plugin supports {supported}"),
        });
    }
    let has_command = match command {
        Command::Check => version.has_check(),
        Command::Gc | Command::Status => version.has_gc_and_status(),
        Command::Add | Command::Del | Command::Version => true,
    };
    if has_command {
        return Ok(());
    }
    let msg = format!("config version {version} does not allow {command}");
    Err(failure(code::INCOMPATIBLE_VERSION, msg))
}

fn read(stdin: &mut dyn Read) -> Result<Object, PluginError> {
    let mut bytes = Vec::new();
    stdin
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failure(code::IO, format!("error reading from stdin: {error}")))?;
    if bytes.len() > MAX_BYTES {
        let msg = format!("the network config has more than {MAX_BYTES} bytes");
        return Err(failure(code::DECODING, msg));
    }
    serde_json::from_slice(&bytes).map_err(|error| {
        let msg = format!("error unmarshall network config: {error}");
        failure(code::DECODING, msg)
    })
}

/// A text of the configuration; empty if there is none.
fn text(config: &Object, key: &str, code: u32) -> Result<String, PluginError> {
    match config.get(key) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(failure(code, format!("{key} must be a string"))),
    }
}
