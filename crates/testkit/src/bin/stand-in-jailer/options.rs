//! What is read of the jailer's command line.

use std::ffi::OsString;
use std::fs::canonicalize;
use std::path::{Path, PathBuf};

use super::Failure;

/// Whom to lock up, and where.
pub struct Options {
    /// The VM's name.
    pub id: String,
    /// The program, links followed.
    pub program: PathBuf,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Where jails are.
    base: PathBuf,
    /// Bytes a file it writes to may have.
    pub file_bytes: Option<u64>,
    /// The program's own arguments.
    pub rest: Vec<String>,
}

impl Options {
    pub fn parse(words: &[String]) -> Result<Self, Failure> {
        let mut words = words.iter();
        let (mut id, mut program, mut uid, mut gid) = (None, None, None, None);
        let (mut base, mut limit) = (None, None);
        while let Some(name) = words.next().filter(|name| *name != "--") {
            let place = match name.as_str() {
                "--id" => &mut id,
                "--exec-file" => &mut program,
                "--uid" => &mut uid,
                "--gid" => &mut gid,
                "--chroot-base-dir" => &mut base,
                "--resource-limit" => &mut limit,
                _ => return Err(format!("unknown argument {name}").into()),
            };
            let value = words
                .next()
                .ok_or_else(|| format!("{name} wants a value"))?;
            if place.replace(value.clone()).is_some() {
                return Err(format!("{name} comes twice").into());
            }
        }
        let there = |value: Option<String>, name: &str| {
            value.ok_or_else(|| Failure::from(format!("{name} is missing")))
        };
        let file_bytes = |limit: String| match limit.strip_prefix("fsize=") {
            Some(bytes) => Ok(bytes.parse()?),
            None => Err(Failure::from(format!("unknown resource in {limit}"))),
        };
        let options = Self {
            id: there(id, "--id")?,
            program: canonicalize(there(program, "--exec-file")?)?,
            uid: there(uid, "--uid")?.parse()?,
            gid: there(gid, "--gid")?.parse()?,
            base: canonicalize(there(base, "--chroot-base-dir")?)?,
            file_bytes: limit.map(file_bytes).transpose()?,
            rest: words.cloned().collect(),
        };
        options.check()?;
        Ok(options)
    }

    fn check(&self) -> Result<(), Failure> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if !(1..=64).contains(&self.id.len()) || !self.id.bytes().all(plain) {
            return Err(format!("invalid instance ID {}", self.id).into());
        }
        let name = self.name()?;
        if !name.to_string_lossy().contains("firecracker") || !self.program.is_file() {
            return Err(format!("no Firecracker: {}", self.program.display()).into());
        }
        Ok(())
    }

    /// The program's name.
    pub fn name(&self) -> Result<OsString, Failure> {
        let name = Path::file_name(&self.program).ok_or("the program has no name")?;
        Ok(name.to_owned())
    }

    /// What becomes its `/`.
    pub fn root(&self) -> Result<PathBuf, Failure> {
        Ok(self.base.join(self.name()?).join(&self.id).join("root"))
    }
}
