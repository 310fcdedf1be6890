//! Layers that want out of their directory: tar archives no sane program
//! writes, made header by header (POSIX.1 ustar).

/// One member of a hostile archive.
#[derive(Debug, Clone, Copy)]
pub enum Member {
    /// A file at this path, holding `escaped`.
    File(&'static str),
    /// A symbolic link: path, target.
    Symlink(&'static str, &'static str),
    /// A hard link: path, target.
    Hardlink(&'static str, &'static str),
}

/// Every way out that is known, by name. `outside` files are called
/// `ignite-escapee-...`, so that a search of the host finds what got out.
pub const ATTACKS: &[(&str, &[Member])] = &[
    (
        "parent",
        &[Member::File("../../../../../../ignite-escapee-parent")],
    ),
    (
        "parent-inside",
        &[Member::File("a/../../../../../../../ignite-escapee-inside")],
    ),
    ("absolute", &[Member::File("/ignite-escapee-absolute")]),
    (
        "symlink",
        &[
            Member::Symlink("out", "/"),
            Member::File("out/ignite-escapee-symlink"),
        ],
    ),
    (
        "relative-symlink",
        &[
            Member::Symlink("out", "../../../../../.."),
            Member::File("out/ignite-escapee-relative"),
        ],
    ),
    (
        "symlink-chain",
        &[
            Member::Symlink("a", "b"),
            Member::Symlink("b", "/"),
            Member::File("a/ignite-escapee-chain"),
        ],
    ),
    (
        "hardlink",
        &[
            Member::Hardlink("passwd", "/etc/passwd"),
            Member::Hardlink("shadow", "../../../../../../etc/shadow"),
        ],
    ),
    (
        "hardlink-through-symlink",
        &[
            Member::Symlink("etc", "/etc"),
            Member::Hardlink("passwd", "etc/passwd"),
        ],
    ),
];

/// The archive of these members.
pub fn tar(members: &[Member]) -> Vec<u8> {
    let mut archive: Vec<u8> = members.iter().flat_map(block).collect();
    // Two zero blocks end an archive.
    archive.resize(archive.len() + 1024, 0);
    archive
}

const CONTENT: &[u8] = b"escaped";

fn block(member: &Member) -> Vec<u8> {
    let (path, kind, target, content) = match *member {
        Member::File(path) => (path, b'0', "", CONTENT),
        Member::Symlink(path, target) => (path, b'2', target, &b""[..]),
        Member::Hardlink(path, target) => (path, b'1', target, &b""[..]),
    };
    let mut block = vec![0u8; 512];
    put(&mut block, 0, path.as_bytes());
    put(&mut block, 100, b"0000644\0");
    put(&mut block, 108, b"0000000\0");
    put(&mut block, 116, b"0000000\0");
    put(
        &mut block,
        124,
        format!("{:011o}\0", content.len()).as_bytes(),
    );
    put(&mut block, 136, b"00000000000\0");
    block[156] = kind;
    put(&mut block, 157, target.as_bytes());
    put(&mut block, 257, b"ustar\x0000");
    // The checksum counts its own field as spaces.
    put(&mut block, 148, b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    put(&mut block, 148, format!("{sum:06o}\0 ").as_bytes());
    block.extend(content);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

fn put(block: &mut [u8], at: usize, bytes: &[u8]) {
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn tar_reads_every_attack() {
        for (name, members) in ATTACKS {
            let mut child = Command::new("tar")
                .args(["-tPf", "-"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .expect("tar is there");
            child
                .stdin
                .take()
                .expect("a pipe")
                .write_all(&tar(members))
                .expect("tar reads");
            let output = child.wait_with_output().expect("tar ends");
            assert!(output.status.success(), "{name}");
            assert_eq!(
                String::from_utf8_lossy(&output.stdout).lines().count(),
                members.len(),
                "{name}"
            );
        }
    }
}
