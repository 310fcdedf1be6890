//! The runtime's commands.
//!
//! ```text
//!  ADD   plugins in order, each gets the result before it; failed: full DEL
//!  CHECK plugins in order, each gets the cached result
//!  (change) DEL, then ADD, of the plugins that declare one capability
//!  DEL   plugins in reverse, each gets the cached result; goes on after errors
//!  GC    DEL of what is cached but not valid, then every plugin's GC
//! ```
//!
//! Nothing here takes a lock: that is the caller's, who knows more (see
//! [`crate::lock`]). Plugins run in the namespaces of the calling thread, which
//! must be the host's.

mod add;
mod again;
mod ask;
mod change;
mod check;
mod del;
mod gc;

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::args;
use crate::attachment::{Attachment, AttachmentId};
use crate::cache::{self, Cache, Entry};
use crate::config::{NetworkConfig, PluginConfig};
use crate::error::{Command, Error};
use crate::exec::{self, Bounds, ExecError, Program, Variable};
use crate::json::Object;
use crate::result::{self, NetworkResult};
use crate::stdin::{self, Extra};

pub use change::Change;
pub use check::Checked;
pub use gc::Collected;

/// Where plugins and cached results are, and what plugins may take.
#[derive(Debug, Clone)]
pub struct Runtime {
    /// Directories searched for plugin programs, in order.
    pub bin_dirs: Vec<PathBuf>,
    /// Directory of cached results.
    pub cache_dir: PathBuf,
    /// Time and output of one plugin process.
    pub bounds: Bounds,
    /// Descriptors every plugin process keeps open, and its children: the lock of
    /// the container, say. Should this process be killed, the lock is then held
    /// until the last of them has ended, and whoever repairs waits for that.
    pub inherited: Vec<Arc<OwnedFd>>,
}

impl Default for Runtime {
    /// The directories everyone uses.
    fn default() -> Self {
        Self {
            bin_dirs: exec::DEFAULT_DIRECTORIES.map(PathBuf::from).to_vec(),
            cache_dir: PathBuf::from(cache::DEFAULT_DIRECTORY),
            bounds: Bounds::default(),
            inherited: Vec::new(),
        }
    }
}

/// One plugin process that ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The plugin's type.
    pub plugin: String,
    /// What was asked of it.
    pub command: Command,
    /// From before its start until after its end.
    pub elapsed: Duration,
    /// What it wrote to standard error, cut at the bound.
    pub stderr: String,
}

/// What a network gave.
#[derive(Debug, Clone)]
pub struct AddResult {
    /// The final result, decoded and validated.
    pub result: NetworkResult,
    /// The final result as it is in the cache, in the network's version.
    pub raw: Value,
    /// The plugin processes in their order.
    pub runs: Vec<Run>,
}

impl AddResult {
    /// The time all plugin processes took.
    pub fn plugin_time(&self) -> Duration {
        self.runs.iter().map(|run| run.elapsed).sum()
    }
}

/// A plugin's answer.
struct Answer {
    stdout: Vec<u8>,
    run: Run,
}

impl Runtime {
    /// The cache of results.
    pub fn cache(&self) -> Cache {
        Cache::new(&self.cache_dir)
    }

    /// What is remembered of an attachment: how it was asked for, the network's
    /// configuration at that time, the result.
    pub fn cached(&self, network: &str, id: &AttachmentId) -> Result<Option<Entry>, Error> {
        Ok(self.cache().entry(network, id)?)
    }

    /// The program of a plugin.
    pub fn find(&self, plugin: &str) -> Result<PathBuf, ExecError> {
        exec::find(plugin, &self.bin_dirs)
    }

    fn program<'a>(&'a self, path: &'a Path) -> Program<'a> {
        Program {
            path,
            bounds: &self.bounds,
            inherited: &self.inherited,
        }
    }

    /// Runs one plugin of a network.
    fn call(
        &self,
        step: &Step<'_>,
        attachment: Option<&Attachment>,
        extra: Extra<'_>,
    ) -> Result<Answer, Error> {
        let path = self
            .find(&step.plugin.kind)
            .map_err(|source| step.failed(source))?;
        self.call_program(&path, step, attachment, extra)
    }

    fn call_program(
        &self,
        path: &Path,
        step: &Step<'_>,
        attachment: Option<&Attachment>,
        extra: Extra<'_>,
    ) -> Result<Answer, Error> {
        let stdin = stdin::build(step.network, step.plugin, extra).map_err(|source| {
            let (network, plugin) = step.names();
            Error::Stdin {
                network,
                plugin,
                source,
            }
        })?;
        let mut variables = exec::inherited().to_vec();
        variables.extend(self.variables(step, attachment)?);
        let stdin = Value::Object(stdin).to_string();
        let ran = self
            .program(path)
            .run(step.command, &variables, stdin.as_bytes())
            .map_err(|source| step.failed(source))?;
        let run = Run {
            plugin: step.plugin.kind.clone(),
            command: step.command,
            elapsed: ran.elapsed,
            stderr: String::from_utf8_lossy(&ran.stderr).into_owned(),
        };
        Ok(Answer {
            stdout: ran.stdout,
            run,
        })
    }

    /// The `CNI_*` variables of a call.
    fn variables(
        &self,
        step: &Step<'_>,
        attachment: Option<&Attachment>,
    ) -> Result<Vec<Variable>, Error> {
        let none = Attachment::default();
        let attachment = attachment.unwrap_or(&none);
        // DEL must work with what older runtimes sent; such arguments are left out.
        let args = match args::encode(&attachment.args) {
            Err(error) if step.command == Command::Add => {
                return Err(Error::Invalid(error.into()));
            }
            args => args.unwrap_or_default(),
        };
        let values: [OsString; 6] = [
            step.command.to_string().into(),
            attachment.container_id.clone().into(),
            attachment.netns.clone().into(),
            args.into(),
            attachment.ifname.clone().into(),
            exec::search_path(&self.bin_dirs),
        ];
        let names = exec::VARIABLES.into_iter().map(OsString::from);
        Ok(names.zip(values).collect())
    }
}

/// One plugin of a network and what is asked of it, for calls and messages.
#[derive(Clone, Copy)]
struct Step<'a> {
    network: &'a NetworkConfig,
    plugin: &'a PluginConfig,
    command: Command,
}

impl<'a> Step<'a> {
    /// The steps of a command in the order of ADD.
    fn all(
        network: &'a NetworkConfig,
        command: Command,
    ) -> impl DoubleEndedIterator<Item = Step<'a>> {
        network.plugins.iter().map(move |plugin| Step {
            network,
            plugin,
            command,
        })
    }

    fn names(&self) -> (String, String) {
        (self.network.name.clone(), self.plugin.kind.clone())
    }

    fn failed(&self, source: ExecError) -> Error {
        let (network, plugin) = self.names();
        Error::Plugin {
            network,
            plugin,
            command: self.command,
            source: Box::new(source),
        }
    }

    fn bad_result(&self, source: result::ResultError) -> Error {
        let (network, plugin) = self.names();
        Error::Result {
            network,
            plugin,
            source: Box::new(source),
        }
    }
}

/// The version of a network; an error that names the network if it is none.
fn version_of(network: &NetworkConfig) -> Result<crate::Version, Error> {
    network.version().map_err(|source| Error::Version {
        network: network.name.clone(),
        source,
    })
}

/// The attachment as it was made, where the caller does not say: without the
/// arguments it was made with, some plugins find nothing to undo.
fn completed(attachment: &Attachment, cached: Option<&Entry>) -> Attachment {
    let mut attachment = attachment.clone();
    let Some(entry) = cached else {
        return attachment;
    };
    let made = &entry.attachment;
    if attachment.args.is_empty() {
        attachment.args.clone_from(&made.args);
    }
    if attachment.capabilities.is_empty() {
        attachment.capabilities.clone_from(&made.capabilities);
    }
    attachment
}

/// The extra keys of ADD, CHECK and DEL.
fn extra<'a>(previous: Option<&'a Object>, attachment: &'a Attachment) -> Extra<'a> {
    Extra::Attachment {
        previous,
        capabilities: &attachment.capabilities,
    }
}
