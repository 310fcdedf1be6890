//! The lines of an answer that has no end.

use std::collections::VecDeque;

/// Cuts what arrives into lines, within a bound.
#[derive(Debug)]
pub(super) struct Lines {
    rest: Vec<u8>,
    /// How far `rest` is known to hold no end of line.
    searched: usize,
    whole: VecDeque<Vec<u8>>,
    max: usize,
}

/// A line longer than any may be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong;

impl Lines {
    /// Lines of at most `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self {
            rest: Vec::new(),
            searched: 0,
            whole: VecDeque::new(),
            max,
        }
    }

    /// Takes in what arrived.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), TooLong> {
        self.rest.extend_from_slice(bytes);
        while let Some(at) = self.rest[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n')
        {
            let after = self.rest.split_off(self.searched + at + 1);
            let line = std::mem::replace(&mut self.rest, after);
            self.searched = 0;
            if line.len() > self.max {
                return Err(TooLong);
            }
            if !line.trim_ascii().is_empty() {
                self.whole.push_back(line);
            }
        }
        self.searched = self.rest.len();
        match self.rest.len() > self.max {
            true => Err(TooLong),
            false => Ok(()),
        }
    }

    /// The next whole line.
    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        self.whole.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_they_arrive() {
        let mut lines = Lines::new(8);
        lines.push(b"{\"a\"").expect("part");
        assert_eq!(lines.next(), None);
        lines.push(b":1}\n\n{}\n{").expect("rest");
        assert_eq!(lines.next().as_deref(), Some(&b"{\"a\":1}\n"[..]));
        assert_eq!(lines.next().as_deref(), Some(&b"{}\n"[..]));
        assert_eq!(lines.next(), None);
        lines.push(b"}\n").expect("end");
        assert_eq!(lines.next().as_deref(), Some(&b"{}\n"[..]));
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let mut lines = Lines::new(8);
        lines.push(b"12345678").expect("fits");
        assert_eq!(lines.push(b"9"), Err(TooLong));
        assert_eq!(Lines::new(3).push(b"1234\n"), Err(TooLong));
    }
}
