//! Kernel settings under `/proc/sys`, of the calling thread's network namespace where they have one.

use std::fs;
use std::io;
use std::path::PathBuf;

pub use crate::error::SystemError as Error;

/// Sets `key` (`net/ipv4/ip_forward`, slashes, without `/proc/sys/`) to `value`.
pub fn set(key: &str, value: &str) -> Result<(), Error> {
    fs::write(path(key), value)
        .map_err(|source| Error::new(format!("set the kernel setting {key} to {value}"), source))
}

/// The value of `key`, without the newline at its end.
pub fn get(key: &str) -> Result<String, Error> {
    let text = fs::read_to_string(path(key))
        .map_err(|source| Error::new(format!("read the kernel setting {key}"), source))?;
    Ok(text.trim_end().to_owned())
}

/// Whether this kernel knows `key`.
pub fn exists(key: &str) -> bool {
    path(key).exists()
}

/// Sets `key` only where this kernel knows it; whether it does.
pub fn set_if_known(key: &str, value: &str) -> Result<bool, Error> {
    match set(key, value) {
        Ok(()) => Ok(true),
        Err(error) if error.source.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn path(key: &str) -> PathBuf {
    PathBuf::from("/proc/sys").join(key.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netns::Namespace;

    #[test]
    fn settings_are_those_of_the_threads_namespace() {
        let key = "net/ipv4/ip_forward";
        let namespace = Namespace::anonymous().expect("namespace");
        let here = get(key).expect("known");
        let other = if here == "0" { "1" } else { "0" };
        namespace
            .run(|| {
                set(key, other).expect("set");
                assert_eq!(get(key).expect("get"), other);
            })
            .expect("enter");
        assert_eq!(get(key).expect("get"), here);
    }

    #[test]
    fn what_the_kernel_does_not_know_is_told() {
        assert!(!exists("net/no/such"));
        assert!(!set_if_known("net/no/such", "1").expect("nothing to do"));
        let error = set("net/no/such", "1").expect_err("unknown");
        assert_eq!(
            error.to_string(),
            "cannot set the kernel setting net/no/such to 1"
        );
    }
}
