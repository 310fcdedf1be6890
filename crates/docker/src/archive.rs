//! The holder's image as an archive the engine loads: nothing is pulled, and the same program makes the
//! same image on every host.
//!
//! ```text
//!   manifest.json    names the other two and the image
//!   <digest>.json    entry point, label, digest of the layer
//!   layer.tar        one file: /holder
//! ```

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The repository of all holder images.
pub(crate) const REPOSITORY: &str = "ignite-holder";
/// Says of an image that it is one of ours.
pub(crate) const LABEL: &str = "ignite.holder";
/// The program's name in the image.
const PROGRAM: &str = "holder";

/// An image to be loaded.
pub(crate) struct Archive {
    /// The image's name, by the program's digest: another program is another image.
    pub(crate) reference: String,
    /// Digest of its only layer, as engines show it.
    pub(crate) layer: String,
    /// The archive.
    pub(crate) bytes: Vec<u8>,
}

/// The image of this program.
pub(crate) fn archive(program: &[u8]) -> Archive {
    let digest = hex::encode(Sha256::digest(program));
    let reference = format!("{REPOSITORY}:{}", &digest[..12]);
    let layer = tar(&[(PROGRAM, 0o755, program)]);
    let diff = format!("sha256:{}", hex::encode(Sha256::digest(&layer)));
    let config = config(&digest, &diff).to_string().into_bytes();
    let config_name = format!("{}.json", hex::encode(Sha256::digest(&config)));
    let manifest = json!([{
        "Config": config_name,
        "RepoTags": [reference],
        "Layers": ["layer.tar"],
    }]);
    let bytes = tar(&[
        ("manifest.json", 0o644, manifest.to_string().as_bytes()),
        (&config_name, 0o644, &config),
        ("layer.tar", 0o644, &layer),
    ]);
    Archive {
        reference,
        layer: diff,
        bytes,
    }
}

fn config(digest: &str, layer: &str) -> Value {
    json!({
        "architecture": architecture(),
        "os": "linux",
        // The same each time: the digest of this text is the image's id.
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Entrypoint": [format!("/{PROGRAM}")],
            "Labels": { LABEL: digest },
        },
        "rootfs": { "type": "layers", "diff_ids": [layer] },
        "history": [{ "created": "1970-01-01T00:00:00Z", "comment": "ignite" }],
    })
}

/// This host's, as Go calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn tar(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, mode, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(*mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(content.len() as u64);
        builder
            .append_data(&mut header, name, *content)
            .expect("short names, written to memory");
    }
    builder.into_inner().expect("written to memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_program_makes_the_same_image_another_one_another() {
        let one = archive(b"program");
        assert_eq!(one.reference, "ignite-holder:1310ca2c8932");
        assert_eq!(one.bytes, archive(b"program").bytes);
        let other = archive(b"another");
        assert_ne!(one.reference, other.reference);
        assert_ne!(one.layer, other.layer);
    }

    #[test]
    fn the_archive_is_whole() {
        let archive = archive(b"program");
        let mut tar = tar::Archive::new(&archive.bytes[..]);
        let names: Vec<_> = tar
            .entries()
            .expect("an archive")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .path()
                    .expect("a name")
                    .into_owned()
            })
            .collect();
        assert_eq!(names.len(), 3);
        assert_eq!(names[0].to_str(), Some("manifest.json"));
        assert_eq!(names[2].to_str(), Some("layer.tar"));
    }
}
