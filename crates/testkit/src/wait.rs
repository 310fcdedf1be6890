//! Waiting for what happens by itself.

use std::fmt::Display;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const STEP: Duration = Duration::from_millis(50);

/// Asks until the answer is `Ok`, for at most `limit`.
///
/// # Errors
/// The last answer, with what was waited for.
pub fn wait_until<T, E: Display>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> std::result::Result<T, E>,
) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if Instant::now() > end => bail!("waited {limit:?} for {what}: {error:#}"),
            Err(_) => std::thread::sleep(STEP),
        }
    }
}
