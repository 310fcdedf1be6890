//! What a guest would do that has broken out of its VMM: it begins when the machine boots, and tells
//! on the console.

use std::fs::File;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use ignite_host::confine::probe::{Aims, refused};
use ignite_host::inherited;

use super::Failure;

/// Something forbidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mischief {
    /// Tries all that must be refused.
    Probe { file: PathBuf, socket: PathBuf },
    /// Takes memory until there is none.
    Hog,
    /// Starts threads until it gets no more, each of which takes all the time it gets.
    Bomb,
    /// Sends frames into its tap without an end: those of this word.
    Flood { tap: i32, frame: Vec<u8> },
    /// Goes on though its supervisor is gone, as long as it can.
    Outlive,
    /// Says something on all its streams without an end.
    Noise,
}

impl Mischief {
    /// As the words of the kernel's command line say. `tap` is the number of the first one.
    pub fn parse<'a>(words: impl Iterator<Item = &'a str>, tap: Option<i32>) -> Option<Self> {
        words.filter_map(|word| one(word, tap)).next()
    }

    /// Does it.
    pub fn make(self, console: UnixStream) -> Result<(), Failure> {
        match self {
            Self::Probe { file, socket } => probe(file, socket, &console),
            Self::Hog => {
                std::thread::spawn(hog);
                Ok(())
            }
            Self::Bomb => bomb(console),
            Self::Flood { tap, frame } => flood(tap, frame),
            // These come later.
            Self::Outlive | Self::Noise => Ok(()),
        }
    }
}

fn one(word: &str, tap: Option<i32>) -> Option<Mischief> {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    Some(match name {
        "standin.probe" => {
            let (file, socket) = value.split_once(',')?;
            Mischief::Probe {
                file: file.into(),
                socket: socket.into(),
            }
        }
        "standin.hog" => Mischief::Hog,
        "standin.bomb" => Mischief::Bomb,
        "standin.flood" => Mischief::Flood {
            tap: tap?,
            frame: bytes(value)?,
        },
        "standin.outlives" => Mischief::Outlive,
        "standin.noise" => Mischief::Noise,
        _ => return None,
    })
}

/// Bytes written in hexadecimal digits.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pair = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// A line for each attempt, and one at the end.
fn probe(file: PathBuf, socket: PathBuf, mut console: &UnixStream) -> Result<(), Failure> {
    let aims = Aims {
        file,
        socket,
        abstract_socket: "ignite-test-nobody".to_owned(),
        // Any number means a process of its own, or none.
        process: 2,
        work: None,
    };
    for attempt in refused() {
        let line = match (attempt.run)(&aims) {
            Ok(got) => format!("probe: COULD {}: {got}\n", attempt.name),
            Err(error) => format!("probe: refused to {}: {error}\n", attempt.name),
        };
        console.write_all(line.as_bytes())?;
    }
    Ok(console.write_all(b"probe: done\n")?)
}

fn hog() {
    const PIECE: usize = 1 << 20;
    let mut taken = Vec::new();
    loop {
        taken.push(vec![1_u8; PIECE]);
    }
}

fn bomb(mut console: UnixStream) -> Result<(), Failure> {
    let mut threads = 0;
    let busy = || loop {
        std::hint::spin_loop();
    };
    let small = || std::thread::Builder::new().stack_size(64 << 10);
    while small().spawn(busy).is_ok() {
        threads += 1;
    }
    Ok(console.write_all(format!("bomb: {threads} threads\n").as_bytes())?)
}

fn flood(tap: i32, frame: Vec<u8>) -> Result<(), Failure> {
    /// Of a virtio network device, all zero: nothing is offloaded.
    const HEADER: usize = 12;
    let mut tap = File::from(inherited(tap)?);
    let packet = [vec![0; HEADER], frame].concat();
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
