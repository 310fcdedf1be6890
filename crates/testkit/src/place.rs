//! Where `make` put what the tests use.

use std::path::PathBuf;

use anyhow::{Result, ensure};

/// A path below the workspace's `build` directory.
pub fn build(path: &str) -> PathBuf {
    let workspace = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    // Without the dots: the path is passed to mounts and shown to people.
    let workspace = std::fs::canonicalize(workspace).unwrap_or_else(|_| workspace.into());
    workspace.join("build").join(path)
}

/// The same, of something that has to be there.
///
/// # Errors
/// Says which command makes what is missing.
pub fn built(path: &str) -> Result<PathBuf> {
    let path = build(path);
    ensure!(
        path.exists(),
        "{} is missing: `make programs e2e-fixtures` makes it",
        path.display()
    );
    Ok(path)
}

/// The helper program.
pub fn helper() -> Result<PathBuf> {
    built("testkit/testkit-helper")
}

/// The directory of the stand-in VMM, which has QEMU's name.
pub fn stand_in() -> Result<PathBuf> {
    let program = built("testkit/stand-in/qemu-system-x86_64")?;
    Ok(program.parent().unwrap_or(&program).to_owned())
}

/// An image as an `oci:` source.
pub fn image(name: &str) -> Result<String> {
    Ok(format!(
        "oci:{}",
        built(&format!("images/{name}"))?.display()
    ))
}

/// The unpacked kernel package: `boot/` and `lib/modules/`.
pub fn kernel() -> Result<PathBuf> {
    built("kernel/tree")
}
