//! A blob brought into the cache.
//!
//! ```text
//!  <hex>          complete and verified
//!  <hex>.partial  its beginning; locked by who is fetching it, continued by the next
//! ```

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ignite_host::fs::free_space;
use reqwest::{Response, StatusCode};

use super::session::Session;
use super::{Error, wait};
use crate::blobs::Blobs;
use crate::digest::Hasher;
use crate::layer::is_disk_full;
use crate::manifest::Descriptor;
use crate::progress::Progress;

/// How often it is looked whether another process has finished the same blob.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A blob on its way.
struct Download<'a> {
    session: &'a Session,
    layer: &'a Descriptor,
    progress: &'a dyn Progress,
    path: PathBuf,
    file: File,
    hasher: Hasher,
    count: u64,
}

/// Refuses early what cannot fit.
pub(super) fn check_space(blobs: &Blobs, layers: &[Descriptor]) -> Result<(), Error> {
    let path = blobs.directory();
    let missing = layers.iter().filter(|layer| !blobs.has(&layer.digest));
    let needed = missing.fold(0u64, |sum, layer| sum.saturating_add(layer.size));
    let free = free_space(path)?;
    if needed > free {
        return Err(Error::DiskFull {
            path: path.to_owned(),
            free,
            needed,
        });
    }
    Ok(())
}

/// The blob from the cache, fetched first where it is missing.
pub(super) async fn fetch(
    session: &Session,
    blobs: &Blobs,
    layer: &Descriptor,
    progress: &dyn Progress,
) -> Result<File, Error> {
    let id = layer.digest.to_string();
    progress.begin(
        &id,
        &format!("downloading {}", layer.digest.short()),
        Some(layer.size),
    );
    let result = fetch_missing(session, blobs, layer, progress).await;
    progress.end(&id);
    result
}

async fn fetch_missing(
    session: &Session,
    blobs: &Blobs,
    layer: &Descriptor,
    progress: &dyn Progress,
) -> Result<File, Error> {
    let path = blobs.partial(&layer.digest);
    let keep = |action| file_error(action, &path);
    loop {
        if let Some(file) = blobs.open(&layer.digest).map_err(keep("read"))? {
            progress.advance(&layer.digest.to_string(), layer.size);
            return Ok(file);
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let file = file.map_err(keep("create"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            Err(TryLockError::Error(error)) => return Err(keep("lock")(error)),
        }
        // It may have become complete while we waited for the lock.
        if !blobs.has(&layer.digest) {
            let hasher = Hasher::default();
            let path = path.clone();
            let download = Download {
                session,
                layer,
                progress,
                path,
                file,
                hasher,
                count: 0,
            };
            download.run().await?;
            blobs.complete(&layer.digest).map_err(keep("rename"))?;
        }
    }
}

impl Download<'_> {
    async fn run(mut self) -> Result<(), Error> {
        self.take_up()?;
        let resumed = self.count > 0;
        self.receive_all().await?;
        let expected = self.layer.digest;
        let found = std::mem::take(&mut self.hasher).finish();
        if found == expected {
            return Ok(());
        }
        self.restart()?;
        if resumed {
            // What was there before may have been the damaged part.
            self.receive_all().await?;
            let found = std::mem::take(&mut self.hasher).finish();
            if found == expected {
                return Ok(());
            }
            self.restart()?;
        }
        Err(Error::WrongDigest {
            what: format!("layer {}", expected.short()),
            expected,
            found,
        })
    }

    /// Counts and digests what an earlier download left.
    fn take_up(&mut self) -> Result<(), Error> {
        let mut buffer = vec![0; 1 << 18];
        loop {
            let length = self
                .file
                .read(&mut buffer)
                .map_err(file_error("read", &self.path))?;
            if length == 0 {
                break;
            }
            self.hasher.update(&buffer[..length]);
            self.count += length as u64;
        }
        if self.count > self.layer.size {
            self.restart()?;
        }
        self.progress
            .advance(&self.layer.digest.to_string(), self.count);
        Ok(())
    }

    fn restart(&mut self) -> Result<(), Error> {
        let cut = self
            .file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)));
        cut.map_err(file_error("empty", &self.path))?;
        self.hasher = Hasher::default();
        self.count = 0;
        Ok(())
    }

    /// Receives until it is complete, asking again for the rest as long as that gets on.
    async fn receive_all(&mut self) -> Result<(), Error> {
        let mut failures = 0;
        while self.count < self.layer.size {
            let before = self.count;
            let error = match self.receive().await {
                Ok(()) if self.count == self.layer.size => break,
                Ok(()) => self.cut_short(),
                Err(error) => error,
            };
            failures = if self.count > before { 1 } else { failures + 1 };
            if !error.is_transient() || failures >= self.session.options.attempts {
                return Err(error);
            }
            wait(&self.session.options, failures - 1, &error).await;
        }
        Ok(())
    }

    /// One request.
    async fn receive(&mut self) -> Result<(), Error> {
        let asked = self
            .session
            .blob(&self.layer.digest.to_string(), self.count)
            .await;
        let mut response = match asked {
            // There is no rest: the server's blob is shorter than it should be.
            Err(Error::Status { status: 416, .. }) => return Err(self.cut_short()),
            other => other?,
        };
        if self.count > 0 && !continues(&response, self.count) {
            self.restart()?;
        }
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|source| self.session.broken(source))?
        {
            self.keep(&chunk)?;
        }
        Ok(())
    }

    fn keep(&mut self, chunk: &[u8]) -> Result<(), Error> {
        let id = self.layer.digest.to_string();
        if self.count + chunk.len() as u64 > self.layer.size {
            self.restart()?;
            let layer = self.layer.digest.short();
            return Err(Error::TooLong {
                layer,
                expected: self.layer.size,
            });
        }
        self.file
            .write_all(chunk)
            .map_err(|source| self.write_error(source))?;
        self.hasher.update(chunk);
        self.count += chunk.len() as u64;
        self.progress.advance(&id, chunk.len() as u64);
        Ok(())
    }

    fn write_error(&self, source: io::Error) -> Error {
        if !is_disk_full(&source) {
            return file_error("write", &self.path)(source);
        }
        let directory = self.path.parent().unwrap_or(Path::new("/")).to_owned();
        let free = free_space(&directory).unwrap_or(0);
        Error::DiskFull {
            path: directory,
            free,
            needed: self.layer.size - self.count,
        }
    }

    fn cut_short(&self) -> Error {
        Error::CutShort {
            layer: self.layer.digest.short(),
            expected: self.layer.size,
            found: self.count,
        }
    }
}

/// Whether the answer is the rest from `offset` on.
fn continues(response: &Response, offset: u64) -> bool {
    let range = response
        .headers()
        .get("content-range")
        .and_then(|value| value.to_str().ok());
    let start = range.and_then(|range| range.strip_prefix("bytes "));
    let start = start.and_then(|range| range.split('-').next()?.parse::<u64>().ok());
    response.status() == StatusCode::PARTIAL_CONTENT && start == Some(offset)
}

fn file_error(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| Error::File {
        action,
        path: path.clone(),
        source,
    }
}
