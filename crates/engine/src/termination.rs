//! Signals that ask this process to end.

use ignite_host::signal::{self, PollFd, PollFlags, Signals};

const HUP: i32 = 1;
const INT: i32 = 2;
const TERM: i32 = 15;

/// Calls `act` at the first SIGINT, SIGTERM or SIGHUP; a second one ends the process at once.
///
/// To be called before other threads start.
pub fn on_termination(act: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    let signals = Signals::block(&[HUP, INT, TERM]).map_err(std::io::Error::other)?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut act = Some(act);
            while wait(&signals) {
                match act.take() {
                    Some(act) => act(),
                    None => std::process::exit(130),
                }
            }
        })?;
    Ok(())
}

/// Waits for the next signal; false when there is no waiting any more.
fn wait(signals: &Signals) -> bool {
    loop {
        let mut fds = [PollFd::new(signals, PollFlags::IN)];
        if signal::poll(&mut fds, None).is_err() {
            return false;
        }
        match signals.next() {
            Ok(Some(_)) => return true,
            Ok(None) => {}
            Err(_) => return false,
        }
    }
}
