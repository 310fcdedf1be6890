//! The files of an image, for the import of a kernel that travels in one.

use std::path::Path;

use super::Importer;
use crate::digest::Digest;
use crate::kernel::{self, Images};
use crate::source::Source;
use crate::{Error, Progress};

impl Images for Importer<'_> {
    fn identify(&self, reference: &str) -> Result<Digest, kernel::Error> {
        let source = parse(reference)?;
        Ok(self
            .resolve(&source)
            .map_err(|error| of_kernel(reference, error))?
            .digest)
    }

    /// The progress is that of the importer.
    fn unpack(
        &self,
        reference: &str,
        root: &Path,
        _: &dyn Progress,
    ) -> Result<Digest, kernel::Error> {
        let of_kernel = |error| of_kernel(reference, error);
        let resolved = self.resolve(&parse(reference)?).map_err(of_kernel)?;
        self.unpack(&resolved, &resolved.content, root)
            .map_err(of_kernel)?;
        self.forget_layers(&resolved.content);
        Ok(resolved.digest)
    }
}

fn parse(reference: &str) -> Result<Source, kernel::Error> {
    Source::parse(reference).map_err(|error| kernel::Error::Image {
        from: reference.to_owned(),
        hint: error.hint(),
        source: error.into(),
    })
}

fn of_kernel(reference: &str, error: Error) -> kernel::Error {
    if error.is_cancelled() {
        return kernel::Error::Cancelled;
    }
    kernel::Error::Image {
        from: reference.to_owned(),
        hint: error.hint(),
        source: error.into(),
    }
}
