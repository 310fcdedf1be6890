//! `logs`: a VM's console.

use std::io;

use ignite_store::Liveness;

use super::remove::PAUSE;
use crate::grown::Grown;
use crate::{Engine, Error};

/// The console log in a VM's directory.
const CONSOLE: &str = "console.log";

impl Engine {
    /// Hands the console of the VM that `text` means to `out`; follows it until the VM ends, if asked.
    pub fn logs(
        &self,
        text: &str,
        follow: bool,
        out: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), Error> {
        let uid = self.vms.resolve(text)?;
        let path = self.vms.dir(uid).join(CONSOLE);
        let mut grown = Grown::default();
        loop {
            // Looked at before reading: what is written until its end is still read.
            let live = Liveness::is_held(&self.config.paths, uid)?;
            grown
                .read_new(&path, out)
                .map_err(|source| Error::Console {
                    path: path.clone(),
                    source,
                })?;
            if !follow || !live {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
    }
}
