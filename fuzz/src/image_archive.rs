//! Archives of images. The first byte says what is foreign: `o` a whole OCI archive, `d` a whole
//! Docker archive, `m` the `manifest.json` of an honest Docker archive, `c` its configuration.

use crate::{image_layout, sample, scratch};

/// What the archive holds is unpacked, or refused.
pub fn run(bytes: &[u8]) {
    let Some((which, foreign)) = bytes.split_first() else {
        return;
    };
    let (scheme, archive) = match which {
        b'o' => ("oci-archive", foreign.to_vec()),
        b'd' => ("docker-archive", foreign.to_vec()),
        b'm' => ("docker-archive", saved(foreign, None)),
        b'c' => {
            let manifest = br#"[{"Config":"c","RepoTags":["a:b"],"Layers":["l"]}]"#;
            ("docker-archive", saved(manifest, Some(foreign)))
        }
        _ => return,
    };
    let file = scratch::file("archive.tar", &archive);
    image_layout::unpack(&format!("{scheme}:{}", file.display()));
}

/// What `docker save` writes, with these documents.
fn saved(manifest: &[u8], config: Option<&[u8]>) -> Vec<u8> {
    let layer = sample::tar(&[("a", b"b")]);
    let honest = sample::config(&layer);
    sample::tar(&[
        ("manifest.json", manifest),
        ("c", config.unwrap_or(&honest)),
        ("l", &layer),
    ])
}
