//! Which distribution this is, for the commands that install something.

use super::text;

/// Distributions by how something is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Debian and its derivatives.
    Debian,
    /// Ubuntu: as Debian, but for its kernels' packages.
    Ubuntu,
    /// Fedora, Red Hat Enterprise Linux and its rebuilds.
    Fedora,
    /// Any other.
    Other,
}

/// This host's, by os-release(5).
pub fn family() -> Family {
    ["/etc/os-release", "/usr/lib/os-release"]
        .into_iter()
        .find_map(text)
        .map_or(Family::Other, |text| family_in(&text))
}

/// What it calls itself: `Debian GNU/Linux 12 (bookworm)`.
pub fn name() -> Option<String> {
    let release = text("/etc/os-release").or_else(|| text("/usr/lib/os-release"))?;
    value(&release, "PRETTY_NAME").map(str::to_owned)
}

/// The kernel's release.
pub fn kernel() -> String {
    let uname = rustix::system::uname();
    uname.release().to_string_lossy().into_owned()
}

fn family_in(release: &str) -> Family {
    let id = value(release, "ID").unwrap_or_default();
    let like = value(release, "ID_LIKE").unwrap_or_default();
    std::iter::once(id)
        .chain(like.split_whitespace())
        .find_map(|id| match id {
            "ubuntu" => Some(Family::Ubuntu),
            "debian" => Some(Family::Debian),
            "fedora" | "rhel" | "centos" => Some(Family::Fedora),
            _ => None,
        })
        .unwrap_or(Family::Other)
}

fn value<'a>(release: &'a str, name: &str) -> Option<&'a str> {
    let quotes = ['"', '\''];
    release.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == name).then(|| value.trim().trim_matches(quotes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_belong_to_their_families() {
        let of = family_in;
        assert_eq!(of("ID=debian\n"), Family::Debian);
        assert_eq!(
            of("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"),
            Family::Ubuntu
        );
        assert_eq!(
            of("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"),
            Family::Fedora
        );
        assert_eq!(of("ID=arch\n"), Family::Other);
        assert_eq!(of("\u{0}nonsense"), Family::Other);
    }
}
