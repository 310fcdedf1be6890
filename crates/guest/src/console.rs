//! Words for whoever reads the VM's console log.

use std::error::Error;
use std::fs::OpenOptions;
use std::io::{self, Write};

/// Writes one line to the console. A console that does not take it is not worth failing for.
pub fn say(text: &str) {
    let _ = writeln!(io::stderr(), "ignite: {text}");
}

/// Says that something did not work and is done without.
pub fn warn(error: &(dyn Error + 'static)) {
    say(&format!("warning: {}", chain(error)));
}

/// An error and its causes in one line.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Makes `/dev/console` the standard input, output and error of this process. The kernel did so
/// already where the initramfs came with the device.
pub fn adopt() -> io::Result<()> {
    let console = OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/console")?;
    rustix::stdio::dup2_stdin(&console)?;
    rustix::stdio::dup2_stdout(&console)?;
    rustix::stdio::dup2_stderr(&console)?;
    Ok(())
}
