//! `ignite create`: a VM that is not started yet.

use clap::Args;
use ignite_api::{Dns, EnvVar, Kind, Label, Metadata, Name, PortMapping, Size, Vm, VmSpec};
use ignite_engine::{CreateRequest, Report};

use super::registry::RegistryArgs;
use crate::context::{Context, Outcome};
use crate::failure::Failure;
use crate::values::{self, Ports};
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite create --name web -p 8080:80 nginx
  ignite create --memory 2GB --cpus 2 --size 8GB debian:12
  ignite create oci:./build/image -- /usr/bin/server --verbose

IMAGE is a reference to an image in a registry, or a source as `ignite image import` takes it.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Create {
    #[command(flatten)]
    vm: VmArgs,
}

impl Verb for Create {
    const ABOUT: &'static str = "Create a VM without starting it";

    fn run(self, context: &Context) -> Outcome {
        let cancel = context.cancel()?;
        let (request, registry) = self.vm.request()?;
        let created = registry
            .engine(context)?
            .create(request, context.terminal, &cancel)?;
        context
            .terminal
            .info(&format!("created VM {} ({})", created.name, created.uid));
        context.terminal.line(created.uid.as_str())?;
        Ok(0)
    }
}

/// What is asked for of a new VM.
#[derive(Debug, Args)]
pub struct VmArgs {
    /// Image to boot
    image: String,

    /// Command to run instead of the image's own
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,

    /// Name [default: a random one]
    #[arg(short, long, allow_hyphen_values = true, value_parser = values::NAME)]
    name: Option<Name>,

    /// Fail if no name is given
    #[arg(long, requires = "name")]
    require_name: bool,

    /// Virtual processors
    #[arg(long, value_name = "N", default_value_t = VmSpec::DEFAULT_CPUS)]
    cpus: u64,

    /// Memory
    #[arg(long, value_name = "SIZE", default_value_t = VmSpec::DEFAULT_MEMORY, allow_hyphen_values = true, value_parser = values::SIZE)]
    memory: Size,

    /// Size of the root file system
    #[arg(short, long, default_value_t = VmSpec::DEFAULT_DISK_SIZE, allow_hyphen_values = true, value_parser = values::SIZE)]
    size: Size,

    /// Publish ports: [HOST_IP:]HOST_PORT:VM_PORT[/udp], also ranges (repeatable, or with commas)
    #[arg(short, long, value_name = "MAPPING", value_parser = values::ports)]
    ports: Vec<Ports>,

    /// Network to attach to [default: the first one in /etc/cni/net.d]
    #[arg(long, value_name = "NAME")]
    network: Option<String>,

    /// DNS server (repeatable) [default: the network's, else the host's]
    #[arg(long, value_name = "IP", value_parser = values::DNS)]
    dns: Vec<Dns>,

    /// Environment variable for the command; NAME alone takes its value from here (repeatable)
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = values::env)]
    env: Vec<EnvVar>,

    /// Label (repeatable)
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = values::LABEL)]
    label: Vec<Label>,

    /// Kernel: one imported before, or a source as `ignite kernel import` takes it
    #[arg(short, long, value_name = "KERNEL")]
    kernel_image: Option<String>,

    /// Kernel command line, whole
    #[arg(long, value_name = "ARGS")]
    kernel_args: Option<String>,

    /// Remove the VM when it has ended
    #[arg(long)]
    rm: bool,

    #[command(flatten)]
    registry: RegistryArgs,
}

impl VmArgs {
    /// What the engine is asked for, and how it reaches registries.
    pub fn request(self) -> Result<(CreateRequest, RegistryArgs), Failure> {
        let ports: Vec<PortMapping> = self.ports.into_iter().flat_map(|ports| ports.0).collect();
        if let Err(error) = PortMapping::check_conflicts(&ports) {
            let hint = error.hint();
            return Err(Failure::usage(error, hint));
        }
        let metadata = Metadata {
            name: self.name.map(|name| name.to_string()).unwrap_or_default(),
            labels: self
                .label
                .iter()
                .map(|label| (label.key().into(), label.value().into()))
                .collect(),
            ..Metadata::default()
        };
        let mut spec = VmSpec {
            cpus: self.cpus,
            memory: self.memory,
            disk_size: self.size,
            command: self.command,
            env: self.env,
            dns: self.dns,
            networks: self.network.into_iter().collect(),
            ..VmSpec::default()
        };
        spec.network.ports = ports;
        spec.kernel.cmd_line = self.kernel_args;
        let request = CreateRequest {
            vm: Vm::new(Kind::Vm, metadata, spec),
            image: self.image,
            kernel: self.kernel_image,
            remove_when_ended: self.rm,
        };
        Ok((request, self.registry))
    }
}
