//! What is read of Firecracker's command line.

use std::path::PathBuf;

use ignite_testkit::firecracker::{Fault, Launch};

use super::Failure;

/// The version it is unless said otherwise.
const VERSION: (u32, u32) = (1, 16);

/// What is to be served, and how badly.
pub struct Options {
    /// The API's socket.
    pub socket: PathBuf,
    /// Where it logs; the console, unless said otherwise.
    pub log: Option<PathBuf>,
    /// The version it says it is.
    pub version: (u32, u32),
    /// Requests that go wrong.
    pub faults: Vec<Fault>,
    /// What goes wrong before.
    pub launch: Launch,
}

impl Options {
    pub fn parse(words: &[String]) -> Result<Self, Failure> {
        let mut options = Self {
            socket: PathBuf::from("/run/firecracker.socket"),
            log: None,
            version: VERSION,
            faults: Vec::new(),
            launch: Launch::Sound,
        };
        let mut words = words.iter();
        while let Some(name) = words.next() {
            if name == "--show-level" {
                continue;
            }
            let value = words
                .next()
                .ok_or_else(|| format!("{name} wants a value"))?;
            match name.as_str() {
                "--id" => check_id(value)?,
                "--api-sock" => options.socket = PathBuf::from(value),
                "--log-path" => options.log = Some(PathBuf::from(value)),
                "--level" if value == "Info" => {}
                "--fault" => options.faults.push(Fault::parse(value)?),
                "--launch" => options.launch = Launch::parse(value)?,
                // The jailer's, which has told when it began.
                "--start-time-us" | "--start-time-cpu-us" | "--parent-cpu-time-us" => {
                    value.parse::<u64>()?;
                }
                "--claim" => options.version = parse_version(value)?,
                _ => return Err(format!("unknown argument {name}").into()),
            }
        }
        Ok(options)
    }
}

/// The real program panics.
fn check_id(id: &str) -> Result<(), Failure> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if (1..=64).contains(&id.len()) && id.bytes().all(plain) {
        return Ok(());
    }
    Err(format!("Invalid instance ID: {id}").into())
}

fn parse_version(text: &str) -> Result<(u32, u32), Failure> {
    let (major, minor) = text.split_once('.').ok_or("two numbers")?;
    Ok((major.parse()?, minor.parse()?))
}
