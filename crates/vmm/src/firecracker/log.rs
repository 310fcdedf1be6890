//! Firecracker's log: lines for people, in which a few words tell of a machine that fell over. The
//! exit code alone does not: it says that all is well after some of these.

use super::lines::Lines;
use crate::words::one_line;

/// Longest line taken, in bytes.
const MAX_LINE: usize = 16 * 1024;

/// Lines told in a VM's life, so that a VMM in a guest's hands fills no disk.
const MOST_TOLD: u32 = 200;

/// What a guest's triple fault looks like: its processor shuts down.
const TRIPLE_FAULT: [&str; 2] = [
    "Unexpected exit reason on vcpu run: Shutdown",
    "Received KVM_EXIT_SHUTDOWN",
];

/// What a processor that cannot go on looks like.
const BROKEN: [&str; 5] = [
    "Unexpected exit reason",
    "KVM_EXIT_INTERNAL_ERROR",
    "KVM_EXIT_FAIL_ENTRY",
    "Failure during vcpu run",
    "Vcpu thread panicked",
];

/// Why the machine fell over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The guest's processor was reset by a fault in the handling of faults.
    TripleFault,
    /// The host's kernel or processor gave up, in Firecracker's words.
    Broken {
        /// The line.
        line: String,
    },
}

/// Takes bytes as they come, and keeps what matters.
#[derive(Debug)]
pub struct Decoder {
    lines: Lines,
    told: u32,
    trouble: Option<Trouble>,
    last: Option<String>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            lines: Lines::new(MAX_LINE),
            told: 0,
            trouble: None,
            last: None,
        }
    }
}

impl Decoder {
    /// Reads `bytes` on; the warnings and errors among the lines they end, a bounded number in all.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let Self {
            lines,
            told,
            trouble,
            last,
        } = self;
        let mut worth = Vec::new();
        lines.push(bytes, |line| {
            let line = one_line(&String::from_utf8_lossy(line));
            if trouble.is_none() {
                *trouble = trouble_in(&line);
            }
            if line.contains(":ERROR") || line.contains(":WARN") {
                if *told < MOST_TOLD {
                    *told += 1;
                    worth.push(line.clone());
                }
                *last = Some(line);
            }
        });
        worth
    }

    /// The first trouble that was told of.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    /// The last warning or error.
    pub fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }
}

fn trouble_in(line: &str) -> Option<Trouble> {
    let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
    if has(&TRIPLE_FAULT) {
        return Some(Trouble::TripleFault);
    }
    has(&BROKEN).then(|| Trouble::Broken {
        line: line.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_trouble_stands_and_only_warnings_are_told() {
        let mut decoder = Decoder::default();
        let told = decoder.push(
            b"2026-08-01T10:00:00.0 [vm:main:INFO] Running Firecracker v1.16.0\n\
              2026-08-01T10:00:01.0 [vm:fc_vcpu 0:ERROR] Received KVM_EXIT_INTERNAL_ERROR signal\n\
              2026-08-01T10:00:01.0 [vm:main:WARN] Unexpected exit reason on vcpu run: Shutdown\n",
        );
        assert_eq!(told.len(), 2);
        assert_eq!(
            decoder.trouble(),
            Some(&Trouble::Broken {
                line: told[0].clone()
            })
        );
        assert_eq!(decoder.last(), Some(told[1].as_str()));
    }

    #[test]
    fn a_triple_fault_is_the_guests() {
        let mut decoder = Decoder::default();
        decoder.push(b"[fc_vcpu 0:ERROR] Unexpected exit reason on vcpu run: Shutdown\n");
        assert_eq!(decoder.trouble(), Some(&Trouble::TripleFault));
    }

    #[test]
    fn the_number_of_lines_told_is_bounded() {
        let mut decoder = Decoder::default();
        let told = decoder.push("[x:ERROR] y\n".repeat(1000).as_bytes());
        assert_eq!(told.len(), MOST_TOLD as usize);
    }
}
