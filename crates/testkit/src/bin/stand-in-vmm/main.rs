//! A stand-in for QEMU where hundreds of VMs live and die: it says all that a
//! supervisor wants to hear, and computes nothing. A guest is up in ten
//! milliseconds.
//!
//! ```text
//!   supervisor -- QMP, agent's stream, console --> stand-in-vmm
//! ```
//!
//! As QEMU does it holds the VM's disk against a second one, keeps what it
//! inherited open, and dies with its parent. The kernel's command line chooses
//! another fate than a good one:
//!
//! ```text
//! standin.silent     the guest is never ready
//! standin.dies       the VMM ends with a message instead of a guest
//! ```
//!
//! or a [`ignite_testkit::mischief`], most of it before the guest is ready.

mod guest;
mod machine;
mod noise;
mod options;

use std::process::ExitCode;

use ignite_host::confine::probe::held;

/// Any failure, for the supervisor's log.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let held = held();
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words == ["--version"] {
        println!("QEMU emulator version 7.2.0 (stand-in)");
        return ExitCode::SUCCESS;
    }
    match options::Options::parse(&words, held).and_then(machine::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("stand-in: {failure}");
            ExitCode::FAILURE
        }
    }
}
