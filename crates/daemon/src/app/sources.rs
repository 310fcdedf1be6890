//! The source on its thread, and the way from there.

use std::sync::mpsc::{Sender, channel};

use ignite_program::Failure;

use super::Event;
use super::begin::thread;
use crate::source::{Command, Source};

/// Starts it; it ends when what is returned is dropped.
pub fn start(source: Box<dyn Source>, events: Sender<Event>) -> Result<Sender<Command>, Failure> {
    let (commands, orders) = channel();
    let (deliver, deliveries) = channel();
    thread("source", move || source.run(orders, deliver))?;
    thread("deliveries", move || {
        for delivery in deliveries {
            if events.send(Event::Source(delivery)).is_err() {
                return;
            }
        }
        let _ = events.send(Event::SourceEnded);
    })?;
    Ok(commands)
}
