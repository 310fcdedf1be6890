//! Configurations of kernels, as files and in kernels.

use ignite_image::kernel::config::{Config, Setting};
use ignite_image::kernel::needs::{Evidence, missing};

/// Text is read; as the end of a kernel it is looked through for a packed one.
pub fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let config = Config::parse(&text);
    if let Some(config) = &config {
        assert_eq!(config.get("no option"), Setting::No);
    }
    let _ = Config::embedded(bytes);
    let _ = missing(&Evidence {
        tree: None,
        config: config.as_ref(),
        vmlinux: bytes,
    });
}
