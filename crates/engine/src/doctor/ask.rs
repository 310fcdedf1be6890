//! Questions that may never be answered: a dead network file system, a plugin that hangs.

use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

/// The answer to come.
pub(super) struct Asked<T>(Receiver<T>);

/// Asks on a thread of its own. One that is never answered goes on by itself until the program ends.
pub(super) fn ask<T: Send + 'static>(question: impl FnOnce() -> T + Send + 'static) -> Asked<T> {
    let (send, receive) = channel();
    let thread = std::thread::Builder::new().name("doctor".to_owned());
    // Without a thread there is no sender any more, hence no answer.
    let started = thread.spawn(move || {
        // Whoever asked may have given up.
        let _ = send.send(question());
    });
    if let Err(error) = started {
        tracing::warn!(%error, "cannot start a thread");
    }
    Asked(receive)
}

impl<T> Asked<T> {
    /// The answer; none if it does not come by then.
    pub fn until(self, deadline: Instant) -> Option<T> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.0.recv_timeout(left).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn an_answer_is_waited_for_and_silence_is_not() {
        let late = Instant::now() + Duration::from_secs(60);
        assert_eq!(ask(|| 7).until(late), Some(7));
        let (held, never) = channel::<()>();
        let silent = ask(move || never.recv().is_ok());
        assert_eq!(
            silent.until(Instant::now() + Duration::from_millis(20)),
            None
        );
        drop(held);
        let died: Asked<()> = ask(|| panic!("on purpose"));
        assert_eq!(died.until(late), None);
    }
}
