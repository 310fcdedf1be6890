//! The fixture kernel, imported once for all machines of a test program.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ignite_image::kernel::{self, Error, Images, KernelSource, Request, VMLINUX};
use ignite_image::{Digest, Progress, Silent, initramfs};
use ignite_testkit::place;

/// A kernel a machine boots.
pub struct Kernel {
    directory: PathBuf,
    has_vsock: bool,
}

impl Kernel {
    /// As it is.
    pub fn imported() -> Self {
        static IMPORTED: OnceLock<PathBuf> = OnceLock::new();
        Self {
            directory: IMPORTED.get_or_init(import).clone(),
            has_vsock: true,
        }
    }

    /// Without its modules for vsock, as one that has none.
    pub fn without_vsock() -> Self {
        Self {
            has_vsock: false,
            ..Self::imported()
        }
    }

    /// The kernel itself.
    pub fn vmlinux(&self) -> PathBuf {
        self.directory.join(VMLINUX)
    }

    /// The initramfs.
    pub fn initramfs(&self) -> Vec<u8> {
        let path = initramfs::ensure(&self.directory, &guest_program()).expect("an initramfs");
        let mut bytes = std::fs::read(path).expect("a file");
        if !self.has_vsock {
            hide(&mut bytes, initramfs::VSOCK_MODULE_DIR);
        }
        bytes
    }
}

/// Gives a directory of an archive another name of the same length. The guest program names it too,
/// but with a slash before.
fn hide(archive: &mut [u8], directory: &str) {
    let name = directory.as_bytes();
    for at in 1..archive.len() - name.len() {
        if archive[at..].starts_with(name) && archive[at - 1] != b'/' {
            archive[at + name.len() - 1] = b'_';
        }
    }
}

fn import() -> PathBuf {
    // Not the machine's own temporary directory, where the last program's would stay.
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernel");
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).expect("a directory");
    let tree = place::kernel().expect("tools/kernel.sh fetches it");
    let request = Request {
        directory: &directory,
        guest_program: &guest_program(),
        images: &NoImages,
        progress: &Silent,
    };
    let imported = kernel::import(&KernelSource::Directory(tree), &request).expect("a kernel");
    kernel::ensure_vsock(&directory, &imported.version).expect("it has vsock");
    directory
}

fn guest_program() -> PathBuf {
    place::built("libexec/ignite/ignite-guest").expect("`make guest` builds it")
}

struct NoImages;

impl Images for NoImages {
    fn identify(&self, _: &str) -> Result<Digest, Error> {
        panic!("the kernel is in a directory")
    }

    fn unpack(&self, _: &str, _: &Path, _: &dyn Progress) -> Result<Digest, Error> {
        panic!("the kernel is in a directory")
    }
}
