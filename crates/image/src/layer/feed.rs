//! The first half of unpacking: stored bytes read, checked, unpacked, and handed on in chunks.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::mpsc::{Receiver, SyncSender};

use super::{Error, Layer};
use crate::decompress::{Compression, detect};
use crate::digest::{Digest, Hasher, Hashing};
use crate::progress::Progress;

/// Large enough that handing on costs nothing, small enough to stay in the processor's cache.
const CHUNK: usize = 256 << 10;
/// Chunks on the way between the two threads.
pub(super) const CHUNKS: usize = 8;

/// From the reading thread to the writing one.
pub(super) enum Message {
    /// A layer begins.
    Layer(String),
    /// The next bytes of its tar.
    Data(Vec<u8>),
    /// Its tar is complete, and all its digests are right.
    End,
}

/// Where chunks go, and where empty ones come back.
pub(super) struct Feed<'a> {
    pub(super) out: SyncSender<Message>,
    pub(super) used: Receiver<Vec<u8>>,
    pub(super) progress: &'a dyn Progress,
}

/// Why a layer was not handed on whole.
enum Stop {
    /// The other thread does not listen any more; its own error says why.
    Deaf,
    Failed(io::Error),
}

impl Feed<'_> {
    /// Hands on all layers.
    pub(super) fn run(&self, layers: &mut dyn Iterator<Item = Layer>) -> Result<(), Error> {
        for mut layer in layers {
            let name = layer.name.clone();
            self.progress
                .begin(&name, &format!("unpacking {name}"), layer.size);
            let result = self.layer(&mut layer);
            self.progress.end(&name);
            if !result? {
                break;
            }
        }
        Ok(())
    }

    /// Hands on one layer; false if nobody listens any more.
    fn layer(&self, layer: &mut Layer) -> Result<bool, Error> {
        let name = layer.name.clone();
        if self.out.send(Message::Layer(name.clone())).is_err() {
            return Ok(false);
        }
        let counted = Counted {
            inner: &mut layer.reader,
            name: &name,
            progress: self.progress,
        };
        // One byte more than it should have: enough to see that there is more.
        let bound = layer.size.map_or(u64::MAX, |size| size.saturating_add(1));
        let mut stored = Hashing::new(counted.take(bound));
        let unpacked = self.unpack(&mut stored, layer.diff_id.is_some());
        // A wrong digest explains everything else, so all is read even after a failure.
        let drained = if self.progress.cancelled() {
            Ok(0)
        } else {
            io::copy(&mut stored, &mut io::sink())
        };
        let read = |source| Error::Read {
            layer: name.clone(),
            source,
        };
        let (digest, count) = stored.finish();
        if self.progress.cancelled() {
            return Err(Error::Cancelled);
        }
        match (layer.size, layer.digest) {
            (Some(expected), _) if count > expected => {
                return Err(Error::TooLong {
                    layer: name,
                    expected,
                });
            }
            (Some(expected), _) if count < expected && drained.is_ok() => {
                return Err(Error::CutShort {
                    layer: name,
                    expected,
                    found: count,
                });
            }
            (_, Some(expected)) if expected != digest && drained.is_ok() => {
                return Err(Error::WrongDigest {
                    layer: name,
                    expected,
                    found: digest,
                });
            }
            _ => {}
        }
        let tar_digest = match unpacked {
            Err(Stop::Deaf) => return Ok(false),
            Err(Stop::Failed(source)) => return Err(read(source)),
            Ok(tar_digest) => tar_digest.unwrap_or(digest),
        };
        drained.map_err(read)?;
        match layer.diff_id {
            Some(expected) if expected != tar_digest => Err(Error::WrongDiffId {
                layer: name,
                expected,
                found: tar_digest,
            }),
            _ => Ok(self.out.send(Message::End).is_ok()),
        }
    }

    /// Hands on the unpacked bytes. Their digest, unless it is that of the stored bytes.
    fn unpack(&self, stored: &mut impl Read, want_digest: bool) -> Result<Option<Digest>, Stop> {
        let (compression, mut reader) = detect(unbuffered(stored)).map_err(Stop::Failed)?;
        let plain = compression == Compression::Plain;
        let mut hasher = (!plain && want_digest).then(Hasher::default);
        loop {
            let mut chunk = self.used.try_recv().unwrap_or_default();
            chunk.resize(CHUNK, 0);
            let length = fill(&mut reader, &mut chunk).map_err(Stop::Failed)?;
            chunk.truncate(length);
            if let Some(hasher) = &mut hasher {
                hasher.update(&chunk);
            }
            if length == 0 {
                break;
            }
            self.out
                .send(Message::Data(chunk))
                .map_err(|_| Stop::Deaf)?;
        }
        Ok(hasher.map(Hasher::finish))
    }
}

/// The buffer decoders read from; reads larger than it go past it.
fn unbuffered(reader: impl Read) -> impl BufRead {
    BufReader::with_capacity(128 << 10, reader)
}

/// Fills the buffer as far as there are bytes.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Tells the progress of what is read, and ends when the caller wants an end.
struct Counted<'a, R> {
    inner: R,
    name: &'a str,
    progress: &'a dyn Progress,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.progress.cancelled() {
            return Err(io::Error::from(io::ErrorKind::ConnectionAborted));
        }
        let count = self.inner.read(buffer)?;
        self.progress.advance(self.name, count as u64);
        Ok(count)
    }
}
