//! The JSON documents of an image: index, manifest, configuration (OCI image specification 1.1 and
//! Docker's schema 2, which differ in media types only).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Largest index or manifest read.
pub(crate) const LARGEST_MANIFEST: u64 = 4 << 20;
/// Largest image configuration read.
pub(crate) const LARGEST_CONFIG: u64 = 8 << 20;
/// No image has more layers; a manifest of 4 MiB could name tens of thousands.
const MOST_LAYERS: usize = 1024;

/// Media types of manifests and indexes, for `Accept`.
pub(crate) const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// What a document is not.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not the JSON it should be.
    #[error("the {what} cannot be read")]
    Json {
        /// Which document.
        what: &'static str,
        /// Where it breaks.
        source: serde_json::Error,
    },
    /// Docker's format before 2016.
    #[error("the manifest has the old schema version 1")]
    SchemaOne,
    /// Another kind of artifact: a chart, a signature, a WebAssembly module.
    #[error("it is no image of a file system but has a {media_type:?}")]
    NotAnImage {
        /// The media type that says so.
        media_type: String,
    },
    /// More layers than any image has.
    #[error("it has {count} layers; at most {MOST_LAYERS} are taken")]
    Layers {
        /// How many.
        count: usize,
    },
    /// Manifest and configuration disagree.
    #[error("the manifest has {layers} layers, the configuration {diff_ids}")]
    LayerCount {
        /// In the manifest.
        layers: usize,
        /// In the configuration.
        diff_ids: usize,
    },
}

/// A pointer to a blob.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    pub platform: Option<Platform>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// What an image runs on, in Go's names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, ...
    pub architecture: String,
    /// `v8`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Either of the documents a reference may lead to.
#[derive(Debug, Clone)]
pub(crate) enum Document {
    /// Several manifests to choose from.
    Index(Vec<Descriptor>),
    /// One image.
    Manifest(Manifest),
}

/// One image.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Manifest {
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Any {
    #[serde(default)]
    schema_version: u32,
    manifests: Option<Vec<Descriptor>>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
}

impl Document {
    /// Reads an index or a manifest, whichever it is.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        let any: Any = json("manifest", bytes)?;
        match any {
            Any {
                schema_version: 1, ..
            } => Err(DocumentError::SchemaOne),
            Any {
                manifests: Some(manifests),
                ..
            } => Ok(Self::Index(manifests)),
            Any {
                config: Some(config),
                layers: Some(layers),
                ..
            } => {
                let manifest = Manifest { config, layers };
                manifest.check()?;
                Ok(Self::Manifest(manifest))
            }
            _ => Err(DocumentError::NotAnImage {
                media_type: "document without layers".into(),
            }),
        }
    }
}

impl Manifest {
    fn check(&self) -> Result<(), DocumentError> {
        let config = &self.config.media_type;
        let is_image = config.is_empty()
            || config.starts_with("application/vnd.oci.image.config.")
            || config.starts_with("application/vnd.docker.container.image.");
        let odd_layer = self
            .layers
            .iter()
            .map(|layer| &layer.media_type)
            .find(|kind| !is_layer(kind));
        if !is_image || odd_layer.is_some() {
            let media_type = odd_layer.unwrap_or(config).clone();
            return Err(DocumentError::NotAnImage { media_type });
        }
        if self.layers.len() > MOST_LAYERS {
            return Err(DocumentError::Layers {
                count: self.layers.len(),
            });
        }
        Ok(())
    }
}

/// Layers are known by their first bytes; the type only says that it is one, and not encrypted.
fn is_layer(media_type: &str) -> bool {
    let layer = media_type.is_empty()
        || media_type.starts_with("application/vnd.oci.image.layer.")
        || media_type.starts_with("application/vnd.docker.image.rootfs.");
    layer && !media_type.ends_with("+encrypted")
}

/// The document a manifest's `config` points to.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct ImageDocument {
    #[serde(default)]
    pub architecture: String,
    #[serde(default)]
    pub os: String,
    #[serde(default)]
    pub config: Option<RawConfig>,
    #[serde(default)]
    pub rootfs: RootFs,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct RootFs {
    #[serde(default)]
    pub diff_ids: Vec<Digest>,
}

/// `null` stands for "none" in any field.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct RawConfig {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    user: Option<String>,
    working_dir: Option<String>,
    exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    stop_signal: Option<String>,
    labels: Option<BTreeMap<String, String>>,
}

/// How a container of the image would be run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageConfig {
    /// Program and first arguments.
    pub entrypoint: Vec<String>,
    /// Default arguments, or the program where there is no entrypoint.
    pub cmd: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// `user[:group]`, names or numbers; empty for root.
    pub user: String,
    /// Working directory; empty for `/`.
    pub working_dir: String,
    /// `80/tcp`.
    pub exposed_ports: Vec<String>,
    /// `SIGTERM` or a number; empty for the default.
    pub stop_signal: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl ImageDocument {
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        json("configuration", bytes)
    }

    /// One digest for each layer; they must be as many.
    pub fn diff_ids(&self, layers: usize) -> Result<&[Digest], DocumentError> {
        let diff_ids = &self.rootfs.diff_ids;
        if diff_ids.len() != layers {
            return Err(DocumentError::LayerCount {
                layers,
                diff_ids: diff_ids.len(),
            });
        }
        Ok(diff_ids)
    }

    pub fn image_config(&self) -> ImageConfig {
        let raw = self.config.clone().unwrap_or_default();
        ImageConfig {
            entrypoint: raw.entrypoint.unwrap_or_default(),
            cmd: raw.cmd.unwrap_or_default(),
            env: raw.env.unwrap_or_default(),
            user: raw.user.unwrap_or_default(),
            working_dir: raw.working_dir.unwrap_or_default(),
            exposed_ports: raw.exposed_ports.unwrap_or_default().into_keys().collect(),
            stop_signal: raw.stop_signal.unwrap_or_default(),
            labels: raw.labels.unwrap_or_default(),
        }
    }
}

pub(crate) fn json<'a, T: Deserialize<'a>>(
    what: &'static str,
    bytes: &'a [u8],
) -> Result<T, DocumentError> {
    serde_json::from_slice(bytes).map_err(|source| DocumentError::Json { what, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn manifest(config: &str, layer: &str) -> String {
        format!(
            r#"{{"schemaVersion":2,"config":{{"mediaType":"{config}","digest":"{DIGEST}","size":2}},
            "layers":[{{"mediaType":"{layer}","digest":"{DIGEST}","size":3}}]}}"#
        )
    }

    #[test]
    fn takes_images_only() {
        let oci = "application/vnd.oci.image.config.v1+json";
        let gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
        let parsed = |text: &str| Document::parse(text.as_bytes());
        assert!(matches!(
            parsed(&manifest(oci, gzip)),
            Ok(Document::Manifest(_))
        ));
        for (config, layer) in [
            ("application/vnd.cncf.helm.config.v1+json", gzip),
            (oci, "application/wasm"),
            (oci, "application/vnd.oci.image.layer.v1.tar+gzip+encrypted"),
        ] {
            let error = parsed(&manifest(config, layer)).expect_err(config);
            assert!(matches!(error, DocumentError::NotAnImage { .. }), "{error}");
        }
        assert!(matches!(
            parsed(r#"{"schemaVersion":1}"#),
            Err(DocumentError::SchemaOne)
        ));
        assert!(matches!(
            parsed(r#"{"manifests":[]}"#),
            Ok(Document::Index(_))
        ));
        assert!(parsed("[]").is_err());
    }

    #[test]
    fn null_is_none() {
        let text = r#"{"architecture":"amd64","os":"linux","config":{"Entrypoint":null,
            "Cmd":["sh"],"ExposedPorts":{"80/tcp":{}}},"rootfs":{"type":"layers","diff_ids":[]}}"#;
        let document = ImageDocument::parse(text.as_bytes()).expect("a configuration");
        let config = document.image_config();
        assert_eq!(config.cmd, ["sh"]);
        assert_eq!(config.exposed_ports, ["80/tcp"]);
        assert!(config.entrypoint.is_empty());
        assert!(document.diff_ids(1).is_err());
    }
}
