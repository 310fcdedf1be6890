//! What can go wrong in a verb, with what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use ignite_api::{Fault, NameError, Size};
use ignite_host::error::chain;

use crate::Cancelled;
use crate::network;
use crate::vm::control;
use crate::vm::files::FilesError;
use crate::vm::volumes::VolumeError;

/// Errors of the engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only root may.
    #[error("this needs root")]
    NotRoot,
    /// The caller called it off.
    #[error("{0}")]
    Cancelled(#[from] Cancelled),
    /// A name that is none.
    #[error(transparent)]
    Name(NameError),
    /// Faults of a manifest, all of them.
    #[error("the VM cannot be as asked for:{}", faults(.0))]
    Invalid(Vec<Fault>),
    /// Another VM has the MAC asked for.
    #[error("the MAC {mac} is VM {name}'s")]
    MacTaken {
        /// The MAC.
        mac: ignite_api::Mac,
        /// The VM that has it.
        name: String,
    },
    /// Another VM has the uid asked for.
    #[error("the uid {uid} is VM {name}'s")]
    UidTaken {
        /// The uid.
        uid: ignite_api::Uid,
        /// The VM that has it.
        name: String,
    },
    /// What is left of a VMM.
    #[error(transparent)]
    Group(#[from] ignite_host::cgroup::Error),
    /// Every user that VMMs may run as is a VM's.
    #[error(
        "all {} users from {} on are taken by VMs", .users.count(), .users.first()
    )]
    NoUser {
        /// The range.
        users: ignite_api::VmmUsers,
    },
    /// The disk cannot hold the image.
    #[error("a disk of {} is too small for image {image}, which needs {}", .size.human(), .needed.human())]
    DiskTooSmall {
        /// Size asked for.
        size: Size,
        /// The image.
        image: String,
        /// Size it needs.
        needed: Size,
    },
    /// The image says nothing of what to run.
    #[error("image {image} has neither an init nor a command")]
    NoCommand {
        /// The image.
        image: String,
    },
    /// Records and locks.
    #[error(transparent)]
    Store(#[from] ignite_store::Error),
    /// A file of ours.
    #[error("cannot write a file of the VM")]
    File(#[source] ignite_host::fs::Error),
    /// The text names no image.
    #[error(transparent)]
    ImageSource(ignite_image::SourceError),
    /// An image could not be imported.
    #[error(transparent)]
    Image(ignite_image::Error),
    /// A directory for work in progress.
    #[error("cannot make room for an import")]
    Staging(#[source] ignite_host::fs::Error),
    /// The text names no kernel.
    #[error(transparent)]
    KernelSource(ignite_image::kernel::ParseError),
    /// A kernel could not be imported.
    #[error(transparent)]
    Kernel(ignite_image::kernel::Error),
    /// A kernel's initramfs could not be made.
    #[error(transparent)]
    Initramfs(ignite_image::initramfs::Error),
    /// There is no kernel, and the host's cannot be used.
    #[error("there is no kernel for the VM, and this host's own cannot be used")]
    NoKernel(#[source] ignite_image::kernel::Error),
    /// The VM's disk.
    #[error(transparent)]
    Disk(#[from] ignite_vmm::disk::Error),
    /// The VM's disk is QEMU's.
    #[error("VM {name} has a qcow2 disk, which Firecracker cannot read")]
    DiskFormat {
        /// Its name.
        name: String,
    },
    /// No VMM, or none that works.
    #[error(transparent)]
    Vmm(#[from] ignite_vmm::Error),
    /// One of our own programs is not there.
    #[error("the program {name} is not found")]
    NoProgram {
        /// Its name.
        name: &'static str,
    },
    /// A volume.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// The VM's network.
    #[error(transparent)]
    Network(#[from] network::Error),
    /// A program could not be started.
    #[error("cannot start {}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A directory for an import, or a file in it.
    #[error("cannot prepare {}", path.display())]
    Prepare {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A program could not be started.
    #[error(transparent)]
    Process(#[from] ignite_host::process::Error),
    /// The supervisor says why the VM did not start.
    #[error("{message}{}", tail(.console))]
    Boot {
        /// What failed.
        message: String,
        /// What to do.
        hint: Option<String>,
        /// Last lines of the console.
        console: Vec<String>,
    },
    /// The supervisor ended without a word.
    #[error("the VM's supervisor ended without a word")]
    SupervisorDied {
        /// Where it may have left one.
        log: PathBuf,
    },
    /// The VM runs.
    #[error("VM {name} is running")]
    Running {
        /// Its name.
        name: String,
    },
    /// The VM does not run.
    #[error("VM {name} is not running")]
    NotRunning {
        /// Its name.
        name: String,
    },
    /// Ended, and not all of it released.
    #[error("VM {name} has ended, but what it used is still being released")]
    StillEnding {
        /// Its name.
        name: String,
        /// Where the supervisor says what it waits for.
        log: PathBuf,
    },
    /// Asked and killed, and still there.
    #[error("VM {name} does not end")]
    DoesNotEnd {
        /// Its name.
        name: String,
    },
    /// The supervisor's end cannot be waited for.
    #[error("cannot watch the VM's supervisor")]
    Watch(#[source] io::Error),
    /// The supervisor's control socket.
    #[error(transparent)]
    Control(#[from] control::Error),
    /// Keys of ssh, or the way to a VM by it.
    #[error(transparent)]
    Ssh(#[from] crate::vm::ssh::SshError),
    /// Files could not be copied.
    #[error(transparent)]
    Copy(#[from] crate::vm::copy::CopyError),
    /// A guest's processes are not known.
    #[error(transparent)]
    Processes(#[from] crate::vm::top::ProcessesError),
    /// Files a new VM is to have.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// A VM that runs could not be given other rates.
    #[error("the rates of VM {name} stay as they were")]
    RatesNotChanged {
        /// Its name.
        name: String,
        /// Why.
        source: control::Error,
    },
    /// A VM that runs could not be given another balloon.
    #[error("the balloon of VM {name} stays as it was")]
    BalloonNotChanged {
        /// Its name.
        name: String,
        /// Why.
        source: control::Error,
    },
    /// A VM that runs has no balloon.
    #[error("VM {name} was started without a balloon")]
    NoBalloon {
        /// Its name.
        name: String,
    },
    /// A balloon that does not fit.
    #[error(transparent)]
    Balloon(#[from] ignite_api::BalloonError),
    /// Rates for an interface that is not there.
    #[error(transparent)]
    UnknownInterface(#[from] ignite_api::UnknownInterface),
    /// The console log.
    #[error("cannot show the console {}", path.display())]
    Console {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// VMs use it.
    #[error("{what} is used by {}", vms.join(", "))]
    InUse {
        /// Image or kernel, with its name.
        what: String,
        /// The VMs.
        vms: Vec<String>,
        /// One of them.
        first: String,
    },
    /// Whether VMs use it is not known.
    #[error("whether {what} is used cannot be told: the record of a VM cannot be read")]
    UnknownUsers {
        /// Image or kernel, with its name.
        what: String,
        /// What is wrong with the record.
        source: ignite_store::Error,
    },
    /// Nobody hears what is told.
    #[error("cannot write the result")]
    Told(#[source] io::Error),
    /// A VM that is gone when it has ended.
    #[error("VM {name} is removed when it has ended, so it cannot be restarted")]
    RemovesItself {
        /// Its name.
        name: String,
    },
    /// A manifest says what the VM is called.
    #[error("VM {name} is kept as a manifest of {by} says")]
    Managed {
        /// Its name.
        name: String,
        /// Where the manifest is.
        by: String,
    },
    /// More than one failure; each is a line.
    #[error("several things failed:{}", each(.0))]
    Several(Vec<Error>),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotRoot => Some("run it with sudo".into()),
            Self::Name(error) => error.hint(),
            Self::DiskTooSmall { needed, .. } => Some(format!("give at least --size {needed}")),
            Self::MacTaken { name, .. } => Some(format!(
                "choose another, leave it out for a random one, or remove that VM: ignite rm {name}"
            )),
            Self::UidTaken { name, .. } => Some(format!(
                "give another, or leave it out for a random one; to replace that VM: ignite rm -f {name}"
            )),
            Self::Group(error) => error.hint(),
            Self::NoUser { .. } => Some(
                "remove VMs that are not needed, or configure a longer range: `vmmUsers` in \
                 /etc/ignite/config.yaml"
                    .into(),
            ),
            Self::NoCommand { image } => Some(format!("say what to run: ignite run {image} -- CMD")),
            Self::Store(error) => error.hint(),
            Self::File(error) | Self::Staging(error) => error.hint(),
            Self::ImageSource(error) => error.hint(),
            Self::Image(error) => error.hint(),
            Self::KernelSource(error) => error.hint(),
            Self::Kernel(error) => error.hint(),
            Self::Initramfs(error) => error.hint(),
            Self::NoKernel(_) => Some(
                "import one: ignite kernel import FILE.deb (Debian's linux-image-cloud-amd64 package),\n\
                 a vmlinux or vmlinuz file, or an OCI image with /boot/vmlinux"
                    .into(),
            ),
            Self::Disk(error) => error.hint(),
            Self::DiskFormat { name } => Some(format!(
                "let QEMU run it: ignite start --vmm qemu {name}; Firecracker needs a new disk, and so \
                 a new VM"
            )),
            Self::Vmm(error) => error.hint(),
            Self::NoProgram { .. } => Some("install Ignite's programs together: make install".into()),
            Self::Network(error) => error.hint(),
            Self::Volume(error) => error.hint(),
            Self::Process(error) => error.hint(),
            Self::Boot { hint, .. } => hint.clone(),
            Self::SupervisorDied { log } => Some(format!("see {}", log.display())),
            Self::Running { name } => Some(format!("stop it with: ignite stop {name}, or force it with -f")),
            Self::NotRunning { name } => Some(format!("start it with: ignite start {name}")),
            Self::StillEnding { log, .. } => Some(format!("try again in a minute, or see {}", log.display())),
            Self::DoesNotEnd { name } => Some(format!("see what it does with: ignite logs {name}")),
            Self::Ssh(error) => Some(error.hint()),
            Self::Copy(error) => error.hint(),
            Self::Processes(error) => error.hint(),
            Self::Files(error) => error.hint(),
            Self::Control(error)
            | Self::RatesNotChanged { source: error, .. }
            | Self::BalloonNotChanged { source: error, .. } => error.hint(),
            Self::NoBalloon { name } => Some(format!(
                "a VM that does not run can be given one: ignite stop {name}, then this again, then \
                 ignite start {name}"
            )),
            Self::Balloon(error) => error.hint(),
            Self::UnknownInterface(error) => error.hint(),
            Self::InUse { first, .. } => {
                Some(format!("remove the VMs first: ignite rm -f {first}, or use -f to remove all of them"))
            }
            Self::UnknownUsers { .. } => Some(
                "correct that VM's record, or remove its directory; with -f it is removed whoever uses it".into(),
            ),
            Self::RemovesItself { .. } => {
                Some("create it without --rm to have one that can be".into())
            }
            Self::Managed { .. } => Some("change its name in the manifest".into()),
            Self::Several(errors) => errors.iter().find_map(Self::hint),
            Self::Invalid(_) => Some("see what a VM can have with: ignite help create".into()),
            Self::Cancelled(_) | Self::Spawn { .. } | Self::Prepare { .. } | Self::Watch(_) | Self::Console { .. } => None,
            Self::Told(source) => ignite_host::error::hint(source),
        }
    }

    /// Whether there is nothing of the name or uid given.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_not_found())
    }

    /// Whether what was asked for cannot be, as opposed to something that failed.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Name(_)
                | Self::Invalid(_)
                | Self::ImageSource(_)
                | Self::KernelSource(_)
                | Self::UnknownInterface(_)
                | Self::Balloon(_)
                | Self::Files(FilesError::Source { .. } | FilesError::Kind { .. })
        )
    }

    /// Whether all that failed is that a container stays, which Docker does not remove.
    pub(crate) fn is_only_a_container(&self) -> bool {
        match self {
            Self::Network(error) => error.is_only_a_container(),
            Self::Several(errors) => errors.iter().all(Self::is_only_a_container),
            _ => false,
        }
    }

    /// One error for many; none for none.
    pub(crate) fn all(mut errors: Vec<Self>) -> Result<(), Self> {
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(Self::Several(errors)),
        }
    }

    pub(crate) fn prepare(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Prepare {
            path: path.clone(),
            source,
        }
    }

    pub(crate) fn spawn(program: &Path) -> impl Fn(io::Error) -> Self {
        let program = program.to_owned();
        move |source| Self::Spawn {
            program: program.clone(),
            source,
        }
    }
}

fn faults(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("\n  {fault}")).collect()
}

fn tail(lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| format!("\n    {line}")).collect();
    format!("\n  last lines of its console:{lines}")
}

/// Each failure with its causes on a line.
fn each(errors: &[Error]) -> String {
    errors
        .iter()
        .map(|error| format!("\n  {}", chain(error)))
        .collect()
}
