//! A manifest that is named on a command line: one VM, from a file or from standard input.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use ignite_api::{
    Fault, Kind, Manifest, ManifestError, Metadata, OciChoice, Position, Positions, Reference, Uid,
    Vm, VmSpec, decode_over,
};
use ignite_host::fs::read_bounded;

use crate::Engine;

/// No manifest is longer, in bytes.
const MAX_LENGTH: u64 = 1 << 20;

/// The name of standard input.
const STANDARD_INPUT: &str = "-";

/// A manifest that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read the manifest {file}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: ignite_host::fs::Error,
    },
    /// Standard input cannot be read.
    #[error("cannot read the manifest from standard input")]
    Input(#[source] io::Error),
    /// It is no text.
    #[error("the manifest {file} is not UTF-8 text")]
    NotText {
        /// The file.
        file: String,
    },
    /// It is no manifest.
    #[error("{file} cannot be used")]
    Manifest {
        /// The file.
        file: String,
        /// Why.
        source: ManifestError,
    },
    /// It describes something else.
    #[error("{file} describes no VM: its kind is {kind}")]
    Kind {
        /// The file.
        file: String,
        /// Its kind.
        kind: Kind,
    },
    /// Nobody can tell which VM is meant.
    #[error("{file} says neither the name nor the uid of its VM")]
    Nameless {
        /// The file.
        file: String,
    },
    /// There is no such VM.
    #[error("there is no VM {what}, which {file} describes")]
    NotFound {
        /// The file.
        file: String,
        /// Name or uid.
        what: String,
    },
    /// Name and uid are not of one VM.
    #[error("{file} says uid {uid} and name {name:?}, but VM {uid} is called {called:?}")]
    Contradiction {
        /// The file.
        file: String,
        /// The uid.
        uid: Uid,
        /// The name it gives.
        name: String,
        /// The VM's name.
        called: String,
    },
    /// The VMs there are cannot be listed.
    #[error(transparent)]
    Store(#[from] ignite_store::Error),
}

impl Error {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Read { source, .. } if source.hint().is_some() => return source.hint(),
            Self::Manifest { source, .. } => return source.hint(),
            Self::Store(error) => return error.hint(),
            Self::Input(_) => return None,
            Self::Read { .. } | Self::NotText { .. } => "see whether it is the file that was meant",
            Self::Kind { .. } => "name a manifest with `kind: VM`",
            Self::Nameless { .. } => {
                "name the VM in place of the file, or add `metadata: {name: NAME}`"
            }
            Self::NotFound { .. } => "see which VMs there are: ignite ps -a",
            Self::Contradiction { .. } => {
                "leave out the one that is wrong, or name the VM in place of the file"
            }
        };
        Some(text.into())
    }

    /// Whether what was asked for cannot be, as opposed to something that failed.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Kind { .. } | Self::Nameless { .. })
    }
}

/// A manifest that was read.
#[derive(Debug, Clone)]
pub struct VmManifest {
    /// Its VM, without the status that somebody else wrote.
    pub vm: Vm,
    file: String,
    text: String,
}

impl VmManifest {
    /// Reads a file, or standard input where it is `-`. What it does not say is as in `defaults`; only
    /// the image is its own.
    pub fn load(file: &Path, defaults: &VmSpec) -> Result<Self, Error> {
        let is_input = file.as_os_str() == STANDARD_INPUT;
        let bytes = match is_input {
            true => read_input(io::stdin().lock())?,
            false => read_bounded(file, MAX_LENGTH).map_err(|source| Error::Read {
                file: file.display().to_string(),
                source,
            })?,
        };
        let file = match is_input {
            true => PathBuf::from("standard input"),
            false => file.to_owned(),
        };
        let file = file.display().to_string();
        match String::from_utf8(bytes) {
            Ok(text) => Self::decode(file, text, defaults),
            Err(_) => Err(Error::NotText { file }),
        }
    }

    fn decode(file: String, text: String, defaults: &VmSpec) -> Result<Self, Error> {
        let defaults = VmSpec {
            image: OciChoice::default(),
            ..defaults.clone()
        };
        let kind = match decode_over(&text, &defaults) {
            Ok(Manifest::Vm(vm)) => {
                let vm = Vm::new(Kind::Vm, vm.metadata, vm.spec);
                return Ok(Self { vm, file, text });
            }
            Ok(Manifest::Image(_)) => Kind::Image,
            Ok(Manifest::Kernel(_)) => Kind::Kernel,
            Ok(Manifest::Configuration(_)) => Kind::Configuration,
            Err(source) => return Err(Error::Manifest { file, source }),
        };
        Err(Error::Kind { file, kind })
    }

    /// Its image, where it says one.
    pub fn image(&self) -> Option<&Reference> {
        self.vm.spec.image.oci.as_ref()
    }

    /// Who it is about.
    pub fn metadata(&self) -> &Metadata {
        &self.vm.metadata
    }

    /// Finds everything that is wrong with `vm`, which was made of this manifest, with the place in it.
    pub fn check(&self, vm: &Vm) -> Result<(), crate::Error> {
        let Err(faults) = crate::vm::create::check(vm) else {
            return Ok(());
        };
        let positions = Positions::read(&self.text);
        let place = |fault: Fault| match positions.of(&fault.path) {
            Some(Position { line, .. }) => Fault {
                message: format!("{} ({}, line {line})", fault.message, self.file),
                ..fault
            },
            None => fault,
        };
        match faults {
            crate::Error::Invalid(faults) => Err(crate::Error::Invalid(
                faults.into_iter().map(place).collect(),
            )),
            other => Err(other),
        }
    }
}

fn read_input(input: impl Read) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    // One more: what is longer is refused when it is decoded.
    let read = input.take(MAX_LENGTH + 1).read_to_end(&mut bytes);
    read.map(|_| bytes).map_err(Error::Input)
}

impl Engine {
    /// The one VM that a manifest is about: that of its uid, else that of its name, each as a whole;
    /// where it says both, both must be the same VM's.
    pub fn resolve_manifest(&self, manifest: &VmManifest) -> Result<Uid, Error> {
        let vms = self.vms.summary()?.vms;
        let vms = vms.iter().map(|vm| (vm.uid, vm.name.as_str()));
        manifest.find(vms)
    }
}

impl VmManifest {
    fn find<'a>(&self, mut vms: impl Iterator<Item = (Uid, &'a str)>) -> Result<Uid, Error> {
        let Metadata { name, uid, .. } = self.metadata();
        let file = self.file.clone();
        let found = match uid {
            Some(uid) => vms.find(|(it, _)| it == uid),
            None if name.is_empty() => return Err(Error::Nameless { file }),
            None => vms.find(|(_, it)| it == name),
        };
        let what = || uid.map_or_else(|| name.clone(), |uid| uid.to_string());
        let Some((found, called)) = found else {
            return Err(Error::NotFound { file, what: what() });
        };
        if name.is_empty() || called == name {
            return Ok(found);
        }
        Err(Error::Contradiction {
            file,
            uid: found,
            name: name.clone(),
            called: called.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ignite_api::Size;

    fn manifest(text: &str, defaults: &VmSpec) -> Result<VmManifest, Error> {
        let head = "apiVersion: ignite.weave.works/v1alpha3\nkind: VM\n";
        VmManifest::decode("web.yaml".into(), format!("{head}{text}"), defaults)
    }

    #[test]
    fn a_status_is_somebody_elses_and_the_image_its_own() {
        let defaults = VmSpec {
            cpus: 2,
            image: OciChoice {
                oci: Some("other".parse().expect("a reference")),
            },
            ..VmSpec::default()
        };
        let text = "spec: {memory: 1GB}\nstatus: {running: true, idPrefix: x}\n";
        let read = manifest(text, &defaults).expect("valid");
        assert_eq!(read.image(), None);
        assert_eq!(
            (read.vm.spec.cpus, read.vm.spec.memory),
            (2, Size::from_mib(1024))
        );
        assert!(!read.vm.status.running && read.vm.status.id_prefix.is_none());
        let read = manifest("spec: {image: {oci: nginx}}\n", &defaults).expect("valid");
        assert_eq!(read.image().expect("said").familiar(), "nginx:latest");
    }

    #[test]
    fn faults_have_their_line() {
        let read =
            manifest("spec:\n  cpus: 77\n  memory: 1MB\n", &VmSpec::default()).expect("read");
        let error = read.check(&read.vm).expect_err("too much and too little");
        let said = error.to_string();
        for words in ["spec.cpus", "(web.yaml, line 4)", "(web.yaml, line 5)"] {
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_vm_is_found_by_its_uid_or_its_name_and_never_by_less() {
        let (web, db) = ("aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb");
        let uid = |text: &str| text.parse::<Uid>().expect("a uid");
        let find = |metadata: &str| {
            let text = format!("metadata: {{{metadata}}}\nspec: {{}}\n");
            let read = manifest(&text, &VmSpec::default()).expect("valid");
            let vms = [(uid(web), "web"), (uid(db), "db")];
            read.find(vms.into_iter()).map_err(|error| {
                assert!(error.hint().is_some());
                error.to_string()
            })
        };
        assert_eq!(find("name: web"), Ok(uid(web)));
        assert_eq!(find("uid: bbbbbbbbbbbbbbbb"), Ok(uid(db)));
        assert_eq!(find("uid: bbbbbbbbbbbbbbbb, name: db"), Ok(uid(db)));
        for (metadata, words) in [
            ("name: we", "no VM we"),
            ("uid: bbbbbbbbbbbbbbbc, name: db", "no VM bbbbbbbbbbbbbbbc"),
            ("uid: bbbbbbbbbbbbbbbb, name: web", "called \"db\""),
            ("", "neither"),
        ] {
            let said = find(metadata).expect_err(metadata);
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn what_is_no_vm_is_refused() {
        for text in [
            "",
            "kind: VM",
            "apiVersion: ignite.weave.works/v1alpha4\nkind: Image\nspec: {oci: a}\n",
        ] {
            let read = VmManifest::decode("-".into(), text.into(), &VmSpec::default());
            let error = read.expect_err(text);
            assert!(error.hint().is_some(), "{error}");
        }
    }
}
