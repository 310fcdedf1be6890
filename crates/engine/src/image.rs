//! The verbs on images.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ignite_api::{Image, Kind, OciChoice, OciSource, Size, Uid};
use ignite_image::{Importer, Source, Staging};
use ignite_store::{ImageConfig, ImageRecord, VmRecord};

use crate::imports::{self, Import, Imported};
use crate::{Cancel, Engine, Error, Report};

/// The file system in an image's directory.
pub(crate) const FILE: &str = "image.ext4";

impl Engine {
    /// Imports an image; one whose content is there already costs nothing.
    pub fn import_image(
        &self,
        source: &str,
        report: &dyn Report,
        cancel: &Cancel,
    ) -> Result<Imported, Error> {
        let (record, already) = self.import(source, report, cancel)?;
        Ok(Imported {
            uid: record.uid,
            name: record.name().to_owned(),
            size: record.size,
            already,
        })
    }

    /// The image of a name, or one imported now.
    pub(crate) fn find_or_import_image(
        &self,
        text: &str,
        report: &dyn Report,
        cancel: &Cancel,
    ) -> Result<ImageRecord, Error> {
        let source = Source::parse(text).map_err(Error::ImageSource)?;
        // A reference by its whole name: a prefix could be another tag.
        if let Source::Registry(reference) = &source
            && let Some(record) = self.images.by_name(&reference.familiar())?
        {
            return Ok(record);
        }
        if let Ok(uid) = text.parse::<Uid>()
            && let Ok(record) = self.images.get(uid)
        {
            return Ok(record);
        }
        Ok(self.import(text, report, cancel)?.0)
    }

    fn import(
        &self,
        text: &str,
        report: &dyn Report,
        cancel: &Cancel,
    ) -> Result<(ImageRecord, bool), Error> {
        cancel.check()?;
        let source = Source::parse(text).map_err(Error::ImageSource)?;
        let importer = self.importer(report);
        let called_off = |error| image_error(error, cancel);
        let resolved = importer.resolve(&source).map_err(called_off)?;
        let _one = importer.lock(&resolved.digest).map_err(called_off)?;
        if let Some(record) = self.images.by_digest(&resolved.digest.to_string())? {
            for name in &resolved.names {
                self.images.add_name(record.uid, name)?;
            }
            return Ok((self.images.get(record.uid)?, true));
        }
        let staging = Staging::create(&self.config.paths.staging()).map_err(Error::Staging)?;
        let directory = staging.path().join("image");
        std::fs::create_dir(&directory).map_err(Error::prepare(&directory))?;
        let built = importer
            .build(&resolved, &directory.join(FILE))
            .map_err(called_off)?;
        only_for_root(&directory.join(FILE))?;
        cancel.check()?;
        let record = record(built);
        self.images.create(&record, &directory)?;
        Ok((record, false))
    }

    pub(crate) fn importer<'a>(&self, report: &'a dyn Report) -> Importer<'a> {
        let mut importer = Importer::new(&self.config.paths.data, report);
        importer
            .registry
            .insecure
            .clone_from(&self.config.insecure_registries);
        importer
            .registry
            .docker_config
            .clone_from(&self.config.registry_config_dir);
        importer
    }

    /// All images, and what could not be read, in words.
    pub fn images(&self) -> Result<(Vec<Image>, Vec<String>), Error> {
        imports::list(&self.images)
    }

    /// The image that `text` means.
    pub fn image(&self, text: &str) -> Result<Image, Error> {
        imports::find(&self.images, text)
    }

    /// Removes an image; with the VMs that use it only if `force`.
    pub fn remove_image(&self, text: &str, force: bool) -> Result<Uid, Error> {
        self.remove_import(&self.images, text, force)
    }
}

/// What was called off is that and no failure of the image.
fn image_error(error: ignite_image::Error, cancel: &Cancel) -> Error {
    match cancel.check() {
        Err(cancelled) => cancelled.into(),
        Ok(()) => Error::Image(error),
    }
}

/// An image holds what its makers meant for its users, `/etc/shadow` among it.
fn only_for_root(path: &Path) -> Result<(), Error> {
    std::fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(Error::prepare(path))
}

/// The image's init, if it is what boots it.
///
/// Every image made of BusyBox has a link `/sbin/init` to it; one that says what it runs (`alpine`,
/// `nginx:alpine`) means that, not an init nobody configured.
fn init(built: &ignite_image::Imported) -> Option<String> {
    let init = built.init.as_ref()?;
    let has_command = !(built.config.entrypoint.is_empty() && built.config.cmd.is_empty());
    let is_busybox = init
        .program
        .file_name()
        .is_some_and(|name| name == "busybox");
    (!(is_busybox && has_command)).then(|| init.path.to_string_lossy().into_owned())
}

fn record(built: ignite_image::Imported) -> ImageRecord {
    let init = init(&built);
    ImageRecord {
        uid: Uid::random(),
        names: built.names,
        created: jiff::Timestamp::now(),
        digest: built.digest.to_string(),
        source: built.source,
        size: Size::from_bytes(built.content_size),
        disk_size: Size::from_bytes(built.size),
        config: ImageConfig {
            entrypoint: built.config.entrypoint,
            cmd: built.config.cmd,
            env: built.config.env,
            user: built.config.user,
            working_dir: built.config.working_dir,
            exposed_ports: built.config.exposed_ports,
            stop_signal: built.config.stop_signal,
            init,
            architecture: built.architecture,
        },
    }
}

impl Import for ImageRecord {
    type Object = Image;

    fn object(self) -> Image {
        let metadata = imports::metadata(&self, self.name(), self.created);
        let spec = OciChoice {
            oci: self.name().parse().ok(),
        };
        let mut image = Image::new(Kind::Image, metadata, spec);
        image.status.oci_source = OciSource {
            id: Some(format!("oci://{}@{}", self.name(), self.digest)),
            size: self.size,
        };
        image
    }

    fn imported(&self) -> jiff::Timestamp {
        self.created
    }

    fn of(vm: &VmRecord) -> Uid {
        vm.image.uid
    }
}
