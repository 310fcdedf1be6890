//! Secrets leave the process list: what was said of a password on the command line or in the
//! environment is put into a file in memory, and the program starts anew without it, with the same
//! process id, before it does anything else.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use ignite_host::error::SystemError;
use ignite_host::fs::memfd;
use ignite_program::Failure;
use rustix::io::{FdFlags, fcntl_setfd};
use serde::{Deserialize, Serialize};

use crate::source::git::without_login;

/// The variable that may hold the password.
pub const PASSWORD_VARIABLE: &str = "IGNITED_HTTPS_PASSWORD";
/// The variable that tells the program that was started anew where the secrets are.
pub const DESCRIPTOR_VARIABLE: &str = "IGNITED_CREDENTIALS_FD";
const PASSWORD_FLAG: &str = "--https-password";
/// Most bytes of what is carried over.
const MAX_CARRIED: u64 = 256 << 10;

/// What is carried over to the program that starts anew.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// The user, where the address named one.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// What the person should do otherwise.
    pub warnings: Vec<String>,
}

/// Starts the program anew if its command line or environment holds a secret. Returns if neither does.
pub fn conceal() -> Result<(), Failure> {
    let variable = std::env::var_os(PASSWORD_VARIABLE);
    let words: Vec<OsString> = std::env::args_os().collect();
    if !words.iter().any(|word| word == "gitops") {
        return Ok(());
    }
    match take_secrets(words, variable) {
        Some((words, carried)) => Err(start_anew(&words, &carried)),
        None => Ok(()),
    }
}

/// What was carried over under this number.
pub fn carried(descriptor: i32) -> Result<Carried, Failure> {
    let failed = |error| failure("read the credentials", error);
    let file = File::open(format!("/proc/self/fd/{descriptor}")).map_err(failed)?;
    let mut text = String::new();
    file.take(MAX_CARRIED)
        .read_to_string(&mut text)
        .map_err(failed)?;
    serde_json::from_str(&text).map_err(|error| failed(error.into()))
}

/// Does not return but with a failure.
fn start_anew(words: &[OsString], carried: &Carried) -> Failure {
    let text = match serde_json::to_vec(carried) {
        Ok(text) => text,
        Err(error) => return failure("hide the password", error.into()),
    };
    let descriptor = match memfd("credentials", &text) {
        Ok(descriptor) => descriptor,
        Err(error) => return Failure::new(error, None),
    };
    let program = match (
        fcntl_setfd(&descriptor, FdFlags::empty()),
        std::env::current_exe(),
    ) {
        (Ok(()), Ok(program)) => program,
        (Err(errno), _) => return failure("hide the password", errno.into()),
        (_, Err(error)) => return failure("find this program", error),
    };
    let name = words.first().map_or(OsStr::new("ignited"), |name| name);
    let error = Command::new(&program)
        .arg0(name)
        .args(words.iter().skip(1))
        .env_remove(PASSWORD_VARIABLE)
        .env(DESCRIPTOR_VARIABLE, descriptor.as_raw_fd().to_string())
        .exec();
    failure(&format!("start {} anew", program.display()), error)
}

fn failure(action: &str, error: std::io::Error) -> Failure {
    let error = SystemError::new(action, error);
    let hint = error.hint();
    Failure::new(error, hint)
}

/// The words without secrets, and the secrets; none if there are none. A flag beats the variable, which
/// beats the address.
fn take_secrets(
    words: Vec<OsString>,
    variable: Option<OsString>,
) -> Option<(Vec<OsString>, Carried)> {
    let mut carried = Carried {
        password: variable.map(text),
        ..Carried::default()
    };
    let mut kept = Vec::with_capacity(words.len());
    let mut words = words.into_iter().peekable();
    let mut found = carried.password.is_some();
    let mut is_flag = true;
    while let Some(word) = words.next() {
        let given = match text(word.clone()) {
            flag if is_flag && flag == PASSWORD_FLAG && words.peek().is_some() => {
                words.next().map(text)
            }
            flag if is_flag => flag.strip_prefix("--https-password=").map(str::to_owned),
            _ => None,
        };
        is_flag &= word != "--";
        if let Some(password) = given {
            found = true;
            carried.password = Some(password);
            carried.warn("a password on the command line was seen by everybody until this moment: use --https-password-file");
            continue;
        }
        kept.push(match without_login(&text(word.clone())) {
            (address, Some(login)) => {
                found = true;
                carried.user = Some(login.user);
                let password = login.password.expose().to_owned();
                carried.password = carried.password.or((!password.is_empty()).then_some(password));
                carried.warn("credentials in an address are seen by everybody: use --https-username and --https-password-file");
                address.into()
            }
            (_, None) => word,
        });
    }
    found.then_some((kept, carried))
}

impl Carried {
    fn warn(&mut self, text: &str) {
        self.warnings.push(text.to_owned());
    }
}

fn text(word: OsString) -> String {
    word.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(words: &[&str], variable: Option<&str>) -> Option<(Vec<String>, Carried)> {
        let words = words.iter().map(OsString::from).collect();
        let (kept, carried) = take_secrets(words, variable.map(OsString::from))?;
        Some((kept.into_iter().map(text).collect(), carried))
    }

    #[test]
    fn without_secrets_nothing_is_started_anew() {
        let words = [
            "ignited",
            "gitops",
            "--https-username",
            "me",
            "https://example.org/vms",
        ];
        assert_eq!(taken(&words, None), None);
        assert_eq!(
            taken(&["ignited", "gitops", "git@example.org:vms"], None),
            None
        );
        assert_eq!(
            taken(&["ignited", "gitops", "--https-password"], None),
            None
        );
    }

    #[test]
    fn every_form_of_a_password_is_taken_away() {
        let url = "https://example.org/vms";
        for words in [
            vec!["ignited", "gitops", "--https-password", "s3cret", url],
            vec!["ignited", "gitops", url, "--https-password=s3cret"],
            vec!["ignited", "gitops", "--", "https://:s3cret@example.org/vms"],
            vec!["ignited", "gitops", "HTTPS://:s3cret@example.org/vms"],
        ] {
            let (kept, carried) = taken(&words, None).expect("a secret");
            assert!(!format!("{kept:?}").contains("s3cret"), "{kept:?}");
            let last = kept.last().map(|last| last.to_lowercase());
            assert_eq!(last.as_deref(), Some(url));
            assert_eq!(
                (carried.password.as_deref(), carried.warnings.len()),
                (Some("s3cret"), 1)
            );
        }
        let (kept, carried) = taken(&["ignited", "gitops", url], Some("s3cret")).expect("a secret");
        assert_eq!((kept.len(), carried.warnings.len()), (3, 0));
    }

    #[test]
    fn a_flag_beats_the_variable_and_both_the_address() {
        let words = [
            "ignited",
            "gitops",
            "https://me:three@example.org/vms",
            "--https-password",
            "one",
        ];
        let (_, carried) = taken(&words, Some("two")).expect("a secret");
        assert_eq!(carried.password.as_deref(), Some("one"));
        let (_, carried) = taken(&words[..3], Some("two")).expect("a secret");
        assert_eq!(
            (carried.user.as_deref(), carried.password.as_deref()),
            (Some("me"), Some("two"))
        );
    }
}
