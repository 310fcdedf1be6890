//! The one object that writes: results to standard output, everything else to standard error.
//!
//! Progress bars are drawn only where standard error is a terminal; what is said while they are drawn
//! goes above them.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use ignite_engine::{Progress, Report};
use ignite_program::{Failure, harmless};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::progress::Bars;

/// Standard output and standard error.
#[derive(Debug)]
pub struct Terminal {
    quiet: bool,
    colour: bool,
    bars: Option<Bars>,
}

impl Terminal {
    /// Finds out what standard error is.
    pub fn new(quiet: bool) -> Self {
        let terminal = io::stderr().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Self {
            quiet,
            colour: terminal && !plain && !dumb,
            bars: (terminal && !dumb && !quiet).then(Bars::new),
        }
    }

    /// Whether only ids are wanted.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether standard error shows colours.
    pub fn has_colour(&self) -> bool {
        self.colour
    }

    /// Writes a result: whole lines to standard output.
    pub fn result(&self, text: &str) -> io::Result<()> {
        self.above_bars(|| {
            let mut stdout = io::stdout().lock();
            stdout.write_all(text.as_bytes())?;
            stdout.flush()
        })
    }

    /// Writes one line of results.
    pub fn line(&self, line: &str) -> io::Result<()> {
        self.result(&format!("{line}\n"))
    }

    /// Tells of a failure.
    pub fn failure(&self, failure: &Failure) {
        if !failure.is_silent() {
            self.error(&failure.to_string());
        }
    }

    /// Tells of something that is wrong, and was looked for.
    pub fn trouble(&self, text: &str) {
        self.say("trouble", "33", text);
    }

    /// Tells of an error in words that may begin with `error:`.
    pub fn error(&self, text: &str) {
        self.say("error", "31", text.strip_prefix("error: ").unwrap_or(text));
    }

    fn say(&self, word: &str, colour: &str, text: &str) {
        let word = if self.colour {
            format!("\x1b[1;{colour}m{word}:\x1b[0m")
        } else {
            format!("{word}:")
        };
        self.stderr(&format!("{word} {}\n", harmless(text)));
    }

    /// Writes to standard error; that it cannot be written is nothing anybody could be told.
    pub fn stderr(&self, text: &str) {
        self.above_bars(|| {
            let _ = io::stderr().lock().write_all(text.as_bytes());
        });
    }

    fn above_bars<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.bars {
            Some(bars) => bars.suspend(write),
            None => write(),
        }
    }
}

impl Report for Terminal {
    fn info(&self, text: &str) {
        if !self.quiet {
            self.stderr(&format!("{}\n", harmless(text)));
        }
    }

    fn warn(&self, text: &str) {
        self.say("warning", "33", text);
    }
}

impl Progress for Terminal {
    fn begin(&self, id: &str, label: &str, total: Option<u64>) {
        match &self.bars {
            Some(bars) => bars.begin(id, label, total),
            None => tracing::info!(id, label, total, "begins"),
        }
    }

    fn advance(&self, id: &str, bytes: u64) {
        if let Some(bars) = &self.bars {
            bars.advance(id, bytes);
        }
    }

    fn end(&self, id: &str) {
        match &self.bars {
            Some(bars) => bars.end(id),
            None => tracing::info!(id, "ends"),
        }
    }
}

/// A stream handed to the engine, which remembers whether its reader went away: that is the end of a
/// pipe (`ignite logs web | head`) and no failure of the VM's.
#[derive(Debug)]
pub struct Outlet<W> {
    stream: W,
    gone: bool,
}

impl<W: Write> Outlet<W> {
    /// A stream whose reader is there.
    pub fn new(stream: W) -> Self {
        Self {
            stream,
            gone: false,
        }
    }

    /// Whether the reader went away.
    pub fn is_gone(&self) -> bool {
        self.gone
    }

    /// Waits until there may be room.
    fn wait(&self) -> io::Result<()>
    where
        W: AsFd,
    {
        match poll(&mut [PollFd::new(&self.stream, PollFlags::OUT)], None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn noticing<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        self.gone |= result
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
        result
    }
}

impl<W: Write + AsFd> Write for Outlet<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.stream.write(bytes) {
                // Whoever has the other end may have told it never to wait.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait()?,
                written => return self.noticing(written),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.stream.flush();
        self.noticing(flushed)
    }
}

/// Where log lines go: standard error, above the bars.
#[derive(Debug, Clone, Copy)]
pub struct LogWriter(pub &'static Terminal);

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.stderr(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_went_away_is_noticed() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let mut outlet = Outlet::new(writer);
        outlet.write_all(b"heard").expect("somebody reads");
        assert!(!outlet.is_gone());
        drop(reader);
        outlet.write_all(b"unheard").expect_err("nobody reads");
        assert!(outlet.is_gone());
    }
}
