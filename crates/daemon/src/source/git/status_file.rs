//! Where in the repository the status is written.

use super::Error;

/// A path below a hidden directory: what is there is no manifest, and no news to a daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusFile(String);

impl StatusFile {
    /// Reads a path relative to the repository's root.
    ///
    /// # Errors
    /// If it is none, or would be taken for a manifest.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |reason| Error::StatusFile {
            path: text.to_owned(),
            reason,
        };
        let parts: Vec<&str> = text.split('/').collect();
        if text.chars().any(char::is_control) || text.len() > 1024 {
            return Err(refuse("it is no path"));
        }
        if parts
            .iter()
            .any(|part| matches!(*part, "" | "." | "..") || part.eq_ignore_ascii_case(".git"))
        {
            return Err(refuse("it is no path of a repository"));
        }
        if !parts.iter().any(|part| part.starts_with('.')) {
            return Err(refuse(
                "it is not hidden, so it would be taken for a manifest",
            ));
        }
        Ok(Self(text.to_owned()))
    }

    /// `.ignite-status/<host name>.json`.
    pub fn of_host() -> Self {
        let name = host_name();
        Self(format!(".ignite-status/{name}.json"))
    }

    /// The path.
    pub fn path(&self) -> &str {
        &self.0
    }
}

/// This host's name, of characters that mean nothing in a path or an address.
pub(super) fn host_name() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let fine = |c: char| {
        if c.is_alphanumeric() || c == '.' || c == '-' {
            c
        } else {
            '-'
        }
    };
    let name: String = name.chars().map(fine).collect();
    match name.trim_matches(['.', '-']) {
        "" => "localhost".to_owned(),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_paths_only() {
        for path in [".ignite-status/web.json", "hosts/.web.json", ".x"] {
            assert!(StatusFile::parse(path).is_ok(), "{path}");
        }
        for path in [
            "",
            "status.json",
            "/.x",
            "../.x",
            ".x/../y.json",
            ".git/config",
            "a/.GIT/x",
            ".x\n",
            "./x.json",
        ] {
            assert!(StatusFile::parse(path).is_err(), "{path}");
        }
        assert!(StatusFile::parse(StatusFile::of_host().path()).is_ok());
    }
}
