//! `ignite create`: a VM that is not started yet.

use std::path::PathBuf;

use clap::Args;
use ignite_api::{
    Address, Dns, ExtraHost, HostName, InterfaceSpec, Kind, Label, Mac, Metadata, Name,
    PortMapping, Reference, Size, Ssh, Vm, VmSpec, VmmChoice,
};
use ignite_engine::manifest::VmManifest;
use ignite_engine::{CreateRequest, Report};
use ignite_program::Failure;

use super::grouped::grouped;
use super::rates::RateArgs;
use super::registry::RegistryArgs;
use crate::context::{Context, Outcome};
use crate::values::{self, Copies, Passed, Ports, Volumes};
use crate::verb::Verb;

const EXAMPLES: &str = "\
Examples:
  ignite create --name web -p 8080:80 nginx
  ignite create --memory 2GB --cpus 2 --size 8GB debian:12
  ignite create -v ./site:/srv/www:ro -v /dev/sdb1:/data nginx
  ignite create --config web.yaml --memory 2GB
  ignite create --ip 10.61.0.50 --network lan --network storage:ip=10.9.0.5/24,ifname=data debian:12
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
        let config = context.config()?;
        let (request, registry) = self.vm.request(&config.vm_defaults, context)?;
        let created = registry
            .engine(config)?
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
#[command(mut_args(grouped))]
pub struct VmArgs {
    /// Image to boot
    image: Option<String>,

    /// Command to run instead of the image's own
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,

    /// Name [default: a random one]
    #[arg(short, long, allow_hyphen_values = true, value_parser = values::NAME)]
    name: Option<Name>,

    /// Fail if no name is given
    #[arg(long)]
    require_name: bool,

    /// Manifest of the VM, over which the other flags go; - for standard input
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// VMM that runs it: auto, firecracker, qemu, qemu-kvm, qemu-tcg
    ///
    /// auto, the default, takes Firecracker where it is installed and hardware virtualisation works,
    /// else QEMU. It settles the disk as well: one that is made for QEMU stays with QEMU.
    #[arg(long, value_name = "VMM", value_parser = values::VMM)]
    vmm: Option<VmmChoice>,

    /// Let Firecracker's own jailer confine it
    #[arg(long)]
    jailer: bool,

    /// Virtual processors [default: 1]
    #[arg(long, value_name = "N", value_parser = values::cpus)]
    cpus: Option<u64>,

    /// Memory [default: 512MB]
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, value_parser = values::SIZE)]
    memory: Option<Size>,

    /// How much of its memory the VM gives back to the host; 0 for a balloon that is empty at first [default: no balloon]
    #[arg(long, value_name = "SIZE", allow_hyphen_values = true, value_parser = values::SIZE)]
    balloon: Option<Size>,

    /// Size of the root file system [default: 4GB]
    #[arg(short, long, allow_hyphen_values = true, value_parser = values::SIZE)]
    size: Option<Size>,

    /// Publish: [HOST_IP:]HOST_PORT:VM_PORT[/udp] (repeatable)
    ///
    /// Several may stand between commas, and ports may be ranges: 9000-9003:9000-9003.
    #[arg(short, long, alias = "publish", value_name = "MAPPING", value_parser = values::ports)]
    ports: Vec<Ports>,

    /// Copy files into it before it first runs (repeatable)
    ///
    /// /HOST/PATH:/VM/PATH, also whole trees. Several may stand between commas.
    #[arg(short = 'f', long, value_name = "PATHS", value_parser = values::copies)]
    copy_files: Vec<Copies>,

    /// Give it a device, file or directory (repeatable)
    ///
    /// They are the host's; a file holds a file system. Several may stand between commas.
    #[arg(short, long, alias = "volume", value_name = "SOURCE:MOUNT[:ro]", value_parser = values::volumes)]
    volumes: Vec<Volumes>,

    /// Network to attach to (repeatable)
    ///
    /// An interface each; without any, one on the first network in /etc/cni/net.d. After a colon, between commas: ip=ADDRESS[/LENGTH] (repeatable), mac=MAC, ifname=NAME,
    /// allow=RANGE (repeatable): source addresses the guest may use besides its own; rate=RATE[:BURST].
    #[arg(long, alias = "net", value_name = "NAME[:KEY=VALUE,...]")]
    network: Vec<String>,

    #[command(flatten)]
    rates: RateArgs,

    /// Address of the first interface (repeatable)
    ///
    /// IPv4 and IPv6, with or without their prefix length.
    #[arg(long, alias = "ip6", value_name = "ADDRESS", value_parser = values::ADDRESS)]
    ip: Vec<Address>,

    /// MAC of the first interface [default: a random one, kept for life]
    #[arg(long, alias = "mac-address", value_name = "MAC", value_parser = values::MAC)]
    mac: Option<Mac>,

    /// DNS server (repeatable) [default: the network's, else the host's]
    #[arg(long, value_name = "IP", value_parser = values::DNS)]
    dns: Vec<Dns>,

    /// Host name [default: its name]
    #[arg(long, value_name = "NAME", allow_hyphen_values = true, value_parser = values::HOST_NAME)]
    hostname: Option<HostName>,

    /// Line of its /etc/hosts (repeatable)
    ///
    /// host-gateway stands for the address of its gateway, which on the default network is this host.
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = values::EXTRA_HOST)]
    add_host: Vec<ExtraHost>,

    /// Environment variable for the command (repeatable)
    ///
    /// NAME alone takes its value from here.
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = values::env)]
    env: Vec<Passed>,

    /// Label (repeatable)
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = values::LABEL)]
    label: Vec<Label>,

    /// Kernel: one imported before, or a source
    ///
    /// A source is what `ignite kernel import` takes.
    #[arg(short, long, value_name = "KERNEL")]
    kernel_image: Option<String>,

    /// Kernel command line, whole
    #[arg(long, value_name = "ARGS")]
    kernel_args: Option<String>,

    /// Taken from older scripts, and not used
    #[arg(long, value_name = "IMAGE", hide = true)]
    sandbox_image: Option<String>,

    /// Let root enter by ssh: by a key pair made for it, or a public key
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    ssh: Option<String>,

    /// Remove the VM when it has ended
    #[arg(long)]
    rm: bool,

    #[command(flatten)]
    registry: RegistryArgs,
}

impl VmArgs {
    /// What the engine is asked for, over the host's defaults, and how it reaches registries.
    pub fn request(
        self,
        defaults: &VmSpec,
        context: &Context,
    ) -> Result<(CreateRequest, RegistryArgs), Failure> {
        if self.sandbox_image.is_some() {
            context.terminal.warn(
                "--sandbox-image is not used: a VM's sandbox is a network namespace, and needs no image",
            );
        }
        let manifest = self.config.as_deref();
        let manifest = manifest.map(|file| VmManifest::load(file, defaults));
        let manifest = manifest.transpose()?;
        let image = image(self.image.as_deref(), manifest.as_ref(), defaults, context)?;
        let (metadata, spec) = match &manifest {
            Some(manifest) => (manifest.vm.metadata.clone(), manifest.vm.spec.clone()),
            None => (Metadata::default(), defaults.clone()),
        };
        let metadata = self.metadata_over(metadata)?;
        let (remove_when_ended, registry) = (self.rm, self.registry.clone());
        let kernel = self.kernel_image.clone();
        let spec = self.spec_over(spec)?;
        let of_defaults = || spec.kernel.oci.as_ref().map(Reference::familiar);
        let kernel = kernel.or_else(of_defaults);
        let vm = Vm::new(Kind::Vm, metadata, spec);
        if let Some(manifest) = &manifest {
            manifest.check(&vm)?;
        }
        let request = CreateRequest {
            vm,
            image,
            kernel,
            remove_when_ended,
            managed: None,
        };
        Ok((request, registry))
    }

    /// The name in place of the one there is, the labels besides those there are.
    fn metadata_over(&self, mut metadata: Metadata) -> Result<Metadata, Failure> {
        if let Some(name) = &self.name {
            metadata.name = name.to_string();
        }
        if self.require_name && metadata.name.is_empty() {
            let hint = "add --name NAME, or `metadata: {name: NAME}` to the manifest";
            return Err(Failure::usage(
                "--require-name: no name is given",
                Some(hint.into()),
            ));
        }
        let labels = self.label.iter();
        let labels = labels.map(|label| (label.key().into(), label.value().into()));
        metadata.labels.extend(labels);
        Ok(metadata)
    }

    /// What flags say in place of what there is; lists as a whole.
    fn spec_over(self, mut spec: VmSpec) -> Result<VmSpec, Failure> {
        let ports: Vec<PortMapping> = self.ports.into_iter().flat_map(|ports| ports.0).collect();
        if let Err(error) = PortMapping::check_conflicts(&ports) {
            let hint = error.hint();
            return Err(Failure::usage(error, hint));
        }
        let interfaces = interfaces(&self.network, self.ip, self.mac)?;
        spec.vmm = self.vmm.or(spec.vmm);
        spec.jailer |= self.jailer;
        spec.cpus = self.cpus.unwrap_or(spec.cpus);
        spec.memory = self.memory.unwrap_or(spec.memory);
        spec.balloon = self.balloon.or(spec.balloon);
        spec.ssh = self.ssh.map(ssh).transpose()?.or(spec.ssh);
        spec.disk_size = self.size.unwrap_or(spec.disk_size);
        replace(&mut spec.command, self.command);
        replace(&mut spec.env, values::passed(self.env));
        replace(&mut spec.dns, self.dns);
        replace(&mut spec.extra_hosts, self.add_host);
        spec.hostname = self.hostname.or(spec.hostname);
        let copies = self.copy_files.into_iter().flat_map(|copies| copies.0);
        replace(&mut spec.copy_files, copies.collect());
        replace(&mut spec.network.ports, ports);
        replace(&mut spec.network.interfaces, interfaces);
        if !self.volumes.is_empty() {
            let volumes = self.volumes.into_iter().flat_map(|volumes| volumes.0);
            spec.storage = ignite_engine::volumes_of(volumes)?;
        }
        self.rates.rates().apply(&mut spec).map_err(|error| {
            let hint = error.hint();
            Failure::usage(error, hint)
        })?;
        spec.kernel.cmd_line = self.kernel_args.or(spec.kernel.cmd_line);
        Ok(spec)
    }
}

/// A pair where no file is named; else the file by its whole path, since it is the VM's for life.
fn ssh(file: String) -> Result<Ssh, Failure> {
    Ok(match file.as_str() {
        "" | "true" => Ssh::Generate,
        "false" => Ssh::Off,
        path => Ssh::Key(std::path::absolute(path)?.display().to_string()),
    })
}

/// The manifest's image, else the one of the command line, else the host's.
fn image(
    given: Option<&str>,
    manifest: Option<&VmManifest>,
    defaults: &VmSpec,
    context: &Context,
) -> Result<String, Failure> {
    let of_manifest = manifest.and_then(VmManifest::image);
    if let (Some(of_manifest), Some(given)) = (of_manifest, given)
        && given.parse().ok().as_ref() != Some(of_manifest)
    {
        let image = of_manifest.familiar();
        context.terminal.warn(&format!(
            "the manifest's image {image} is taken, not {given}"
        ));
    }
    let of_manifest = of_manifest.map(Reference::canonical);
    let of_defaults = || defaults.image.oci.as_ref().map(Reference::canonical);
    let given = given.map(str::to_owned);
    of_manifest.or(given).or_else(of_defaults).ok_or_else(|| {
        let hint = "name one: ignite run IMAGE, or in a manifest: `spec: {image: {oci: IMAGE}}`";
        Failure::usage("no image is named", Some(hint.into()))
    })
}

/// What a flag gave takes the place of the default as a whole.
fn replace<T>(default: &mut Vec<T>, given: Vec<T>) {
    if !given.is_empty() {
        *default = given;
    }
}

/// The interfaces of all `--network`; `--ip` and `--mac` are the first one's.
fn interfaces(
    networks: &[String],
    ip: Vec<Address>,
    mac: Option<Mac>,
) -> Result<Vec<InterfaceSpec>, Failure> {
    let mut interfaces = InterfaceSpec::parse_all(networks).map_err(|error| {
        let hint = error.hint();
        Failure::usage(error, hint)
    })?;
    if interfaces.is_empty() && (!ip.is_empty() || mac.is_some()) {
        interfaces.push(InterfaceSpec::default());
    }
    let Some(first) = interfaces.first_mut() else {
        return Ok(interfaces);
    };
    let twice = [
        ("ip", !ip.is_empty() && !first.addresses.is_empty()),
        ("mac", mac.is_some() && first.mac.is_some()),
    ];
    let twice: Vec<&str> = twice
        .into_iter()
        .filter_map(|(key, twice)| twice.then_some(key))
        .collect();
    if !twice.is_empty() {
        let flags: Vec<String> = twice.iter().map(|key| format!("--{key}")).collect();
        return Err(Failure::usage(
            format!(
                "{} and --network {first} both say what the first interface gets",
                flags.join(" and ")
            ),
            Some(format!(
                "leave out one: {} or the same after the network's name",
                flags.join(", ")
            )),
        ));
    }
    if !ip.is_empty() {
        first.addresses = ip;
    }
    first.mac = mac.or(first.mac);
    Ok(interfaces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(networks: &[&str], ip: &[&str], mac: Option<&str>) -> Result<Vec<String>, u8> {
        let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
        let ip = ip
            .iter()
            .map(|ip| ip.parse().expect("an address"))
            .collect();
        let mac = mac.map(|mac| mac.parse().expect("a MAC"));
        interfaces(&networks, ip, mac)
            .map(|all| all.iter().map(ToString::to_string).collect())
            .map_err(|failure| failure.code())
    }

    #[test]
    fn the_first_interface_gets_ip_and_mac() {
        assert_eq!(shown(&[], &[], None), Ok(vec![]));
        assert_eq!(
            shown(&[], &["10.0.0.7", "fd00::7/64"], None),
            Ok(vec![":ip=10.0.0.7,ip=fd00::7/64".to_owned()])
        );
        assert_eq!(
            shown(
                &["a", "b:ip=10.1.0.7"],
                &["10.0.0.7"],
                Some("02:00:00:00:00:07")
            ),
            Ok(vec![
                "a:ip=10.0.0.7,mac=02:00:00:00:00:07".to_owned(),
                "b:ip=10.1.0.7".to_owned()
            ])
        );
    }

    #[test]
    fn what_is_said_twice_is_a_usage_error() {
        assert_eq!(shown(&["a:ip=10.0.0.8"], &["10.0.0.7"], None), Err(2));
        assert_eq!(shown(&["a:ifname="], &[], None), Err(2));
    }
}
