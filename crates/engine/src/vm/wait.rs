//! `wait`: until VMs have ended, with what exit code.

use std::collections::VecDeque;
use std::time::Duration;

use ignite_api::Uid;
use ignite_store::journal::Reader;
use ignite_store::{Liveness, StatusRecord};

use crate::{Engine, Error};

/// Time between two looks: the end of a VM that removes itself is seen before that is done.
const PAUSE: Duration = Duration::from_millis(20);

/// Of a VM whose supervisor vanished, or that ended and was removed before anybody looked.
const UNKNOWN: i32 = 255;

impl Engine {
    /// Waits until the VMs that `texts` mean have ended, all at once; tells each exit code, in their order,
    /// as soon as it is known. What does not run is not waited for.
    pub fn wait(
        &self,
        texts: &[String],
        tell: &mut dyn FnMut(i32) -> std::io::Result<()>,
    ) -> Result<(), Error> {
        let uids = texts.iter().map(|text| Ok(self.vms.resolve(text)?));
        let uids = uids.collect::<Result<Vec<Uid>, Error>>()?;
        let mut waiting: VecDeque<_> = uids
            .into_iter()
            .map(|uid| Waiting { uid, code: None })
            .collect();
        loop {
            for one in &mut waiting {
                one.look(self)?;
            }
            while let Some(code) = waiting.front().and_then(|first| first.code) {
                tell(code).map_err(Error::Told)?;
                waiting.pop_front();
            }
            if waiting.is_empty() {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Engine {
    /// The exit code of a VM's last life, as far as events tell.
    fn code_told(&self, uid: Uid) -> Option<i32> {
        let events = Reader::new(&self.config.paths).read().ok()?;
        // A life that began, and of whose end nothing is told, has no code, and not the one before it.
        let last = events
            .iter()
            .rfind(|it| it.uid == uid && matches!(it.event.as_str(), "start" | "die"))?;
        last.attributes.get("exitCode")?.parse().ok()
    }
}

/// A VM whose end is waited for.
struct Waiting {
    uid: Uid,
    code: Option<i32>,
}

impl Waiting {
    fn look(&mut self, engine: &Engine) -> Result<(), Error> {
        if self.code.is_some() {
            return Ok(());
        }
        let is_held = Liveness::is_held(&engine.config.paths, self.uid)?;
        // Read after that: what was written by who let go of the lock is in it.
        let status = engine.vms.status(self.uid)?;
        let is_live = status.state.is_live();
        let is_gone = || {
            engine
                .vms
                .get(self.uid)
                .is_err_and(|error| error.is_not_found())
        };
        self.code = if is_live && is_held {
            None
        } else if is_live || status.ended.is_none() && is_gone() {
            // Its supervisor vanished; or it was removed before anybody looked.
            Some(engine.code_told(self.uid).unwrap_or(UNKNOWN))
        } else {
            Some(code(&status))
        };
        Ok(())
    }
}

/// The exit code of a VM that ended; one that was never started has done nothing wrong.
fn code(status: &StatusRecord) -> i32 {
    let end = status.end.map_or(0, ignite_wire::supervisor::End::code);
    status.exit_code.unwrap_or(end)
}
