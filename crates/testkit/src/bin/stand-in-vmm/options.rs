//! What is read of QEMU's command line, and the descriptors it names.

use rustix::fs::{FlockOperation, fcntl_lock};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use ignite_host::confine::probe::Held;
use ignite_host::inherited;
use ignite_testkit::mischief::Mischief;

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
    pub mischief: Option<Mischief>,
    /// What it was started with.
    pub held: Vec<Held>,
    /// The first tap.
    pub tap: Option<OwnedFd>,
    /// The disk that can be written, locked.
    pub disk: File,
}

impl Options {
    pub fn parse(words: &[String], held: Vec<Held>) -> Result<Self, Failure> {
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
            mischief: Mischief::parse(kernel(words)),
            held,
            tap: tap(words).map(inherited).transpose()?,
            disk: disk(words)?,
        })
    }
}

/// The words of the kernel's command line.
fn kernel(words: &[String]) -> impl Iterator<Item = &str> {
    let line = words.iter().skip_while(|word| *word != "-append").nth(1);
    line.into_iter().flat_map(|line| line.split(' '))
}

/// Number of the first tap.
fn tap(words: &[String]) -> Option<i32> {
    let description = words.iter().find(|word| word.starts_with("tap,"))?;
    let mut options = description.split(',');
    options
        .find_map(|option| option.strip_prefix("fd="))?
        .parse()
        .ok()
}

fn fate(words: &[String]) -> Fate {
    let says = |word: &str| kernel(words).any(|said| said == word);
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
    let (_, set) = node
        .split_once("filename=/dev/fdset/")
        .ok_or("the disk is not passed open")?;
    let given = |word: &String| word.strip_prefix(&format!("set={set},fd="))?.parse().ok();
    let number = words.iter().find_map(given).ok_or("the set is empty")?;
    let file = File::from(inherited(number)?);
    // A confined VMM may not lock by flock(2): it could let go of the lock it is given.
    fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive)
        .map_err(|error| format!("is another process using the image? {error}"))?;
    Ok(file)
}
