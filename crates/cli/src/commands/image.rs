//! `ignite image`: the images VMs boot from.

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
  ignite image import nginx:alpine
  ignite image ls
  ignite image rm nginx:alpine";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, disable_help_subcommand = true)]
pub struct Image {
    #[command(subcommand)]
    command: Option<ImageCommand>,

    #[command(flatten)]
    list: ListArgs,
}

group! {
    ImageCommand {
        "import" => Import,
        "ls" | "list" => Ls,
        "rm" => Rm,
        "inspect" => InspectImage,
    }
}

impl Verb for Image {
    const ABOUT: &'static str = "Manage images; alone, list them";

    fn run(self, context: &Context) -> Outcome {
        match self.command {
            None => Ls { list: self.list }.run(context),
            Some(command) => self.list.refuse().and_then(|()| command.run(context)),
        }
    }
}

const IMPORT_EXAMPLES: &str = "\
Examples:
  ignite image import nginx:alpine                      from a registry
  ignite image import --insecure-registry reg:5000 reg:5000/app:1
  ignite image import oci:./layout:v1                   an OCI image layout
  ignite image import oci-archive:image.tar             the same as an archive
  ignite image import docker-archive:image.tar          what `docker save` writes
  ignite image import tar:rootfs.tar.gz                 a file system
  ignite image import dir:./rootfs                      a directory";

#[derive(Debug, Args)]
#[command(after_help = IMPORT_EXAMPLES)]
struct Import {
    /// Reference to an image in a registry, or oci:, oci-archive:, docker-archive:, tar: or dir: and a path
    source: String,

    #[command(flatten)]
    registry: RegistryArgs,
}

impl Verb for Import {
    const ABOUT: &'static str = "Make an image bootable";

    fn run(self, context: &Context) -> Outcome {
        let cancel = context.cancel()?;
        let imported = self.registry.engine(context.config()?)?.import_image(
            &self.source,
            context.terminal,
            &cancel,
        )?;
        context.terminal.info(&imported.describe("image"));
        context.terminal.line(imported.uid.as_str())?;
        Ok(0)
    }
}

const LS_EXAMPLES: &str = "\
Examples:
  ignite image ls
  ignite image ls -o yaml
  ignite image ls -f reference=nginx -t '{{.Name}} {{.Size}}'";

#[derive(Debug, Default, Args)]
#[command(after_help = LS_EXAMPLES)]
struct Ls {
    #[command(flatten)]
    list: ListArgs,
}

impl Verb for Ls {
    const ABOUT: &'static str = "List images";

    fn run(self, context: &Context) -> Outcome {
        let found = context.reader()?.images()?;
        select(context, &self.list, found, |images| {
            let mut table = Table::new(["IMAGE ID", "NAME", "CREATED", "SIZE"]);
            for image in images {
                let [id, name, created] = identity(image);
                let size = image.status.oci_source.size.human();
                table.push([&id, &name, &created, &size]);
            }
            table.render()
        })
    }
}

const RM_EXAMPLES: &str = "\
Examples:
  ignite rmi nginx:alpine
  ignite rmi -f nginx:alpine     with the VMs that use it";

#[derive(Debug, Args)]
#[command(after_help = RM_EXAMPLES)]
pub struct Rm {
    /// Images, by name, uid, or the beginning of either
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,

    /// Remove the VMs that use them, too
    #[arg(short, long)]
    force: bool,
}

impl Verb for Rm {
    const ABOUT: &'static str = "Remove images";

    fn run(self, context: &Context) -> Outcome {
        let engine = context.engine()?;
        context.each(&self.images, |image| {
            let uid = engine.remove_image(image, self.force)?;
            Ok(context.terminal.line(uid.as_str())?)
        })
    }
}

const INSPECT_EXAMPLES: &str = "\
Examples:
  ignite image inspect nginx:alpine";

#[derive(Debug, Args)]
#[command(after_help = INSPECT_EXAMPLES)]
struct InspectImage {
    /// Images, by name, uid, or the beginning of either
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,

    #[command(flatten)]
    form: FormArgs,
}

impl Verb for InspectImage {
    const ABOUT: &'static str = "Show all that is known of images";

    fn run(self, context: &Context) -> Outcome {
        show(context, Some(Kind::Image), &self.images, &self.form)
    }
}
