//! What the daemon tells this source, while a call of git may run for long: of many statuses only the
//! last one counts, so no more than one is kept.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::source::Command;

/// The last status that nobody has taken yet.
#[derive(Debug, Clone, Default)]
struct Slot(Arc<Mutex<Option<String>>>);

/// What there is to hear of.
#[derive(Debug)]
enum Note {
    Rescan,
    /// The slot was filled.
    Status,
}

/// The end that hears.
#[derive(Debug)]
pub(super) struct Inbox {
    notes: Receiver<Note>,
    status: Slot,
}

/// The end that is told.
#[derive(Debug)]
pub(super) struct Outbox {
    notes: Sender<Note>,
    status: Slot,
    takes_status: bool,
}

/// Both ends. Where nobody publishes a status, none is kept.
pub(super) fn inbox(takes_status: bool) -> (Outbox, Inbox) {
    let (sender, notes) = channel();
    let status = Slot::default();
    let outbox = Outbox {
        notes: sender,
        status: status.clone(),
        takes_status,
    };
    (outbox, Inbox { notes, status })
}

impl Outbox {
    /// Passes a command on; false if nobody listens any more.
    pub(super) fn send(&self, command: Command) -> bool {
        match command {
            Command::Rescan => self.notes.send(Note::Rescan).is_ok(),
            Command::Status(_) if !self.takes_status => true,
            Command::Status(text) => {
                let before = self.status.lock().replace(text);
                before.is_some() || self.notes.send(Note::Status).is_ok()
            }
        }
    }
}

impl Inbox {
    /// The next command within that time.
    pub(super) fn recv_timeout(&self, time: Duration) -> Result<Command, RecvTimeoutError> {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.notes.recv_timeout(left)? {
                Note::Rescan => return Ok(Command::Rescan),
                Note::Status => {
                    if let Some(text) = self.status.lock().take() {
                        return Ok(Command::Status(text));
                    }
                }
            }
        }
    }
}

impl Slot {
    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All that is heard until nothing is left.
    fn heard(inbox: &Inbox) -> Vec<Command> {
        std::iter::from_fn(|| inbox.recv_timeout(Duration::ZERO).ok()).collect()
    }

    #[test]
    fn of_many_statuses_the_last_is_heard() {
        let (outbox, inbox) = inbox(true);
        for number in 0..1000 {
            assert!(outbox.send(Command::Status(number.to_string())));
        }
        assert!(outbox.send(Command::Rescan));
        let last = Command::Status("999".into());
        assert_eq!(heard(&inbox), [last, Command::Rescan]);
        assert!(outbox.send(Command::Status("again".into())));
        assert_eq!(heard(&inbox), [Command::Status("again".into())]);
    }

    #[test]
    fn a_status_that_nobody_publishes_is_not_kept() {
        let (outbox, inbox) = inbox(false);
        assert!(outbox.send(Command::Status("one".into())));
        assert!(outbox.send(Command::Rescan));
        assert_eq!(heard(&inbox), [Command::Rescan]);
        assert_eq!(*inbox.status.lock(), None);
    }

    #[test]
    fn the_end_of_one_is_heard_by_the_other() {
        let (outbox, inbox) = inbox(true);
        drop(outbox);
        let heard = inbox.recv_timeout(Duration::from_secs(60));
        assert_eq!(heard, Err(RecvTimeoutError::Disconnected));
        let (outbox, inbox) = super::inbox(true);
        drop(inbox);
        assert!(!outbox.send(Command::Rescan));
    }
}
