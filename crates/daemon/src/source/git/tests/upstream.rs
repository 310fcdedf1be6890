//! A repository that somebody pushes to, made of objects alone: no working tree limits what it may hold.

use std::collections::BTreeMap;
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A bare repository in a directory of its own.
pub(super) struct Upstream {
    directory: TempDir,
    format: &'static str,
}

/// What a path of a tree is.
#[derive(Clone)]
pub(super) enum Node {
    File(Vec<u8>),
    Link(&'static str),
    Module,
}

/// A tree by path; a path may hold any byte but a zero.
pub(super) type Tree = BTreeMap<Vec<u8>, Node>;

/// A tree of text files.
pub(super) fn tree(files: &[(&str, &str)]) -> Tree {
    let node = |text: &str| Node::File(text.as_bytes().to_vec());
    files
        .iter()
        .map(|(path, text)| (path.as_bytes().to_vec(), node(text)))
        .collect()
}

impl Upstream {
    /// An empty one.
    pub(super) fn new() -> Self {
        Self::of_format("sha1")
    }

    /// One whose object ids are of this kind.
    pub(super) fn of_format(format: &'static str) -> Self {
        let directory = tempfile::tempdir().expect("tempdir");
        let upstream = Self { directory, format };
        upstream.make();
        upstream
    }

    fn make(&self) {
        let format = format!("--object-format={}", self.format);
        self.git(&["init", "-q", "--bare", &format, "."], b"");
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("vms.git")
    }

    /// A directory for whatever belongs to it.
    pub(super) fn beside(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// Commits a tree onto `parent` and lets `main` be that.
    pub(super) fn push(&self, tree: &Tree) -> String {
        let parent = self.head("main");
        self.commit(tree, parent.as_deref(), &[])
    }

    /// The same with a history of its own.
    pub(super) fn force_push(&self, tree: &Tree) -> String {
        self.commit(tree, None, &[])
    }

    /// Commits with these options of `git commit-tree` and configuration.
    pub(super) fn commit(&self, tree: &Tree, parent: Option<&str>, options: &[&str]) -> String {
        let tree = self.write(tree);
        let (config, flags): (Vec<&str>, Vec<&str>) =
            options.iter().partition(|option| option.contains('='));
        let mut words: Vec<&str> = config.iter().flat_map(|line| ["-c", line]).collect();
        words.extend(["commit-tree", &tree, "-m", "a commit"]);
        words.extend(flags);
        words.extend(parent.iter().flat_map(|parent| ["-p", parent]));
        let commit = self.git(&words, b"");
        self.git(&["update-ref", "refs/heads/main", &commit], b"");
        commit
    }

    /// The commit of a branch.
    pub(super) fn head(&self, branch: &str) -> Option<String> {
        let name = format!("refs/heads/{branch}");
        let output = self
            .command(&["rev-parse", "--verify", "-q", &name])
            .output()
            .expect("git");
        let id = String::from_utf8(output.stdout).expect("digits");
        output.status.success().then(|| id.trim().to_owned())
    }

    fn write(&self, tree: &Tree) -> String {
        let index = self.beside().join("index");
        let _ = std::fs::remove_file(&index);
        let contents: Vec<&[u8]> = tree
            .values()
            .filter_map(|node| match node {
                Node::File(bytes) => Some(bytes.as_slice()),
                Node::Link(target) => Some(target.as_bytes()),
                Node::Module => None,
            })
            .collect();
        let mut ids = self.write_blobs(&contents).into_iter();
        let mut lines = Vec::new();
        for (path, node) in tree {
            let (mode, id) = match node {
                Node::File(_) => ("100644", ids.next()),
                Node::Link(_) => ("120000", ids.next()),
                Node::Module => ("160000", self.head("main").or(Some("1".repeat(40)))),
            };
            lines.extend(format!("{mode} {}\t", id.expect("an id for each")).into_bytes());
            lines.extend(path);
            lines.push(0);
        }
        self.git(&["read-tree", "--empty"], b"");
        self.git(&["update-index", "-z", "--add", "--index-info"], &lines);
        self.git(&["write-tree"], b"")
    }

    fn write_blobs(&self, contents: &[&[u8]]) -> Vec<String> {
        let mut paths = String::new();
        for (number, bytes) in contents.iter().enumerate() {
            let path = self.beside().join(format!("blob-{number}"));
            std::fs::write(&path, bytes).expect("write");
            paths.push_str(&format!("{}\n", path.display()));
        }
        let ids = self.git(
            &["hash-object", "-w", "--no-filters", "--stdin-paths"],
            paths.as_bytes(),
        );
        ids.lines().map(str::to_owned).collect()
    }

    /// git in this repository; what it answered.
    pub(super) fn git(&self, words: &[&str], stdin: &[u8]) -> String {
        let mut input = tempfile::tempfile().expect("a file");
        input.write_all(stdin).expect("write");
        input.rewind().expect("seek");
        let output = self.command(words).stdin(input).output().expect("git");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {words:?}: {said}");
        String::from_utf8(output.stdout)
            .expect("text")
            .trim()
            .to_owned()
    }

    fn command(&self, words: &[&str]) -> Command {
        std::fs::create_dir_all(self.path()).expect("mkdir");
        let mut command = Command::new("git");
        command.args(words).current_dir(self.path()).env_clear();
        let path = std::env::var_os("PATH").unwrap_or_default();
        command
            .env("PATH", path)
            .env("HOME", self.beside())
            .env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_INDEX_FILE", self.beside().join("index"));
        for who in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{who}_NAME"), "Some One");
            command.env(format!("GIT_{who}_EMAIL"), "one@example.org");
        }
        command
    }
}
