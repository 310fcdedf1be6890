//! The first process of a host's process namespace: it holds the namespaces,
//! reaps orphans, and takes everything with it when the test is gone, however
//! that ended: the pipe on its stdin breaks with the test process.

use std::io::{Read as _, Write as _};
use std::time::Duration;

use rustix::process::{WaitOptions, wait};

use super::Failure;

pub(super) fn until_stdin_ends() -> Result<(), Failure> {
    println!("ready");
    std::io::stdout().flush()?;
    std::thread::spawn(|| {
        let mut ignored = Vec::new();
        // An error means the pipe is gone, as an end does.
        let _ = std::io::stdin().read_to_end(&mut ignored);
        std::process::exit(0);
    });
    loop {
        if wait(WaitOptions::empty()).is_err() {
            // No children for now.
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
