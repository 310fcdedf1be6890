//! The second half of unpacking: chunks become entries, entries become files.

use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};

use ignite_host::fs::free_space;

use super::apply::Layers;
use super::feed::{CHUNKS, Feed, Message};
use super::{Entries, Entry, EntryError, Error, Layer, Limits, Unpacked};
use crate::progress::Progress;

/// The free space is looked at whenever this much was written.
const LOOK_EVERY: u64 = 64 << 20;

/// Unpacks `layers`, lowest first, into the empty directory `root`, which should be one that only its
/// owner may enter.
///
/// Each layer may be packed with gzip, zstd, xz or not at all; whiteouts remove what lower layers
/// have. On an error the tree is incomplete and to be removed by the caller.
pub fn unpack_layers(
    layers: &mut (dyn Iterator<Item = Layer> + Send),
    root: &Path,
    limits: &Limits,
    progress: &dyn Progress,
) -> Result<Unpacked, Error> {
    let (out, chunks) = sync_channel(CHUNKS);
    let (give_back, used) = channel();
    let mut writer = Writer::new(root, limits, progress)?;
    std::thread::scope(|scope| {
        let feed = scope.spawn(move || {
            Feed {
                out,
                used,
                progress,
            }
            .run(layers)
        });
        let written = writer.run(Chunks::new(chunks, give_back));
        let fed = feed.join().expect("the reading thread does not panic");
        // What is wrong with the bytes explains what is wrong with the entries.
        match (fed, written) {
            (Err(error), _) => Err(error),
            (Ok(()), result) => result,
        }
    })?;
    writer.finish()
}

struct Writer<'a> {
    root: &'a Path,
    layers: Layers,
    limits: &'a Limits,
    progress: &'a dyn Progress,
    done: Unpacked,
    looked_at: u64,
}

impl<'a> Writer<'a> {
    fn new(root: &'a Path, limits: &'a Limits, progress: &'a dyn Progress) -> Result<Self, Error> {
        let layers = Layers::new(root)?;
        Ok(Self {
            root,
            layers,
            limits,
            progress,
            done: Unpacked::default(),
            looked_at: 0,
        })
    }

    fn run(&mut self, mut chunks: Chunks) -> Result<(), Error> {
        let mut lowest = true;
        while let Some(layer) = chunks.next_layer() {
            if !lowest {
                self.layers.next();
            }
            lowest = false;
            self.layer(&layer, &mut chunks)?;
        }
        Ok(())
    }

    fn layer(&mut self, layer: &str, chunks: &mut Chunks) -> Result<(), Error> {
        let mut entries = Entries::new(&mut *chunks);
        loop {
            let entry = entries.next_entry().map_err(|source| Error::Tar {
                layer: layer.into(),
                source,
            })?;
            let Some(entry) = entry else { break };
            if self.progress.cancelled() {
                return Err(Error::Cancelled);
            }
            self.entry(layer, &entry, &mut entries)?;
        }
        // Archives end in zeros; their digest covers them, and the next layer is behind them.
        chunks.skip_rest();
        Ok(())
    }

    fn entry(
        &mut self,
        layer: &str,
        entry: &Entry,
        entries: &mut Entries<&mut Chunks>,
    ) -> Result<(), Error> {
        self.done.entries += 1;
        if self.done.entries > self.limits.entries {
            return Err(Error::Limit {
                limit: self.limits.entries,
                unit: "entries",
            });
        }
        if self.done.bytes.saturating_add(entry.size) > self.limits.bytes {
            return Err(Error::Limit {
                limit: self.limits.bytes,
                unit: "bytes",
            });
        }
        let Self {
            layers,
            done,
            looked_at,
            root,
            limits,
            ..
        } = self;
        let mut account = |length: u64| {
            done.bytes += length;
            if done.bytes - *looked_at < LOOK_EVERY {
                return Ok(());
            }
            *looked_at = done.bytes;
            match free_space(root)? {
                free if free < limits.reserve => Err(no_space()),
                _ => Ok(()),
            }
        };
        let result = layers.apply(entry, entries.data(), &mut account);
        result.map_err(|source| self.explain(layer, entry, source))
    }

    fn explain(&self, layer: &str, entry: &Entry, source: EntryError) -> Error {
        if source.io().is_some_and(is_disk_full) {
            return Error::DiskFull {
                path: self.root.to_owned(),
                free: free_space(self.root).unwrap_or(0),
                needed: entry.size,
            };
        }
        Error::Entry {
            layer: layer.into(),
            entry: PathBuf::from(&entry.path),
            source,
        }
    }

    fn finish(self) -> Result<Unpacked, Error> {
        self.layers.finish()?;
        Ok(self.done)
    }
}

fn no_space() -> EntryError {
    EntryError::Write(io::Error::from(io::ErrorKind::StorageFull))
}

/// Whether there is no room: on the disk or in a quota.
pub(crate) fn is_disk_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// The chunks of one layer after the other as a stream.
struct Chunks {
    chunks: Receiver<Message>,
    give_back: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    position: usize,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Inside,
    /// Between two layers, or before the first.
    Between,
    /// The reading thread gave up.
    Broken,
}

impl Chunks {
    fn new(chunks: Receiver<Message>, give_back: Sender<Vec<u8>>) -> Self {
        Self {
            chunks,
            give_back,
            chunk: Vec::new(),
            position: 0,
            state: State::Between,
        }
    }

    /// Waits for the next layer; none at the end of all.
    fn next_layer(&mut self) -> Option<String> {
        match self.chunks.recv() {
            Ok(Message::Layer(name)) => {
                self.state = State::Inside;
                Some(name)
            }
            _ => None,
        }
    }

    fn skip_rest(&mut self) {
        while self.state == State::Inside {
            self.position = self.chunk.len();
            self.refill();
        }
    }

    fn refill(&mut self) {
        let chunk = match self.chunks.recv() {
            Ok(Message::Data(chunk)) => chunk,
            Ok(_) => {
                self.state = State::Between;
                Vec::new()
            }
            Err(_) => {
                self.state = State::Broken;
                Vec::new()
            }
        };
        let used = std::mem::replace(&mut self.chunk, chunk);
        self.position = 0;
        // Nobody takes it any more at the end.
        let _ = self.give_back.send(used);
    }
}

impl BufRead for &mut Chunks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.position == self.chunk.len() && self.state == State::Inside {
            self.refill();
        }
        if self.state == State::Broken {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        Ok(&self.chunk[self.position..])
    }

    fn consume(&mut self, count: usize) {
        self.position += count;
    }
}

impl Read for &mut Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
