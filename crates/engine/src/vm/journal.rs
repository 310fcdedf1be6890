//! `events`: what happened to VMs, from the journal that all verbs and supervisors write.

use std::collections::BTreeMap;
use std::io;

use ignite_api::{Name, Uid};
use ignite_store::journal::{Happening, Journal, Reader};
use jiff::Timestamp;

use super::remove::PAUSE;
use crate::network::attached::Attached;
use crate::{Engine, Error, Report};

/// Longest text of an attribute.
const LONGEST: usize = 400;

impl Engine {
    /// Tells what happened between two moments, and goes on with what happens until the later one comes.
    /// Without `since` what was before is not told. What the journal lost before it was read is said.
    pub fn events(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
        report: &dyn Report,
        tell: &mut dyn FnMut(&Happening) -> io::Result<()>,
    ) -> Result<(), Error> {
        let mut reader = Reader::new(&self.config.paths);
        if since.is_none() {
            reader.read()?;
        }
        let is_asked = |time: Timestamp| {
            since.is_none_or(|since| time >= since) && until.is_none_or(|until| time <= until)
        };
        loop {
            // Looked at before reading: what was written until then is read.
            let now = Timestamp::now();
            let happenings = reader.read()?;
            if reader.has_lost() {
                report.warn("events are missing here: more happened than the journal keeps before they were told");
            }
            for happening in happenings.iter().filter(|it| is_asked(it.time)) {
                tell(happening).map_err(Error::Told)?;
            }
            if until.is_some_and(|until| until <= now) {
                return Ok(());
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Writes down that something happened to a VM.
    pub(crate) fn note(&self, event: &str, uid: Uid, name: &Name, attributes: &[(&str, &str)]) {
        let attributes = attributes.iter().map(|(key, value)| {
            let value = value.chars().take(LONGEST).collect();
            ((*key).to_owned(), value)
        });
        let happening = Happening {
            attributes: attributes.collect::<BTreeMap<_, _>>(),
            ..Happening::now(event, uid, name.clone())
        };
        Journal::new(&self.config.paths).write(&happening);
    }

    /// The same of each interface that was attached.
    pub(crate) fn note_attached(&self, uid: Uid, name: &Name, attached: &[Attached]) {
        for one in attached {
            let addresses: Vec<String> = one.addresses.iter().map(ToString::to_string).collect();
            let attributes = [
                ("network", one.network.as_str()),
                ("interface", &one.interface),
                ("addresses", &addresses.join(" ")),
            ];
            self.note("attach", uid, name, &attributes);
        }
    }
}
