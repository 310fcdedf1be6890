//! The probe: every attempt a line, in the VMM's place and, to show that each would come to something
//! there, outside of it.
//!
//! ```text
//! AIMS = FILE,SOCKET,ABSTRACT,PID[,WORK]
//!
//! probe: holds 3: socket rw
//! probe: refused to mount: Operation not permitted (os error 1)
//! probe: COULD fork: made process 7
//! probe: done
//! ```

use anyhow::{Context as _, Result};
use ignite_host::confine::probe::{Aims, Attempt, Held, refused_to_all, work_directory};
use ignite_host::signal::Signals;
use rustix::process::Signal;

use super::Console;

/// Begins the line of an attempt that came to something.
pub const COULD: &str = "probe: COULD ";

/// Begins the line of an attempt that came to nothing.
pub const REFUSED: &str = "probe: refused to ";

/// Begins the line of a descriptor.
pub const HOLDS: &str = "probe: holds ";

/// The last line.
pub const DONE: &str = "probe: done";

/// What there is to be reached, by these words; a program that `held` this when it began.
fn parse(words: &str, held: &[Held]) -> Result<Aims> {
    let mut words = words.split(',');
    let mut next = || words.next().context("FILE,SOCKET,ABSTRACT,PID[,WORK]");
    Ok(Aims {
        file: next()?.into(),
        socket: next()?.into(),
        abstract_socket: next()?.to_owned(),
        process: next()?.parse()?,
        work: next().ok().map(Into::into),
        held: held.iter().map(|held| held.number).collect(),
    })
}

fn attempts(aims: &Aims) -> Vec<Attempt> {
    let mut all = match aims.work {
        Some(_) => work_directory(),
        None => Vec::new(),
    };
    all.extend(refused_to_all());
    all
}

fn line(attempt: &Attempt, aims: &Aims) -> String {
    match (attempt.run)(aims) {
        Ok(got) => format!("{COULD}{}: {got:?}", attempt.name),
        Err(error) => format!("{REFUSED}{}: {error}", attempt.name),
    }
}

/// Makes every attempt.
pub(super) fn all(aims: &str, held: &[Held], mut console: Console) -> Result<()> {
    for held in held {
        console.say(&format!("{HOLDS}{}: {}", held.number, held.what))?;
    }
    // That a file would be too long is told by an error as well, as to one who handles the signal.
    drop(Signals::block(&[Signal::XFSZ.as_raw()]));
    let aims = parse(aims, held)?;
    for attempt in attempts(&aims) {
        console.say(&line(&attempt, &aims))?;
    }
    console.say(DONE)
}

/// Makes the attempt of this number, for a program that ends then: what it did to itself is in nobody's
/// way. The last line behind the last of them.
///
/// # Errors
/// If the aims are none.
pub fn single(number: usize, aims: &str) -> Result<String> {
    let aims = parse(aims, &[])?;
    let all = attempts(&aims);
    Ok(all
        .get(number)
        .map_or_else(|| DONE.to_owned(), |attempt| line(attempt, &aims)))
}
