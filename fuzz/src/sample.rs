//! Honest images to put one dishonest document into, and archives that look honest.

use ignite_image::Digest;

/// A tar with these files.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        archive
            .append_data(&mut header, name, *content)
            .expect("to memory, with a short name");
    }
    archive.into_inner().expect("to memory")
}

/// The same archive with a right checksum wherever a block looks like a header.
pub fn with_checksums(archive: &[u8]) -> Vec<u8> {
    let mut archive = archive.to_vec();
    for block in archive.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    archive
}

/// An image configuration for a layer.
pub fn config(layer: &[u8]) -> Vec<u8> {
    let diff_id = Digest::of(layer);
    format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Cmd":["/a"]}},"rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#
    )
    .into_bytes()
}

/// The manifest of an image with one layer.
pub fn manifest(config: &[u8], layer: &[u8]) -> Vec<u8> {
    let config = descriptor("application/vnd.oci.image.config.v1+json", config);
    let layer = descriptor("application/vnd.oci.image.layer.v1.tar", layer);
    format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#).into_bytes()
}

/// An index of one manifest.
pub fn index(manifest: &[u8]) -> Vec<u8> {
    let manifest = descriptor("application/vnd.oci.image.manifest.v1+json", manifest);
    format!(r#"{{"schemaVersion":2,"manifests":[{manifest}]}}"#).into_bytes()
}

fn descriptor(media_type: &str, content: &[u8]) -> String {
    let (digest, size) = (Digest::of(content), content.len());
    format!(r#"{{"mediaType":"{media_type}","digest":"{digest}","size":{size}}}"#)
}
