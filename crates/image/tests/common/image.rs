//! Whole images: manifest, configuration, layers; written as every kind of source.

use std::collections::BTreeMap;
use std::path::Path;

use ignite_image::Digest;
use serde_json::{Value, json};

use super::{Tar, gzip};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

pub struct Image {
    pub blobs: BTreeMap<Digest, Vec<u8>>,
    pub tars: Vec<Vec<u8>>,
    pub layers: Vec<Digest>,
    pub config: Digest,
    pub manifest: Digest,
}

fn put(blobs: &mut BTreeMap<Digest, Vec<u8>>, bytes: Vec<u8>) -> (Digest, usize) {
    let digest = Digest::of(&bytes);
    let length = bytes.len();
    blobs.insert(digest, bytes);
    (digest, length)
}

impl Image {
    /// Of plain tars, each packed with gzip.
    pub fn of(tars: Vec<Vec<u8>>) -> Self {
        let mut blobs = BTreeMap::new();
        let diff_ids: Vec<String> = tars.iter().map(|tar| Digest::of(tar).to_string()).collect();
        let mut layers = Vec::new();
        let mut descriptors = Vec::new();
        for tar in &tars {
            let (digest, size) = put(&mut blobs, gzip(tar));
            layers.push(digest);
            descriptors
                .push(json!({"mediaType": LAYER, "digest": digest.to_string(), "size": size}));
        }
        let config = json!({"architecture": architecture(), "os": "linux",
            "config": {"Cmd": ["/bin/app", "-v"], "Env": ["A=b"], "ExposedPorts": {"80/tcp": {}}},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let (config, size) = put(&mut blobs, config.to_string().into_bytes());
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST,
            "config": {"mediaType": CONFIG, "digest": config.to_string(), "size": size},
            "layers": descriptors});
        let (manifest, _) = put(&mut blobs, manifest.to_string().into_bytes());
        Self {
            blobs,
            tars,
            layers,
            config,
            manifest,
        }
    }

    /// A small image with one of everything a test looks for afterwards.
    pub fn small() -> Self {
        let base = Tar::new()
            .directory("bin/")
            .file("bin/app", b"#!/bin/sh\n")
            .file("gone", b"of the lower layer")
            .symlink("lib", "bin")
            .done();
        let top = Tar::new()
            .file(".wh.gone", b"")
            .file("lib/more", b"through the link")
            .done();
        Self::of(vec![base, top])
    }

    pub fn index(&self, annotations: Value) -> Vec<u8> {
        let size = self.blobs[&self.manifest].len();
        let digest = self.manifest.to_string();
        let entry = json!({"mediaType": MANIFEST, "digest": digest, "size": size,
            "annotations": annotations,
            "platform": {"os": "linux", "architecture": architecture()}});
        json!({"schemaVersion": 2, "manifests": [entry]})
            .to_string()
            .into_bytes()
    }

    pub fn write_layout(&self, directory: &Path) {
        let blobs = directory.join("blobs/sha256");
        std::fs::create_dir_all(&blobs).expect("mkdir");
        for (digest, bytes) in &self.blobs {
            std::fs::write(blobs.join(digest.hex()), bytes).expect("write");
        }
        let index = self.index(json!({"org.opencontainers.image.ref.name": "v1"}));
        std::fs::write(directory.join("index.json"), index).expect("write");
        std::fs::write(
            directory.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )
        .expect("write");
    }

    pub fn oci_archive(&self) -> Vec<u8> {
        let mut tar = Tar::new().file("index.json", &self.index(json!({})));
        for (digest, bytes) in &self.blobs {
            tar = tar.file(&format!("blobs/sha256/{}", digest.hex()), bytes);
        }
        tar.done()
    }

    /// As older versions of Docker write it: plain layers, one of them by a link.
    pub fn docker_archive(&self) -> Vec<u8> {
        let mut tar = Tar::new().file("config.json", &self.blobs[&self.config]);
        let mut names = Vec::new();
        for (index, layer) in self.tars.iter().enumerate() {
            tar = tar.file(&format!("{index}/layer.tar"), layer);
            tar = tar.symlink(
                &format!("{index}-link/layer.tar"),
                &format!("../{index}/layer.tar"),
            );
            names.push(format!("{index}-link/layer.tar"));
        }
        let manifest =
            json!([{"Config": "config.json", "RepoTags": ["team/app:v1"], "Layers": names}]);
        tar.file("manifest.json", manifest.to_string().as_bytes())
            .done()
    }
}

pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
