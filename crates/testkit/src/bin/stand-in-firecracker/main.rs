//! A stand-in for Firecracker: it serves the API as the real program does, opens what it is told to,
//! and computes nothing. A guest is up in ten milliseconds.
//!
//! ```text
//!   driver -- API's socket, pipes for log and metrics, console --> stand-in-firecracker
//!   supervisor <-- the agent's connection -------------------------'
//! ```
//!
//! Its guest's only way out is a reset, which ends it with code 0; it leaves its sockets behind. The
//! kernel's command line chooses another fate than a good one:
//!
//! ```text
//! standin.silent     the guest is never ready
//! standin.dies       the system call filter ends the program (148)
//! standin.breaks     the processor breaks: only the log tells, the code is 0
//! standin.late       the guest boots when Ctrl, Alt and Del are pressed, and takes no notice of them
//! standin.hangs      the guest does not power off though its agent says so
//! standin.halts      the guest's kernel stops without a reset once it is asked to
//! standin.stranger   another program of the guest wants to be the agent, and comes before it
//! ```
//!
//! or a [`ignite_testkit::mischief`], before the guest is ready.
//!
//! Two options of its own, which a script in its place adds, make it fail where a test wants:
//! `--fault 'PUT /metrics=hang'` (see `ignite_testkit::firecracker::Kind`) and `--launch deaf` or
//! `--launch CODE`; `--claim 1.7` is the version it says it is.

#[path = "../stand-in-vmm/guest.rs"]
mod guest;
mod machine;
mod options;

use std::process::ExitCode;

use ignite_host::confine::probe::held;

/// Any failure, for the driver.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let held = held();
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words == ["--version"] {
        println!("Firecracker v1.16.0");
        return ExitCode::SUCCESS;
    }
    match options::Options::parse(&words).and_then(|options| machine::run(options, held)) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            eprintln!("stand-in: {failure}");
            ExitCode::FAILURE
        }
    }
}
