//! `ignited daemon`: manifests from a directory.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ignite_program::Failure;

use crate::app;
use crate::args::{Globals, duration};
use crate::config::Config;
use crate::source::Source as _;
use crate::source::directory::Directory;

const EXAMPLES: &str = "\
Examples:
  ignited daemon
  ignited daemon --manifest-dir /srv/vms --rescan-interval 5m";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Daemon {
    /// Directory of the manifests, watched with all below it
    #[arg(long, value_name = "DIR", default_value = "/etc/firecracker/manifests")]
    manifest_dir: PathBuf,

    /// Time between two looks at every file and VM, in case a change was not noticed
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration)]
    rescan_interval: Duration,
}

impl Daemon {
    /// Keeps VMs until it is told to end.
    pub fn run(self, globals: &Globals) -> Result<(), Failure> {
        let mut config = Config::new(globals)?;
        config.look_interval = self.rescan_interval;
        let source = Directory::new(self.manifest_dir.clone(), self.rescan_interval)?;
        if is_first(&config, &source.name())? {
            self.make()?;
        }
        app::run(config, Box::new(source))
    }

    fn make(&self) -> Result<(), Failure> {
        std::fs::create_dir_all(&self.manifest_dir).map_err(|error| {
            let error = ignite_host::error::SystemError::new(
                format!("make the directory {}", self.manifest_dir.display()),
                error,
            );
            let hint = error.hint();
            Failure::new(error, hint)
        })
    }
}

/// Whether no VM can be of this source yet. Where there are some, a directory that is not there is
/// away, not empty: an empty one in its place would have them all removed.
fn is_first(config: &Config, by: &str) -> Result<bool, Failure> {
    let (kept, unreadable) = config.engine()?.kept(by)?;
    Ok(kept.is_empty() && unreadable.is_empty())
}
