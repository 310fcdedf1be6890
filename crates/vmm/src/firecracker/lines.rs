//! Lines of a pipe the VMM writes to, which may be in a guest's hands: one that is too long is passed
//! over, and so is the rest of it.

/// Takes bytes as they come and gives whole lines.
#[derive(Debug)]
pub(super) struct Lines {
    line: Vec<u8>,
    limit: usize,
    /// The line was too long.
    skip: bool,
}

impl Lines {
    /// Lines of at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            line: Vec::new(),
            limit,
            skip: false,
        }
    }

    /// Reads `bytes` on; calls `take` with each line they end.
    pub(super) fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            self.append(&rest[..end]);
            rest = &rest[end + 1..];
            if !self.skip {
                take(&self.line);
            }
            self.line.clear();
            self.skip = false;
        }
        self.append(rest);
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.line.len() + bytes.len() > self.limit {
            self.skip = true;
            self.line = Vec::new();
        }
        if !self.skip {
            self.line.extend_from_slice(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_too_long_is_passed_over() {
        let mut lines = Lines::new(4);
        let mut seen = Vec::new();
        for piece in ["ab", "cd\nabc", "de", "f\n\nxy\n", "z"] {
            lines.push(piece.as_bytes(), |line| {
                seen.push(String::from_utf8_lossy(line).into_owned());
            });
        }
        assert_eq!(seen, ["abcd", "", "xy"]);
    }
}
