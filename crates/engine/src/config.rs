//! What the engine is told once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ignite_api::{DetachKeys, IdPrefix, NetworkPlugin, VmSpec, VmmChoice, VmmUsers};
use ignite_store::Paths;
use ignite_wire::guest;

use crate::Error;

/// Where things are, and what holds where nothing else is said.
#[derive(Debug, Clone)]
pub struct Config {
    /// The host's directories.
    pub paths: Paths,
    /// How new VMs get their network.
    pub network_plugin: NetworkPlugin,
    /// Prefix of new VMs' container ids.
    pub id_prefix: IdPrefix,
    /// Registries reached over plain HTTP, or by TLS without a known certificate.
    pub insecure_registries: Vec<String>,
    /// Directory of Docker's `config.json`; `~/.docker` where none.
    pub registry_config_dir: Option<PathBuf>,
    /// What a new VM has where nothing else is said.
    pub vm_defaults: VmSpec,
    /// The users VMMs run as, one for each VM.
    pub vmm_users: VmmUsers,
    /// Programs of VMMs that are named, and not looked for.
    pub vmm_programs: ignite_vmm::Programs,
    /// The keys that leave a terminal session.
    pub detach_keys: DetachKeys,
    /// CNI's runtime: where plugins are, and how long they may take.
    pub cni: ignite_cni::runtime::Runtime,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            paths: Paths::system(),
            network_plugin: NetworkPlugin::Cni,
            id_prefix: IdPrefix::default(),
            insecure_registries: Vec::new(),
            registry_config_dir: None,
            vm_defaults: VmSpec::default(),
            vmm_users: VmmUsers::default(),
            vmm_programs: vmm_programs(),
            detach_keys: DetachKeys::default(),
            cni: runtime(),
        }
    }
}

impl Config {
    /// Keeps durable state in another directory. It gets its whole path here, once: it is passed on to
    /// programs that run elsewhere.
    ///
    /// # Errors
    /// If the path is empty, or relative to a directory that is gone.
    pub fn keep_data_in(&mut self, directory: &Path) -> Result<(), Error> {
        self.paths.data = std::path::absolute(directory).map_err(Error::prepare(directory))?;
        Ok(())
    }
}

/// The program the environment names; it beats the one of the configuration. It gets its whole path
/// here, once: it is run elsewhere.
fn vmm_programs() -> ignite_vmm::Programs {
    let named = std::env::var_os("IGNITE_FIRECRACKER").filter(|path| !path.is_empty());
    ignite_vmm::Programs {
        firecracker: named.map(|path| std::path::absolute(&path).unwrap_or(path.into())),
        jailer: None,
    }
}

/// CNI's runtime as everyone has it, with the plugins that come with Ignite behind all others.
fn runtime() -> ignite_cni::runtime::Runtime {
    let mut runtime = ignite_cni::runtime::Runtime::default();
    runtime.bin_dirs.extend(own_plugins());
    runtime
}

/// The directory in which our plugins have their names.
fn own_plugins() -> Option<PathBuf> {
    let program = std::fs::canonicalize(program("ignite-cni", "IGNITE_CNI")?).ok()?;
    Some(program.parent()?.join("cni"))
}

/// How a VM is started.
#[derive(Debug, Clone)]
pub struct StartOptions {
    /// Time within which the agent must be ready.
    pub boot_timeout: Duration,
    /// Another network plugin than the VM's.
    pub network_plugin: Option<NetworkPlugin>,
    /// Another VMM than the VM's; it must read the VM's disk.
    pub vmm: Option<VmmChoice>,
    /// Whether Firecracker's jailer confines it, other than before.
    pub jailer: Option<bool>,
    /// Who sits before its console from the moment the guest is ready, if anybody does.
    pub console: Option<Onlooker>,
}

/// Who sits before a console.
#[derive(Debug, Clone, Default)]
pub struct Onlooker {
    /// Their terminal, where they have one.
    pub terminal: Option<guest::Terminal>,
}

impl StartOptions {
    /// Time within which the agent must be ready where nothing else is said: a guest under
    /// translation on a busy machine needs half a minute at worst.
    pub const DEFAULT_BOOT_TIMEOUT: Duration = Duration::from_secs(120);
}

impl Default for StartOptions {
    fn default() -> Self {
        Self {
            boot_timeout: Self::DEFAULT_BOOT_TIMEOUT,
            network_plugin: None,
            vmm: None,
            jailer: None,
            console: None,
        }
    }
}

/// Time a guest has to shut down before it is ended.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(20);

/// One of Ignite's own programs: named by `variable`, beside this program, or in its `libexec`.
pub(crate) fn program(name: &str, variable: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(variable) {
        return Some(path.into());
    }
    let own = std::env::current_exe().ok()?;
    let directory = own.parent()?;
    [
        directory.to_owned(),
        directory.join("../libexec/ignite"),
        Path::new("/usr/local/libexec/ignite").to_owned(),
        Path::new("/usr/libexec/ignite").to_owned(),
    ]
    .into_iter()
    .map(|directory| directory.join(name))
    .find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_directory_is_the_same_from_everywhere() {
        let mut config = Config::default();
        config.keep_data_in(Path::new("./data")).expect("a path");
        let here = std::env::current_dir().expect("we are somewhere");
        assert_eq!(config.paths.data, here.join("data"));
        config.keep_data_in(Path::new("/data/")).expect("a path");
        assert_eq!(config.paths.data, Path::new("/data"));
        assert!(config.keep_data_in(Path::new("")).is_err());
    }
}
