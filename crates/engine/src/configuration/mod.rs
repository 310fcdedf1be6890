//! What holds on this host where nothing else is said: the configuration file, and over it variables
//! of the environment.
//!
//! ```text
//!  built-in values < file < variables < flags of this host   (and, of a VM: < its manifest < its flags)
//! ```

mod settings;
mod variables;

pub use settings::{Origin, Setting};
pub use variables::{Environment, misspelt};

use std::path::{Path, PathBuf};

use ignite_api::{ConfigurationSpec, Manifest, ManifestError, decode};
use ignite_host::fs::read_bounded;
use variables::Variables;

use crate::Config;

/// No configuration is longer, in bytes.
const MAX_LENGTH: u64 = 1 << 20;

/// A configuration file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ignite_host::fs::Error,
    },
    /// It is no text.
    #[error("the configuration file {} is not UTF-8 text", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// It is not a configuration.
    #[error("the configuration file {} cannot be used", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ManifestError,
    },
    /// It names a program by a path that depends on where Ignite is run.
    #[error("{}: {field}: {} is no absolute path", path.display(), program.display())]
    Relative {
        /// The file.
        path: PathBuf,
        /// Where it says so.
        field: &'static str,
        /// The program.
        program: PathBuf,
    },
    /// A variable that says nothing of use.
    #[error("the variable {name} cannot be used: {message}")]
    Variable {
        /// The variable.
        name: &'static str,
        /// Why.
        message: String,
    },
    /// It describes something else.
    #[error("{} holds no object of kind Configuration", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let begin =
            "begin it with `apiVersion: ignite.weave.works/v1alpha4` and `kind: Configuration`";
        match self {
            Self::Read { .. } => Some("name another one with --ignite-config FILE".into()),
            Self::Manifest {
                source:
                    source @ (ManifestError::Syntax { .. }
                    | ManifestError::Twice { .. }
                    | ManifestError::Second { .. }
                    | ManifestError::Shape { .. }
                    | ManifestError::TooLong),
                ..
            } => source.hint(),
            Self::Relative { .. } => Some("begin the path with a slash".into()),
            Self::Variable { name, .. } => {
                Some(format!("correct it, or take it away: unset {name}"))
            }
            Self::NotText { .. } | Self::Manifest { .. } | Self::Kind { .. } => Some(begin.into()),
        }
    }
}

/// What the configuration file and the environment say.
#[derive(Debug, Default)]
pub struct Said {
    file: Option<File>,
    variables: Variables,
}

/// A configuration file that was read.
#[derive(Debug)]
struct File {
    path: PathBuf,
    text: String,
    spec: ConfigurationSpec,
}

impl Said {
    /// Reads the file that is named, which must be there; else the host's own, where there is one; and
    /// the environment.
    pub fn load(
        config: &Config,
        named: Option<&Path>,
        environment: Environment<'_>,
    ) -> Result<Self, Error> {
        Ok(Self {
            file: read(config, named)?,
            variables: Variables::read(environment)?,
        })
    }
}

fn read(config: &Config, named: Option<&Path>) -> Result<Option<File>, Error> {
    let path = named.unwrap_or(&config.paths.configuration);
    let bytes = match read_bounded(path, MAX_LENGTH) {
        Err(error) if named.is_none() && error.is_not_found() => return Ok(None),
        read => read.map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })?,
    };
    let path = path.to_owned();
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(Error::NotText { path });
    };
    let spec = match decode(&text) {
        Ok(Manifest::Configuration(configuration)) => {
            with_whole_paths(configuration.spec, path.clone())?
        }
        Ok(_) => return Err(Error::Kind { path }),
        Err(source) => return Err(Error::Manifest { path, source }),
    };
    Ok(Some(File { path, text, spec }))
}

fn with_whole_paths(spec: ConfigurationSpec, path: PathBuf) -> Result<ConfigurationSpec, Error> {
    let named = [
        ("firecracker", &spec.firecracker),
        ("jailer", &spec.jailer),
        ("registryConfigDir", &spec.registry_config_dir),
    ];
    for (field, program) in named {
        if let Some(program) = program.clone().filter(|program| program.is_relative()) {
            return Err(Error::Relative {
                path,
                field,
                program,
            });
        }
    }
    Ok(spec)
}

impl Config {
    /// Takes over what file and environment say.
    pub fn apply(&mut self, said: &Said) -> Result<(), Error> {
        if let Some(file) = &said.file {
            self.take(file.spec.clone());
        }
        let variables = said.variables.spec()?;
        // A new VM's VMM may be said in two places; each variable beats both places of the file.
        self.vm_defaults.vmm = variables.vmm.or(self.vm_defaults.vmm);
        self.vm_defaults = said.variables.vm_defaults(&self.vm_defaults)?;
        self.take(variables);
        Ok(())
    }

    fn take(&mut self, said: ConfigurationSpec) {
        if let Some(plugin) = said.network_plugin {
            self.network_plugin = plugin;
        }
        if let Some(prefix) = said.id_prefix {
            self.id_prefix = prefix;
        }
        if let Some(defaults) = said.vm_defaults {
            self.vm_defaults = defaults;
        }
        if let Some(keys) = said.detach_keys {
            self.detach_keys = keys;
        }
        if let Some(users) = said.vmm_users {
            self.vmm_users = users;
        }
        self.vm_defaults.vmm = self.vm_defaults.vmm.or(said.vmm);
        let programs = &mut self.vmm_programs;
        programs.firecracker = said.firecracker.or(programs.firecracker.take());
        programs.jailer = said.jailer.or(programs.jailer.take());
        self.registry_config_dir = said.registry_config_dir.or(self.registry_config_dir.take());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_api::{NetworkPlugin, VmmChoice};
    use ignite_store::Paths;

    fn load_text(text: Option<&[u8]>, named: bool) -> Result<Config, Error> {
        let root = tempfile::tempdir().expect("tempdir");
        let mut config = Config {
            paths: Paths::under(root.path()),
            ..Config::default()
        };
        let path = config.paths.configuration.clone();
        if let Some(text) = text {
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("made");
            std::fs::write(&path, text).expect("written");
        }
        let nothing = |_: &str| None;
        let said = Said::load(&config, named.then_some(path.as_path()), &nothing)?;
        config.apply(&said)?;
        Ok(config)
    }

    #[test]
    fn the_hosts_own_may_be_absent_and_a_named_one_not() {
        let config = load_text(None, false).expect("defaults");
        assert_eq!(config.network_plugin, NetworkPlugin::Cni);
        assert!(matches!(load_text(None, true), Err(Error::Read { .. })));
    }

    #[test]
    fn what_it_says_is_taken_over() {
        let text = b"apiVersion: ignite.weave.works/v1alpha3\nkind: Configuration\nmetadata: {}\nspec:\n  \
            runtime: docker\n  networkPlugin: docker-bridge\n  idPrefix: lab\n  vmDefaults: { cpus: 2 }\n  \
            vmm: qemu\n  firecracker: /opt/fc\n  jailer: /opt/jailer\n";
        let config = load_text(Some(text), false).expect("valid");
        assert_eq!(config.network_plugin, NetworkPlugin::DockerBridge);
        assert_eq!(config.id_prefix.to_string(), "lab");
        assert_eq!(config.vm_defaults.cpus, 2);
        assert!(config.vm_defaults.memory.bytes() > 0);
        assert_eq!(config.vm_defaults.vmm, Some(VmmChoice::Qemu));
        let programs = config.vmm_programs;
        assert_eq!(programs.firecracker, Some("/opt/fc".into()));
        assert_eq!(programs.jailer, Some("/opt/jailer".into()));
    }

    #[test]
    fn what_is_none_is_refused() {
        let vm = b"apiVersion: ignite.weave.works/v1alpha4\nkind: VM\nspec: {}\n";
        let relative = b"apiVersion: ignite.weave.works/v1alpha4\nkind: Configuration\nspec: { jailer: bin/j }\n";
        for text in [&b""[..], b"\xff", vm, b"kind: Configuration", relative] {
            let error = load_text(Some(text), false).expect_err("no configuration");
            assert!(error.hint().is_some(), "{error}");
        }
    }

    #[test]
    fn faults_name_the_file_the_place_and_what_to_do() {
        let head = "apiVersion: ignite.weave.works/v1alpha4\nkind: Configuration\n";
        let faults = [
            ("spec:\n  idPrefix: \"lab", "line 5", "quotes"),
            ("spec:\n  idprefix: lab", "line 4", "correct that place"),
            (
                "spec: {vmDefaults: {memory: much}}",
                "line 3",
                "correct that place",
            ),
            ("spec: {}\n---\nkind: VM", "line 5", "a file of its own"),
        ];
        for (text, line, remedy) in faults {
            let text = format!("{head}{text}\n");
            let error = load_text(Some(text.as_bytes()), false).expect_err("a fault");
            let said = ignite_host::error::chain(&error);
            assert!(said.contains("etc/ignite/config.yaml"), "{said}");
            assert!(said.contains(line) && said.contains("column"), "{said}");
            let hint = error.hint().expect("something to do");
            assert!(hint.contains(remedy), "{said}: {hint}");
        }
    }
}
