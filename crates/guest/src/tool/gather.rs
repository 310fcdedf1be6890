//! Much at once: a pipe gives little at a time, and a file system takes what is written the faster, the more
//! it gets. Who sends slowly is not held up for that: what has come is passed on as soon as no more comes.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use ignite_host::signal::{PollFd, PollFlags, poll};

/// No more comes for now, if nothing did for that long.
const QUIET: Duration = Duration::from_millis(20);

/// The longest that anything is kept, however steadily more comes.
const KEPT: Duration = Duration::from_millis(250);

/// Reads until there is no more room, no more to read, or no more for now.
pub struct Gather<R> {
    from: R,
    /// What went wrong behind the last bytes that were passed on.
    error: Option<io::Error>,
}

impl<R: Read + AsFd> Gather<R> {
    /// From a stream that blocks.
    pub fn new(from: R) -> Self {
        Self { from, error: None }
    }

    /// Whether more comes before `until`, or before it was quiet for long enough.
    fn has_more(&self, until: Instant) -> io::Result<bool> {
        let left = until.saturating_duration_since(Instant::now());
        let mut fds = [PollFd::new(&self.from, PollFlags::IN)];
        poll(&mut fds, Some(left.min(QUIET))).map_err(io::Error::other)?;
        // The end is read as well.
        Ok(!fds[0].revents().is_empty())
    }

    fn more(&mut self, buffer: &mut [u8], until: Instant) -> io::Result<usize> {
        match self.has_more(until)? {
            true => self.from.read(buffer),
            false => Ok(0),
        }
    }
}

impl<R: Read + AsFd> Read for Gather<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(error) = self.error.take() {
            return Err(error);
        }
        let mut filled = loop {
            match self.from.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                first => break first?,
            }
        };
        let until = Instant::now() + KEPT;
        while filled > 0 && filled < buffer.len() {
            match self.more(&mut buffer[filled..], until) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.error = Some(error);
                    break;
                }
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::{PipeReader, Write, pipe};
    use std::os::fd::BorrowedFd;
    use std::sync::mpsc;

    use super::*;

    /// Says what it was told to, and is always ready to.
    struct Told(VecDeque<io::Result<usize>>, PipeReader);

    impl Read for Told {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            self.0.pop_front().unwrap_or(Ok(0))
        }
    }

    impl AsFd for Told {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.1.as_fd()
        }
    }

    #[test]
    fn what_comes_in_pieces_is_given_as_one() {
        let (reader, mut writer) = pipe().expect("a pipe");
        let mut gather = Gather::new(reader);
        for piece in [[b'a'; 10], [b'b'; 10]] {
            writer.write_all(&piece).expect("room");
        }
        let mut buffer = [0; 15];
        assert_eq!(gather.read(&mut buffer).expect("bytes"), 15, "all its room");
        writer.write_all(b"c").expect("room");
        // Nothing more comes for now, and its end is open.
        let mut buffer = [0; 100];
        assert_eq!(gather.read(&mut buffer).expect("bytes"), 6);
        assert_eq!(&buffer[..6], b"bbbbbc");
        writer.write_all(b"d").expect("room");
        drop(writer);
        assert_eq!(gather.read(&mut buffer).expect("bytes"), 1);
        assert_eq!(gather.read(&mut buffer).expect("the end"), 0);
    }

    #[test]
    fn what_trickles_is_not_kept_until_there_is_much() {
        let (reader, mut writer) = pipe().expect("a pipe");
        let (given, is_given) = mpsc::channel();
        let sender = std::thread::spawn(move || {
            // Never quiet, and less than a piece in any time a test may take.
            while is_given.recv_timeout(QUIET / 4).is_err() {
                writer.write_all(b"x").expect("it is read");
            }
        });
        let mut buffer = vec![0; 512 << 10];
        let count = Gather::new(reader).read(&mut buffer).expect("bytes");
        assert!(count > 0);
        given.send(()).expect("it waits");
        sender.join().expect("no panic");
    }

    #[test]
    fn an_error_comes_behind_what_came_before_it() {
        let interrupted = || Err(io::ErrorKind::Interrupted.into());
        let broken = || Err(io::ErrorKind::ConnectionReset.into());
        let said = [interrupted(), Ok(3), interrupted(), Ok(4), broken(), Ok(5)];
        let (reader, mut writer) = pipe().expect("a pipe");
        writer.write_all(b"x").expect("room");
        let mut gather = Gather::new(Told(said.into(), reader));
        let mut buffer = [0; 100];
        assert_eq!(gather.read(&mut buffer).expect("bytes"), 7);
        let error = gather.read(&mut buffer).expect_err("kept");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(gather.read(&mut buffer).expect("told once"), 5);
    }
}
