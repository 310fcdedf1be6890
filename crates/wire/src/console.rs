//! When a guest wrote what to its console: an index beside the log, bytes in, bytes out.
//!
//! ```text
//!   0  magic        8 bytes
//!   8  inode        of the log it belongs to
//!  16  base         bytes that were cut off the log's beginning so far
//!  24  mark, mark, ...   each: bytes ever written, milliseconds since the epoch
//! ```
//! All numbers are of 8 bytes, little-endian. A mark says when the byte after the bytes so far came;
//! marks are in order, of bytes as of time. A last one that is cut short is none. An index of another
//! inode than the log's says nothing of it.

/// The first bytes.
const MAGIC: [u8; 8] = *b"IGNTIME1";

/// Bytes before the first mark.
pub const HEADER_LEN: usize = 24;

/// Bytes of a mark.
pub const MARK_LEN: usize = 16;

/// More marks than any supervisor keeps; what follows is not read.
pub const MAX_MARKS: usize = 128 * 1024;

/// One moment at which something came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Bytes ever written before.
    pub offset: u64,
    /// Milliseconds since the epoch.
    pub time: i64,
}

impl Mark {
    /// Its bytes.
    pub fn to_bytes(self) -> [u8; MARK_LEN] {
        let mut bytes = [0; MARK_LEN];
        bytes[..8].copy_from_slice(&self.offset.to_le_bytes());
        bytes[8..].copy_from_slice(&self.time.to_le_bytes());
        bytes
    }
}

/// An index, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times {
    /// Inode of the log.
    pub inode: u64,
    /// Bytes that were cut off.
    pub base: u64,
    /// In order.
    marks: Vec<Mark>,
}

impl Times {
    /// One without marks.
    pub fn new(inode: u64, base: u64) -> Self {
        Self {
            inode,
            base,
            marks: Vec::new(),
        }
    }

    /// Reads an index; none where it is something else. Marks that are not in order are left out.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>()?;
        let number = |at: usize| {
            header[at..]
                .first_chunk()
                .map(|bytes| u64::from_le_bytes(*bytes))
        };
        let mut times = Self::new(number(8)?, number(16)?);
        if header[..8] != MAGIC {
            return None;
        }
        for mark in rest.chunks_exact(MARK_LEN).take(MAX_MARKS) {
            let (offset, time) = mark.split_first_chunk::<8>()?;
            times.push(Mark {
                offset: u64::from_le_bytes(*offset),
                time: i64::from_le_bytes(*time.first_chunk()?),
            });
        }
        Some(times)
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&self.inode.to_le_bytes());
        bytes.extend_from_slice(&self.base.to_le_bytes());
        for mark in &self.marks {
            bytes.extend_from_slice(&mark.to_bytes());
        }
        bytes
    }

    /// One more mark, unless it is not behind the last one. A clock that was set back stands still.
    pub fn push(&mut self, mark: Mark) -> Option<Mark> {
        let last = self.marks.last();
        if last.is_some_and(|last| mark.offset <= last.offset) {
            return None;
        }
        let mark = Mark {
            time: last.map_or(mark.time, |last| mark.time.max(last.time)),
            ..mark
        };
        self.marks.push(mark);
        Some(mark)
    }

    /// How many marks there are.
    pub fn len(&self) -> usize {
        self.marks.len()
    }

    /// How many bytes were ever written before the last mark; none where there is no mark.
    pub fn last(&self) -> Option<u64> {
        self.marks.last().map(|mark| mark.offset)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// Keeps every second mark: what is between belongs to the one before.
    pub fn thin(&mut self) {
        let mut keep = false;
        self.marks.retain(|_| {
            keep = !keep;
            keep
        });
    }

    /// The log has another inode, and begins at `base`: marks before are gone, but for the last of them,
    /// which its first byte belongs to.
    pub fn cut(&mut self, inode: u64, base: u64) {
        let first = self.marks.partition_point(|mark| mark.offset <= base);
        self.marks.drain(..first.saturating_sub(1));
        (self.inode, self.base) = (inode, base);
    }

    /// When the byte after `offset` bytes ever written came, in milliseconds; none where that is not known.
    pub fn at(&self, offset: u64) -> Option<i64> {
        let behind = self.marks.partition_point(|mark| mark.offset <= offset);
        Some(self.marks.get(behind.checked_sub(1)?)?.time)
    }

    /// How many bytes were ever written when the first one came at or after `time`; none where none did.
    pub fn since(&self, time: i64) -> Option<u64> {
        let before = self.marks.partition_point(|mark| mark.time < time);
        self.marks.get(before).map(|mark| mark.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn times() -> Times {
        let mut times = Times::new(7, 100);
        for (offset, time) in [(100, 1000), (150, 2000), (200, 2000), (300, 5000)] {
            times.push(Mark { offset, time }).expect("in order");
        }
        times
    }

    #[test]
    fn each_byte_has_the_time_of_the_mark_before() {
        let times = times();
        let at = [
            (99, None),
            (100, Some(1000)),
            (149, Some(1000)),
            (250, Some(2000)),
            (999, Some(5000)),
        ];
        for (offset, time) in at {
            assert_eq!(times.at(offset), time, "{offset}");
        }
        let since = [
            (0, Some(100)),
            (1000, Some(100)),
            (1001, Some(150)),
            (5000, Some(300)),
            (5001, None),
        ];
        for (time, offset) in since {
            assert_eq!(times.since(time), offset, "{time}");
        }
    }

    #[test]
    fn what_is_cut_off_has_no_marks() {
        let mut times = times();
        times.cut(8, 180);
        assert_eq!((times.inode, times.base, times.len()), (8, 180, 3));
        assert_eq!(times.at(180), Some(2000));
        times.cut(9, 10_000);
        assert_eq!((times.len(), times.at(10_000)), (1, Some(5000)));
        times.thin();
        assert_eq!(times.len(), 1);
    }

    #[test]
    fn marks_stay_in_order_whatever_the_clock_does() {
        let mut times = times();
        assert_eq!(
            times.push(Mark {
                offset: 300,
                time: 9000
            }),
            None
        );
        let pushed = times.push(Mark {
            offset: 301,
            time: 3000,
        });
        assert_eq!(pushed.map(|mark| mark.time), Some(5000));
    }

    #[test]
    fn a_torn_mark_is_none_and_another_file_no_index() {
        let bytes = times().to_bytes();
        assert_eq!(Times::parse(&bytes), Some(times()));
        let torn = Times::parse(&bytes[..bytes.len() - 1]).expect("an index");
        assert_eq!(torn.len(), 3);
        assert_eq!(Times::parse(&bytes[..HEADER_LEN - 1]), None);
        assert_eq!(Times::parse(&bytes[1..]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_index_in_order_or_none(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let mut bytes = bytes;
            bytes.splice(0..bytes.len().min(8), MAGIC);
            if let Some(times) = Times::parse(&bytes) {
                prop_assert_eq!(Times::parse(&times.to_bytes()), Some(times.clone()));
                prop_assert!(times.marks.is_sorted_by(|a, b| a.offset < b.offset && a.time <= b.time));
            }
        }
    }
}
