//! Events to the engine while a VM starts: one JSON object a line on an inherited pipe.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;

use ignite_wire::supervisor::Event;

/// The pipe; closed after the last event.
#[derive(Debug)]
pub struct Notify(Option<File>);

impl Notify {
    /// Over the pipe, if there is one.
    pub fn new(pipe: Option<OwnedFd>) -> Self {
        Self(pipe.map(File::from))
    }

    /// Tells the event; whether somebody listens. Nobody is fine: the VM does not live by its engine.
    pub fn send(&mut self, event: &Event) -> bool {
        let Some(pipe) = &mut self.0 else {
            return false;
        };
        let mut line = serde_json::to_vec(event).expect("events are plain data");
        line.push(b'\n');
        let heard = pipe.write_all(&line).is_ok();
        if !matches!(event, Event::Started { .. }) {
            self.0 = None;
        }
        heard
    }

    /// Whether the last event was told.
    pub fn is_over(&self) -> bool {
        self.0.is_none()
    }
}
