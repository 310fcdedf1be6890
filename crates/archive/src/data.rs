//! The content of one file: zeros become holes, holes stay holes.

use std::fs::File;
use std::io::{self, BufRead, Seek, SeekFrom, Write};

use crate::direct::Direct;
use crate::error::EntryError;
use crate::read::Data;
use crate::sparse::SparseMap;

/// Zeros are looked for in units of this.
pub(crate) const PAGE: usize = 4096;

static ZEROS: [u8; PAGE] = [0; PAGE];

/// A file of more bytes than this is large.
const LARGE: u64 = 1 << 20;

/// Receives the number of bytes about to be written; an error ends the entry.
pub type Account<'a> = &'a mut dyn FnMut(u64) -> Result<(), EntryError>;

/// Writes the data of an entry of `size` bytes into `file`, which is empty; that of a large one, if it
/// may have its length first, past the page cache.
pub(crate) fn write(
    mut file: &File,
    mut data: Data<'_, impl BufRead>,
    size: u64,
    map: Option<&SparseMap>,
    length_first: bool,
    account: Account<'_>,
) -> Result<(), EntryError> {
    let real_size = map.map_or(size, |map| map.real_size);
    let known = length_first && real_size > LARGE;
    if known {
        // A file whose end moves with every page costs a journal twice as much.
        file.set_len(real_size).map_err(EntryError::Write)?;
    }
    let Some(map) = map else {
        if known {
            let mut direct = Direct::new(file);
            each_piece(&mut data, size, account, |bytes| direct.write(bytes))?;
            return direct.finish().map_err(EntryError::Write);
        }
        if copy(file, &mut data, size, account)? {
            file.set_len(real_size).map_err(EntryError::Write)?;
        }
        return Ok(());
    };
    for (offset, length) in &map.parts {
        file.seek(SeekFrom::Start(*offset))
            .map_err(EntryError::Write)?;
        copy(file, &mut data, *length, account)?;
    }
    if !known {
        file.set_len(real_size).map_err(EntryError::Write)?;
    }
    Ok(())
}

/// Copies `size` bytes; whether the last of them became a hole.
fn copy(
    mut file: &File,
    data: &mut Data<'_, impl BufRead>,
    size: u64,
    account: Account<'_>,
) -> Result<bool, EntryError> {
    let mut hole = false;
    each_piece(data, size, account, |mut bytes| {
        while !bytes.is_empty() {
            let (zeros, run) = run(bytes);
            hole = zeros;
            if zeros {
                let step = i64::try_from(run).expect("a buffer's length");
                file.seek(SeekFrom::Current(step))?;
            } else {
                file.write_all(&bytes[..run])?;
            }
            bytes = &bytes[run..];
        }
        Ok(())
    })?;
    Ok(hole)
}

/// Gives the next `left` bytes to `put`, as they come.
fn each_piece(
    data: &mut Data<'_, impl BufRead>,
    mut left: u64,
    account: Account<'_>,
    mut put: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), EntryError> {
    while left > 0 {
        let bytes = data.fill_buf().map_err(EntryError::Read)?;
        if bytes.is_empty() {
            return Err(EntryError::Cut);
        }
        let length = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        account(length as u64)?;
        put(&bytes[..length]).map_err(EntryError::Write)?;
        data.consume(length);
        left -= length as u64;
    }
    Ok(())
}

/// Whether `bytes` begin with whole pages of zeros or with something else, and how much of it.
pub(crate) fn run(bytes: &[u8]) -> (bool, usize) {
    let zero = |page: &[u8]| page.len() == PAGE && page == ZEROS.as_slice();
    let mut pages = bytes.chunks(PAGE);
    let first = pages.next().is_some_and(zero);
    let more = pages.take_while(|page| zero(page) == first).count();
    (first, (PAGE * (1 + more)).min(bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_zeros_are_told_from_others() {
        let mut bytes = vec![0; 3 * PAGE + 7];
        assert_eq!(run(&bytes), (true, 3 * PAGE));
        assert_eq!(run(&bytes[3 * PAGE..]), (false, 7), "less than a page");
        bytes[PAGE] = 1;
        assert_eq!(run(&bytes), (true, PAGE));
        assert_eq!(run(&bytes[PAGE..]), (false, PAGE));
        bytes[2 * PAGE] = 1;
        assert_eq!(run(&bytes[PAGE..]), (false, 2 * PAGE + 7));
    }
}
