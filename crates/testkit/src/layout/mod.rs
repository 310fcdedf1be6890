//! OCI images made for a test, written as every kind of source there is.

pub mod entry;
pub mod fixture;
pub mod hostile;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use entry::Entry;

const OCI: &str = "application/vnd.oci.image";

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// A plain tar.
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

/// One layer as it is stored.
#[derive(Debug, Clone)]
pub struct Layer {
    bytes: Vec<u8>,
    media_type: String,
    /// The digest of the tar before compression.
    diff_id: String,
}

/// An image: its configuration's `config`, and its layers from the bottom up.
#[derive(Debug, Clone)]
pub struct Image {
    config: Value,
    layers: Vec<Layer>,
}

impl Layer {
    /// A layer of these entries.
    ///
    /// # Errors
    /// If `tar` or the compressor fails; it needs root for owners and devices.
    pub fn of(entries: &[Entry], compression: Compression) -> Result<Self> {
        Self::of_tar(entry::tar(entries)?, compression)
    }

    /// A layer that is this tar, whatever it holds.
    ///
    /// # Errors
    /// If the compressor fails.
    pub fn of_tar(tar: Vec<u8>, compression: Compression) -> Result<Self> {
        let diff_id = digest(&tar);
        let (bytes, suffix) = match compression {
            Compression::None => (tar, ""),
            Compression::Gzip => (filter(&["gzip", "-n"], tar)?, "+gzip"),
            Compression::Zstd => (filter(&["zstd", "-q"], tar)?, "+zstd"),
        };
        Ok(Self {
            bytes,
            media_type: format!("{OCI}.layer.v1.tar{suffix}"),
            diff_id,
        })
    }
}

impl Image {
    /// An image that runs `command` unless told otherwise.
    pub fn new(command: &[&str], layers: Vec<Layer>) -> Self {
        Self {
            config: json!({ "Cmd": command, "Env": ["PATH=/bin"] }),
            layers,
        }
    }

    fn configuration(&self) -> Vec<u8> {
        let diff_ids: Vec<&str> = self
            .layers
            .iter()
            .map(|layer| layer.diff_id.as_str())
            .collect();
        let architecture = match std::env::consts::ARCH {
            "aarch64" => "arm64",
            _ => "amd64",
        };
        bytes(&json!({
            "architecture": architecture, "os": "linux", "config": self.config,
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        }))
    }

    fn manifest(&self) -> Vec<u8> {
        let layers: Vec<Value> = self
            .layers
            .iter()
            .map(|layer| descriptor(&layer.media_type, &layer.bytes))
            .collect();
        bytes(&json!({
            "schemaVersion": 2, "mediaType": format!("{OCI}.manifest.v1+json"),
            "config": descriptor(&format!("{OCI}.config.v1+json"), &self.configuration()),
            "layers": layers,
        }))
    }

    /// Writes the `oci:` directory.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_layout(&self, directory: &Path, tag: &str) -> Result<()> {
        let blobs = directory.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        let manifest = self.manifest();
        let own = [self.configuration(), manifest.clone()];
        for blob in own
            .iter()
            .chain(self.layers.iter().map(|layer| &layer.bytes))
        {
            fs::write(blobs.join(hash(blob)), blob)?;
        }
        let mut listed = descriptor(&format!("{OCI}.manifest.v1+json"), &manifest);
        listed["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
        let index = json!({
            "schemaVersion": 2, "mediaType": format!("{OCI}.index.v1+json"), "manifests": [listed],
        });
        fs::write(directory.join("index.json"), bytes(&index))?;
        fs::write(
            directory.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )?;
        Ok(())
    }

    /// Writes the `oci-archive:` file.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_oci_archive(&self, file: &Path, tag: &str) -> Result<()> {
        let scratch = tempfile::tempdir()?;
        self.write_layout(scratch.path(), tag)?;
        pack(scratch.path(), file)
    }

    /// Writes the `docker-archive:` file, as `docker save` does: plain layers
    /// in a directory each.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write_docker_archive(&self, file: &Path, name: &str) -> Result<()> {
        let scratch = tempfile::tempdir()?;
        let configuration = self.configuration();
        let config_name = format!("{}.json", hash(&configuration));
        fs::write(scratch.path().join(&config_name), configuration)?;
        let mut layers = Vec::new();
        for layer in &self.layers {
            let name = layer.diff_id.trim_start_matches("sha256:");
            fs::create_dir_all(scratch.path().join(name))?;
            fs::write(scratch.path().join(name).join("layer.tar"), layer.plain()?)?;
            layers.push(format!("{name}/layer.tar"));
        }
        let manifest = json!([{ "Config": config_name, "RepoTags": [name], "Layers": layers }]);
        fs::write(scratch.path().join("manifest.json"), bytes(&manifest))?;
        pack(scratch.path(), file)
    }
}

impl Layer {
    fn plain(&self) -> Result<Vec<u8>> {
        match self.media_type.rsplit('+').next() {
            Some("gzip") => filter(&["gzip", "-d"], self.bytes.clone()),
            Some("zstd") => filter(&["zstd", "-q", "-d"], self.bytes.clone()),
            _ => Ok(self.bytes.clone()),
        }
    }
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(blob), "size": blob.len() })
}

fn bytes(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}

fn digest(blob: &[u8]) -> String {
    format!("sha256:{}", hash(blob))
}

fn hash(blob: &[u8]) -> String {
    hex::encode(Sha256::digest(blob))
}

fn pack(directory: &Path, file: &Path) -> Result<()> {
    let status = Command::new("tar")
        .arg("-C")
        .arg(directory)
        .arg("-cf")
        .arg(file)
        .arg(".")
        .status()?;
    ensure!(status.success(), "tar cannot write {}", file.display());
    Ok(())
}

/// What a program makes of its stdin.
fn filter(argv: &[&str], input: Vec<u8>) -> Result<Vec<u8>> {
    let mut child = Command::new(argv[0])
        .args(&argv[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", argv[0]))?;
    let mut stdin = child.stdin.take().context("stdin is a pipe")?;
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output()?;
    writer
        .join()
        .map_err(|_| anyhow::anyhow!("the writer panicked"))??;
    ensure!(output.status.success(), "{argv:?} failed");
    Ok(output.stdout)
}
