//! What was attached, remembered in libcni's own file format, so that tools
//! built on libcni and this runtime can each release what the other attached.
//!
//! `<directory>/results/<network>-<container>-<ifname>`, directory 0700, files
//! 0600, each replaced as a whole. The parts may contain `-` themselves: who a
//! file is about is said by its content alone.
//!
//! Files are not synchronised to the disk. After a power cut neither namespaces
//! nor rules are left to release, and the caller keeps a durable record of its own.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ignite_host::fs::read_bounded;
use ignite_host::process::start_time;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::args::Pairs;
use crate::attachment::{Attachment, AttachmentId};
use crate::json::Object;

/// libcni's cache directory.
pub const DEFAULT_DIRECTORY: &str = "/var/lib/cni";

/// The largest cache file that is read, in bytes.
const MAX_BYTES: u64 = 8 << 20;

/// The kind written into each file.
const KIND: &str = "cniCacheV1";

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

/// The file as libcni spells it.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    container_id: String,
    #[serde(default)]
    config: String,
    #[serde(default)]
    if_name: String,
    #[serde(default)]
    network_name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    netns: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cni_args: Option<Pairs>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    capability_args: Option<Object>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    result: Option<Object>,
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
        let bytes = serde_json::to_vec(&File::from_entry(entry))
            .expect("texts and JSON values are always JSON");
        let directory = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.results);
        directory.map_err(failed("create the directory", &self.results))?;
        let temporary = self.temporary();
        let written = write_new(&temporary, &bytes).and_then(|()| replace(&temporary, &path));
        written.map_err(|source| {
            // It may never have been made.
            let _ = fs::remove_file(&temporary);
            CacheError::Io {
                action: "write the CNI cache file",
                path,
                source,
            }
        })
    }

    /// A name no other process and no other thread uses. Readers of the directory
    /// skip what is no complete entry.
    fn temporary(&self) -> PathBuf {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_nanos();
        let pid = std::process::id();
        let begun = begun(pid).unwrap_or_default();
        self.results
            .join(format!(".{pid}-{begun}-{count}-{now:x}.tmp"))
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
        let entries = fs::read_dir(&self.results).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()) {
            if writer(&path).is_some_and(|(pid, start)| begun(pid) != Some(start)) {
                // Another process may sweep at the same time.
                let _ = fs::remove_file(&path);
            }
        }
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

/// When a process began; another one may have its number later.
fn begun(pid: u32) -> Option<u64> {
    start_time(i32::try_from(pid).ok()?)
}

/// The process that made a temporary file, and when it began.
fn writer(path: &Path) -> Option<(u32, u64)> {
    let name = path.file_name()?.to_str()?;
    let mut parts = name.strip_prefix('.')?.strip_suffix(".tmp")?.split('-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
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

/// Reads the bytes of a cache file: an entry if it says so, else a bare result.
pub fn parse(bytes: &[u8]) -> Result<Cached, String> {
    let object: Object = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    match object.get("kind") {
        None => return Ok(Cached::Result(object)),
        Some(Value::String(kind)) if kind == KIND => {}
        Some(other) => return Err(format!("its kind is {other}, not {KIND}")),
    }
    let file: File = serde_json::from_value(Value::Object(object)).map_err(|e| e.to_string())?;
    file.into_entry()
        .map(|entry| Cached::Entry(Box::new(entry)))
}

impl File {
    fn from_entry(entry: &Entry) -> Self {
        let attachment = &entry.attachment;
        Self {
            kind: KIND.to_owned(),
            container_id: attachment.container_id.clone(),
            config: BASE64.encode(&entry.config),
            if_name: attachment.ifname.clone(),
            network_name: entry.network.clone(),
            netns: attachment.netns.to_string_lossy().into_owned(),
            cni_args: Some(attachment.args.clone()).filter(|args| !args.is_empty()),
            capability_args: Some(attachment.capabilities.clone()).filter(|args| !args.is_empty()),
            result: entry.result.clone(),
        }
    }

    fn into_entry(self) -> Result<Entry, String> {
        let config = BASE64
            .decode(&self.config)
            .map_err(|error| format!("config: {error}"))?;
        let attachment = Attachment {
            container_id: self.container_id,
            netns: PathBuf::from(self.netns),
            ifname: self.if_name,
            args: self.cni_args.unwrap_or_default(),
            capabilities: self.capability_args.unwrap_or_default(),
        };
        Ok(Entry {
            network: self.network_name,
            attachment,
            config,
            result: self.result,
        })
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)
}

/// Puts one file in another's place. Ext4 writes a file to the disk at once if it is renamed over
/// another; an exchange of the two costs a fifth of that. Should the power fail, a file that is cut
/// short is no entry.
fn replace(temporary: &Path, path: &Path) -> io::Result<()> {
    match renameat_with(CWD, temporary, CWD, path, RenameFlags::EXCHANGE) {
        Ok(()) => fs::remove_file(temporary),
        // There is none yet, or the file system cannot exchange.
        Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            fs::rename(temporary, path)
        }
        Err(errno) => Err(errno.into()),
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
    use serde_json::json;

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
    fn what_killed_writers_left_is_swept() {
        let (_dir, cache) = cache();
        cache.write(&entry("n", "c", "eth0")).expect("written");
        let own = cache.temporary();
        // No process has a number as large as this; and one of a number used again.
        let again = format!(".{}-0-0-1.tmp", std::process::id());
        let dead = [".4294967295-0-0-1.tmp", &again].map(|name| cache.results.join(name));
        for path in dead.iter().chain([&own]) {
            fs::write(path, "").expect("written");
        }
        cache.sweep();
        assert!(own.exists() && dead.iter().all(|path| !path.exists()));
        assert_eq!(cache.list(Filter::default()).expect("listed").len(), 1);
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
