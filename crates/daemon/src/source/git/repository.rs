//! The bare repository of this host: fetched into, looked at, never checked out.
//!
//! It has two references of ours: what was fetched last, and the last commit that was good, which is
//! what holds while the remote cannot be reached.

use std::path::PathBuf;
use std::rc::Rc;

use super::Error;
use super::config::Access;
use super::object::Id;
use super::options::Options;
use super::place::{remove, replace, sweep};
use super::program::{Call, Program};

/// What was fetched last.
pub(super) const FETCHED: &str = "refs/ignite/fetched";
/// The last commit that was good.
const HELD: &str = "refs/ignite/held";

/// Most bytes of the list of a commit's files: some 300,000 of them.
const MAX_LISTING: usize = 32 << 20;
/// Objects and packs from which on a repository is tidied.
const MANY_OBJECTS: u64 = 200;
const MANY_PACKS: u64 = 10;

/// A repository on this host.
#[derive(Clone)]
pub(super) struct Repository {
    program: Rc<Program>,
    path: PathBuf,
}

impl Repository {
    /// The one that is kept; it may not be there yet.
    pub(super) fn kept(program: Rc<Program>) -> Self {
        let path = program.place().repository();
        Self { program, path }
    }

    /// An empty one beside it, for commits of the same kind as `id`.
    pub(super) fn fresh(program: Rc<Program>, id: &Id) -> Result<Self, Error> {
        let path = program.place().fresh();
        remove(&path)?;
        let repository = Self { program, path };
        let format = format!("--object-format={}", id.format());
        let args = [
            "init",
            "--quiet",
            "--bare",
            "--template=",
            "--initial-branch=none",
            &format,
        ];
        repository.run(Call::new("make a repository", args))?;
        Ok(repository)
    }

    /// Puts this one in the place of the one that is kept.
    pub(super) fn replace_kept(self) -> Result<Self, Error> {
        replace(&self.path, &self.program.place().repository())?;
        Ok(Self::kept(self.program))
    }

    /// git, as this repository runs it.
    pub(super) fn program(&self) -> &Program {
        &self.program
    }

    /// Runs git here.
    pub(super) fn run(&self, call: Call<'_>) -> Result<Vec<u8>, Error> {
        self.program.run(&self.path, call)
    }

    /// The last good commit; none where there is none, or the repository cannot be read.
    pub(super) fn held(&self) -> Option<Id> {
        self.path.exists().then_some(())?;
        self.resolve(HELD).ok()
    }

    /// Holds a commit.
    pub(super) fn hold(&self, commit: &Id) -> Result<(), Error> {
        let args = ["update-ref", HELD, commit.as_str()];
        self.run(Call::new("keep the commit", args)).map(drop)
    }

    /// The object a name stands for.
    pub(super) fn resolve(&self, name: &str) -> Result<Id, Error> {
        let action = "look the commit up";
        let name = format!("{name}^{{commit}}");
        let answer = self.run(Call::new(
            action,
            ["rev-parse", "--verify", "--quiet", &name],
        ))?;
        Id::parse(answer.trim_ascii()).ok_or(Error::Answer { action })
    }

    /// Fetches the branch as it is now, whatever it was before; its commit.
    pub(super) fn fetch(&self, options: &Options) -> Result<Id, Error> {
        // One that ran out of time has left what it had of a pack.
        sweep(&self.path)?;
        let refspec = format!("+{}:{FETCHED}", options.branch.reference());
        let args = [
            "fetch",
            "--quiet",
            "--depth=1",
            "--no-tags",
            "--no-recurse-submodules",
            "--no-write-fetch-head",
            "--no-auto-maintenance",
            "--",
            options.remote.url(),
            &refspec,
        ];
        self.run(Call::new("fetch the repository", args).remote(Access::Read))?;
        self.resolve(FETCHED)
    }

    /// Every file of a commit, as `ls-tree -z -l` lists them.
    pub(super) fn listing(&self, commit: &Id) -> Result<Vec<u8>, Error> {
        let args = ["ls-tree", "-r", "-z", "-l", "--full-tree", commit.as_str()];
        let listed = self.run(Call::new("list the files", args).most(MAX_LISTING));
        listed.map_err(|error| match error {
            Error::Answer { .. } => Error::TooMuch {
                commit: commit.short().to_owned(),
                most: MAX_LISTING as u64,
                what: "bytes of names of files",
            },
            error => error,
        })
    }

    /// Fails unless somebody signed the commit who may.
    pub(super) fn verify(&self, commit: &Id) -> Result<(), Error> {
        let call = Call::new(
            "check the signature",
            ["verify-commit", "--", commit.as_str()],
        );
        match self.run(call) {
            Err(Error::Git { said, .. }) => Err(Error::Signature {
                commit: commit.short().to_owned(),
                said: if said.starts_with("git ended") {
                    "it has no signature".to_owned()
                } else {
                    said
                },
            }),
            answer => answer.map(drop),
        }
    }

    /// Throws away what earlier fetches left, when it has become much.
    pub(super) fn tidy(&self) -> Result<(), Error> {
        let answer = self.run(Call::new("count the objects", ["count-objects", "-v"]))?;
        if is_much(&String::from_utf8_lossy(&answer)) {
            let args = ["gc", "--quiet", "--prune=now"];
            self.run(Call::new("tidy the repository", args))?;
        }
        Ok(())
    }
}

/// The commit of the branch at the remote.
pub(super) fn remote_head(program: &Program, options: &Options) -> Result<Id, Error> {
    let reference = options.branch.reference();
    let heads = remote_heads(program, options, Some(&reference))?;
    if let Some((id, _)) = heads.into_iter().find(|(_, name)| *name == reference) {
        return Ok(id);
    }
    let others = remote_heads(program, options, None)?;
    if others.is_empty() {
        return Err(Error::Empty);
    }
    let names: Vec<&str> = others
        .iter()
        .filter_map(|(_, name)| name.strip_prefix("refs/heads/"))
        .collect();
    let mut text = names
        .iter()
        .take(10)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > 10 {
        text.push_str(&format!(" and {} more", names.len() - 10));
    }
    Err(Error::NoBranch {
        branch: options.branch.name().to_owned(),
        others: text,
    })
}

fn remote_heads(
    program: &Program,
    options: &Options,
    pattern: Option<&str>,
) -> Result<Vec<(Id, String)>, Error> {
    let action = "reach the repository";
    let mut args = vec![
        "ls-remote",
        "--quiet",
        "--heads",
        "--",
        options.remote.url(),
    ];
    args.extend(pattern);
    // Not in the kept repository: that may be broken, or of another kind of ids.
    let nowhere = program.place().home();
    let answer = program.run(&nowhere, Call::new(action, args).remote(Access::Read))?;
    let answer = String::from_utf8_lossy(&answer);
    let line = |line: &str| {
        let (id, name) = line.split_once('\t')?;
        Some((Id::parse(id.as_bytes())?, name.to_owned()))
    };
    let heads: Option<Vec<_>> = answer.lines().map(line).collect();
    heads.ok_or(Error::Answer { action })
}

/// Whether what `count-objects -v` says is worth a clean-up.
fn is_much(answer: &str) -> bool {
    let number = |name: &str| -> u64 {
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.and_then(|number| number.parse().ok()).unwrap_or(0)
    };
    number("count") > MANY_OBJECTS || number("packs") > MANY_PACKS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_packs_or_objects_are_much() {
        assert!(!is_much("count: 200\nsize: 8\nin-pack: 9999\npacks: 10\n"));
        assert!(is_much("count: 201\npacks: 1\n"));
        assert!(is_much("count: 0\npacks: 11\n"));
    }
}
