//! Signals: end, reload; and at the second one that asks for the end, the end at once.

use std::sync::mpsc::Sender;

use ignite_host::signal::{self, PollFd, PollFlags, Signals};
use ignite_program::Failure;

use super::Event;
use super::begin::thread;

const HUP: i32 = 1;
const INT: i32 = 2;
const TERM: i32 = 15;

/// Exit code of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// Tells of signals from now on. To be called before other threads start.
pub fn watch(events: Sender<Event>) -> Result<(), Failure> {
    let signals = Signals::block(&[HUP, INT, TERM]).map_err(|error| Failure::new(error, None))?;
    thread("signals", move || {
        let mut asked = false;
        while let Some(signal) = next(&signals) {
            if signal == HUP {
                let _ = events.send(Event::Reload);
            } else if asked {
                tracing::warn!("ending at once: what was begun is taken back at the next start");
                std::process::exit(INTERRUPTED);
            } else {
                asked = true;
                let _ = events.send(Event::Terminate);
            }
        }
    })
}

/// Waits for the next one; none when there is no waiting any more.
fn next(signals: &Signals) -> Option<i32> {
    loop {
        let mut fds = [PollFd::new(signals, PollFlags::IN)];
        signal::poll(&mut fds, None).ok()?;
        match signals.next() {
            Ok(Some(received)) => return Some(received.signal),
            Ok(None) => {}
            Err(_) => return None,
        }
    }
}
