//! `ignite-holder`: the only process of a VM's Docker container. It holds the container's network
//! namespace and does nothing, until it is told to end.
//!
//! The first process of a container gets no signal it does not ask for: without asking for these,
//! every `docker stop` would take its whole grace.

use std::process::ExitCode;

use ignite_host::signal::{Error, PollFd, PollFlags, Signals, poll};

/// What `docker stop` sends, and a terminal.
const ENDING: [i32; 2] = [15, 2];

fn main() -> ExitCode {
    match hold() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn hold() -> Result<(), Error> {
    let signals = Signals::block(&ENDING)?;
    while signals.next()?.is_none() {
        poll(&mut [PollFd::new(&signals, PollFlags::IN)], None)?;
    }
    Ok(())
}
