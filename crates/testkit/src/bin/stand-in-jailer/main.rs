//! A stand-in for Firecracker's jailer: it locks up what it is told to as the real program does, and
//! knows none of the arguments that are not used here.
//!
//! ```text
//!  jailer --id .. --exec-file .. --uid .. --gid .. --chroot-base-dir .. -- REST
//!     <base>/<program's name>/<id>/root: the program's copy, /dev, /run    (jail)
//!     becomes  /<program's name> --id ID --start-time-us .. REST
//! ```

mod jail;
mod options;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use options::Options;
use rustix::process::{Resource, Rlimit, setrlimit};

/// Any failure, for whoever started it.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words == ["--version"] {
        println!("Jailer v1.16.0");
        return ExitCode::SUCCESS;
    }
    let Err(failure) = Options::parse(&words).and_then(|options| run(&options));
    eprintln!("stand-in jailer: {failure}");
    ExitCode::FAILURE
}

/// Becomes the program.
fn run(options: &Options) -> Result<std::convert::Infallible, Failure> {
    // The real one closes them here; from outside it is the same.
    ignite_host::close_on_exec(3)?;
    let program = jail::make(options)?;
    jail::enter(options)?;
    if let Some(bytes) = options.file_bytes {
        let limit = Rlimit {
            current: Some(bytes),
            maximum: Some(bytes),
        };
        setrlimit(Resource::Fsize, limit)?;
    }
    // The user is changed right before: the copy and the devices are root's to make.
    let error = Command::new(&program)
        .env_clear()
        .args(["--id", &options.id])
        .args(["--start-time-us", "1", "--start-time-cpu-us", "1"])
        .args(["--parent-cpu-time-us", "1"])
        .args(&options.rest)
        .uid(options.uid)
        .gid(options.gid)
        .exec();
    Err(format!("cannot execute {}: {error}", program.display()).into())
}
