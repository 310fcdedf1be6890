//! Sparse files: which parts of the file the archive holds.
//!
//! Read are the old GNU format (a map in the header and in blocks behind it) and the pax formats 0.0,
//! 0.1 (a map in the records) and 1.0 (a map before the data).

use std::io::BufRead;

use crate::pax::{SparseRecords, number};
use crate::read::{BLOCK, TarError, read_block};

/// More parts than that in one file is an attack on memory.
const MOST_PARTS: usize = 1 << 20;

/// The parts of a sparse file that hold data, in order; all else are holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SparseMap {
    /// Offset in the file, and length.
    pub parts: Vec<(u64, u64)>,
    /// Size of the whole file.
    pub real_size: u64,
}

impl SparseMap {
    /// Checks that the parts follow each other and are just what the archive holds (`stored` bytes).
    /// Empty ones, by which GNU tar marks the end of a file, are left out.
    fn checked(mut parts: Vec<(u64, u64)>, real_size: u64, stored: u64) -> Result<Self, TarError> {
        let mut end = 0u64;
        let mut total = 0u64;
        for (offset, length) in &parts {
            if *offset < end {
                return Err(TarError::Sparse);
            }
            end = offset.checked_add(*length).ok_or(TarError::Sparse)?;
            total = total.checked_add(*length).ok_or(TarError::Sparse)?;
        }
        if end > real_size || total != stored {
            return Err(TarError::Sparse);
        }
        parts.retain(|(_, length)| *length > 0);
        Ok(Self { parts, real_size })
    }

    /// From the map of an old GNU header; reads the further blocks of the map. `stored` is the size
    /// the header gives.
    pub(crate) fn old_gnu(
        header: &tar::GnuHeader,
        reader: &mut impl BufRead,
        stored: u64,
    ) -> Result<Self, TarError> {
        let mut parts = Vec::new();
        push(&mut parts, &header.sparse)?;
        let mut more = header.is_extended();
        while more {
            let mut block = tar::GnuExtSparseHeader::new();
            if !read_block(reader, block.as_mut_bytes())? {
                return Err(TarError::Cut);
            }
            push(&mut parts, block.sparse())?;
            more = block.is_extended();
        }
        let real_size = header.real_size().map_err(|_| TarError::Sparse)?;
        Self::checked(parts, real_size, stored)
    }

    /// From the records of a pax header, if they speak of a sparse file. `stored` is the size of the
    /// entry in the archive; a map before the data is read and taken off it.
    pub(crate) fn pax(
        records: &SparseRecords,
        reader: &mut impl BufRead,
        stored: &mut u64,
    ) -> Result<Option<Self>, TarError> {
        let numbers = match (records.major, &records.map) {
            (Some(1), _) => read_map(reader, stored)?,
            (Some(0) | None, Some(map)) => map.clone(),
            (None, None) => return Ok(None),
            _ => return Err(TarError::Sparse),
        };
        let real_size = records.real_size.ok_or(TarError::Sparse)?;
        if numbers.len() % 2 != 0 || numbers.len() / 2 > MOST_PARTS {
            return Err(TarError::Sparse);
        }
        let parts = numbers
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
            .collect();
        Self::checked(parts, real_size, *stored).map(Some)
    }
}

fn push(parts: &mut Vec<(u64, u64)>, fields: &[tar::GnuSparseHeader]) -> Result<(), TarError> {
    for field in fields.iter().filter(|field| !field.is_empty()) {
        let offset = field.offset().map_err(|_| TarError::Sparse)?;
        let length = field.length().map_err(|_| TarError::Sparse)?;
        parts.push((offset, length));
    }
    if parts.len() > MOST_PARTS {
        Err(TarError::Sparse)
    } else {
        Ok(())
    }
}

/// The map of format 1.0: decimal numbers, one a line, the first their count; padded to a block.
fn read_map(reader: &mut impl BufRead, stored: &mut u64) -> Result<Vec<u64>, TarError> {
    let mut block = [0; BLOCK];
    let mut line = Vec::new();
    let mut numbers = Vec::new();
    let mut expected = None;
    loop {
        *stored = stored.checked_sub(BLOCK as u64).ok_or(TarError::Sparse)?;
        if !read_block(reader, &mut block)? {
            return Err(TarError::Cut);
        }
        for byte in block {
            if expected.is_some_and(|expected| numbers.len() == expected) {
                return Ok(numbers);
            }
            if byte != b'\n' {
                line.push(byte);
                if line.len() > 20 {
                    return Err(TarError::Sparse);
                }
                continue;
            }
            let value = number(&line).map_err(|_| TarError::Sparse)?;
            line.clear();
            match expected {
                Some(_) => numbers.push(value),
                None if value > MOST_PARTS as u64 => return Err(TarError::Sparse),
                None => expected = Some(2 * usize::try_from(value).map_err(|_| TarError::Sparse)?),
            }
        }
        if expected.is_some_and(|expected| numbers.len() == expected) {
            return Ok(numbers);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_must_follow_each_other_and_fit() {
        assert!(SparseMap::checked(vec![(0, 4), (8, 4)], 20, 8).is_ok());
        assert!(SparseMap::checked(vec![], 1 << 40, 0).is_ok());
        let ended = SparseMap::checked(vec![(0, 4), (20, 0)], 20, 4);
        assert_eq!(ended.expect("an end mark").parts, [(0, 4)]);
        assert!(
            SparseMap::checked(vec![(0, 4), (21, 0)], 20, 4).is_err(),
            "an end mark past the end"
        );
        assert!(
            SparseMap::checked(vec![(0, 4), (3, 4)], 20, 8).is_err(),
            "overlap"
        );
        assert!(
            SparseMap::checked(vec![(0, 4)], 3, 4).is_err(),
            "past the end"
        );
        assert!(
            SparseMap::checked(vec![(0, 4)], 20, 5).is_err(),
            "not what is stored"
        );
        assert!(
            SparseMap::checked(vec![(u64::MAX, 2)], 20, 2).is_err(),
            "overflow"
        );
    }

    #[test]
    fn reads_a_map_before_the_data() {
        let mut bytes = b"2\n0\n512\n4096\n10\n".to_vec();
        bytes.resize(BLOCK, 0);
        let records = SparseRecords {
            major: Some(1),
            real_size: Some(5000),
            ..Default::default()
        };
        let mut stored = 512 + 522;
        let map = SparseMap::pax(&records, &mut &bytes[..], &mut stored).expect("a map");
        let parts = vec![(0, 512), (4096, 10)];
        assert_eq!(
            map,
            Some(SparseMap {
                parts,
                real_size: 5000
            })
        );
        assert_eq!(stored, 522);
    }
}
