//! Where everything is: all paths derive from one root, so that a whole host fits in a directory.

use std::path::{Path, PathBuf};

use ignite_api::Uid;

/// The directories of a host that Ignite works with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// Durable state: `/var/lib/ignite`.
    pub data: PathBuf,
    /// State that ends with the host's boot: `/run/ignite`.
    pub run: PathBuf,
    /// Named network namespaces: `/run/netns`.
    pub netns: PathBuf,
    /// CNI network configurations: `/etc/cni/net.d`.
    pub cni_conf: PathBuf,
    /// State of the CNI runtime and of its plugins: `/var/lib/cni`.
    pub cni_cache: PathBuf,
    /// What holds where nothing else is said: `/etc/ignite/config.yaml`.
    pub configuration: PathBuf,
}

impl Paths {
    /// The paths of this host.
    pub fn system() -> Self {
        Self::under(Path::new("/"))
    }

    /// The same paths below another root.
    pub fn under(root: &Path) -> Self {
        Self {
            data: root.join("var/lib/ignite"),
            run: root.join("run/ignite"),
            netns: root.join("run/netns"),
            cni_conf: root.join("etc/cni/net.d"),
            cni_cache: root.join("var/lib/cni"),
            configuration: root.join("etc/ignite/config.yaml"),
        }
    }

    /// The same with another directory for durable state.
    pub fn with_data(mut self, data: impl Into<PathBuf>) -> Self {
        self.data = data.into();
        self
    }

    /// Durable directory of all VMs.
    pub fn vms(&self) -> PathBuf {
        self.data.join("vm")
    }

    /// Durable directory of all images.
    pub fn images(&self) -> PathBuf {
        self.data.join("image")
    }

    /// Durable directory of all kernels.
    pub fn kernels(&self) -> PathBuf {
        self.data.join("kernel")
    }

    /// Downloaded layers, by digest.
    pub fn blobs(&self) -> PathBuf {
        self.data.join("blob")
    }

    /// Where images and kernels are made, on the file system they end up on.
    pub fn staging(&self) -> PathBuf {
        self.data.join("staging")
    }

    /// Durable directory of one VM.
    pub fn vm(&self, uid: Uid) -> PathBuf {
        self.vms().join(uid)
    }

    /// Durable directory of one image.
    pub fn image(&self, uid: Uid) -> PathBuf {
        self.images().join(uid)
    }

    /// Durable directory of one kernel.
    pub fn kernel(&self, uid: Uid) -> PathBuf {
        self.kernels().join(uid)
    }

    /// Runtime directory of one VM.
    pub fn vm_run(&self, uid: Uid) -> PathBuf {
        self.run.join("vm").join(uid)
    }

    /// The network namespace of a container id.
    pub fn sandbox(&self, container_id: &str) -> PathBuf {
        self.netns.join(container_id)
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self::system()
    }
}
