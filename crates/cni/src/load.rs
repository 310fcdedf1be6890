//! Finding networks in a configuration directory.
//!
//! Files end in `.conflist` (a list) or `.conf` and `.json` (a single plugin);
//! their order is that of their names. By name, a list goes before a single
//! configuration, whatever the files are called. Unlike libcni, a file that
//! cannot be read is reported and blocks no other.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::attachment::{Invalid, validate_network_name};
use crate::config::{ConfigError, MAX_BYTES, MAX_PLUGINS, NetworkConfig, PluginConfig};

/// The networks of one directory, in the order of their file names.
#[derive(Debug, Clone, Default)]
pub struct Networks {
    directory: PathBuf,
    configs: Vec<NetworkConfig>,
    broken: usize,
}

/// A file of the directory that is no usable network.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file or directory cannot be read.
    #[error("error reading {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its content is no network.
    #[error("{} is not a usable network configuration", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ConfigError,
    },
    /// Its name is not allowed.
    #[error("{} has a name that is not allowed", path.display())]
    Name {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Invalid,
    },
    /// Another file has the same name and comes first when asked by name.
    #[error("{} names network {name} again; {} is the one that is used", path.display(), used.display())]
    Duplicate {
        /// The network.
        name: String,
        /// The file that is not used.
        path: PathBuf,
        /// The file that is.
        used: PathBuf,
    },
}

impl LoadError {
    /// The file it is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::Read { path, .. }
            | Self::Config { path, .. }
            | Self::Name { path, .. }
            | Self::Duplicate { path, .. } => path,
        }
    }
}

/// Why there is no such network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoNetwork {
    /// The directory holds no network at all.
    #[error("no net configurations found in {}", directory.display())]
    None {
        /// The directory searched.
        directory: PathBuf,
        /// How many files were there but unusable.
        broken: usize,
    },
    /// None has this name.
    #[error("no net configuration with name {name:?} in {}", directory.display())]
    Name {
        /// The name asked for.
        name: String,
        /// The directory searched.
        directory: PathBuf,
        /// The names there are.
        known: Vec<String>,
        /// How many files were there but unusable.
        broken: usize,
    },
}

impl NoNetwork {
    /// The name asked for, if one was.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::None { .. } => None,
            Self::Name { name, .. } => Some(name),
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let (broken, known) = match self {
            Self::None { broken, .. } => (*broken, &[][..]),
            Self::Name { broken, known, .. } => (*broken, &known[..]),
        };
        if !known.is_empty() {
            return Some(format!("networks there are: {}", known.join(", ")));
        }
        (broken > 0).then(|| format!("{broken} file(s) there cannot be used; correct them first"))
    }
}

impl Networks {
    /// Reads all networks of `directory`. A missing directory is an empty one.
    pub fn load(directory: &Path) -> (Self, Vec<LoadError>) {
        let mut networks = Self {
            directory: directory.to_owned(),
            ..Self::default()
        };
        let mut errors = Vec::new();
        match configuration_files(directory) {
            Ok(files) => {
                for path in files {
                    match load_file(&path) {
                        Ok(config) => networks.configs.push(config),
                        Err(error) => errors.push(error),
                    }
                }
            }
            Err(source) => errors.push(LoadError::Read {
                path: directory.to_owned(),
                source,
            }),
        }
        networks.broken = errors.len();
        errors.extend(networks.duplicates());
        (networks, errors)
    }

    /// All networks, in the order of their file names.
    pub fn all(&self) -> &[NetworkConfig] {
        &self.configs
    }

    /// The network of this name: a list before a single configuration, then the
    /// first by file name.
    pub fn by_name(&self, name: &str) -> Result<&NetworkConfig, NoNetwork> {
        let named = || self.configs.iter().filter(|config| config.name == name);
        named()
            .find(|config| is_list(config))
            .or_else(|| named().next())
            .ok_or_else(|| {
                let directory = self.directory.clone();
                match self.names() {
                    known if known.is_empty() => NoNetwork::None {
                        directory,
                        broken: self.broken,
                    },
                    known => {
                        let (name, broken) = (name.to_owned(), self.broken);
                        NoNetwork::Name {
                            name,
                            directory,
                            known,
                            broken,
                        }
                    }
                }
            })
    }

    /// The network a runtime takes when none is named: the first by file name.
    pub fn first(&self) -> Result<&NetworkConfig, NoNetwork> {
        let none = || NoNetwork::None {
            directory: self.directory.clone(),
            broken: self.broken,
        };
        self.configs.first().ok_or_else(none)
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.configs.iter().map(|c| c.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    fn duplicates(&self) -> Vec<LoadError> {
        let mut used: BTreeMap<&str, &Path> = BTreeMap::new();
        let (lists, singles): (Vec<_>, Vec<_>) = self.configs.iter().partition(|c| is_list(c));
        let mut found = Vec::new();
        for config in lists.into_iter().chain(singles) {
            let path = config.file.as_deref().unwrap_or(Path::new(""));
            let first = *used.entry(&config.name).or_insert(path);
            if first != path {
                let (name, path) = (config.name.clone(), path.to_owned());
                found.push(LoadError::Duplicate {
                    name,
                    path,
                    used: first.to_owned(),
                });
            }
        }
        found
    }
}

fn is_list(config: &NetworkConfig) -> bool {
    config
        .file
        .as_deref()
        .and_then(Path::extension)
        .is_some_and(|ext| ext == "conflist")
}

/// Reads one configuration file; its extension says which kind it is.
pub fn load_file(path: &Path) -> Result<NetworkConfig, LoadError> {
    let bytes = read(path)?;
    let config = if path.extension().is_some_and(|ext| ext == "conflist") {
        NetworkConfig::parse_list_with(&bytes, |name| directory_plugins(path, name))
    } else {
        NetworkConfig::parse_single(&bytes).map_err(Fault::Config)
    };
    let config = config.map_err(|fault| fault.at(path))?;
    validate_network_name(&config.name).map_err(|source| LoadError::Name {
        path: path.to_owned(),
        source,
    })?;
    Ok(config.with_file(path))
}

/// The plugins in `<directory of the list>/<network name>/*.conf`.
fn directory_plugins(list: &Path, name: &str) -> Result<Vec<PluginConfig>, Fault> {
    // The name is about to become part of a path.
    validate_network_name(name).map_err(Fault::Name)?;
    let directory = list.parent().unwrap_or(Path::new(".")).join(name);
    let files = files_of(&directory, &["conf"]).map_err(|source| {
        Fault::File(LoadError::Read {
            path: directory.clone(),
            source,
        })
    })?;
    if files.len() > MAX_PLUGINS {
        return Err(Fault::Config(ConfigError::TooManyPlugins));
    }
    let plugin = |path: PathBuf| {
        let bytes = read(&path).map_err(Fault::File)?;
        PluginConfig::parse(&bytes)
            .map_err(|source| Fault::File(LoadError::Config { path, source }))
    };
    files.into_iter().map(plugin).collect()
}

/// A fault whose file may still have to be named.
enum Fault {
    Config(ConfigError),
    Name(Invalid),
    File(LoadError),
}

impl Fault {
    fn at(self, path: &Path) -> LoadError {
        let path = path.to_owned();
        match self {
            Self::Config(source) => LoadError::Config { path, source },
            Self::Name(source) => LoadError::Name { path, source },
            Self::File(error) => error,
        }
    }
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// The configuration files of a directory, sorted bytewise by name.
pub fn configuration_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    files_of(directory, &["conf", "conflist", "json"])
}

fn files_of(directory: &Path, extensions: &[&str]) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let wanted = |ext: &std::ffi::OsStr| extensions.iter().any(|wanted| ext == *wanted);
        if path.extension().is_some_and(wanted) && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a regular file; a pipe put in its place must not hold anyone up.
fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    let failed = |source| LoadError::Read {
        path: path.to_owned(),
        source,
    };
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        )));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Dir(tempfile::TempDir);

    impl Dir {
        fn with(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().expect("a temporary directory");
            for (name, text) in files {
                let path = dir.path().join(name);
                fs::create_dir_all(path.parent().expect("below dir")).expect("created");
                fs::write(path, text).expect("written");
            }
            Self(dir)
        }

        fn load(&self) -> (Networks, Vec<LoadError>) {
            Networks::load(self.0.path())
        }
    }

    const LIST: &str = r#"{"name":"n","plugins":[{"type":"list"}]}"#;
    const SINGLE: &str = r#"{"name":"n","type":"single"}"#;

    #[test]
    fn a_list_goes_before_a_single_configuration_of_the_same_name() {
        let dir = Dir::with(&[("10-a.conf", SINGLE), ("20-b.conflist", LIST)]);
        let (networks, errors) = dir.load();
        assert_eq!(
            networks.by_name("n").expect("there").plugins[0].kind,
            "list"
        );
        assert_eq!(networks.first().expect("there").plugins[0].kind, "single");
        assert!(
            matches!(&errors[..], [LoadError::Duplicate { path, .. }] if path.ends_with("10-a.conf"))
        );
    }

    #[test]
    fn every_extension_is_found_and_no_other() {
        let other = |name: &str| format!(r#"{{"name":"{name}","type":"x"}}"#);
        let dir = Dir::with(&[
            ("a.json", &other("a")),
            ("b.conf", &other("b")),
            ("c.conflist", LIST),
            ("d.conf.bak", &other("d")),
            ("sub/e.conf", &other("e")),
        ]);
        let (networks, errors) = dir.load();
        let names: Vec<&str> = networks.all().iter().map(|c| c.name.as_str()).collect();
        assert_eq!((names, errors.len()), (vec!["a", "b", "n"], 0));
        let missing = networks.by_name("d").expect_err("not searched");
        assert!(
            missing
                .to_string()
                .starts_with("no net configuration with name \"d\" in ")
        );
        assert_eq!(
            missing.hint().as_deref(),
            Some("networks there are: a, b, n")
        );
    }

    #[test]
    fn a_missing_directory_is_an_empty_one() {
        let (networks, errors) = Networks::load(Path::new("/nonexistent/net.d"));
        assert!(errors.is_empty());
        let error = networks.first().expect_err("nothing there");
        assert_eq!(
            error.to_string(),
            "no net configurations found in /nonexistent/net.d"
        );
    }

    #[test]
    fn a_broken_file_blocks_no_other() {
        let dir = Dir::with(&[
            ("05-broken.conflist", "{"),
            (
                "06-name.conflist",
                r#"{"name":"../x","plugins":[{"type":"a"}]}"#,
            ),
            ("10-good.conflist", LIST),
        ]);
        std::os::unix::fs::symlink("/dev/zero", dir.0.path().join("07-zero.conf")).expect("linked");
        let (networks, errors) = dir.load();
        assert_eq!(networks.first().expect("there").name, "n");
        assert!(matches!(
            &errors[..],
            [
                LoadError::Config { .. },
                LoadError::Name { .. },
                LoadError::Read { .. }
            ]
        ));
    }

    #[test]
    fn plugins_of_the_directory_follow_the_inlined_ones() {
        let dir = Dir::with(&[
            ("n.conflist", LIST),
            ("n/20.conf", r#"{"type":"second"}"#),
            ("n/10.conf", r#"{"type":"first"}"#),
            ("n/30.json", r#"{"type":"no"}"#),
        ]);
        let (networks, errors) = dir.load();
        assert!(errors.is_empty(), "{errors:?}");
        let config = networks.by_name("n").expect("there");
        let kinds = |config: &NetworkConfig| -> Vec<String> {
            config
                .plugins
                .iter()
                .map(|plugin| plugin.kind.clone())
                .collect()
        };
        assert_eq!(kinds(config), ["list", "first", "second"]);
        let cached = NetworkConfig::parse(&config.cache_bytes()).expect("its own bytes");
        assert_eq!(kinds(&cached), kinds(config));
    }

    #[test]
    fn inlined_only_ignores_the_directory() {
        let only = r#"{"name":"n","loadOnlyInlinedPlugins":true,"plugins":[{"type":"list"}]}"#;
        let dir = Dir::with(&[("n.conflist", only), ("n/10.conf", r#"{"type":"first"}"#)]);
        let (networks, _) = dir.load();
        let config = networks.by_name("n").expect("there");
        assert_eq!(config.plugins.len(), 1);
        assert_eq!(config.cache_bytes(), only.as_bytes());
    }

    #[test]
    fn a_list_may_live_in_its_directory_alone() {
        let dir = Dir::with(&[
            ("n.conflist", r#"{"name":"n"}"#),
            ("n/10.conf", r#"{"type":"a"}"#),
        ]);
        assert_eq!(dir.load().0.by_name("n").expect("there").plugins.len(), 1);
    }
}
