//! What an archive may set, and what becomes of what is there.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use crate::read::Entry;

/// What an entry meets that has its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It goes, whatever it is.
    Replaced,
    /// Directories are shared and stay as they are, files and links are replaced when the new one is
    /// whole, and neither takes the other's place.
    Merged,
}

/// Devices and named pipes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Special {
    /// They are made.
    Made,
    /// They are left out.
    Left,
}

/// Whose the files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owners {
    /// The archive's, by number.
    Kept,
    /// The caller's.
    Caller,
}

/// Which extended attributes are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Xattrs {
    /// All, and one that cannot be set is an error.
    All,
    /// All that the file system takes.
    Taken,
    /// Of those only users' own: the others grant something.
    User,
}

/// How entries become files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub(crate) existing: Existing,
    pub(crate) special: Special,
    owners: Owners,
    xattrs: Xattrs,
    /// Whether a large file has its length before its data, and is written past the page cache. What a VM says of a length is not believed
    /// on the host: there are file systems that write it down in zeros.
    pub(crate) length_first: bool,
}

impl Policy {
    /// Into a tree that is made for the archive alone: just as the archive says.
    pub const fn layer() -> Self {
        Self {
            existing: Existing::Replaced,
            special: Special::Made,
            owners: Owners::Kept,
            xattrs: Xattrs::All,
            length_first: false,
        }
    }

    /// Into a VM's root file system, in the VM: owners by number.
    pub const fn into_guest() -> Self {
        Self {
            existing: Existing::Merged,
            special: Special::Made,
            owners: Owners::Kept,
            xattrs: Xattrs::Taken,
            length_first: true,
        }
    }

    /// From a VM onto the host: no devices, and nothing that gives anybody rights there unless the
    /// owners are asked for.
    pub const fn onto_host(keep_owners: bool) -> Self {
        let (owners, xattrs) = if keep_owners {
            (Owners::Kept, Xattrs::Taken)
        } else {
            (Owners::Caller, Xattrs::User)
        };
        Self {
            existing: Existing::Merged,
            special: Special::Left,
            owners,
            xattrs,
            length_first: false,
        }
    }

    pub(crate) fn owner(&self, entry: &Entry) -> Option<(u32, u32)> {
        (self.owners == Owners::Kept).then_some((entry.uid, entry.gid))
    }

    /// Set-user-id bits are meant for the owner the file had.
    pub(crate) fn mode(&self, mode: u32) -> u32 {
        match self.owners {
            Owners::Kept => mode,
            Owners::Caller => mode & !0o6000,
        }
    }

    /// Labels of SELinux belong to the host that made the archive, not to the file.
    pub(crate) fn xattrs<'e>(
        &self,
        entry: &'e Entry,
    ) -> impl Iterator<Item = (&'e OsString, &'e Vec<u8>)> + use<'e> {
        let users_only = self.xattrs == Xattrs::User;
        entry
            .xattrs
            .iter()
            .filter(move |(name, _)| {
                let name = name.as_bytes();
                name != b"security.selinux" && (!users_only || name.starts_with(b"user."))
            })
            .map(|(name, value)| (name, value))
    }

    /// Whether an extended attribute may be missing because of this answer of the kernel's.
    pub(crate) fn may_lack(&self, errno: Option<i32>) -> bool {
        use rustix::io::Errno;
        let no = [Errno::NOTSUP, Errno::PERM, Errno::ACCESS];
        self.xattrs != Xattrs::All
            && errno.is_some_and(|errno| no.iter().any(|no| no.raw_os_error() == errno))
    }
}
