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
//! or a [`mischief`](mischief::Mischief), most of it before the guest is ready:
//!
//! ```text
//! standin.probe=FILE,SOCKET   tries all that a confined VMM must be refused
//! standin.hog                 takes memory without an end
//! standin.bomb                starts threads without an end
//! standin.flood=HEX           sends this frame without an end
//! standin.outlives            goes on though its supervisor is gone, as long as it can
//! standin.noise               when the guest is ready: says something everywhere without an end
//! ```

mod guest;
mod machine;
mod mischief;
mod noise;
mod options;

use std::process::ExitCode;

/// Any failure, for the supervisor's log.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words == ["--version"] {
        println!("QEMU emulator version 7.2.0 (stand-in)");
        return ExitCode::SUCCESS;
    }
    match options::Options::parse(&words).and_then(machine::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("stand-in: {failure}");
            ExitCode::FAILURE
        }
    }
}
