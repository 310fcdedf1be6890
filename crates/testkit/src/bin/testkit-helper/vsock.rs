//! Streams that come back: through pipes, and through vsock from the host of
//! a VM.

use std::fs::File;
use std::io::{self, Write as _};

use ignite_host::vsock;

use super::Failure;

/// Gives back all it is given, says `done`, and fails with that code.
pub(super) fn copy(code: &str) -> Result<(), Failure> {
    let code: i32 = code.parse()?;
    io::copy(&mut io::stdin().lock(), &mut io::stdout().lock())?;
    io::stdout().flush()?;
    eprintln!("done");
    std::process::exit(code)
}

/// Gives back to each caller at a vsock port, one after the other, what it
/// sends until it has sent all.
pub(super) fn echo(port: &str) -> Result<(), Failure> {
    let listener = vsock::listen_at(port.parse()?)?;
    println!("listening");
    loop {
        let mut caller = File::from(vsock::next(&listener)?);
        io::copy(&mut caller.try_clone()?, &mut caller)?;
    }
}
