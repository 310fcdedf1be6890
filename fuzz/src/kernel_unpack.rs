//! Kernels as files: bzImage, ELF or aarch64's `Image`, packed or not.

use ignite_image::kernel::config::Config;
use ignite_image::kernel::needs::{Evidence, missing};
use ignite_image::kernel::vmlinux::version;
use ignite_image::kernel::{self, unpack};

/// A kernel that unpacks has a version that can name a directory, the same without unpacking.
pub fn run(bytes: &[u8]) {
    let early = version(bytes);
    let kernel = match unpack(bytes) {
        Ok(kernel) => kernel,
        Err(error) => return drop((error.to_string(), error.hint())),
    };
    assert!(kernel.bytes.len() as u64 <= kernel::vmlinux::MAX_SIZE);
    assert_eq!(early.ok(), Some(kernel.version.clone()));
    assert!(
        kernel
            .version
            .starts_with(|first: char| first.is_ascii_digit())
    );
    assert!(!kernel.version.contains(['/', '\0']));
    let config = Config::embedded(&kernel.bytes);
    let _ = missing(&Evidence {
        tree: None,
        config: config.as_ref(),
        vmlinux: &kernel.bytes,
    });
}
