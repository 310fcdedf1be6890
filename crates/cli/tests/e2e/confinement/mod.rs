//! What a guest that has broken out of its VMM can do: nothing. A program of ours is in the VMM's
//! place, confined as QEMU or Firecracker is, and tries; guests beside it go on.
//!
//! ```text
//!  table   attempts to reach something, each refused
//!  bounds  memory, threads and processor time taken without an end
//!  flood   frames sent without an end
//!  noise   words said without an end
//!  life    the VMM's end
//!  version_2  control groups where only version 2 is
//! ```

mod bounds;
mod flood;
mod life;
mod noise;
mod table;
mod version_2;

use anyhow::{Result, ensure};
use ignite_testkit::{Host, Invocation, place, vmm, wait_until};

use crate::firecracker::KVM;
use crate::support::{SOON, Vm};

/// Whose place the stand-in is in, whatever the suite runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Qemu,
    Firecracker,
    /// Firecracker's, in its own jailer's jail.
    Jail,
}

impl Place {
    fn host(self) -> Result<Host> {
        let host = Host::new("alpha")?;
        if self != Self::Qemu {
            host.sh(KVM).ok()?;
        }
        Ok(host)
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Qemu => &["--vmm", "qemu"],
            Self::Firecracker => &["--vmm", "firecracker"],
            Self::Jail => &["--vmm", "firecracker", "--jailer"],
        }
    }

    /// What its VMM's processes are called.
    fn program(self) -> &'static str {
        match self {
            Self::Qemu => "qemu-system-x86_64",
            Self::Firecracker | Self::Jail => "firecracker",
        }
    }
}

/// `run` with the stand-in as the VMM and these words for it.
fn mischief(host: &Host, place: Place, options: &[&str], words: &str) -> Result<Invocation> {
    let stand_in = place::stand_in()?;
    let options = [options, place.options(), &["--kernel-args", words]].concat();
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", stand_in.display());
    let image = place::image("busy")?;
    let run = Vm::invocation(host, &options, &image, &[]);
    let firecracker = stand_in.join("firecracker");
    Ok(run.env("PATH", path).env(vmm::FIRECRACKER, firecracker))
}

fn run<'h>(host: &'h Host, place: Place, options: &[&str], words: &str) -> Result<Vm<'h>> {
    let uid = mischief(host, place, options, words)?.ok()?;
    Ok(Vm { host, uid })
}

/// The console once it says `word`.
fn console(vm: &Vm<'_>, word: &str) -> Result<String> {
    wait_until(&format!("{word:?} on the console"), SOON, || {
        let said = vm.host.ignite(["logs", &vm.uid]).ok()?;
        ensure!(said.contains(word), "{said}");
        Ok(said)
    })
}
