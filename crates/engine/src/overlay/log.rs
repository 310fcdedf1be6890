//! What services say.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ignite_host::fs;
use ignite_host::service::{Log, Manager};

use super::error::OverlayError;
use super::place::OverlayName;
use super::services::{ETCD, manager};
use crate::Engine;
use crate::grown::Grown;

/// No log file of a service is larger, in bytes.
const MAX_LOG: u64 = 16 << 20;
/// Between two looks at a log.
const PAUSE: Duration = Duration::from_millis(100);

/// Whose words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The agent's.
    Agent,
    /// Our etcd's.
    Etcd,
}

/// What of a log is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRequest {
    /// Whose.
    pub speaker: Speaker,
    /// The last so many lines; all where none.
    pub tail: Option<usize>,
    /// Whether to go on with what comes.
    pub follow: bool,
}

impl Engine {
    /// Hands the log of a service of the overlay to `out`, until nobody wants it any more if it is
    /// followed.
    pub fn overlay_logs(
        &self,
        name: &OverlayName,
        request: LogRequest,
        out: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), OverlayError> {
        let (place, _) = self.overlay_record(name)?;
        let service = match request.speaker {
            Speaker::Agent => place.agent_service(),
            Speaker::Etcd => ETCD.to_owned(),
        };
        let shown = match manager(&self.config.paths).log(&service) {
            Log::File(path) => file(&path, request, out),
            Log::Journal(unit) => journal(&unit, request, out),
        };
        shown.map_err(|source| OverlayError::Log { service, source })
    }
}

fn file(
    path: &Path,
    request: LogRequest,
    out: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut grown = Grown::default();
    let mut all = Vec::new();
    grown.read_new(path, &mut |bytes| {
        all.extend_from_slice(bytes);
        Ok(())
    })?;
    out(last_lines(&all, request.tail.unwrap_or(usize::MAX)))?;
    if !request.follow {
        return Ok(());
    }
    loop {
        std::thread::sleep(PAUSE);
        grown.read_new(path, out)?;
    }
}

fn journal(
    unit: &str,
    request: LogRequest,
    out: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    use std::io::Read;
    let lines = request
        .tail
        .map_or("all".to_owned(), |tail| tail.to_string());
    let mut command = Command::new("journalctl");
    command.args([
        "--no-pager",
        "--output=cat",
        "--unit",
        unit,
        "--lines",
        &lines,
    ]);
    if request.follow {
        command.arg("--follow");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut chunk = [0; 8192];
    if let Some(mut stdout) = child.stdout.take() {
        while let read @ 1.. = stdout.read(&mut chunk)? {
            if let Err(error) = out(&chunk[..read]) {
                let _ = child.kill();
                let _ = child.wait();
                return Err(error);
            }
        }
    }
    child.wait().map(drop)
}

/// The last lines of a service's log, for an error; none where it cannot be read.
pub(super) fn tail(manager: &Manager, service: &str, count: usize) -> Vec<String> {
    let mut bytes = Vec::new();
    match manager.log(service) {
        Log::File(path) => bytes = fs::read_bounded(&path, MAX_LOG).unwrap_or_default(),
        Log::Journal(unit) => {
            let request = LogRequest {
                speaker: Speaker::Agent,
                tail: Some(count),
                follow: false,
            };
            let _ = journal(&unit, request, &mut |chunk| {
                bytes.extend_from_slice(chunk);
                Ok(())
            });
        }
    }
    let text = String::from_utf8_lossy(last_lines(&bytes, count)).into_owned();
    text.lines().map(str::to_owned).collect()
}

/// The end of a text, from the line that is so many from its end.
fn last_lines(bytes: &[u8], count: usize) -> &[u8] {
    let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let ends = text
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, byte)| **byte == b'\n');
    match ends.map(|(at, _)| at + 1).nth(count.saturating_sub(1)) {
        Some(start) => &bytes[start..],
        None if count == 0 => &[],
        None => bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_whole_lines() {
        let text = b"one\ntwo\nthree\n";
        for (count, expected) in [
            (1, &b"three\n"[..]),
            (2, b"two\nthree\n"),
            (3, text),
            (usize::MAX, text),
        ] {
            assert_eq!(last_lines(text, count), expected, "{count}");
        }
        assert_eq!(last_lines(b"one\nhalf", 1), b"half");
        assert_eq!(last_lines(b"", 5), b"");
    }
}
