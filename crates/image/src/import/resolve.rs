//! Which image a source names.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::{Content, Importer, Resolved};
use crate::Error;
use crate::container::{Archive, Container};
use crate::digest::{Digest, Hashing};
use crate::layout::{self, Saved};
use crate::registry::Remote;
use crate::source::Source;
use crate::staging::Staging;

impl Importer<'_> {
    /// Finds the image `source` names, for this machine. Of a registry only manifests are fetched; a
    /// `tar:` file and a `dir:` tree are read once to know them again.
    pub fn resolve(&self, source: &Source) -> Result<Resolved, Error> {
        let (digest, names, content) = match source {
            Source::Registry(reference) => {
                let remote = Remote::resolve(reference, &self.registry, self.progress)?;
                (remote.digest, Vec::new(), Content::Remote(Box::new(remote)))
            }
            Source::OciDirectory(path, tag) => {
                expect_kind(path, Expected::Directory)?;
                let container = Container::Directory(path.clone());
                layout_content(container, tag.as_deref(), None)?
            }
            Source::OciArchive(path, tag) => {
                let (container, scratch) = self.archive(path)?;
                layout_content(container, tag.as_deref(), scratch)?
            }
            Source::DockerArchive(path, reference) => {
                let (container, scratch) = self.archive(path)?;
                let saved = Saved::find(&container, reference.as_deref())?;
                let digest = Digest::of(&saved.document);
                let names = saved.names();
                (
                    digest,
                    names,
                    Content::Docker {
                        container,
                        saved,
                        _scratch: scratch,
                    },
                )
            }
            Source::Tar(path) => self.tar(path)?,
            Source::Directory(path) => {
                expect_kind(path, Expected::Directory)?;
                let digest = self.directory_digest(path)?;
                (digest, Vec::new(), Content::Directory(path.clone()))
            }
        };
        let names = if names.is_empty() {
            vec![source.default_name()]
        } else {
            names
        };
        Ok(Resolved {
            digest,
            names,
            source: source.clone(),
            content,
        })
    }

    /// An archive to be read in place, or unpacked into a staging directory where it is packed.
    fn archive(&self, path: &Path) -> Result<(Container, Option<Staging>), Error> {
        expect_kind(path, Expected::File)?;
        let staging = Staging::create(&self.staging)?;
        let scratch = staging.path().join("archive.tar");
        let create = || {
            OpenOptions::new()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&scratch)
        };
        let archive = Archive::open_file(path, create)?;
        let kept = scratch.exists().then_some(staging);
        Ok((Container::Archive(archive), kept))
    }

    fn tar(&self, path: &Path) -> Result<(Digest, Vec<String>, Content), Error> {
        expect_kind(path, Expected::File)?;
        let read = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(read)?;
        let total = file.metadata().map_err(read)?.len();
        let id = path.display().to_string();
        self.progress
            .begin(&id, &format!("reading {id}"), Some(total));
        let mut reader = Hashing::new(file);
        let copied = io::copy(
            &mut reader,
            &mut Observed {
                importer: self,
                id: &id,
            },
        );
        self.progress.end(&id);
        self.check_cancelled()?;
        copied.map_err(read)?;
        let (digest, size) = reader.finish();
        Ok((
            digest,
            Vec::new(),
            Content::Tar {
                path: path.to_owned(),
                size,
            },
        ))
    }

    fn directory_digest(&self, path: &Path) -> Result<Digest, Error> {
        let id = path.display().to_string();
        self.progress.begin(&id, &format!("reading {id}"), None);
        let read = |length| {
            self.progress.advance(&id, length);
            self.interrupted()
        };
        let result = crate::directory::digest(path, &read);
        self.progress.end(&id);
        self.check_cancelled()?;
        result.map_err(|source| Error::Read {
            path: path.to_owned(),
            source,
        })
    }

    fn interrupted(&self) -> io::Result<()> {
        match self.progress.cancelled() {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }
}

fn layout_content(
    container: Container,
    tag: Option<&str>,
    scratch: Option<Staging>,
) -> Result<(Digest, Vec<String>, Content), Error> {
    let found = layout::find(&container, tag)?;
    let parsed = found
        .name
        .and_then(|name| name.parse::<ignite_api::Reference>().ok());
    let names = parsed.iter().map(ignite_api::Reference::familiar).collect();
    let content = Content::Layout {
        container,
        manifest: found.manifest,
        _scratch: scratch,
    };
    Ok((found.digest, names, content))
}

#[derive(Clone, Copy)]
enum Expected {
    File,
    Directory,
}

/// A directory given as a file, or the other way round, is a mistake with an answer.
fn expect_kind(path: &Path, expected: Expected) -> Result<(), Error> {
    let metadata = std::fs::metadata(path);
    let metadata = metadata.map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    let (fits, expected) = match expected {
        Expected::File => (metadata.is_file(), "a file"),
        Expected::Directory => (metadata.is_dir(), "a directory"),
    };
    let path = || PathBuf::from(path);
    if fits {
        Ok(())
    } else {
        Err(Error::Kind {
            path: path(),
            expected,
        })
    }
}

/// Tells the progress of what is thrown away.
struct Observed<'a> {
    importer: &'a Importer<'a>,
    id: &'a str,
}

impl io::Write for Observed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.importer.interrupted()?;
        self.importer.progress.advance(self.id, bytes.len() as u64);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
