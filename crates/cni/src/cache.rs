//! What was attached, remembered in libcni's own file format, so that tools
//! built on libcni and this runtime can each release what the other attached.
//!
//! `<directory>/results/<network>-<container>-<ifname>`, directory 0700, files
//! 0600, each replaced as a whole. The parts may contain `-` themselves: who a
//! file is about is said by its content alone.
//!
//! Files are not synchronised to the disk. After a power cut neither namespaces
//! nor rules are left to release, and the caller keeps a durable record of its own.

mod file;
mod temporary;

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use ignite_host::fs::read_bounded;

use crate::attachment::{Attachment, AttachmentId};
use crate::json::Object;

use file::KIND;
pub use file::parse;

/// libcni's cache directory.
pub const DEFAULT_DIRECTORY: &str = "/var/lib/cni";

/// The largest cache file that is read, in bytes.
const MAX_BYTES: u64 = 8 << 20;

/// The cache of attachments.
#[derive(Debug, Clone)]
pub struct Cache {
    results: PathBuf,
}

/// One remembered attachment.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The network's name.
    pub network: String,
    /// The attachment as it was asked for.
    pub attachment: Attachment,
    /// The exact bytes of the network's configuration.
    pub config: Vec<u8>,
    /// The final result of ADD.
    pub result: Option<Object>,
}

/// What a cache file holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Cached {
    /// A whole entry.
    Entry(Box<Entry>),
    /// The result alone, as libcni wrote it in its first years.
    Result(Object),
}

impl Cached {
    /// The final result of ADD.
    pub fn result(&self) -> Option<&Object> {
        match self {
            Self::Entry(entry) => entry.result.as_ref(),
            Self::Result(result) => Some(result),
        }
    }

    /// The whole entry, if it is one.
    pub fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Entry(entry) => Some(entry),
            Self::Result(_) => None,
        }
    }
}

/// Errors of the cache.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// The three names make no file name.
    #[error(
        "no cache file for network {network:?}, container {container:?}, interface {ifname:?}: all three must be given, without '/'"
    )]
    Name {
        /// The network.
        network: String,
        /// The container ID.
        container: String,
        /// The interface.
        ifname: String,
    },
    /// It cannot be read.
    #[error("cannot read the CNI cache file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ignite_host::fs::Error,
    },
    /// It cannot be written, listed or removed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its content is not what it should be.
    #[error("the CNI cache file {} cannot be used: {problem}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl CacheError {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("run this as root, or with sudo".to_owned())
            }
            Self::Read { source, .. } => source.hint(),
            Self::Content { .. } => {
                Some("DEL works without it; remove it if that has been done".to_owned())
            }
            _ => None,
        }
    }
}

impl Cache {
    /// The cache below `directory`.
    pub fn new(directory: &Path) -> Self {
        Self {
            results: directory.join("results"),
        }
    }

    /// The file of an attachment.
    pub fn path(&self, network: &str, id: &AttachmentId) -> Result<PathBuf, CacheError> {
        let parts = [network, &id.container_id, &id.ifname];
        if parts
            .iter()
            .any(|part| part.is_empty() || part.contains(['/', '\0']))
        {
            return Err(CacheError::Name {
                network: network.to_owned(),
                container: id.container_id.clone(),
                ifname: id.ifname.clone(),
            });
        }
        Ok(self.results.join(parts.join("-")))
    }

    /// Writes an entry, replacing what was there.
    pub fn write(&self, entry: &Entry) -> Result<(), CacheError> {
        let path = self.path(&entry.network, &entry.attachment.id())?;
        let bytes = file::encode(entry);
        let directory = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.results);
        directory.map_err(failed("create the directory", &self.results))?;
        let written = temporary::replace(&path, &bytes);
        written.map_err(failed("write the CNI cache file", &path))
    }

    /// What is remembered of an attachment; none if there is no file.
    pub fn read(&self, network: &str, id: &AttachmentId) -> Result<Option<Cached>, CacheError> {
        read_file(&self.path(network, id)?)
    }

    /// Whether anything is remembered of an attachment.
    pub fn contains(&self, network: &str, id: &AttachmentId) -> Result<bool, CacheError> {
        Ok(self.path(network, id)?.symlink_metadata().is_ok())
    }

    /// The whole entry of an attachment. A file of another kind is an error.
    pub fn entry(&self, network: &str, id: &AttachmentId) -> Result<Option<Entry>, CacheError> {
        match self.read(network, id)? {
            None => Ok(None),
            Some(Cached::Entry(entry)) => Ok(Some(*entry)),
            Some(Cached::Result(_)) => {
                let path = self.path(network, id)?;
                Err(content(&path, format!("its kind is not {KIND}")))
            }
        }
    }

    /// Forgets an attachment. One that is not there is fine.
    pub fn remove(&self, network: &str, id: &AttachmentId) -> Result<(), CacheError> {
        let path = self.path(network, id)?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove the CNI cache file", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Removes what processes that were killed while writing have left.
    pub fn sweep(&self) {
        temporary::sweep(&self.results);
    }

    /// All entries, sorted by file name; of one network or one container if asked.
    /// Files that are no entries are skipped.
    pub fn list(&self, filter: Filter<'_>) -> Result<Vec<Entry>, CacheError> {
        let directory = match fs::read_dir(&self.results) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            directory => directory.map_err(failed("list the CNI cache in", &self.results))?,
        };
        let mut names: Vec<String> = directory
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| filter.may_match(name))
            .collect();
        names.sort();
        let entries = names
            .iter()
            .filter_map(|name| match read_file(&self.results.join(name)) {
                Ok(Some(Cached::Entry(entry))) => Some(*entry),
                _ => None,
            });
        Ok(entries.filter(|entry| filter.matches(entry)).collect())
    }
}

/// Which entries are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter<'a> {
    /// Of this network only.
    pub network: Option<&'a str>,
    /// Of this container only.
    pub container_id: Option<&'a str>,
}

impl Filter<'_> {
    /// By file name alone, so that strangers' files need not be read.
    fn may_match(&self, name: &str) -> bool {
        let network = self
            .network
            .is_none_or(|network| name.starts_with(&format!("{network}-")));
        let container = self.container_id.is_none_or(|id| {
            let part = format!("-{id}-");
            name.find(&part)
                .is_some_and(|at| at > 0 && name.len() > at + part.len())
        });
        network && container && !name.starts_with('.')
    }

    fn matches(&self, entry: &Entry) -> bool {
        self.network.is_none_or(|network| entry.network == network)
            && self
                .container_id
                .is_none_or(|id| entry.attachment.container_id == id)
            && !entry.network.is_empty()
            && !entry.attachment.ifname.is_empty()
    }
}

fn read_file(path: &Path) -> Result<Option<Cached>, CacheError> {
    match read_bounded(path, MAX_BYTES) {
        Ok(bytes) => parse(&bytes)
            .map(Some)
            .map_err(|problem| content(path, problem)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(source) => Err(CacheError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

fn failed<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> CacheError + 'a {
    move |source| CacheError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

fn content(path: &Path, problem: String) -> CacheError {
    CacheError::Content {
        path: path.to_owned(),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn entry(network: &str, container: &str, ifname: &str) -> Entry {
        let mut attachment = Attachment::new(container, "/run/netns/x", ifname);
        attachment.args = vec![("IgnoreUnknown".to_owned(), "1".to_owned())];
        attachment
            .capabilities
            .insert("ips".to_owned(), json!(["10.0.0.2/8"]));
        let result = json!({"cniVersion": "1.0.0", "big": 9007199254740993u64});
        Entry {
            network: network.to_owned(),
            attachment,
            config: br#"{"name":"n"}"#.to_vec(),
            result: result.as_object().cloned(),
        }
    }

    fn cache() -> (tempfile::TempDir, Cache) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let cache = Cache::new(&dir.path().join("cni"));
        (dir, cache)
    }

    #[test]
    fn the_format_is_libcnis() {
        let (_dir, cache) = cache();
        let entry = entry("n", "c", "eth0");
        cache.write(&entry).expect("written");
        let path = cache.path("n", &entry.attachment.id()).expect("a path");
        assert!(path.ends_with("results/n-c-eth0"));
        let text = fs::read(&path).expect("there");
        let value: Value = serde_json::from_slice(&text).expect("JSON");
        assert_eq!(
            value,
            json!({
                "kind": "cniCacheV1", "containerId": "c", "config": "eyJuYW1lIjoibiJ9", "ifName": "eth0",
                "networkName": "n", "netns": "/run/netns/x", "cniArgs": [["IgnoreUnknown", "1"]],
                "capabilityArgs": {"ips": ["10.0.0.2/8"]},
                "result": {"cniVersion": "1.0.0", "big": 9007199254740993u64},
            })
        );
        let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(path.parent().expect("a directory")), 0o700);
        assert_eq!(
            cache.entry("n", &entry.attachment.id()).expect("read"),
            Some(entry)
        );
    }

    #[test]
    fn identity_comes_from_the_content() {
        let (_dir, cache) = cache();
        // Both files match "a-b-c-*" by name.
        cache.write(&entry("a-b", "c", "eth0")).expect("written");
        cache.write(&entry("a", "b-c", "eth1")).expect("written");
        fs::write(cache.results.join("a-junk-eth0"), "{").expect("written");
        fs::write(cache.results.join("a-bare-eth0"), "{}").expect("written");
        let names = |network: &str| -> Vec<String> {
            let filter = Filter {
                network: Some(network),
                container_id: None,
            };
            let entries = cache.list(filter).expect("listed");
            entries
                .iter()
                .map(|entry| entry.attachment.ifname.clone())
                .collect()
        };
        assert_eq!(names("a"), ["eth1"]);
        assert_eq!(names("a-b"), ["eth0"]);
        let of = Filter {
            network: None,
            container_id: Some("c"),
        };
        assert_eq!(cache.list(of).expect("listed").len(), 1);
        assert_eq!(cache.list(Filter::default()).expect("listed").len(), 2);
    }

    #[test]
    fn old_files_hold_a_bare_result() {
        let cached = parse(br#"{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.2/8"}}"#).expect("old");
        assert_eq!(cached.result().expect("a result")["cniVersion"], "0.2.0");
        assert!(cached.entry().is_none());
        assert!(parse(br#"{"kind":"other"}"#).is_err());
        assert!(parse(b"nonsense").is_err());
        assert!(parse(br#"{"kind":"cniCacheV1","config":"!"}"#).is_err());
    }

    #[test]
    fn all_three_names_are_needed() {
        let (_dir, cache) = cache();
        for (network, container, ifname) in [
            ("", "c", "e"),
            ("n", "", "e"),
            ("n", "c", ""),
            ("n", "../c", "e"),
        ] {
            let id = AttachmentId {
                container_id: container.to_owned(),
                ifname: ifname.to_owned(),
            };
            assert!(matches!(
                cache.read(network, &id),
                Err(CacheError::Name { .. })
            ));
        }
    }

    #[test]
    fn what_is_not_there_is_no_error() {
        let (_dir, cache) = cache();
        let id = AttachmentId {
            container_id: "c".to_owned(),
            ifname: "e".to_owned(),
        };
        assert_eq!(cache.read("n", &id).expect("fine"), None);
        cache.remove("n", &id).expect("fine");
        assert!(cache.list(Filter::default()).expect("fine").is_empty());
    }

    #[test]
    fn a_file_in_the_place_of_the_directory_is_an_error() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::write(dir.path().join("results"), "").expect("written");
        let error = Cache::new(dir.path())
            .write(&entry("n", "c", "e"))
            .expect_err("no directory");
        assert!(matches!(error, CacheError::Io { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_surprise(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
