//! The import of an image of 300 MB, against the tools one would use by hand.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};
use ignite_testkit::{Host, place};

use super::{Case, Unit};

const RUNS: usize = 5;
const FILES: u64 = 6000;
const BYTES: u64 = 50_000;

/// At most 1.3 times `tar -x` of the layers and `mkfs.ext4 -d` of the tree.
pub fn run() -> Result<Vec<Case>> {
    let layout = layout()?;
    let (mut ours, mut tools) = (Vec::new(), Vec::new());
    let host = Host::new("bench-import")?;
    let script = script(&layout)?;
    for round in 0..=RUNS {
        let source = format!("oci:{}", layout.display());
        let by_hand = host.helper(&["time", "1", "sh", "-euc", &script])?.ok()?;
        let own = host
            .helper(&[
                "time",
                "1",
                &ignite()?,
                "image",
                "import",
                "--quiet",
                &source,
            ])?
            .ok()?;
        let uid = host.sh("ignite image ls --quiet | tail -1").ok()?;
        ensure!(!uid.trim().is_empty(), "nothing was imported");
        host.ignite(["image", "rm", "big"]).ok()?;
        if round > 0 {
            tools.push(by_hand.trim().parse()?);
            ours.push(own.trim().parse()?);
        }
    }
    let tools = Case::new(
        "import",
        "tar -x and mkfs.ext4 -d",
        Unit::Milliseconds,
        &tools,
    );
    let ours = Case::new(
        "import",
        "ignite image import, 300 MB from oci:",
        Unit::Milliseconds,
        &ours,
    )
    .against(&tools, 1.3);
    Ok(vec![tools, ours])
}

fn ignite() -> Result<String> {
    Ok(place::built("bin/ignite")?.display().to_string())
}

/// What one would do by hand, on the same file system as the import.
fn script(layout: &Path) -> Result<String> {
    let blobs = layout.join("blobs/sha256");
    let layer = fs::read_dir(&blobs)?
        .flatten()
        .max_by_key(|entry| entry.metadata().map(|m| m.len()).unwrap_or_default())
        .map(|entry| entry.path());
    let layer = layer.ok_or_else(|| anyhow::anyhow!("no layer in {}", blobs.display()))?;
    Ok(format!(
        "d=$(mktemp -d -p /var/lib/ignite); mkdir $d/t; tar -C $d/t -xzf {} --numeric-owner; \
         truncate -s 512M $d/x; mkfs.ext4 -q -F -b 4096 -d $d/t $d/x; rm -rf $d",
        layer.display()
    ))
}

/// An OCI layout with one layer of 300 MB in files that compress about as programs do.
fn layout() -> Result<std::path::PathBuf> {
    let directory = place::build("bench/big");
    if directory.join("index.json").exists() {
        return Ok(directory);
    }
    let scratch = place::build("bench/scratch");
    let root = scratch.join("root");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for number in 0..FILES {
        let folder = root.join(format!("usr/d{}", number / 100));
        fs::create_dir_all(&folder)?;
        let mut file = BufWriter::new(File::create(folder.join(format!("f{number}")))?);
        let mut written = 0;
        while written < BYTES {
            // xorshift64: every second word is random, the others are not.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            file.write_all(&state.to_le_bytes())?;
            file.write_all(&number.to_le_bytes())?;
            written += 16;
        }
        file.flush()?;
    }
    let tar = scratch.join("root.tar");
    let oci = concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/oci.sh");
    let script = format!(
        "tar -C {} -cf {} . && bash {oci} {} {} big:latest '{{\"Cmd\":[\"true\"]}}' && rm -rf {}",
        root.display(),
        tar.display(),
        tar.display(),
        directory.display(),
        scratch.display(),
    );
    let made = Command::new("sh").args(["-euc", &script]).status()?;
    ensure!(made.success(), "cannot make the image of the import bench");
    Ok(directory)
}
