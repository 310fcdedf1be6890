//! Credentials of HTTPS: held in memory, given to git by descriptor, shown to nobody.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use ignite_host::fs::{memfd, read_bounded};

use super::Error;

/// Most bytes of a password's file.
const MAX_PASSWORD: u64 = 64 << 10;

/// A password. It has no text but on purpose.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Holds it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// A user and the password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user; empty where a token stands for both.
    pub user: String,
    /// The password; may be empty.
    pub password: Secret,
}

impl Login {
    /// `user:password` as it stands in an address, percent-encoded.
    pub(super) fn parse(text: &str) -> Self {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        Self {
            user: decode(user),
            password: Secret::new(decode(password)),
        }
    }

    /// What a credential helper of git answers.
    fn answer(&self) -> Result<String, Error> {
        let Self { user, password } = self;
        let password = password.expose();
        if [user, password]
            .iter()
            .any(|text| text.contains(['\n', '\r', '\0']))
        {
            return Err(Error::Credentials);
        }
        Ok(format!("username={user}\npassword={password}\n"))
    }
}

/// Where a password comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PasswordSource {
    /// It is known.
    Known(Secret),
    /// It is read each time it is needed, so that it can be changed.
    File(PathBuf),
}

/// What an HTTPS server is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub user: String,
    /// The password.
    pub password: PasswordSource,
}

impl Credentials {
    /// The answer of a credential helper as a file in memory.
    pub(super) fn descriptor(&self) -> Result<OwnedFd, Error> {
        let password = match &self.password {
            PasswordSource::Known(secret) => secret.clone(),
            PasswordSource::File(path) => read_password(path)?,
        };
        let user = self.user.clone();
        let answer = Login { user, password }.answer()?;
        Ok(memfd("credentials", answer.as_bytes())?)
    }
}

/// The password in a file, without the line break at its end.
pub(super) fn read_password(path: &std::path::Path) -> Result<Secret, Error> {
    let what = "file with the password";
    let bytes = read_bounded(path, MAX_PASSWORD).map_err(|source| Error::File { what, source })?;
    let text = String::from_utf8(bytes).map_err(|_| Error::Credentials)?;
    Ok(Secret::new(text.trim_end_matches(['\n', '\r'])))
}

/// Takes percent-encoding away; what is none stays.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let byte = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
        match byte {
            Some(byte) if first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn a_password_is_not_shown() {
        let login = Login::parse("me:hunter2");
        assert!(!format!("{login:?}").contains("hunter2"));
    }

    #[test]
    fn percent_signs() {
        assert_eq!(decode("a%2Fb%40%zz%4"), "a/b@%zz%4");
    }

    #[test]
    fn a_file_is_read_each_time_and_loses_its_line_break() {
        let directory = tempfile::tempdir().expect("tempdir");
        let path = directory.path().join("password");
        let credentials = Credentials {
            user: "me".to_owned(),
            password: PasswordSource::File(path.clone()),
        };
        for password in ["one", "two"] {
            std::fs::write(&path, format!("{password}\n")).expect("write");
            let mut text = String::new();
            std::fs::File::from(credentials.descriptor().expect("readable"))
                .read_to_string(&mut text)
                .expect("read");
            assert_eq!(text, format!("username=me\npassword={password}\n"));
        }
        std::fs::write(&path, "a\nhost=evil").expect("write");
        assert!(matches!(credentials.descriptor(), Err(Error::Credentials)));
    }
}
