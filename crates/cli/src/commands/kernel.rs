//! `ignite kernel`: the kernels VMs boot.

use clap::Args;
use ignite_engine::Report;

use super::inspect::{FormArgs, Kind, show};
use super::registry::RegistryArgs;
use crate::context::{Context, Outcome};
use crate::listing::{identity, select};
use crate::select::ListArgs;
use crate::table::Table;
use crate::verb::{Verb, group};

const EXAMPLES: &str = "\
Examples:
  ignite kernel import host
  ignite kernel ls
  ignite kernel rm 6.1.0";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Kernel {
    #[command(subcommand)]
    command: Option<KernelCommand>,

    #[command(flatten)]
    list: ListArgs,
}

group! {
    KernelCommand {
        "import" => Import,
        "ls" | "list" => Ls,
        "rm" => Rm,
        "inspect" => InspectKernel,
    }
}

impl Verb for Kernel {
    const ABOUT: &'static str = "Manage kernels; alone, list them";

    fn run(self, context: &Context) -> Outcome {
        match self.command {
            None => Ls { list: self.list }.run(context),
            Some(command) => self.list.refuse().and_then(|()| command.run(context)),
        }
    }
}

const IMPORT_EXAMPLES: &str = "\
Examples:
  ignite kernel import host                             the kernel this host runs, with its modules
  ignite kernel import ./linux-image-cloud-amd64.deb    a distribution's package
  ignite kernel import ./vmlinux                        a file, vmlinux or vmlinuz
  ignite kernel import ./kernel/                        a directory with boot/ and lib/modules/
  ignite kernel import weaveworks/ignite-kernel:5.10.51 an image with /boot/vmlinux";

#[derive(Debug, Args)]
#[command(after_help = IMPORT_EXAMPLES)]
struct Import {
    /// host, a path, or an image with /boot/vmlinux as `ignite image import` takes it
    source: String,

    #[command(flatten)]
    registry: RegistryArgs,
}

impl Verb for Import {
    const ABOUT: &'static str = "Make a kernel bootable";

    fn run(self, context: &Context) -> Outcome {
        let cancel = context.cancel()?;
        let imported = self.registry.engine(context.config()?)?.import_kernel(
            &self.source,
            context.terminal,
            &cancel,
        )?;
        context.terminal.info(&imported.describe("kernel"));
        context.terminal.line(imported.uid.as_str())?;
        Ok(0)
    }
}

const LS_EXAMPLES: &str = "\
Examples:
  ignite kernel ls
  ignite kernel ls -o json
  ignite kernel ls -t '{{.Name}} {{.Version}}'";

#[derive(Debug, Default, Args)]
#[command(after_help = LS_EXAMPLES)]
struct Ls {
    #[command(flatten)]
    list: ListArgs,
}

impl Verb for Ls {
    const ABOUT: &'static str = "List kernels";

    fn run(self, context: &Context) -> Outcome {
        let found = context.reader()?.kernels()?;
        select(context, &self.list, found, |kernels| {
            let mut table = Table::new(["KERNEL ID", "NAME", "CREATED", "SIZE", "VERSION"]);
            for kernel in kernels {
                let [id, name, created] = identity(kernel);
                let size = kernel.status.oci_source.size.human();
                table.push([&id, &name, &created, &size, &kernel.status.version]);
            }
            table.render()
        })
    }
}

const RM_EXAMPLES: &str = "\
Examples:
  ignite rmk 6.1.0
  ignite rmk -f 6.1.0     with the VMs that boot it";

#[derive(Debug, Args)]
#[command(after_help = RM_EXAMPLES)]
pub struct Rm {
    /// Kernels, by name, uid, or the beginning of either
    #[arg(required = true, value_name = "KERNEL")]
    kernels: Vec<String>,

    /// Remove the VMs that boot them, too
    #[arg(short, long)]
    force: bool,
}

impl Verb for Rm {
    const ABOUT: &'static str = "Remove kernels";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.engine()?;
        context.each(&self.kernels, |kernel| {
            let uid = engine.remove_kernel(kernel, self.force)?;
            Ok(context.terminal.line(uid.as_str())?)
        })
    }
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  ignite kernel inspect 6.1.0";

#[derive(Debug, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
struct InspectKernel {
    /// Kernels, by name, uid, or the beginning of either
    #[arg(required = true, value_name = "KERNEL")]
    kernels: Vec<String>,

    #[command(flatten)]
    form: FormArgs,
}

impl Verb for InspectKernel {
    const ABOUT: &'static str = "Show all that is known of kernels";

    fn run(self, context: &Context) -> Outcome {
        show(context, Some(Kind::Kernel), &self.kernels, &self.form)
    }
}
