//! `create`: a VM's record and its disk.

use std::net::IpAddr;

use ignite_api::{DiskOrigin, InterfaceSpec, Mac, Name, Reference, Uid, Vm, validate};
use ignite_host::fs::Lock;
use ignite_host::step::{self, Step};
use ignite_store::{
    ImageChoice, ImageConfig, ImageRecord, InterfaceRecord, KernelChoice, KernelRecord, Managed,
    VmLock, VmRecord,
};
use ignite_wire::guest::Process;

use super::volumes;
use super::{files, signal};
use crate::imports::Access;
use crate::network::plugin;
use crate::{Cancel, Engine, Error, Report};

/// The kernel's command line where none is given: what makes it quick and quiet, and what makes a
/// panic end the VM.
pub const DEFAULT_CMDLINE: &str = "console=ttyS0 reboot=k panic=-1 quiet";

/// Environment of a command whose image says nothing of a `PATH`.
const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A VM that is asked for.
#[derive(Debug, Clone)]
pub struct CreateRequest {
    /// The manifest: name, labels, specification.
    pub vm: Vm,
    /// The image: a reference or another source, see `ignite image import`.
    pub image: String,
    /// The kernel: one imported before, or a source; none for the default.
    pub kernel: Option<String>,
    /// Whether the VM is removed when it has ended.
    pub remove_when_ended: bool,
    /// What keeps it as a manifest says.
    pub managed: Option<Managed>,
}

impl CreateRequest {
    /// The VM of a manifest, which names its image, and its kernel where it is not the default one.
    pub fn of_manifest(vm: Vm, managed: Option<Managed>) -> Result<Self, Error> {
        validate(&vm).map_err(Error::Invalid)?;
        let image = vm.spec.image.oci.as_ref();
        let image = image.map(Reference::canonical).unwrap_or_default();
        Ok(Self {
            image,
            kernel: vm.spec.kernel.oci.as_ref().map(Reference::familiar),
            remove_when_ended: false,
            managed,
            vm,
        })
    }
}

/// A VM that was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// Its uid.
    pub uid: Uid,
    /// Its name.
    pub name: Name,
}

/// What a VM is made of.
struct Parts {
    name: Name,
    macs: Vec<Mac>,
    image: ImageRecord,
    kernel: KernelRecord,
    /// The one asked for by name.
    public_key: Option<String>,
}

impl Engine {
    /// Creates a VM.
    pub fn create(
        &self,
        request: CreateRequest,
        report: &dyn Report,
        cancel: &Cancel,
    ) -> Result<Created, Error> {
        let (_lock, record) = self.create_locked(request, report, cancel)?;
        Ok(Created {
            uid: record.uid,
            name: record.name,
        })
    }

    /// Creates a VM and keeps its lock.
    pub(super) fn create_locked(
        &self,
        request: CreateRequest,
        report: &dyn Report,
        cancel: &Cancel,
    ) -> Result<(VmLock, VmRecord), Error> {
        for remark in request.vm.metadata.remarks() {
            report.warn(&remark);
        }
        let (lock, record) = {
            let (parts, _in_use) = self.parts_in_use(&request, report, cancel)?;
            let Parts {
                name,
                macs,
                image,
                kernel,
                public_key,
            } = parts;
            let mut record = self.record(request, name, &image, &kernel)?;
            // A VM is there with its disk, or not at all.
            let begun = self.vms.begin(record.uid)?;
            let ssh = record.spec.ssh.as_ref();
            super::ssh::make_keys(ssh, public_key.as_deref(), begun.directory(), record.uid)?;
            let image = self.images.dir(image.uid).join(crate::image::FILE);
            record.disk = self.make_disk(&record, (begun.directory(), &image), cancel)?;
            files::pack(&record.spec, begun.directory(), cancel)?;
            step::reached(Step::CreateDisk);
            let lock = begun.finish(&record, || self.check_macs(&macs, None))?;
            (lock, record)
        };
        step::reached(Step::CreateRecorded);
        match cancel.check() {
            Ok(()) => {
                let image = [("image", record.image.name.as_str())];
                self.note("create", record.uid, &record.name, &image);
                Ok((lock, record))
            }
            Err(cancelled) => {
                self.undo_create(lock);
                Err(cancelled.into())
            }
        }
    }

    /// Does all of [`create`](Self::create) that makes no VM, as if the VM `instead_of` were gone:
    /// image and kernel are there afterwards, and nothing that could be known before is in the way of
    /// making it and of starting it.
    pub fn prepare_instead(
        &self,
        request: CreateRequest,
        instead_of: Uid,
        report: &dyn Report,
        cancel: &Cancel,
    ) -> Result<(), Error> {
        let parts = self.parts(&request, Some(instead_of), report, cancel)?;
        let record = self.record(request, parts.name, &parts.image, &parts.kernel)?;
        let image = self.images.dir(parts.image.uid).join(crate::image::FILE);
        self.ensure_vmm_instead(record, &image, instead_of)?;
        Ok(cancel.check()?)
    }

    /// The parts, and what keeps image and kernel from being removed. What was found, or just pulled,
    /// may be removed by others in the moment before that: then it is looked for again.
    fn parts_in_use(
        &self,
        request: &CreateRequest,
        report: &dyn Report,
        cancel: &Cancel,
    ) -> Result<(Parts, Lock), Error> {
        const TRIES: u32 = 3;
        let mut tries = 0;
        loop {
            let mut parts = self.parts(request, None, report, cancel)?;
            let in_use = self.in_use(Access::Use)?;
            let image = self.images.get(parts.image.uid);
            let there = image.and_then(|image| Ok((image, self.kernels.get(parts.kernel.uid)?)));
            tries += 1;
            match there {
                Ok(there) => {
                    (parts.image, parts.kernel) = there;
                    return Ok((parts, in_use));
                }
                Err(error) if error.is_not_found() && tries < TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn parts(
        &self,
        request: &CreateRequest,
        instead_of: Option<Uid>,
        report: &dyn Report,
        cancel: &Cancel,
    ) -> Result<Parts, Error> {
        let name = self.free_identity(&request.vm, instead_of)?;
        check(&request.vm)?;
        let public_key = super::ssh::named_key(request.vm.spec.ssh.as_ref())?;
        volumes::check(&request.vm.spec.storage)?;
        files::check(&request.vm.spec.copy_files)?;
        let wanted = interfaces(&request.vm.spec.network.interfaces);
        plugin::check(self.config.network_plugin, &wanted)?;
        let macs = wanted_macs(&request.vm.spec.network.interfaces);
        // Again when the VM is made: what is pulled in between takes minutes.
        self.check_macs(&macs, instead_of)?;
        let image = self.find_or_import_image(&request.image, report, cancel)?;
        let kernel = self.find_or_import_kernel(request.kernel.as_deref(), report, cancel)?;
        cancel.check()?;
        Ok(Parts {
            name,
            macs,
            image,
            kernel,
            public_key,
        })
    }

    /// Removes a VM that was never started.
    pub(super) fn undo_create(&self, lock: VmLock) {
        let uid = lock.uid();
        if let Err(error) = lock.remove() {
            tracing::warn!(%uid, %error, "a half-made VM is left behind");
        }
    }

    /// The name asked for, or a random one; that nobody has it, or the uid asked for, is found out
    /// before anything is pulled. What `instead_of` has is free.
    fn free_identity(&self, vm: &Vm, instead_of: Option<Uid>) -> Result<Name, Error> {
        let taken: Vec<(String, Uid)> = self
            .vms
            .summary()?
            .vms
            .into_iter()
            .filter(|vm| Some(vm.uid) != instead_of)
            .map(|vm| (vm.name, vm.uid))
            .collect();
        let wanted = vm.metadata.uid;
        let same = |(name, uid): &&(String, Uid)| {
            wanted.is_some_and(|wanted| *uid == wanted || name == wanted.as_str())
        };
        if let Some((name, uid)) = taken.iter().find(same) {
            let (uid, name) = (wanted.unwrap_or(*uid), name.clone());
            return Err(Error::UidTaken { uid, name });
        }
        let holder = |name: &str| {
            let is = |(has, uid): &&(String, Uid)| has == name || uid.as_str() == name;
            taken.iter().find(is)
        };
        if vm.metadata.name.is_empty() {
            return Ok(std::iter::repeat_with(Name::random)
                .find(|name| holder(name.as_str()).is_none())
                .expect("the iterator never ends"));
        }
        let name: Name = vm.metadata.name.parse().map_err(Error::Name)?;
        match holder(name.as_str()) {
            None => Ok(name),
            Some((_, uid)) => Err(ignite_store::Error::NameTaken {
                kind: ignite_api::Kind::Vm,
                name: name.to_string(),
                uid: *uid,
            }
            .into()),
        }
    }

    /// A MAC that is asked for must be no other VM's: on one network, each would get the other's frames.
    fn check_macs(&self, wanted: &[Mac], instead_of: Option<Uid>) -> Result<(), Error> {
        if wanted.is_empty() {
            return Ok(());
        }
        let vms = self.vms.summary()?.vms.into_iter();
        for vm in vms.filter(|vm| Some(vm.uid) != instead_of) {
            let record = match self.vms.get(vm.uid) {
                Err(error) if error.is_not_found() => continue,
                record => record?,
            };
            let mut macs = record.interfaces.iter().map(|interface| interface.mac);
            if let Some(mac) = macs.find(|mac| wanted.contains(mac)) {
                let name = vm.name;
                return Err(Error::MacTaken { mac, name });
            }
        }
        Ok(())
    }

    fn record(
        &self,
        request: CreateRequest,
        name: Name,
        image: &ImageRecord,
        kernel: &KernelRecord,
    ) -> Result<VmRecord, Error> {
        let spec = request.vm.spec;
        if spec.disk_size < image.disk_size {
            return Err(Error::DiskTooSmall {
                size: spec.disk_size,
                image: image.name().to_owned(),
                needed: image.disk_size,
            });
        }
        let uid = request.vm.metadata.uid.unwrap_or_else(Uid::random);
        let cmdline = spec
            .kernel
            .cmd_line
            .clone()
            .unwrap_or_else(|| DEFAULT_CMDLINE.into());
        let process = process(&spec.command, &spec.env, image)?;
        Ok(VmRecord {
            uid,
            name,
            created: jiff::Timestamp::now(),
            labels: request.vm.metadata.labels,
            annotations: request.vm.metadata.annotations,
            id_prefix: self.config.id_prefix.clone(),
            container_id: self.config.id_prefix.container_id(uid),
            image: ImageChoice {
                uid: image.uid,
                digest: image.digest.clone(),
                name: image.name().to_owned(),
            },
            kernel: KernelChoice {
                uid: kernel.uid,
                version: kernel.version.clone(),
                name: kernel.name().to_owned(),
            },
            cmdline,
            disk: DiskOrigin::default(),
            vmm_version: None,
            interfaces: interfaces(&spec.network.interfaces),
            process,
            network_plugin: self.config.network_plugin,
            auto_remove: request.remove_when_ended,
            managed: request.managed,
            user: None,
            ports_pending: None,
            update_pending: None,
            spec,
        })
    }
}

/// Every fault of the manifest at once.
pub(crate) fn check(vm: &Vm) -> Result<(), Error> {
    let mut named = vm.clone();
    if named.metadata.name.is_empty() {
        named.metadata.name = "unnamed".into();
    }
    // The image may come from a source that is no reference; the engine looks for it itself.
    if named.spec.image.oci.is_none() {
        named.spec.image.oci = Some("image".parse().expect("a reference"));
    }
    validate(&named).map_err(Error::Invalid)
}

/// The MACs asked for; random ones are nobody's.
fn wanted_macs(interfaces: &[InterfaceSpec]) -> Vec<Mac> {
    interfaces.iter().filter_map(|wanted| wanted.mac).collect()
}

/// The interfaces asked for, or one on the default network. The MACs are made once.
pub(crate) fn interfaces(wanted: &[InterfaceSpec]) -> Vec<InterfaceRecord> {
    let default = [InterfaceSpec::default()];
    let wanted = if wanted.is_empty() { &default } else { wanted };
    let interface = |(index, spec): (usize, &InterfaceSpec)| InterfaceRecord {
        name: spec.name_at(index).to_string(),
        mac: spec.mac.unwrap_or_else(Mac::random_local),
        network: spec.network.as_ref().map(ToString::to_string),
        addresses: spec.addresses.clone(),
        allow: spec.allow.iter().copied().map(Into::into).collect(),
    };
    wanted.iter().enumerate().map(interface).collect()
}

/// What runs in the VM: the command given, else the image's init, else the image's command.
fn process(
    command: &[String],
    env: &[ignite_api::EnvVar],
    image: &ImageRecord,
) -> Result<Process, Error> {
    let config = &image.config;
    if command.is_empty()
        && let Some(path) = &config.init
    {
        return Ok(Process::Init { path: path.clone() });
    }
    let arguments = if command.is_empty() {
        &config.cmd
    } else {
        command
    };
    let argv: Vec<String> = config.entrypoint.iter().chain(arguments).cloned().collect();
    if argv.is_empty() {
        return Err(Error::NoCommand {
            image: image.name().to_owned(),
        });
    }
    Ok(Process::Command {
        argv,
        env: environment(config, env),
        user: config.user.clone(),
        cwd: config.working_dir.clone(),
        stop_signal: stop_signal(image),
    })
}

/// The number of the image's stop signal; none where it names none that there is.
fn stop_signal(image: &ImageRecord) -> Option<i32> {
    let named = image.config.stop_signal.as_str();
    let number = signal::number(named);
    if number.is_none() && !named.is_empty() {
        let image = image.name();
        tracing::warn!(
            "the image {image} names no signal with its StopSignal {named:?}: it is SIGTERM"
        );
    }
    number
}

/// The image's environment with what was asked for over it.
fn environment(config: &ImageConfig, env: &[ignite_api::EnvVar]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let asked = env.iter().map(ToString::to_string);
    let default = std::iter::once(DEFAULT_PATH.to_owned());
    for variable in default.chain(config.env.iter().cloned()).chain(asked) {
        let name = variable.split('=').next().unwrap_or_default().to_owned();
        all.retain(|other| other.split('=').next() != Some(&name));
        all.push(variable);
    }
    all
}

/// The name servers asked for.
pub(super) fn requested_dns(record: &VmRecord) -> Vec<IpAddr> {
    record.spec.dns.iter().map(|dns| dns.address()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_api::Size;

    fn image(config: ImageConfig) -> ImageRecord {
        ImageRecord {
            uid: Uid::random(),
            names: vec!["box:latest".into()],
            created: jiff::Timestamp::UNIX_EPOCH,
            digest: "sha256:00".into(),
            source: "box".into(),
            size: Size::MIB,
            disk_size: Size::MIB,
            config,
        }
    }

    #[test]
    fn a_command_beats_the_init_and_follows_the_entrypoint() {
        let image = image(ImageConfig {
            entrypoint: vec!["/entry".into()],
            cmd: vec!["serve".into()],
            init: Some("/sbin/init".into()),
            env: vec!["A=1".into(), "B=2".into()],
            stop_signal: "SIGQUIT".into(),
            ..ImageConfig::default()
        });
        assert!(matches!(
            process(&[], &[], &image),
            Ok(Process::Init { .. })
        ));
        let env = ["A=3".parse().expect("a variable")];
        let Ok(Process::Command {
            argv,
            env,
            stop_signal,
            ..
        }) = process(&["x".into()], &env, &image)
        else {
            panic!("a command");
        };
        assert_eq!(argv, ["/entry", "x"]);
        assert_eq!(stop_signal, Some(3));
        assert_eq!(env, [DEFAULT_PATH, "B=2", "A=3"]);
    }

    #[test]
    fn a_stop_signal_that_is_none_is_sigterm() {
        let of = |text: &str| {
            stop_signal(&image(ImageConfig {
                stop_signal: text.into(),
                ..ImageConfig::default()
            }))
        };
        assert_eq!(of("SIGRTMIN+3"), Some(37));
        assert_eq!((of(""), of("SIGNONE")), (None, None));
    }

    #[test]
    fn an_image_with_nothing_to_run_is_refused() {
        let error = process(&[], &[], &image(ImageConfig::default())).expect_err("nothing");
        assert!(error.hint().expect("a hint").contains("--"));
    }

    #[test]
    fn interfaces_are_numbered_and_keep_what_is_asked_for() {
        let of = |texts: &[&str]| interfaces(&InterfaceSpec::parse_all(texts).expect("valid"));
        let [only] = of(&[]).try_into().expect("one");
        assert_eq!((only.name.as_str(), only.network), ("eth0", None));
        let all = of(&[
            "a",
            "b:ifname=net0,mac=02:00:00:00:00:07,ip=10.0.0.7,allow=10.9.0.0/16",
            "a",
        ]);
        let names: Vec<&str> = all
            .iter()
            .map(|interface| interface.name.as_str())
            .collect();
        assert_eq!(names, ["eth0", "net0", "eth2"]);
        assert_ne!(all[0].mac, all[2].mac);
        assert_eq!(all[1].mac.to_string(), "02:00:00:00:00:07");
        assert_eq!(all[1].addresses[0].to_string(), "10.0.0.7");
        assert_eq!(all[1].allow, ["10.9.0.0/16".parse().expect("a network")]);
    }
}
