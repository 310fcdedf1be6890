//! Real repositories, followed by the real git.

mod followed;
mod history;
mod hostile;
mod signed;
mod status;
mod trouble;
mod upstream;

use std::path::PathBuf;
use std::time::Duration;

use super::*;

/// Options of a repository, all else as by default.
pub(super) fn options(url: &str, directory: impl Into<PathBuf>) -> Options {
    Options {
        remote: Remote::parse(url).expect("an address").0,
        branch: Branch::parse("main").expect("a name"),
        directory: directory.into(),
        interval: Duration::from_millis(100),
        timeout: Duration::from_secs(20),
        ssh: Ssh::default(),
        credentials: None,
        ca_file: None,
        signers: None,
        status_file: None,
    }
}

/// Options of a repository whose copy is kept beside it.
fn options_of(upstream: &upstream::Upstream) -> Options {
    options(&upstream.url(), upstream.beside().join("gitops"))
}
