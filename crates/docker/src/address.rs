//! Where the engine listens: what `DOCKER_HOST` says, or the usual places.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::Error;

/// Where engines listen unless told otherwise, the usual place first.
const USUAL: [&str; 2] = ["/var/run/docker.sock", "/run/docker.sock"];

/// The sockets to try, in order: the next one is for where the one before is absent.
pub(crate) fn sockets(docker_host: Option<&OsStr>) -> Result<Vec<PathBuf>, Error> {
    match docker_host.filter(|value| !value.is_empty()) {
        None => Ok(USUAL.map(PathBuf::from).to_vec()),
        Some(value) => named(value).map(|socket| vec![socket]),
    }
}

fn named(value: &OsStr) -> Result<PathBuf, Error> {
    value
        .to_str()
        .and_then(|text| text.strip_prefix("unix://"))
        .map(Path::new)
        .filter(|path| path.is_absolute())
        .map(Path::to_owned)
        .ok_or_else(|| Error::Host {
            value: value.to_string_lossy().into_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Result<Vec<PathBuf>, Error> {
        sockets(Some(OsStr::new(value)))
    }

    #[test]
    fn the_variable_names_one_socket() {
        let found = of("unix:///srv/docker.sock").expect("a socket");
        assert_eq!(found, [PathBuf::from("/srv/docker.sock")]);
    }

    #[test]
    fn without_it_the_usual_places_are_tried() {
        let usual = USUAL.map(PathBuf::from);
        assert_eq!(sockets(None).expect("usual"), usual);
        assert_eq!(of("").expect("as if unset"), usual);
    }

    #[test]
    fn engines_of_other_hosts_are_refused_with_the_reason() {
        for value in [
            "tcp://10.0.0.1:2375",
            "ssh://root@far",
            "unix://",
            "unix://here",
            "/run/docker.sock",
        ] {
            let error = of(value).expect_err("no socket of this host");
            assert!(error.to_string().contains(value), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains("unix:///")));
        }
    }
}
