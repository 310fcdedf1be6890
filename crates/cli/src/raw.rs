//! The terminal in raw mode: every key goes to the guest as it is, and every byte of the guest's to the
//! terminal. What was before is put back on every way out, a panic and the end by a signal included.

use std::io;
use std::sync::{Once, OnceLock};

use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

/// How the terminal was.
static BEFORE: OnceLock<Termios> = OnceLock::new();

/// Raw mode, until dropped.
#[derive(Debug)]
pub struct Raw(());

impl Raw {
    /// Puts the terminal that is our input into raw mode.
    pub fn enter() -> io::Result<Self> {
        static HOOK: Once = Once::new();
        let mut modes = tcgetattr(stdin())?;
        BEFORE.get_or_init(|| modes.clone());
        HOOK.call_once(|| {
            // A panic ends the program with nothing dropped.
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                restore();
                report(panic);
            }));
        });
        modes.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &modes)?;
        Ok(Self(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Puts the terminal back as it was, if it ever was in raw mode.
pub fn restore() {
    if let Some(before) = BEFORE.get() {
        // A terminal that is gone is as it is.
        let _ = tcsetattr(stdin(), OptionalActions::Now, before);
    }
}
