//! The verbs on kernels.

use std::path::PathBuf;

use ignite_api::{Kernel, Kind, OciChoice, OciSource, Reference, Size, Uid};
use ignite_image::kernel::{self, KernelSource};
use ignite_image::{Staging, initramfs};
use ignite_store::{KernelRecord, VmRecord};

use crate::config::program;
use crate::imports::{self, Import, Imported};
use crate::{Cancel, Engine, Error, Report};

/// The running host's own kernel.
const HOST: &str = "host";

/// The kernel VMs boot that ask for none; none where the host's own is imported for them.
pub(crate) fn newest(kernels: &[KernelRecord]) -> Option<&KernelRecord> {
    kernels.iter().max_by_key(|kernel| kernel.created)
}

impl Engine {
    /// Imports a kernel; one whose content is there already costs nothing.
    pub fn import_kernel(
        &self,
        source: &str,
        report: &dyn Report,
        cancel: &Cancel,
    ) -> Result<Imported, Error> {
        let (record, already) = self.import_kernel_record(source, report, cancel)?;
        Ok(Imported {
            uid: record.uid,
            name: record.name().to_owned(),
            size: record.size,
            already,
        })
    }

    /// The kernel that is asked for; without a word the newest imported one, else the host's own.
    pub(crate) fn find_or_import_kernel(
        &self,
        text: Option<&str>,
        report: &dyn Report,
        cancel: &Cancel,
    ) -> Result<KernelRecord, Error> {
        let Some(text) = text else {
            return self.default_kernel(report, cancel);
        };
        let reference = text.parse::<Reference>();
        // A reference by its whole name: a prefix could be another tag.
        let found = if reference.is_ok_and(|reference| reference.familiar() == text) {
            self.kernels.by_name(text)?
        } else {
            let uid = self.kernels.resolve(text).ok();
            uid.map(|uid| self.kernels.get(uid)).transpose()?
        };
        if let Some(record) = found {
            return Ok(record);
        }
        Ok(self.import_kernel_record(text, report, cancel)?.0)
    }

    fn default_kernel(&self, report: &dyn Report, cancel: &Cancel) -> Result<KernelRecord, Error> {
        if let Some(newest) = newest(&self.kernels.list()?.records) {
            return Ok(newest.clone());
        }
        match self.import_kernel_record(HOST, report, cancel) {
            Ok((record, _)) => Ok(record),
            Err(Error::Kernel(error)) => Err(Error::NoKernel(error)),
            Err(error) => Err(error),
        }
    }

    fn import_kernel_record(
        &self,
        text: &str,
        report: &dyn Report,
        cancel: &Cancel,
    ) -> Result<(KernelRecord, bool), Error> {
        cancel.check()?;
        let source = KernelSource::parse(text).map_err(Error::KernelSource)?;
        let guest = guest_program()?;
        let importer = self.importer(report);
        let digest = kernel::identify(&source, &importer).map_err(|e| kernel_error(e, cancel))?;
        if let Some(record) = self.kernels.by_digest(&digest.to_string())? {
            return self.known_kernel(&record, &source);
        }
        let staging = Staging::create(&self.config.paths.staging()).map_err(Error::Staging)?;
        let directory = staging.path().join("kernel");
        std::fs::create_dir(&directory).map_err(Error::prepare(&directory))?;
        let request = kernel::Request {
            directory: &directory,
            guest_program: &guest,
            images: &importer,
            progress: report,
        };
        let imported = kernel::import(&source, &request).map_err(|e| kernel_error(e, cancel))?;
        cancel.check()?;
        let record = KernelRecord {
            uid: Uid::random(),
            names: vec![name(&source, &imported.version)],
            created: jiff::Timestamp::now(),
            digest: imported.digest.to_string(),
            source: text.to_owned(),
            version: imported.version,
            size: Size::from_bytes(imported.vmlinux_size + imported.modules_size.unwrap_or(0)),
            guest: None,
        };
        match self.kernels.create(&record, &directory) {
            // Somebody imported the same one in the meantime.
            Err(error) => match self.kernels.by_digest(&record.digest)? {
                Some(other) => self.known_kernel(&other, &source),
                None => Err(error.into()),
            },
            Ok(()) => Ok((record, false)),
        }
    }

    /// A kernel that is there already goes by the name of its new source, too.
    fn known_kernel(
        &self,
        record: &KernelRecord,
        source: &KernelSource,
    ) -> Result<(KernelRecord, bool), Error> {
        let name = name(source, &record.version);
        self.kernels.add_name(record.uid, &name)?;
        Ok((self.kernels.get(record.uid)?, true))
    }

    /// The directory of a kernel and its initramfs, made anew if the guest program changed.
    pub(crate) fn bootable(&self, uid: Uid) -> Result<(PathBuf, PathBuf), Error> {
        let directory = self.kernels.dir(uid);
        let initramfs =
            initramfs::ensure(&directory, &guest_program()?).map_err(Error::Initramfs)?;
        Ok((directory, initramfs))
    }

    /// Makes sure that Firecracker's guests reach the host with this kernel; to be asked before
    /// [`Self::bootable`].
    pub(crate) fn ensure_vsock(&self, uid: Uid, version: &str) -> Result<(), Error> {
        ignite_image::kernel::ensure_vsock(&self.kernels.dir(uid), version).map_err(Error::Kernel)
    }

    /// Makes sure that guests with a balloon have a driver for it with this kernel; likewise.
    pub(crate) fn ensure_kernel_balloon(&self, uid: Uid, version: &str) -> Result<(), Error> {
        ignite_image::kernel::ensure_balloon(&self.kernels.dir(uid), version).map_err(Error::Kernel)
    }

    /// All kernels, and what could not be read, in words.
    pub fn kernels(&self) -> Result<(Vec<Kernel>, Vec<String>), Error> {
        imports::list(&self.kernels)
    }

    /// The kernel that `text` means.
    pub fn kernel(&self, text: &str) -> Result<Kernel, Error> {
        imports::find(&self.kernels, text)
    }

    /// Removes a kernel; with the VMs that boot it only if `force`.
    pub fn remove_kernel(&self, text: &str, force: bool) -> Result<Uid, Error> {
        self.remove_import(&self.kernels, text, force)
    }
}

fn guest_program() -> Result<PathBuf, Error> {
    program("ignite-guest", "IGNITE_GUEST").ok_or(Error::NoProgram {
        name: "ignite-guest",
    })
}

/// A kernel goes by its release; one of an image by the image's name, as people know it.
fn name(source: &KernelSource, version: &str) -> String {
    match source {
        KernelSource::Image(reference) => reference.clone(),
        _ => version.to_owned(),
    }
}

/// What was called off is that and no failure of the kernel.
fn kernel_error(error: kernel::Error, cancel: &Cancel) -> Error {
    match cancel.check() {
        Err(cancelled) => cancelled.into(),
        Ok(()) => Error::Kernel(error),
    }
}

impl Import for KernelRecord {
    type Object = Kernel;

    fn object(self) -> Kernel {
        let metadata = imports::metadata(&self, self.name(), self.created);
        let spec = OciChoice {
            oci: self.name().parse().ok(),
        };
        let mut kernel = Kernel::new(Kind::Kernel, metadata, spec);
        kernel.status.version.clone_from(&self.version);
        kernel.status.oci_source = OciSource {
            id: Some(self.digest.clone()),
            size: self.size,
        };
        kernel
    }

    fn imported(&self) -> jiff::Timestamp {
        self.created
    }

    fn of(vm: &VmRecord) -> Uid {
        vm.kernel.uid
    }
}
