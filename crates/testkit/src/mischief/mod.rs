//! What a guest would do that has broken out of its VMM. The stand-ins for both VMMs do it when their
//! guest boots, and tell on its console; words of the kernel's command line choose:
//!
//! ```text
//! standin.probe=AIMS    tries all that a confined VMM must be refused (see [`probe`])
//! standin.hog           takes memory without an end
//! standin.bomb          starts threads without an end, each of which takes all the time it gets
//! standin.flood=HEX     sends this frame into its tap without an end
//! standin.outlives      goes on though its supervisor is gone, as long as it can
//! standin.noise         when the guest is ready: says something everywhere without an end (in QEMU's place)
//! ```

pub mod probe;

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::os::fd::OwnedFd;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ignite_host::confine::probe::Held;
use rustix::event::{PollFd, PollFlags, poll};

/// Bytes of a virtio network device's header before every frame; all zero, nothing is offloaded.
const HEADER: usize = 12;

/// Something forbidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mischief {
    /// Tries all that must be refused, with these aims.
    Probe(String),
    /// Takes memory until there is none.
    Hog,
    /// Starts threads until it gets no more.
    Bomb,
    /// Sends this frame again and again.
    Flood(Vec<u8>),
    /// Goes on without its supervisor.
    Outlive,
    /// Says something on all its streams without an end.
    Noise,
}

/// The VMM's place, as far as it is needed.
#[derive(Debug)]
pub struct Place<'a> {
    /// What was open when the VMM began.
    pub held: &'a [Held],
    /// The first tap.
    pub tap: Option<OwnedFd>,
    /// Where to tell.
    pub console: Console,
}

impl Mischief {
    /// The first in the words of the kernel's command line.
    pub fn parse<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<Self> {
        words.find_map(one)
    }

    /// Does it.
    ///
    /// # Errors
    /// If it cannot be begun or told.
    pub fn make(self, place: Place<'_>) -> Result<()> {
        match self {
            Self::Probe(aims) => probe::all(&aims, place.held, place.console),
            Self::Hog => {
                std::thread::spawn(hog);
                Ok(())
            }
            Self::Bomb => bomb(place.console),
            Self::Flood(frame) => flood(place.tap.context("a tap")?, &frame),
            // These come later.
            Self::Outlive | Self::Noise => Ok(()),
        }
    }
}

fn one(word: &str) -> Option<Mischief> {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    Some(match name {
        "standin.probe" => Mischief::Probe(value.to_owned()),
        "standin.hog" => Mischief::Hog,
        "standin.bomb" => Mischief::Bomb,
        "standin.flood" => Mischief::Flood(hex::decode(value).ok()?),
        "standin.outlives" => Mischief::Outlive,
        "standin.noise" => Mischief::Noise,
        _ => return None,
    })
}

/// The guest's console.
#[derive(Debug)]
pub struct Console(File);

impl Console {
    /// Of this stream, whether it blocks or not.
    pub fn new(stream: OwnedFd) -> Self {
        Self(stream.into())
    }

    /// Writes a line; waits where it is full.
    ///
    /// # Errors
    /// If nobody reads it any more.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let line = format!("{line}\n");
        let mut rest = line.as_bytes();
        while !rest.is_empty() {
            match self.0.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn hog() {
    const PIECE: usize = 1 << 20;
    let mut taken = Vec::new();
    loop {
        taken.push(vec![1_u8; PIECE]);
    }
}

fn bomb(mut console: Console) -> Result<()> {
    let mut threads = 0;
    let busy = || loop {
        std::hint::spin_loop();
    };
    let small = || std::thread::Builder::new().stack_size(64 << 10);
    while small().spawn(busy).is_ok() {
        threads += 1;
    }
    console.say(&format!("bomb: {threads} threads"))
}

fn flood(tap: OwnedFd, frame: &[u8]) -> Result<()> {
    let mut tap = File::from(tap);
    let packet = [&[0; HEADER][..], frame].concat();
    std::thread::spawn(move || {
        loop {
            // A full queue is tried again.
            if tap.write(&packet).is_err() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    });
    Ok(())
}
