//! `rename`: another name, which nothing that runs depends on.

use ignite_api::Name;

use super::stop::Done;
use crate::{Engine, Error};

impl Engine {
    /// Gives the VM that `text` means another name. The guest's host name is that from its next start on.
    pub fn rename(&self, text: &str, name: Name) -> Result<Done, Error> {
        let uid = self.vms.resolve(text)?;
        let lock = self.vms.lock(uid)?;
        let record = lock.record()?;
        if let Some(managed) = record.managed {
            return Err(Error::Managed {
                name: record.name.to_string(),
                by: managed.by,
            });
        }
        lock.rename(name.clone())?;
        self.note("rename", uid, &name, &[("oldName", record.name.as_str())]);
        Ok(Done {
            uid,
            name,
            what: "renamed",
        })
    }
}
