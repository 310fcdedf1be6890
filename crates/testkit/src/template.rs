//! The data directory all hosts begin with: kernel and images imported once
//! for a build of the product, shared read-only by overlay mounts.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};

use crate::{Host, place};

/// Images every host knows, by their name.
pub const IMAGES: &[&str] = &["busy", "systemd"];

/// The directory, made by the first who asks.
///
/// # Errors
/// If the product cannot import.
pub fn directory() -> Result<&'static Path> {
    static DIRECTORY: OnceLock<std::result::Result<PathBuf, String>> = OnceLock::new();
    let made = DIRECTORY.get_or_init(|| make().map_err(|error| format!("{error:#}")));
    made.as_deref()
        .map_err(|error| anyhow::anyhow!("the hosts' data directory: {error}"))
}

fn make() -> Result<PathBuf> {
    let root = place::build("e2e");
    fs::create_dir_all(&root)?;
    let lock = File::create(root.join("template.lock")).context("cannot open the lock")?;
    lock.lock().context("cannot take the lock")?;
    let wanted = root.join("template").join(key()?);
    if !wanted.exists() {
        // Of another build of the product.
        let _ = fs::remove_dir_all(root.join("template"));
        let fresh = root.join("template/new");
        fs::create_dir_all(&fresh)?;
        import(&fresh)?;
        fs::rename(&fresh, &wanted)?;
    }
    Ok(wanted)
}

fn import(directory: &Path) -> Result<()> {
    let host = Host::upon("template", directory)?;
    let import = |kind: &str, source: &str| {
        host.ignite([kind, "import", source])
            .deadline(Duration::from_secs(300))
            .ok()
    };
    import("kernel", &place::kernel()?.display().to_string())?;
    for name in IMAGES {
        import("image", &place::image(name)?)?;
    }
    Ok(())
}

/// What the directory's content depends on: the programs and the sources.
fn key() -> Result<String> {
    let mut hash = Sha256::new();
    for program in [
        "bin/ignite",
        "libexec/ignite/ignite-guest",
        "libexec/ignite/ignite-spawn",
    ] {
        hash.update(fs::read(place::built(program)?)?);
    }
    for image in IMAGES {
        hash.update(fs::read(place::built(&format!("images/{image}.key"))?)?);
    }
    let mut kernel: Vec<_> = fs::read_dir(place::kernel()?.join("boot"))?
        .flatten()
        .map(|file| file.path())
        .collect();
    kernel.sort();
    hash.update(format!("{kernel:?}"));
    Ok(hex::encode(&hash.finalize()[..8]))
}
