//! `ignite rm`: remove VMs.

use std::path::PathBuf;

use clap::Args;
use ignite_engine::manifest::VmManifest;

use super::stop::print;
use crate::context::{Context, Outcome};
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite rm web
  ignite rm -f db cache           even if they run
  ignite rm --config web.yaml     the VM of that uid or name, as a whole";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Rm {
    /// VMs, by name, uid, or the beginning of either
    #[arg(required_unless_present = "config", value_name = "VM")]
    vms: Vec<String>,

    /// Manifest of the VM, which says its uid or its name; - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "vms")]
    config: Option<PathBuf>,

    /// End those that run
    #[arg(short, long)]
    force: bool,

    /// Docker's, for volumes that nobody else has: a VM's disks go with it, files and directories given
    /// to it stay
    #[arg(short, long, hide = true)]
    volumes: bool,
}

impl Verb for Rm {
    const ABOUT: &'static str = "Remove VMs with their disks";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.engine()?;
        if let Some(file) = &self.config {
            let manifest = VmManifest::load(file, engine.vm_defaults())?;
            let uid = engine.resolve_manifest(&manifest)?;
            print(context, &engine.remove(uid.as_str(), self.force)?)?;
            return Ok(0);
        }
        context.each(&self.vms, |vm| {
            print(context, &engine.remove(vm, self.force)?)
        })
    }
}
