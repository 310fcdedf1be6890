//! The last step into a program: found in `PATH`, and executed by the kernel or not at all.
//!
//! The C library's `execvp` gives a file the kernel does not know to `/bin/sh`, if the image has one;
//! container engines do not, and an image behaves here as it does there.

use std::ffi::{CString, NulError};
use std::io;

use crate::sys::{self, Strings};

/// A program made ready to be executed by a child that may only make system calls.
#[derive(Debug)]
pub struct Execution {
    /// Where it may be, in order.
    places: Vec<CString>,
    argv: Strings,
    env: Strings,
}

impl Execution {
    /// Of the program `argv` begins with, in the directories of `PATH` if its name has no slash.
    pub fn new(argv: &[String], env: &[(&str, &str)]) -> io::Result<Self> {
        let path = env.iter().find(|(key, _)| *key == "PATH");
        let program = argv.first().map_or("", String::as_str);
        let made = || -> Result<Self, NulError> {
            Ok(Self {
                places: places(program, path.map_or("", |(_, path)| path))?,
                argv: Strings::new(argv.iter().map(String::as_str))?,
                env: Strings::new(env.iter().map(|(key, value)| format!("{key}={value}")))?,
            })
        };
        Ok(made()?)
    }

    /// Replaces this process by the program; returns if the kernel refused. Makes system calls only.
    pub fn execute(&self) -> io::Error {
        let mut refused = libc::ENOENT;
        for place in &self.places {
            let error = sys::execve(place, &self.argv, &self.env);
            match error.raw_os_error() {
                Some(libc::ENOENT | libc::ENOTDIR) => {}
                // Another directory may have one for us; if none has, this is the reason.
                Some(libc::EACCES) => refused = libc::EACCES,
                _ => return error,
            }
        }
        io::Error::from_raw_os_error(refused)
    }
}

fn places(program: &str, path: &str) -> Result<Vec<CString>, NulError> {
    if program.is_empty() {
        return Ok(Vec::new());
    }
    if program.contains('/') {
        return Ok(vec![CString::new(program)?]);
    }
    path.split(':')
        // An empty entry is the working directory (environ(7)).
        .map(|directory| if directory.is_empty() { "." } else { directory })
        .map(|directory| CString::new(format!("{directory}/{program}")))
        .collect()
}

/// Whether the kernel knows files that begin like this: ELF, or a script that names its interpreter.
pub fn is_known(head: &[u8]) -> bool {
    head.starts_with(b"\x7fELF") || head.starts_with(b"#!")
}

/// What to say of a file that is neither.
pub const UNKNOWN: &str =
    "exec format error: neither an ELF file nor a script that names its interpreter after #!";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn execution(argv: &[&str], path: &str) -> Execution {
        let argv: Vec<String> = argv.iter().map(|&word| word.to_owned()).collect();
        Execution::new(&argv, &[("PATH", path)]).expect("no zero byte")
    }

    #[test]
    fn names_are_looked_for_in_the_path_and_paths_are_not() {
        let of = |program| execution(&[program], "/bin::/usr/bin").places;
        assert_eq!(
            of("sh"),
            [
                c"/bin/sh".into(),
                c"./sh".into(),
                CString::from(c"/usr/bin/sh")
            ]
        );
        assert_eq!(of("./sh"), [CString::from(c"./sh")]);
        assert!(of("").is_empty());
        assert!(Execution::new(&["a\0b".to_owned()], &[]).is_err());
    }

    #[test]
    fn a_text_file_is_not_given_to_a_shell() {
        let directory = tempfile::tempdir().expect("tempdir");
        let file = |name: &str, mode| {
            let path = directory.path().join(name);
            fs::write(&path, "exit 0\n").expect("write");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
        };
        file("text", 0o755);
        file("locked", 0o644);
        let path = directory.path().to_str().expect("plain").to_owned();
        let refused = |program| execution(&[program], &path).execute().raw_os_error();
        assert_eq!(refused("text"), Some(libc::ENOEXEC));
        assert_eq!(refused("locked"), Some(libc::EACCES));
        assert_eq!(refused("missing"), Some(libc::ENOENT));
        assert_eq!(refused("text/below"), Some(libc::ENOENT));
    }

    #[test]
    fn what_the_kernel_knows() {
        assert!(is_known(b"\x7fELF\x02") && is_known(b"#!/bin/sh"));
        assert!(!is_known(b"echo hello") && !is_known(b""));
    }
}
