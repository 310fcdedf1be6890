//! What is read of QEMU's command line, and the descriptors it names.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use super::Failure;

/// What becomes of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It boots.
    Boots,
    /// It says nothing.
    Silent,
    /// There is none: the VMM fails.
    Dies,
}

/// A machine as its command line describes it.
pub struct Options {
    pub console: UnixStream,
    pub agent: UnixStream,
    pub control: UnixStream,
    pub fate: Fate,
    /// The disk that can be written, locked.
    pub disk: File,
}

impl Options {
    pub fn parse(words: &[String]) -> Result<Self, Failure> {
        let stream = |id: &str| -> Result<UnixStream, Failure> {
            let wanted = format!("socket,id={id},fd=");
            let number = words
                .iter()
                .find_map(|word| word.strip_prefix(&wanted))
                .ok_or_else(|| format!("there is no stream {id}"))?;
            let stream = UnixStream::from(inherited(number.parse()?)?);
            stream.set_nonblocking(true)?;
            Ok(stream)
        };
        Ok(Self {
            console: stream("console")?,
            agent: stream("agent")?,
            control: stream("control")?,
            fate: fate(words),
            disk: disk(words)?,
        })
    }
}

fn fate(words: &[String]) -> Fate {
    let kernel = words.iter().skip_while(|word| *word != "-append").nth(1);
    let says = |word: &str| kernel.is_some_and(|line| line.split(' ').any(|w| w == word));
    if says("standin.dies") {
        Fate::Dies
    } else if says("standin.silent") {
        Fate::Silent
    } else {
        Fate::Boots
    }
}

/// QEMU lets nobody else write to a disk of its own.
fn disk(words: &[String]) -> Result<File, Failure> {
    let node = words
        .iter()
        .find(|word| word.starts_with("driver=file,") && word.contains("read-only=off"))
        .ok_or("there is no disk that can be written")?;
    let (_, path) = node.split_once("filename=").ok_or("the disk is no file")?;
    let file = File::options()
        .read(true)
        .write(true)
        .open(path.replace(",,", ","))?;
    file.try_lock()
        .map_err(|error| format!("{path}: is another process using the image? {error}"))?;
    Ok(file)
}

/// A second descriptor of what was inherited under `number`.
fn inherited(number: i32) -> Result<OwnedFd, Failure> {
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    Ok(pidfd_getfd(&this, number, PidfdGetfdFlags::empty())?)
}
