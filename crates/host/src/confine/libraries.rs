//! What a dynamically linked program needs besides itself.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::elf::{self, Fault};
use super::{Access, Bind, Error, Link};
use crate::error::SystemError;

/// Where loaders and libraries are, by the Filesystem Hierarchy Standard.
const DIRECTORIES: [&str; 6] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/lib64",
];

/// Tells the loader where a library is that lies in none of the directories it knows itself.
const CACHE: &str = "/etc/ld.so.cache";

/// Parts of a [`super::Plan`] by which a program finds its loader and libraries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Libraries {
    /// The directories, and the loader's cache.
    pub binds: Vec<Bind>,
    /// Those that are links on the host.
    pub links: Vec<Link>,
}

/// What `program` needs: nothing if it is static, else the host's library directories, whole and
/// read-only, the links among them as links.
///
/// Fails for a file that is no program of this processor's, and for one whose loader lies elsewhere.
pub fn libraries(program: &Path) -> Result<Libraries, Error> {
    let opened = File::open(program)
        .map_err(|source| SystemError::new(format!("open {}", program.display()), source))?;
    let wrong = |problem| Error::Program {
        program: program.to_owned(),
        problem,
    };
    let loader = match elf::interpreter(&opened) {
        Ok(None) => return Ok(Libraries::default()),
        Ok(Some(loader)) => loader,
        Err(Fault::Format(problem)) => return Err(wrong(problem)),
        Err(Fault::Io(source)) => {
            return Err(SystemError::new(format!("read {}", program.display()), source).into());
        }
    };
    if !DIRECTORIES.iter().any(|known| loader.starts_with(known)) {
        return Err(wrong("its loader is in no library directory of the system"));
    }
    found(Path::new("/")).map_err(Error::from)
}

/// The library directories below `root`.
fn found(root: &Path) -> Result<Libraries, SystemError> {
    let mut libraries = Libraries::default();
    for directory in DIRECTORIES {
        let path = below(root, directory);
        match std::fs::read_link(&path) {
            Ok(points_to) if is_known(directory, &points_to) => libraries.links.push(Link {
                target: directory.into(),
                points_to,
            }),
            // A directory, or a link out of what the room shows: what it leads to.
            Ok(_) => libraries
                .binds
                .push(bind(&path, directory, Access::ReadExecute)),
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                libraries
                    .binds
                    .push(bind(&path, directory, Access::ReadExecute));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => {
                return Err(SystemError::new(
                    format!("look at {}", path.display()),
                    source,
                ));
            }
        }
    }
    let cache = below(root, CACHE);
    if cache.is_file() {
        libraries.binds.push(bind(&cache, CACHE, Access::Read));
    }
    Ok(libraries)
}

/// Whether the link at `directory` leads to another library directory.
fn is_known(directory: &str, points_to: &Path) -> bool {
    let parent = Path::new(directory).parent().unwrap_or(Path::new("/"));
    let leads_to = parent.join(points_to);
    DIRECTORIES
        .iter()
        .any(|known| *known != directory && leads_to == Path::new(known))
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

fn bind(source: &Path, target: &str, access: Access) -> Bind {
    Bind {
        source: source.to_owned(),
        target: target.into(),
        access,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_stay_links_and_directories_are_shown() {
        let root = tempfile::tempdir().expect("tempdir");
        let at = |path: &str| root.path().join(path);
        std::fs::create_dir_all(at("usr/lib")).expect("mkdir");
        std::fs::create_dir_all(at("usr/local/lib")).expect("mkdir");
        std::fs::create_dir_all(at("opt/lib64")).expect("mkdir");
        std::fs::create_dir_all(at("etc")).expect("mkdir");
        std::fs::write(at("etc/ld.so.cache"), "").expect("write");
        symlink("usr/lib", at("lib")).expect("link");
        symlink("lib", at("usr/lib64")).expect("link");
        symlink("opt/lib64", at("lib64")).expect("link");
        let link = |target: &str, points_to: &str| Link {
            target: target.into(),
            points_to: points_to.into(),
        };
        let expected = Libraries {
            binds: vec![
                bind(&at("lib64"), "/lib64", Access::ReadExecute),
                bind(&at("usr/lib"), "/usr/lib", Access::ReadExecute),
                bind(&at("usr/local/lib"), "/usr/local/lib", Access::ReadExecute),
                bind(&at("etc/ld.so.cache"), "/etc/ld.so.cache", Access::Read),
            ],
            links: vec![link("/lib", "usr/lib"), link("/usr/lib64", "lib")],
        };
        assert_eq!(found(root.path()).expect("found"), expected);
    }

    #[test]
    fn a_program_of_the_distribution_needs_them() {
        let needed = libraries(Path::new("/bin/sh")).expect("understood");
        assert!(!needed.binds.is_empty());
        let error = libraries(Path::new("/etc/passwd")).expect_err("no program");
        assert!(
            error.to_string().ends_with("it is not an ELF file"),
            "{error}"
        );
        assert!(error.hint().is_some());
        let error = libraries(Path::new("/no/such")).expect_err("absent");
        assert_eq!(error.to_string(), "cannot open /no/such");
    }
}
