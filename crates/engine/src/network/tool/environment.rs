//! The variables CNI's own tool takes its arguments from.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use ignite_cni::args::{self, ArgsError, Pairs};
use serde_json::{Map, Value};

/// What the environment says about an operation.
///
/// | variable | |
/// |---|---|
/// | `CNI_PATH` | directories of plugin programs, `:` between them |
/// | `NETCONFPATH` | directory of network configurations |
/// | `CNI_ARGS` | `KEY=VALUE;KEY=VALUE` |
/// | `CAP_ARGS` | capability arguments, a JSON object |
/// | `CNI_IFNAME` | interface in the namespace; `eth0` |
/// | `CNI_CONTAINERID` | ours alone: another container ID than the one made of the namespace's path |
#[derive(Debug, Clone, PartialEq)]
pub struct ToolEnvironment {
    /// Where plugin programs are; none for the usual directories.
    pub bin_dirs: Option<Vec<PathBuf>>,
    /// Where network configurations are; none for the usual directory.
    pub conf_dir: Option<PathBuf>,
    /// `CNI_ARGS`.
    pub args: Pairs,
    /// Capability arguments.
    pub capabilities: Map<String, Value>,
    /// The interface's name.
    pub ifname: String,
    /// The container ID; none for the one made of the namespace's path.
    pub container_id: Option<String>,
}

/// Why the environment or the path of a namespace is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A variable is no text.
    #[error("the environment variable {name} is not valid UTF-8")]
    NotText {
        /// Its name.
        name: &'static str,
    },
    /// `CNI_ARGS`.
    #[error("CNI_ARGS cannot be used")]
    Args(#[source] ArgsError),
    /// `CAP_ARGS`.
    #[error("CAP_ARGS is not a JSON object")]
    Capabilities(#[source] serde_json::Error),
    /// A relative path needs a working directory.
    #[error("cannot make {} an absolute path", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Args(_) => Some("write pairs: CNI_ARGS='IgnoreUnknown=1;IP=10.61.0.50'".into()),
            Self::Capabilities(_) => Some(
                r#"write an object: CAP_ARGS='{"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]}'"#.into(),
            ),
            Self::NotText { .. } | Self::Path { .. } => None,
        }
    }
}

impl ToolEnvironment {
    /// Reads the variables, which `variable` gives by name.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Error> {
        // An empty variable says as little as none, but for the interface's name, as the tool has it.
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &'static str| {
            let value = set(name).map(OsString::into_string).transpose();
            value.map_err(|_| Error::NotText { name })
        };
        let args = args::parse(&text("CNI_ARGS")?.unwrap_or_default()).map_err(Error::Args)?;
        args::encode(&args).map_err(Error::Args)?;
        if let Some((key, _)) = args.iter().find(|(_, value)| value.is_empty()) {
            let key = key.clone();
            return Err(Error::Args(ArgsError::Unquotable { key }));
        }
        let capabilities = match text("CAP_ARGS")? {
            Some(json) => serde_json::from_str(&json).map_err(Error::Capabilities)?,
            None => Map::new(),
        };
        let ifname = match variable("CNI_IFNAME") {
            Some(name) => name
                .into_string()
                .map_err(|_| Error::NotText { name: "CNI_IFNAME" })?,
            None => "eth0".into(),
        };
        Ok(Self {
            bin_dirs: set("CNI_PATH").map(|path| std::env::split_paths(&path).collect()),
            conf_dir: set("NETCONFPATH").map(PathBuf::from),
            args,
            capabilities,
            ifname,
            container_id: text("CNI_CONTAINERID")?,
        })
    }
}

/// The absolute path of a namespace, of which the container ID is made: `.` and `..` are taken away
/// by their letters, links are not followed, since the namespace may be gone.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, Error> {
    let whole = std::path::absolute(path).map_err(|source| Error::Path {
        path: path.to_owned(),
        source,
    })?;
    let mut clean = PathBuf::new();
    for component in whole.components() {
        match component {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            other => clean.push(other),
        }
    }
    Ok(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<ToolEnvironment, Error> {
        ToolEnvironment::read(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn nothing_said_is_the_usual() {
        let environment = read(&[("CNI_PATH", "")]).expect("nothing wrong");
        assert_eq!(environment.ifname, "eth0");
        assert_eq!((environment.bin_dirs, environment.conf_dir), (None, None));
        assert!(environment.args.is_empty() && environment.capabilities.is_empty());
    }

    #[test]
    fn everything_said_is_taken() {
        let environment = read(&[
            ("CNI_PATH", "/a:/b"),
            ("NETCONFPATH", "/c"),
            ("CNI_ARGS", "IgnoreUnknown=1;IP=10.0.0.2"),
            ("CAP_ARGS", r#"{"mac":"02:00:00:00:00:01"}"#),
            ("CNI_IFNAME", "net1"),
            ("CNI_CONTAINERID", "c1"),
        ])
        .expect("nothing wrong");
        assert_eq!(environment.bin_dirs, Some(vec!["/a".into(), "/b".into()]));
        assert_eq!(environment.conf_dir, Some("/c".into()));
        assert_eq!(environment.args[1], ("IP".into(), "10.0.0.2".into()));
        assert_eq!(environment.capabilities["mac"], "02:00:00:00:00:01");
        assert_eq!(environment.ifname, "net1");
        assert_eq!(environment.container_id.as_deref(), Some("c1"));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        for args in ["x", "a=b=c", "a=b;", "a=", "=b"] {
            assert!(
                matches!(read(&[("CNI_ARGS", args)]), Err(Error::Args(_))),
                "{args}"
            );
        }
        for json in ["x", "[]", "1"] {
            let error = read(&[("CAP_ARGS", json)]).expect_err(json);
            assert!(matches!(error, Error::Capabilities(_)) && error.hint().is_some());
        }
    }

    #[test]
    fn paths_are_made_absolute_by_their_letters() {
        let of = |path: &str| absolute(Path::new(path)).expect("there is a working directory");
        assert_eq!(of("/run/./netns/../netns/x/"), Path::new("/run/netns/x"));
        assert_eq!(of("/../.."), Path::new("/"));
        assert!(of("x").is_absolute());
    }
}
