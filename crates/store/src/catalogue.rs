//! Images and kernels: objects known by the digest of their content, with any number of names.
//!
//! A name belongs to one object: an object made under the name of another takes it over, as a tag
//! that moves does.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use ignite_api::{Kind, Reference, Uid};

use crate::objects::{Listing, Objects, store_lock};
use crate::record::image::ImageRecord;
use crate::record::kernel::KernelRecord;
use crate::resolve::{Candidate, resolve};
use crate::{Error, Paths};

/// The images of a host.
pub type Images = Catalogue<ImageRecord>;

/// The kernels of a host.
pub type Kernels = Catalogue<KernelRecord>;

/// A record of an object with names and a digest.
pub trait Entry: Serialize + DeserializeOwned {
    /// Kind of the object.
    const KIND: Kind;
    /// File name of the record.
    const FILE: &'static str;
    /// Directory of all objects of the kind.
    fn directory(paths: &Paths) -> PathBuf;
    /// Uid of this one.
    fn uid(&self) -> Uid;
    /// Digest of its content.
    fn digest(&self) -> &str;
    /// Its names.
    fn names(&self) -> &[String];
    /// Its names, to be changed.
    fn names_mut(&mut self) -> &mut Vec<String>;
}

macro_rules! entry {
    ($record:ty, $kind:expr, $file:literal, $directory:expr) => {
        impl Entry for $record {
            const KIND: Kind = $kind;
            const FILE: &'static str = $file;

            fn directory(paths: &Paths) -> PathBuf {
                $directory(paths)
            }

            fn uid(&self) -> Uid {
                self.uid
            }

            fn digest(&self) -> &str {
                &self.digest
            }

            fn names(&self) -> &[String] {
                &self.names
            }

            fn names_mut(&mut self) -> &mut Vec<String> {
                &mut self.names
            }
        }
    };
}

entry!(ImageRecord, Kind::Image, "image.json", Paths::images);
entry!(KernelRecord, Kind::Kernel, "kernel.json", Paths::kernels);

/// All objects of one kind.
#[derive(Debug, Clone)]
pub struct Catalogue<R> {
    data: PathBuf,
    objects: Objects<R>,
}

impl<R: Entry> Catalogue<R> {
    /// The objects below these paths; nothing is made before it is needed.
    pub fn new(paths: &Paths) -> Self {
        let objects = Objects::new(R::KIND, R::directory(paths), R::FILE);
        Self {
            data: paths.data.clone(),
            objects,
        }
    }

    /// Makes an object of a directory that holds its files, on the same file system; its names are
    /// taken from those that had them.
    pub fn create(&self, record: &R, staged: &Path) -> Result<(), Error> {
        let _store = store_lock(&self.data)?;
        self.objects.create(record.uid(), record, staged)?;
        self.take_names(record.uid(), record.names())
    }

    /// Gives an object one more name, taken from the one that had it.
    pub fn add_name(&self, uid: Uid, name: &str) -> Result<(), Error> {
        let _store = store_lock(&self.data)?;
        let mut record = self.objects.get(uid)?;
        if !has_name(&record, name) {
            record.names_mut().push(name.to_owned());
            self.objects.write(uid, &record)?;
        }
        self.take_names(uid, &[name.to_owned()])
    }

    /// Replaces the record of an object that exists.
    pub fn write(&self, record: &R) -> Result<(), Error> {
        let _store = store_lock(&self.data)?;
        self.objects.get(record.uid())?;
        self.objects.write(record.uid(), record)
    }

    fn take_names(&self, to: Uid, names: &[String]) -> Result<(), Error> {
        for mut other in self.objects.list()?.records {
            let had = other.names().len();
            other.names_mut().retain(|name| !names.contains(name));
            if other.uid() != to && other.names().len() != had {
                self.objects.write(other.uid(), &other)?;
            }
        }
        Ok(())
    }

    /// The record of one object.
    pub fn get(&self, uid: Uid) -> Result<R, Error> {
        self.objects.get(uid)
    }

    /// The object with exactly this name.
    pub fn by_name(&self, name: &str) -> Result<Option<R>, Error> {
        Ok(self
            .records()?
            .into_iter()
            .find(|record| has_name(record, name)))
    }

    /// The object of this content.
    pub fn by_digest(&self, digest: &str) -> Result<Option<R>, Error> {
        Ok(self
            .records()?
            .into_iter()
            .find(|record| record.digest() == digest))
    }

    /// All objects, in the order of their uids.
    pub fn list(&self) -> Result<Listing<R>, Error> {
        self.objects.list()
    }

    fn records(&self) -> Result<Vec<R>, Error> {
        Ok(self.objects.list()?.records)
    }

    /// The object that a uid, a name (in any form Docker takes), or the beginning of either means.
    pub fn resolve(&self, text: &str) -> Result<Uid, Error> {
        let records = self.records()?;
        if let Ok(reference) = text.parse::<Reference>() {
            let name = reference.familiar();
            if let Some(record) = records.iter().find(|record| has_name(*record, &name)) {
                return Ok(record.uid());
            }
        }
        let candidates = records.iter().map(|record| Candidate {
            uid: record.uid(),
            names: record.names().iter().map(String::as_str).collect(),
        });
        resolve(R::KIND, text, candidates)
    }

    /// Removes an object with its files.
    pub fn remove(&self, uid: Uid) -> Result<(), Error> {
        let _store = store_lock(&self.data)?;
        self.objects.remove(uid)
    }

    /// Durable directory of an object.
    pub fn dir(&self, uid: Uid) -> PathBuf {
        self.objects.path(uid)
    }

    /// Sweeps what is left of objects half made or half removed; returns what was swept.
    pub fn repair(&self) -> Result<Vec<PathBuf>, Error> {
        let _store = store_lock(&self.data)?;
        self.objects.repair()
    }

    /// What [`repair`](Self::repair) would sweep; what is begun or removed in this moment may be among
    /// it.
    pub fn halves(&self) -> Result<Vec<PathBuf>, Error> {
        self.objects.halves()
    }
}

fn has_name<R: Entry>(record: &R, name: &str) -> bool {
    record.names().iter().any(|has| has == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageConfig;
    use ignite_api::Size;
    use jiff::Timestamp;

    fn image(name: &str, digest: &str) -> ImageRecord {
        ImageRecord {
            uid: Uid::random(),
            names: vec![name.into()],
            created: Timestamp::UNIX_EPOCH,
            digest: digest.into(),
            source: name.into(),
            size: Size::MIB,
            disk_size: Size::MIB,
            config: ImageConfig::default(),
        }
    }

    fn create(images: &Images, paths: &Paths, record: &ImageRecord) {
        let staged = paths.staging().join("one");
        std::fs::create_dir_all(&staged).expect("mkdir");
        std::fs::write(staged.join("image.ext4"), "disk").expect("write");
        images.create(record, &staged).expect("create");
        assert!(!staged.exists(), "it was moved");
    }

    #[test]
    fn a_name_moves_to_the_newer_content() {
        let root = tempfile::tempdir().expect("tempdir");
        let paths = Paths::under(root.path());
        let images = Images::new(&paths);
        let (old, new) = (
            image("nginx:latest", "sha256:1"),
            image("nginx:latest", "sha256:2"),
        );
        create(&images, &paths, &old);
        create(&images, &paths, &new);
        assert_eq!(
            images
                .by_name("nginx:latest")
                .expect("look")
                .expect("there")
                .uid,
            new.uid
        );
        assert_eq!(
            images
                .by_digest("sha256:1")
                .expect("look")
                .expect("there")
                .name(),
            "<none>"
        );
        assert_eq!(
            std::fs::read(images.dir(old.uid).join("image.ext4")).expect("kept"),
            b"disk"
        );
        images.add_name(old.uid, "nginx:1.0").expect("name");
        assert_eq!(
            images
                .resolve("docker.io/library/nginx:1.0")
                .expect("resolve"),
            old.uid
        );
        assert_eq!(
            images
                .resolve("nginx")
                .expect("latest, not the beginning of two"),
            new.uid
        );
        assert_eq!(images.resolve(old.uid.as_str()).expect("uid"), old.uid);
        images.remove(new.uid).expect("remove");
        assert!(
            images
                .resolve("nginx:latest")
                .expect_err("gone")
                .is_not_found()
        );
    }
}
