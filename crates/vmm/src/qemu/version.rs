//! QEMU's version, and what depends on it.

use std::path::Path;

use ignite_host::probe::program;

/// The first whose translated processors can run at the same time. Before, a page was not locked while it
/// was translated: a processor could go on with code that another had changed meanwhile (QEMU's commit
/// deba78709ae8). Linux changes its own while it runs, and hung in the breakpoints it does that with.
const PARALLEL: (u32, u32) = (8, 1);

/// Whether this QEMU's translated processors can run at the same time. They can also take turns, which
/// all versions are good at.
pub(super) fn is_parallel(program: &Path) -> bool {
    program::version(program).is_ok_and(|text| version(&text) >= Some(PARALLEL))
}

/// The first two numbers of `QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)`.
fn version(text: &str) -> Option<(u32, u32)> {
    let (_, version) = text.split_once("version ")?;
    let mut numbers = version.split(['.', ' ']);
    let mut number = || numbers.next()?.parse().ok();
    Some((number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers_not_text() {
        let qemu = |text: &str| version(&format!("QEMU emulator version {text}"));
        assert_eq!(qemu("7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)"), Some((7, 2)));
        assert_eq!(qemu("8.1.0"), Some(PARALLEL));
        assert!(qemu("10.0.2 (Debian 1:10.0.2+ds-2)") > Some(PARALLEL));
        assert!(qemu("8.0.50 (v8.0.0-2123-gabc)") < Some(PARALLEL));
        for unknown in ["", "x.y.z", "9", "9.", "-9.1", "v9.1"] {
            assert_eq!(qemu(unknown), None, "{unknown}");
        }
        assert_eq!(version("9.1.0"), None);
    }

    #[test]
    fn one_that_does_not_tell_its_version_is_not_trusted() {
        assert!(!is_parallel(Path::new("/nonexistent/qemu")));
        assert!(!is_parallel(Path::new("/bin/false")));
    }
}
