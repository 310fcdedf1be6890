//! What can go wrong with a VMM.

use std::io;
use std::path::PathBuf;

use ignite_host::confine;
use ignite_host::cpu::Virtualisation;
use ignite_host::fs::DiskError;
use ignite_host::process;

const INSTALL: &str =
    "install QEMU: apt install qemu-system-x86 (Debian, Ubuntu), dnf install qemu-kvm (Fedora)";

/// Errors of finding, starting and steering a VMM.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No VMM is installed.
    #[error("no virtual machine monitor found: looked for {} in {}", names.join(", "), list(directories))]
    NoVmm {
        /// Names of the programs.
        names: Vec<&'static str>,
        /// The directories, in order.
        directories: Vec<PathBuf>,
    },
    /// Hardware virtualisation was asked for and does not work.
    #[error("this host cannot run virtual machines on KVM: {0}")]
    NoKvm(Virtualisation),
    /// There is no Firecracker, or none that can be used.
    #[error(transparent)]
    NoFirecracker(#[from] crate::find::firecracker::Error),
    /// The machine type has no more slots.
    #[error(
        "the machine has {wanted} virtio devices ({disks} disks, {nics} network interfaces), and room for {room}"
    )]
    TooManyDevices {
        /// Devices asked for.
        wanted: usize,
        /// Disks among them.
        disks: usize,
        /// Network interfaces among them.
        nics: usize,
        /// Devices the machine type has room for.
        room: usize,
    },
    /// The kernel's arguments are more than the VMM passes on.
    #[error("the kernel's arguments are {length} bytes long, and there is room for {room}")]
    LongArguments {
        /// Their bytes.
        length: usize,
        /// Bytes there is room for, beside what the VMM adds.
        room: usize,
    },
    /// The machine makes no sense to the driver.
    #[error("the machine cannot be run: {reason}")]
    BadMachine {
        /// Why.
        reason: String,
    },
    /// A file the machine is made of cannot be opened.
    #[error("cannot open the {what} {}", path.display())]
    Open {
        /// What it is.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A volume cannot be used.
    #[error("cannot give the VM its volume")]
    Volume(#[from] DiskError),
    /// A directory cannot be shared.
    #[error("cannot share {} with the VM", path.display())]
    Share {
        /// The directory.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The VMM's surroundings could not be made; unconfined it is not started.
    #[error("cannot confine the virtual machine monitor")]
    Confine(#[source] Box<confine::Error>),
    /// A child process could not be started or followed.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// A stream to the VMM could not be made.
    #[error("cannot make a stream for the {what}")]
    Stream {
        /// Whose.
        what: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The control stream broke.
    #[error("cannot talk to the virtual machine monitor")]
    Control(#[source] io::Error),
    /// The VMM said what its protocol does not allow.
    #[error("the virtual machine monitor does not speak its protocol")]
    Protocol(#[from] crate::qemu::qmp::Error),
    /// Firecracker could not be started, or not be steered.
    #[error(transparent)]
    Firecracker(#[from] crate::firecracker::Error),
}

impl Error {
    /// What the person can do about it, if there is something useful to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoVmm { .. } => Some(INSTALL.to_owned()),
            Self::Process(error) if error.is_not_found() => Some(INSTALL.to_owned()),
            Self::NoKvm(virtualisation) => Some(match virtualisation.hint() {
                Some(hint) => format!("{hint}; or choose qemu-tcg, which needs none and is slower"),
                None => {
                    "switch virtualisation on in the firmware (in a VM: nested virtualisation), or \
                         choose qemu-tcg, which needs none and is slower"
                        .to_owned()
                }
            }),
            Self::NoFirecracker(error) => error.hint(),
            Self::Firecracker(error) => error.hint(),
            Self::Volume(error) => error.hint(),
            Self::TooManyDevices { .. } => Some("give the VM fewer networks or disks".to_owned()),
            Self::LongArguments { .. } => {
                Some("give the kernel fewer arguments of your own".to_owned())
            }
            Self::Process(error) => error.hint(),
            Self::Confine(error) => error.hint(),
            Self::Open { what, source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some(format!(
                    "the {what} was removed behind Ignite's back: `ignite inspect` names the VM's \
                     image and kernel; import what is missing again"
                ))
            }
            _ => None,
        }
    }
}

fn list(directories: &[PathBuf]) -> String {
    let names: Vec<_> = directories
        .iter()
        .map(|d| d.display().to_string())
        .collect();
    names.join(", ")
}
